/* What every CUnit program shares. */
#include "tests/support/test.h"

#include <CUnit/Basic.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];
static pid_t folder_owner;

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about, (void)kind, (void)walk;
    return remove(path);
}

static void remove_folder(void)
{
    if (folder[0] && getpid() == folder_owner) /* not from a forked child */
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_folder(void)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/sallyport-test-XXXXXX");
        if (!mkdtemp(folder))
            abort();
        folder_owner = getpid();
        atexit(remove_folder);
    }
    return folder;
}

const char *test_path(const char *name)
{
    static char paths[8][512];
    static size_t next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", test_folder(), name);
    return path;
}

const char *test_file(const char *name, const char *content)
{
    const char *path = test_path(name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(content, file) < 0 || fclose(file) != 0)
        abort();
    return path;
}

int test_text_equal(const char *actual, const char *expected)
{
    int same = actual && expected && strcmp(actual, expected) == 0;
    if (!same)
        printf("\n--- expected\n%s\n--- actual\n%s\n---\n", expected ? expected : "(null)",
               actual ? actual : "(null)");
    return same;
}

int test_contains(const char *actual, const char *part)
{
    int found = actual && strstr(actual, part) != NULL;
    if (!found)
        printf("\n--- not found\n%s\n--- in\n%s\n---\n", part, actual ? actual : "(null)");
    return found;
}

_Noreturn void test_helper_end(int code)
{
    (void)fflush(stdout);
    _exit(code);
}

int test_main(const char *suite_name, const struct test_case *cases, size_t n_cases)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 2;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    for (size_t i = 0; suite && i < n_cases; i++) {
        if (!CU_add_test(suite, cases[i].name, cases[i].run))
            suite = NULL;
    }
    if (!suite)
        return 2;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failed = CU_get_number_of_failures() > 0 || CU_get_number_of_tests_run() != n_cases;
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
