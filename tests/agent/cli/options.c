/* The options of subcommands, and the values that they take. */
#include "agent/cli/options.h"
#include "agent/cli/cli.h"
#include "tests/support/test.h"

#include <stdint.h>

/* The frame is not linked. */
int cli_fail(int code, const char *name, const char *format, ...)
{
    (void)name, (void)format;
    return code;
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        uint32_t seconds; /* 0: none */
    } rows[] = {
        {"45", 45},
        {"45s", 45},
        {"90m", 5400},
        {"1h30m", 5400},
        {"2d", 172800},
        {"1h0m1s", 3601},
        {"1h30", 3630},
        {"", 0},
        {"h", 0},
        {"-1h", 0},
        {"1x", 0},
        {"1.5h", 0},
        {"1h ", 0},
        {"0x10", 0},
        {"49710d", 4294944000},
        {"49711d", 0},
        {"4294967295", 4294967295},
        {"86400", 86400},
        {"1d4294967295", 0},
        {"4294967296", 0},
        {"1h+1m", 0},
        {" 1h", 0},
        {"99999999999999999999", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t seconds = 7;
        bool is_time = cli_parse_duration(rows[i].text, &seconds);
        CU_ASSERT_EQUAL(is_time, rows[i].seconds != 0);
        CU_ASSERT_EQUAL(seconds, is_time ? rows[i].seconds : 7);
    }
    uint32_t zero = 7;
    CU_ASSERT_TRUE(
        cli_parse_duration("0", &zero)); /* a time; that nobody may have it is not ours */
    CU_ASSERT_EQUAL(zero, 0);
}

static void test_options(void)
{
    const char *file = NULL;
    bool flag = false;
    long long number = 0;
    const struct cli_option options[] = {{.name = "-f", .text = &file},
                                         {.name = "--flag", .flag = &flag},
                                         {.name = "--n", .number = &number, .min = 1, .max = 9},
                                         {.name = NULL}};
    char *words[] = {"name", "a", "-f", "--file", "-", "--n", "3", "b", "--flag", NULL};
    CU_ASSERT_EQUAL(cli_options(9, words, options), 4);
    TEST_TEXT_EQUAL(file, "--file");
    CU_ASSERT_TRUE(flag);
    CU_ASSERT_EQUAL(number, 3);
    TEST_TEXT_EQUAL(words[1], "a");
    TEST_TEXT_EQUAL(words[2], "-");
    TEST_TEXT_EQUAL(words[3], "b");
    CU_ASSERT_PTR_NULL(words[4]);
    char *unknown[] = {"name", "--other", NULL}, *missing[] = {"name", "-f", NULL};
    char *outside[] = {"name", "--n", "10", NULL};
    CU_ASSERT_EQUAL(cli_options(2, unknown, options), -1);
    CU_ASSERT_EQUAL(cli_options(2, missing, options), -1);
    CU_ASSERT_EQUAL(cli_options(3, outside, options), -1);
}

TEST_MAIN("options", {"durations", test_durations}, {"options and words", test_options})
