/* The challenge: random, and good for an hour. */
#include "tunnel/model/challenge.h"

#include "tests/support/test.h"

#include <string.h>

static void test_renew(void)
{
    struct challenge challenge = {0};
    char before[CHALLENGE_BYTES];
    for (int i = 0; i < 100; i++) {
        memcpy(before, challenge.text, sizeof(before));
        CU_ASSERT_EQUAL(challenge_renew(&challenge, 1000), 0);
        CU_ASSERT_EQUAL(strlen(challenge.text), 64);
        CU_ASSERT_EQUAL(strspn(challenge.text, "0123456789abcdef"), 64);
        CU_ASSERT_NOT_EQUAL(strcmp(challenge.text, before), 0);
        CU_ASSERT_TRUE(challenge_matches(&challenge, challenge.text, 1000));
        CU_ASSERT_FALSE(challenge_matches(&challenge, before, 1000));
    }
}

static void test_hour(void)
{
    struct challenge challenge;
    CU_ASSERT_EQUAL(challenge_renew(&challenge, 1000), 0);
    CU_ASSERT_EQUAL(challenge.until_ms, 1000 + 3600000);
    CU_ASSERT_TRUE(challenge_matches(&challenge, challenge.text, challenge.until_ms - 1));
    CU_ASSERT_FALSE(challenge_matches(&challenge, challenge.text, challenge.until_ms));
}

static void test_none(void)
{
    const struct challenge none = {.until_ms = 1000};
    CU_ASSERT_FALSE(challenge_matches(&none, "", 0));
}

TEST_MAIN("challenge", {"no two are alike, and only the present one counts", test_renew},
          {"after an hour it counts no more", test_hour}, {"without one nothing counts", test_none})
