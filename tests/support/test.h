/*
 * What every CUnit program shares. A program lists its cases in one table:
 *
 *   TEST_MAIN("queue", {"a batch goes in whole or not at all", test_whole}, ...)
 *
 * and exits 1 when a case failed. Each case may use test_folder(), a fresh folder that is removed
 * when the program ends.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_TEST_H
#define SALLYPORT_TESTS_SUPPORT_TEST_H

#include <CUnit/CUnit.h>
#include <stddef.h>

struct test_case {
    const char *name; /* what a user would notice */
    void (*run)(void);
};

/*
 * Ends a program that plays a confined helper. What a sanitizer does at the end of a process, such
 * as looking for leaks from another one, a helper may not.
 */
_Noreturn void test_helper_end(int code);

int test_main(const char *suite, const struct test_case *cases, size_t n_cases);

#define TEST_MAIN(suite, ...)                                                                      \
    int main(void)                                                                                 \
    {                                                                                              \
        static const struct test_case cases[] = {__VA_ARGS__};                                     \
        return test_main(suite, cases, sizeof(cases) / sizeof(cases[0]));                          \
    }

/* A folder of this process, made on first use. */
const char *test_folder(void);

/* PATH inside test_folder(); valid until the eighth next call. */
const char *test_path(const char *name);

/* Writes a file inside test_folder() and returns its path, valid like test_path()'s. */
const char *test_file(const char *name, const char *content);

/* Like CU_ASSERT_STRING_EQUAL, and prints both when they differ. */
#define TEST_TEXT_EQUAL(actual, expected)                                                          \
    CU_assertImplementation(test_text_equal((actual), (expected)), __LINE__,                       \
                            "TEST_TEXT_EQUAL(" #actual "," #expected ")", __FILE__, "", CU_FALSE)
int test_text_equal(const char *actual, const char *expected);

/* Passes when ACTUAL contains PART; prints ACTUAL when not. */
#define TEST_CONTAINS(actual, part)                                                                \
    CU_assertImplementation(test_contains((actual), (part)), __LINE__,                             \
                            "TEST_CONTAINS(" #actual "," #part ")", __FILE__, "", CU_FALSE)
int test_contains(const char *actual, const char *part);

#endif
