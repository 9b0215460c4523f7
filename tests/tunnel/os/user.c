/* Users by name and by number. */
#include "tunnel/os/user.h"

#include "tests/support/test.h"

#include <errno.h>

static void test_users(void)
{
    uid_t uid = 7;
    CU_ASSERT_EQUAL(user_find("root", &uid), 0);
    CU_ASSERT_EQUAL(uid, 0);
    CU_ASSERT_EQUAL(user_find("64002", &uid), 0);
    CU_ASSERT_EQUAL(uid, 64002);
    static const char *const none[] = {"", "no-such-user", "1234567890", "12x", "-1"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        CU_ASSERT_EQUAL(user_find(none[i], &uid), -ENOENT);
    CU_ASSERT_EQUAL(uid, 64002);
}

static void test_groups(void)
{
    gid_t gid = 7;
    CU_ASSERT_EQUAL(user_find_group("root", &gid), 0);
    CU_ASSERT_EQUAL(gid, 0);
    CU_ASSERT_EQUAL(user_find_group("64003", &gid), 0);
    CU_ASSERT_EQUAL(gid, 64003);
    CU_ASSERT_EQUAL(user_find_group("no-such-group", &gid), -ENOENT);
}

/* Root is nobody that rules may bind. */
static void test_agent(void)
{
    CU_ASSERT_EQUAL(user_find_agent("64002"), 64002);
    CU_ASSERT_EQUAL(user_find_agent("root"), 0);
    CU_ASSERT_EQUAL(user_find_agent("no-such-user"), 0);
    CU_ASSERT_EQUAL(user_find_agent(NULL), 0);
}

TEST_MAIN("user", {"a user is found by name or number", test_users},
          {"a group is found by name or number", test_groups},
          {"rules bind an existing user, never root", test_agent})
