/* The circuit breaker of one unit, on a clock of our own. */
#include "drivers/line/breaker.h"

#include "tests/support/test.h"

#define S INT64_C(1000000000)

static void test_trips_after_three(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    CU_ASSERT_FALSE(breaker_fail(&breaker, BREAKER_SILENCE, 0, 0));
    CU_ASSERT_EQUAL(breaker.state, UNIT_FAILING);
    CU_ASSERT_FALSE(breaker_fail(&breaker, BREAKER_SILENCE, 0, 0));
    CU_ASSERT_EQUAL(breaker.state, UNIT_FAILING);
    CU_ASSERT_TRUE(breaker_fail(&breaker, BREAKER_SILENCE, 0, 0));
    CU_ASSERT_EQUAL(breaker.state, UNIT_TRIPPED);
    CU_ASSERT_EQUAL(breaker.failures, 3);
    CU_ASSERT_FALSE(breaker_fail(&breaker, BREAKER_SILENCE, 0, 0)); /* it opened only once */
}

static void test_in_a_row(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_FALSE(breaker_fail(&breaker, BREAKER_SILENCE, 0, 0));
        CU_ASSERT_FALSE(breaker_fail(&breaker, BREAKER_SILENCE, 0, 0));
        CU_ASSERT_FALSE(breaker_succeed(&breaker)); /* nothing to recover from */
        CU_ASSERT_EQUAL(breaker.state, UNIT_OK);
    }
}

static void trip(struct breaker *breaker, int64_t now_ns, uint32_t random)
{
    for (int i = 0; i < BREAKER_TRIPS_AFTER; i++)
        (void)breaker_fail(breaker, BREAKER_SILENCE, now_ns, random);
}

static void test_probe_distances(void)
{
    static const int64_t expected_s[] = {5, 10, 20, 40, 80, 160, 240, 240};
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    trip(&breaker, 1000 * S, 0);
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(breaker.probe_at_ns, (1000 + expected_s[i]) * S);
        (void)breaker_fail(&breaker, BREAKER_SILENCE, 1000 * S, 0);
    }
}

static void test_jitter(void)
{
    struct breaker low = {.state = UNIT_UNKNOWN}, high = low;
    trip(&low, 0, 0);
    trip(&high, 0, UINT32_MAX);
    for (int i = 0; i < 20; i++) {
        CU_ASSERT_TRUE(high.probe_at_ns - low.probe_at_ns >= low.probe_at_ns / 5);
        CU_ASSERT_TRUE(low.probe_at_ns >= 5 * S);
        CU_ASSERT_TRUE(high.probe_at_ns <= 300 * S);
        (void)breaker_fail(&low, BREAKER_SILENCE, 0, 0);
        (void)breaker_fail(&high, BREAKER_SILENCE, 0, UINT32_MAX);
    }
    CU_ASSERT_EQUAL(high.probe_at_ns, 300 * S);
}

/* N polls of which every TENTH fails as KIND says; the latest was answered. */
static void live(struct breaker *breaker, unsigned n, unsigned tenth, enum breaker_failure kind)
{
    for (unsigned i = 1; i <= n; i++) {
        if (i % tenth == 0 && i < n)
            (void)breaker_fail(breaker, kind, 0, 0);
        else
            (void)breaker_succeed(breaker);
    }
}

/* How many failures in a row open it. */
static unsigned opens_after(struct breaker breaker, enum breaker_failure kind)
{
    unsigned failures = 1;
    while (!breaker_fail(&breaker, kind, 0, 0) && failures < 1000)
        failures++;
    return failures;
}

/* The more of its polls fail between answers, the longer a row of failures may be chance. */
static void test_share_of_failures(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    live(&breaker, 200, 1000, BREAKER_SILENCE);
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_SILENCE), 3);
    live(&breaker, 65, 10, BREAKER_SILENCE);
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_SILENCE), 3 + 6);
    live(&breaker, 65, 2, BREAKER_SILENCE);
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_SILENCE), 12); /* there is an end to it */
    live(&breaker, 64, 1000, BREAKER_SILENCE);
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_SILENCE), 3); /* that is long ago */
}

/* Noise is no silence. But who never sends a good reply trips in the end. */
static void test_bad_replies(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_BAD_REPLY), 6);
    live(&breaker, 65, 10, BREAKER_BAD_REPLY);
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_BAD_REPLY), 2 * (3 + 6));
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_SILENCE), 3 + 6);
}

/* What torture measured: a tenth of all polls spoilt by chance, and units left out for it. */
static void test_noise_never_trips(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    uint64_t chance = 88172645463325252;
    unsigned spoilt = 0;
    for (unsigned i = 0; i < 200000; i++) {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        if ((chance >> 32) % 10 > 0) {
            (void)breaker_succeed(&breaker);
            continue;
        }
        spoilt++;
        CU_ASSERT_FALSE_FATAL(breaker_fail(&breaker, BREAKER_BAD_REPLY, 0, 0));
    }
    CU_ASSERT_TRUE(spoilt > 19000);
}

/* A long row of probes in vain does not make it patient with the next death. */
static void test_forgets_a_death(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    for (int i = 0; i < 100; i++)
        (void)breaker_fail(&breaker, BREAKER_SILENCE, 0, 0);
    CU_ASSERT_TRUE(breaker_succeed(&breaker));
    CU_ASSERT_EQUAL(opens_after(breaker, BREAKER_SILENCE), 3);
}

static void test_hope(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    trip(&breaker, 0, 0);
    for (int i = 0; i < 5; i++)
        (void)breaker_fail(&breaker, BREAKER_SILENCE, 0, 0);
    breaker_hope(&breaker);
    (void)breaker_fail(&breaker, BREAKER_SILENCE, 1000 * S, 0);
    CU_ASSERT_EQUAL(breaker.probe_at_ns, 1005 * S);
    CU_ASSERT_EQUAL(breaker.state, UNIT_TRIPPED);
}

static void test_recovers(void)
{
    struct breaker breaker = {.state = UNIT_UNKNOWN};
    trip(&breaker, 0, 0);
    (void)breaker_fail(&breaker, BREAKER_SILENCE, 0, 0);
    CU_ASSERT_TRUE(breaker_succeed(&breaker));
    CU_ASSERT_EQUAL(breaker.state, UNIT_OK);
    CU_ASSERT_EQUAL(breaker.failures, 0);
    trip(&breaker, 0, 0); /* the distances begin anew */
    CU_ASSERT_EQUAL(breaker.probe_at_ns, 5 * S);
}

TEST_MAIN("breaker", {"opens at the third failure, once", test_trips_after_three},
          {"two failures and an answer never open it", test_in_a_row},
          {"a unit that often fails between answers is given more time", test_share_of_failures},
          {"a bad reply weighs half of a silence", test_bad_replies},
          {"a tenth of the replies spoilt trips nobody", test_noise_never_trips},
          {"a death is forgotten once the unit is back", test_forgets_a_death},
          {"hope begins the distances anew", test_hope},
          {"probes from 5 s on at doubled distances, at most 5 min", test_probe_distances},
          {"units that died together are not probed together", test_jitter},
          {"one answer closes it", test_recovers})
