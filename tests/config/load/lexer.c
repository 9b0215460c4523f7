/* The pass over a file's text before libconfig: what goes through, and what is said of the rest. */
#include "config/load/lexer.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

struct example {
    const char *text, *out, *said; /* OUT: NULL when libconfig must not see it */
};

static void check(const struct example *example, size_t length)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY, said = STRBUF_EMPTY;
    int result = lexer_scan(example->text, length, "f", &findings, &out);
    findings_print(&findings, &said);
    TEST_TEXT_EQUAL(strbuf_text(&said), example->said);
    CU_ASSERT_EQUAL(result, example->out ? 0 : -EINVAL);
    if (example->out)
        TEST_TEXT_EQUAL(strbuf_text(&out), example->out);
}

static void check_all(const struct example *examples, size_t n_examples)
{
    for (size_t i = 0; i < n_examples; i++)
        check(&examples[i], strlen(examples[i].text));
}

static void test_passes(void)
{
    static const struct example examples[] = {
        {"a: { b = ( 1, 2 ) };\n", "a: { b = ( 1, 2 ) };\n", ""},
        {"a = TRUE;", "a = TRUE;", ""},
        {"a = 1 b = 2\n", "a = 1 b = 2\n", ""},
        {"a = \"x\\\"}\";", "a = \"x\\\"}\";", ""},
        {"# c\n/* x\n*/ a = 1; // y\n", "\n \n a = 1; \n", ""}, /* lines keep their numbers */
    };
    check_all(examples, ARRAY_LENGTH(examples));
}

/* libconfig 1.5 would cut these to 32 bits without a word. */
static void test_large_numbers(void)
{
    static const struct example examples[] = {
        {"a = 2147483647;", "a = 2147483647;", ""},
        {"a = 5000000000;", "a = 5000000000L;", ""},
        {"a = -5000000000;", "a = -5000000000L;", ""},
        {"a = 0x1FFFFFFFF;", "a = 0x1FFFFFFFFL;", ""},
        {"a = 99999999999999999999;", "a = 99999999999999999999.0;", ""},
    };
    check_all(examples, ARRAY_LENGTH(examples));
}

static void test_doubles(void)
{
    static const struct example examples[] = {
        {"a = 1;\na = 2;\n", "a = 1;\na**1 = 2;\n",
         "f:2: a: given twice in the same group; first on line 1\n"},
        {"a: { b = 1; };\nc: { b = 1; };\n", "a: { b = 1; };\nc: { b = 1; };\n", ""},
    };
    check_all(examples, ARRAY_LENGTH(examples));
}

static void test_broken(void)
{
    static const struct example examples[] = {
        {"\na = \"x", NULL, "f:2: the text that begins here with a quote is never closed\n"},
        {"a = {\nb = 1;\n", NULL, "f:1: the \"{\" that begins here is never closed\n"},
        {"a = /* open\n", NULL, "f:1: the comment that begins here with /* is never closed\n"},
        {"a = word;", NULL,
         "f:1: the word word needs quotes; a switch is written as true or false\n"},
        {"@include \"x\"\n", NULL, "f:1: @include is not supported; put files into conf.d/\n"},
        {"a == 1;", NULL, "f:1: expected a value, found \"=\"\n"},
        {"a = ];", NULL, "f:1: \"]\" closes nothing\n"},
        {"\xff = 1\n", NULL, "f:1: unexpected byte 0xff outside of a text\n"},
    };
    check_all(examples, ARRAY_LENGTH(examples));
    check(&(struct example){"a\0=1", NULL,
                            "f:1: not a text file: byte 0x00 (binary, or not "
                            "UTF-8?)\n"},
          4);
}

/* Nesting and groups that would exhaust the parser are refused before it sees them. */
static void test_limits(void)
{
    CLEANUP(strbuf_free) struct strbuf deep = STRBUF_EMPTY, wide = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    for (int i = 0; i < 1000; i++)
        strbuf_add(&deep, "a = {");
    CU_ASSERT_EQUAL(lexer_scan(deep.data, deep.length, "f", &findings, &out), -EINVAL);
    for (int i = 0; i <= LEXER_MAX_KEYS; i++)
        strbuf_addf(&wide, "k%d = 1;\n", i);
    CU_ASSERT_EQUAL(lexer_scan(wide.data, wide.length, "f", &findings, &out), -EINVAL);
    CU_ASSERT_EQUAL(findings.errors, 2);
}

TEST_MAIN("lexer", {"what is right goes through, line by line", test_passes},
          {"large numbers are marked", test_large_numbers},
          {"keys given twice are told, with both lines", test_doubles},
          {"what is broken is refused with its line", test_broken},
          {"depth and width are bounded", test_limits})
