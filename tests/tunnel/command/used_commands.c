/* Used commands: remembered over restarts, and a damaged list means that nothing is known. */
#include "tunnel/command/used_commands.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct used_commands *open_list(const char *name)
{
    return used_commands_open(test_path(name));
}

static void test_restart(void)
{
    struct used_commands *used = open_list("restart");
    CU_ASSERT_FALSE(used_commands_has(used, "one", A));
    CU_ASSERT_EQUAL(used_commands_add(used, "one", A), 0);
    CU_ASSERT_TRUE(used_commands_has(used, "one", B)); /* either is enough */
    CU_ASSERT_TRUE(used_commands_has(used, "two", A));
    CU_ASSERT_FALSE(used_commands_has(used, "two", B));
    used_commands_free(used);
    used = open_list("restart");
    CU_ASSERT_PTR_NULL(used_commands_problem(used));
    CU_ASSERT_TRUE(used_commands_has(used, "one", B));
    CU_ASSERT_EQUAL(used_commands_add(used, "two", B), 0);
    used_commands_free(used);
    used = open_list("restart");
    CU_ASSERT_TRUE(used_commands_has(used, "one", A));
    CU_ASSERT_TRUE(used_commands_has(used, "two", A));
    used_commands_free(used);
}

static void make_challenge(int number, char challenge[65])
{
    (void)snprintf(challenge, 65, "%064x", (unsigned)number);
}

static void test_bound(void)
{
    struct used_commands *used = open_list("bound");
    struct stat about;
    char id[16], challenge[65];
    off_t full = 0;
    for (int i = 0; i < USED_MAX + 20; i++) {
        (void)snprintf(id, sizeof(id), "id-%06d", i);
        make_challenge(i + 1, challenge);
        CU_ASSERT_EQUAL_FATAL(used_commands_add(used, id, challenge), 0);
        CU_ASSERT_EQUAL(stat(test_path("bound"), &about), 0);
        if (i == USED_MAX - 1)
            full = about.st_size;
    }
    CU_ASSERT_EQUAL(about.st_size, full);
    CU_ASSERT_EQUAL(about.st_mode & 0777, 0600);
    used_commands_free(used);
    used = open_list("bound");
    CU_ASSERT_PTR_NULL(used_commands_problem(used));
    CU_ASSERT_FALSE(used_commands_has(used, "id-000019", A));
    CU_ASSERT_TRUE(used_commands_has(used, "id-000020", A));
    CU_ASSERT_TRUE(used_commands_has(used, id, A));
    used_commands_free(used);
}

static void expect_broken(const char *bytes, size_t length)
{
    CU_ASSERT_EQUAL_FATAL(file_replace(test_path("damaged"), bytes, length, 0600), 0);
    struct used_commands *used = open_list("damaged");
    CU_ASSERT_PTR_NOT_NULL_FATAL(used_commands_problem(used));
    TEST_CONTAINS(used_commands_problem(used), "move the file away");
    CU_ASSERT_EQUAL(used_commands_add(used, "new", B), -EUCLEAN);
    used_commands_free(used);
}

/* Cut anywhere, any byte changed, something added. */
static void test_damage(void)
{
    CLEANUP(strbuf_free) struct strbuf good = STRBUF_EMPTY;
    struct used_commands *used = open_list("damaged");
    CU_ASSERT_EQUAL(used_commands_add(used, "one", A), 0);
    CU_ASSERT_EQUAL(used_commands_add(used, "two", B), 0);
    used_commands_free(used);
    CU_ASSERT_EQUAL_FATAL(file_read(test_path("damaged"), 10000, &good), 0);
    for (size_t length = 0; length < good.length; length += 7)
        expect_broken(good.data, length);
    for (size_t at = 0; at < good.length; at += 5) {
        good.data[at] ^= 1;
        expect_broken(good.data, good.length);
        good.data[at] ^= 1;
    }
    strbuf_add(&good, "\n");
    expect_broken(good.data, good.length);
    CU_ASSERT_EQUAL(unlink(test_path("damaged")), 0); /* moved away, as the message says */
    used = open_list("damaged");
    CU_ASSERT_EQUAL(used_commands_add(used, "new", B), 0);
    used_commands_free(used);
}

static void test_unwritable(void)
{
    struct used_commands *used = open_list("no-such-folder/used");
    CU_ASSERT_PTR_NULL(used_commands_problem(used));
    CU_ASSERT_EQUAL(used_commands_add(used, "one", A), -ENOENT);
    CU_ASSERT_FALSE(used_commands_has(used, "one", A));
    used_commands_free(used);
    CU_ASSERT_EQUAL(mkdir(test_path("folder"), 0700), 0);
    used = open_list("folder");
    CU_ASSERT_PTR_NOT_NULL(used_commands_problem(used));
    used_commands_free(used);
}

TEST_MAIN("used_commands", {"a restart forgets nothing", test_restart},
          {"the file does not grow for ever", test_bound},
          {"a damaged list is noticed wherever it is damaged", test_damage},
          {"what cannot be written is not used", test_unwritable})
