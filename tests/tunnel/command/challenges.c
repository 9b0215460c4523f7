/* Which challenges may be used, and until when. */
#include "tunnel/command/challenges.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

/* A text of the length of a challenge, different for each NUMBER. */
static const char *text(unsigned number)
{
    static char texts[4][CHALLENGE_TEXT_BYTES];
    char *made = texts[number % 4];
    (void)snprintf(made, CHALLENGE_TEXT_BYTES, "%064x", number);
    return made;
}

static struct challenges started(int64_t now_ms)
{
    struct challenges challenges;
    challenges_init(&challenges, now_ms);
    challenges_begin(&challenges, text(1), now_ms);
    return challenges;
}

static void renew(struct challenges *challenges, unsigned number, int64_t now_ms)
{
    challenges_refused(challenges);
    CU_ASSERT_TRUE(challenges_is_renewal_due(challenges, now_ms));
    challenges_retire(challenges, now_ms);
    challenges_begin(challenges, text(number), now_ms);
}

static void test_life(void)
{
    struct challenges challenges = started(1000);
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(1), 1000));
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(1), 1000 + CHALLENGE_LIFE_MS - 1));
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, text(1), 1000 + CHALLENGE_LIFE_MS));
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, text(2), 1000));
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, "", 1000));
    CU_ASSERT_EQUAL(challenges_next_ms(&challenges), 1000 + CHALLENGE_LIFE_MS);
}

static void test_no_random_bits(void)
{
    struct challenges challenges;
    challenges_init(&challenges, 1000);
    challenges_begin(&challenges, NULL, 1000);
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, "", 1000));
    CU_ASSERT_EQUAL(challenges_next_ms(&challenges), 1000 + CHALLENGE_RETRY_MS);
}

static void test_renewal(void)
{
    struct challenges challenges = started(1000);
    CU_ASSERT_FALSE(challenges_is_renewal_due(&challenges, 1000)); /* nothing was refused */
    renew(&challenges, 2, 1000);
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(1), 1000 + CHALLENGE_GRACE_MS - 1));
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, text(1), 1000 + CHALLENGE_GRACE_MS));
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(2), 1000 + CHALLENGE_GRACE_MS));
    challenges_refused(&challenges);
    CU_ASSERT_FALSE(challenges_is_renewal_due(&challenges, 1000 + CHALLENGE_RENEWAL_MS - 1));
    CU_ASSERT_EQUAL(challenges_next_ms(&challenges), 1000 + CHALLENGE_RENEWAL_MS);
    renew(&challenges, 3, 1000 + CHALLENGE_RENEWAL_MS);
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(1), 1000 + CHALLENGE_GRACE_MS - 1));
}

/* However often others cause a renewal, whoever has signed has his minute. */
static void test_many_renewals(void)
{
    struct challenges challenges = started(0);
    renew(&challenges, 2, 0);
    for (unsigned i = 1; i < CHALLENGE_GRACE_MS / CHALLENGE_RENEWAL_MS; i++)
        renew(&challenges, 2 + i, i * CHALLENGE_RENEWAL_MS);
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(1), CHALLENGE_GRACE_MS - 1));
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(2), CHALLENGE_GRACE_MS - 1));
}

static void test_old_age(void)
{
    struct challenges challenges = started(0);
    renew(&challenges, 2, CHALLENGE_LIFE_MS - 5000);
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(1), CHALLENGE_LIFE_MS - 1));
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, text(1), CHALLENGE_LIFE_MS));
}

static void test_use(void)
{
    struct challenges challenges = started(0);
    renew(&challenges, 2, 0);
    challenges_use_up(&challenges);
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, text(1), 1));
    CU_ASSERT_FALSE(challenges_may_be_used(&challenges, text(2), 1));
    challenges_begin(&challenges, text(3), 1);
    CU_ASSERT_TRUE(challenges_may_be_used(&challenges, text(3), 1));
}

TEST_MAIN("challenges", {"one may be used for an hour", test_life},
          {"without random bits there is none", test_no_random_bits},
          {"one that was renewed may be used for a minute more", test_renewal},
          {"however often it is renewed", test_many_renewals},
          {"but not for more than its hour", test_old_age}, {"a use is the end of all", test_use})
