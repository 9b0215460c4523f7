/* One value of one key: what is taken, what is refused and in which words, and back to text. */
#include "config/schema/value.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct values {
    bool truth;
    int64_t whole;
    double real;
    int choice;
    char *text, *name, *id, *path, *bytes;
    struct text_list list;
};

static const char *const choices[] = {"even", "odd", "none", NULL};
static const char *const words[] = {"system", NULL};

#define ROW(member_, type_, ...)                                                                   \
    {                                                                                              \
        .key = #member_, .type = (type_), .offset = offsetof(struct values, member_), __VA_ARGS__  \
    }

static const struct option truth = ROW(truth, OPTION_BOOL, .fallback = "true"),
                           whole = ROW(whole, OPTION_INT, .min = -5, .max = 10, .unit = "s",
                                       .fallback = "7"),
                           real = ROW(real, OPTION_FLOAT, .min = 0, .max = INFINITY),
                           choice = ROW(choice, OPTION_ENUM, .names = choices, .fallback = "odd"),
                           text = ROW(text, OPTION_TEXT, .min = 1, .max = 8),
                           name = ROW(name, OPTION_NAME), id = ROW(id, OPTION_ID),
                           path = ROW(path, OPTION_PATH, .names = words),
                           bytes = ROW(bytes, OPTION_BYTES, .min = 0, .max = 4,
                                       .fallback = "\"\\r\\x01\""),
                           list = ROW(list, OPTION_TEXT_LIST, .min = 1, .max = 2),
                           ports = ROW(text, OPTION_PORTS, .min = 1, .max = 65535),
                           secret = ROW(text, OPTION_TEXT, .max = 8, .flags = OPTION_SECRET);

static const struct option *const all[] = {&truth, &whole, &real, &choice, &text,
                                           &name,  &id,    &path, &bytes,  &list};

static void free_all(struct values *values)
{
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        value_free(all[i], values);
}

/* Stores the cell WRITTEN; what was said, "" for nothing. */
static const char *said(const struct option *row, const char *written, struct values *values)
{
    static struct problem problem;
    problem.text[0] = '\0';
    int result = value_store_text(row, written, "/folder", values, &problem);
    CU_ASSERT_EQUAL(result < 0, problem.text[0] != '\0');
    return problem.text;
}

static void check_print(const struct option *row, const struct values *values, const char *expected)
{
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    value_print(row, values, &out);
    TEST_TEXT_EQUAL(strbuf_text(&out), expected);
}

static void test_numbers(void)
{
    CLEANUP(free_all) struct values values = {.whole = 3, .real = 1};
    TEST_TEXT_EQUAL(said(&whole, "0x0A", &values), "");
    CU_ASSERT_EQUAL(values.whole, 10);
    TEST_TEXT_EQUAL(said(&whole, "-5", &values), "");
    static const char *const refused[] = {"11", "-6", "1.5", "",    " 1",
                                          "1 ", "x",  "0x",  "1e1", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        CU_ASSERT_NOT_EQUAL(said(&whole, refused[i], &values)[0], '\0');
    CU_ASSERT_EQUAL(values.whole, -5); /* a refused value changes nothing */
    TEST_TEXT_EQUAL(said(&whole, "11", &values), "11 is out of range; allowed is -5 to 10 s");
    TEST_TEXT_EQUAL(said(&real, "2.5e-3", &values), "");
    CU_ASSERT_EQUAL(values.real, 2.5e-3);
    TEST_TEXT_EQUAL(said(&real, "-1", &values), "-1 is out of range; allowed is 0 or more");
    CU_ASSERT_NOT_EQUAL(said(&real, "nan", &values)[0], '\0');
    CU_ASSERT_NOT_EQUAL(said(&real, "1e999", &values)[0], '\0');
    CU_ASSERT_NOT_EQUAL(said(&real, "0x10", &values)[0], '\0');
}

static void test_choices(void)
{
    CLEANUP(free_all) struct values values = {.choice = 2};
    TEST_TEXT_EQUAL(said(&choice, "even", &values), "");
    CU_ASSERT_EQUAL(values.choice, 0);
    TEST_TEXT_EQUAL(said(&choice, "evn", &values),
                    "unknown value \"evn\"; did you mean \"even\"? Allowed: \"even\", \"odd\", "
                    "\"none\"");
    CU_ASSERT_EQUAL(values.choice, 0);
    TEST_TEXT_EQUAL(said(&truth, "TRUE", &values), "");
    CU_ASSERT_TRUE(values.truth);
    TEST_TEXT_EQUAL(said(&truth, "yes", &values), "expected true or false, found \"yes\"");
}

static void test_texts(void)
{
    CLEANUP(free_all) struct values values = {.text = NULL};
    TEST_TEXT_EQUAL(said(&text, "caf\xc3\xa9", &values), "");
    TEST_TEXT_EQUAL(values.text, "caf\xc3\xa9");
    TEST_TEXT_EQUAL(said(&text, "", &values), "must not be empty");
    TEST_TEXT_EQUAL(said(&text, "123456789", &values), "the text has 9 bytes; allowed is 1 to 8");
    CU_ASSERT_NOT_EQUAL(said(&text, "a\nb", &values)[0], '\0');
    CU_ASSERT_NOT_EQUAL(said(&text, "caf\xe9", &values)[0], '\0');
    TEST_TEXT_EQUAL(values.text, "caf\xc3\xa9");
    TEST_TEXT_EQUAL(said(&bytes, "\x01\xff", &values), ""); /* anything but NUL */
    TEST_TEXT_EQUAL(said(&name, "a.b-C_9", &values), "");
    CU_ASSERT_NOT_EQUAL(said(&name, "a/b", &values)[0], '\0');
    CU_ASSERT_NOT_EQUAL(said(&id, "a.b", &values)[0], '\0'); /* no dot: it is a topic level */
    char long_name[66];
    memset(long_name, 'n', 65);
    long_name[65] = '\0';
    CU_ASSERT_NOT_EQUAL(said(&name, long_name, &values)[0], '\0');
    TEST_TEXT_EQUAL(said(&name, long_name + 1, &values), "");
}

static void test_paths(void)
{
    CLEANUP(free_all) struct values values = {.text = NULL};
    (void)said(&path, "ca.pem", &values);
    TEST_TEXT_EQUAL(values.path, "/folder/ca.pem");
    (void)said(&path, "/etc/ca.pem", &values);
    TEST_TEXT_EQUAL(values.path, "/etc/ca.pem");
    (void)said(&path, "system", &values);
    TEST_TEXT_EQUAL(values.path, "system"); /* a word of the row */
    TEST_TEXT_EQUAL(said(&path, "", &values), "must not be empty");
}

static void test_lists(void)
{
    CLEANUP(free_all) struct values values = {.text = NULL};
    struct problem problem;
    const char *const texts[] = {"a", "b", "c"};
    struct given given = {.kind = GIVEN_TEXTS, .texts = texts, .n_texts = 2};
    CU_ASSERT_EQUAL(value_store(&list, &given, "", &values, &problem), 0);
    CU_ASSERT_EQUAL(values.list.length, 2);
    check_print(&list, &values, "[ \"a\", \"b\" ]");
    given.n_texts = 3;
    CU_ASSERT_EQUAL(value_store(&list, &given, "", &values, &problem), -EINVAL);
    TEST_TEXT_EQUAL(problem.text, "the list has 3 elements; allowed is 1 to 2");
    given = (struct given){.kind = GIVEN_TEXT, .text = "a"};
    CU_ASSERT_EQUAL(value_store(&list, &given, "", &values, &problem), -EINVAL);
    TEST_TEXT_EQUAL(problem.text, "expected a list; write it as [ \"a\" ]");
    CU_ASSERT_EQUAL(values.list.length, 2);
    given = (struct given){.kind = GIVEN_OTHER, .text = "a group"};
    CU_ASSERT_EQUAL(value_store(&list, &given, "", &values, &problem), -EINVAL);
    TEST_CONTAINS(problem.text, "found a group");
}

/* A number or a range; what is printed can be read again. */
static void test_ports(void)
{
    CLEANUP(free_all) struct values values = {.text = NULL};
    TEST_TEXT_EQUAL(said(&ports, "22", &values), "");
    TEST_TEXT_EQUAL(values.text, "22");
    check_print(&ports, &values, "22");
    TEST_TEXT_EQUAL(said(&ports, "5000-5010", &values), "");
    TEST_TEXT_EQUAL(values.text, "5000-5010");
    check_print(&ports, &values, "\"5000-5010\"");
    static const char *const refused[] = {"0",       "65536", "",     "-",       "1-",
                                          "-1",      "0-1",   "2-1",  "1-2-3",   "1 -2",
                                          "1-65536", "a-b",   "+1-2", "999999-1"};
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        CU_ASSERT_NOT_EQUAL(said(&ports, refused[i], &values)[0], '\0');
    TEST_TEXT_EQUAL(values.text, "5000-5010");
    TEST_TEXT_EQUAL(said(&ports, "0-1", &values), "0 is out of range; allowed is 1 to 65535");
}

static void test_defaults(void)
{
    CLEANUP(free_all) struct values values = {.real = -1};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        value_set_default(all[i], &values);
    CU_ASSERT_TRUE(values.truth);
    CU_ASSERT_EQUAL(values.whole, 7);
    CU_ASSERT_EQUAL(values.choice, 1);
    TEST_TEXT_EQUAL(values.bytes, "\r\x01");
    CU_ASSERT_EQUAL(values.real, -1); /* a row without one leaves the member alone */
    CU_ASSERT_FALSE(value_is_set(&real, &values));
    CU_ASSERT_FALSE(value_is_set(&text, &values));
    CU_ASSERT_FALSE(value_is_set(&list, &values));
    CU_ASSERT_TRUE(value_is_set(&whole, &values));
}

static void test_equal(void)
{
    CLEANUP(free_all) struct values a = {.real = NAN};
    CLEANUP(free_all) struct values b = {.real = NAN};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        CU_ASSERT_TRUE(value_equal(all[i], &a, &b));
    (void)said(&text, "x", &a);
    CU_ASSERT_FALSE(value_equal(&text, &a, &b));
    (void)said(&text, "x", &b);
    CU_ASSERT_TRUE(value_equal(&text, &a, &b));
    a.real = 1;
    CU_ASSERT_FALSE(value_equal(&real, &a, &b));
}

/* What is printed can be read again, and a secret is never printed. */
static void test_print(void)
{
    CLEANUP(free_all) struct values values = {.truth = true, .whole = 3000000000, .real = 0.1};
    check_print(&truth, &values, "true");
    check_print(&whole, &values, "3000000000L"); /* libconfig needs the mark for 64 bits */
    check_print(&real, &values, "0.1");
    check_print(&choice, &values, "\"even\"");
    (void)said(&text, "a\"b\\", &values);
    check_print(&text, &values, "\"a\\\"b\\\\\"");
    (void)said(&bytes, "\r\x02", &values);
    check_print(&bytes, &values, "\"\\r\\x02\"");
    check_print(&secret, &values, "\"(secret)\"");
}

TEST_MAIN("value", {"numbers and their bounds", test_numbers}, {"words of a list", test_choices},
          {"texts, names and bytes", test_texts}, {"file names", test_paths},
          {"lists of texts", test_lists}, {"ports", test_ports},
          {"defaults, and what is unset", test_defaults}, {"equal values", test_equal},
          {"printing", test_print})
