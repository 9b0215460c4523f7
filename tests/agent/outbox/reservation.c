/* How many numbers are reserved at a time. */
#include "agent/outbox/reservation.h"
#include "tests/support/test.h"

#define WINDOW_MS 3000

static struct reservation reservation;
static uint64_t next_seq, below, made, over;
static int64_t now_ms;

static void begin(void)
{
    next_seq = 1;
    now_ms = 1000;
    reservation_init(&reservation, WINDOW_MS, next_seq);
    below = next_seq;
    made = over = 0;
}

static void make(void)
{
    uint64_t block = reservation_next(&reservation, next_seq, now_ms);
    below = next_seq + block;
    reservation_made(&reservation, block, next_seq, now_ms);
    made++;
}

/* MS of RATE numbers a second, as the outbox does it: looked at now and then, and when it is used
 * up. */
static void pass(int64_t ms, unsigned rate)
{
    for (int64_t end = now_ms + ms; now_ms < end; now_ms += 10) {
        next_seq += (uint64_t)now_ms * rate / 1000 - (uint64_t)(now_ms - 10) * rate / 1000;
        if (reservation_is_low(&reservation, next_seq, below) ||
            reservation_is_wide(&reservation, next_seq, below, now_ms))
            make();
        over += next_seq > below;
    }
}

/* At a steady rate it lasts about as long as a power cut may cost, and is made less often. */
static void test_follows_the_rate(void)
{
    static const unsigned rates[] = {10, 100, 1000, 100, 5000, 30};
    begin();
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        pass(60000, rates[i]); /* used to it */
        made = 0;
        pass(60000, rates[i]);
        uint64_t wanted = rates[i] * WINDOW_MS / 1000;
        wanted = wanted < RESERVATION_MIN ? RESERVATION_MIN : wanted;
        CU_ASSERT(reservation.block <= wanted * 5 / 4 && reservation.block >= wanted * 3 / 4);
        CU_ASSERT(made <= 60000 / (WINDOW_MS / 2));
    }
}

/* A burst makes it longer, step by step: few writes, and it is short again soon. */
static void test_burst(void)
{
    begin();
    pass(60000, 10);
    made = 0;
    pass(1000, 20000);
    CU_ASSERT(made >= 5 && made <= 30);
    CU_ASSERT(reservation.block <= RESERVATION_MAX);
    pass(60000, 10);
    CU_ASSERT(below <= next_seq + 4 * RESERVATION_MIN);
}

static void test_bounds(void)
{
    begin();
    pass(10000, 1000000);
    CU_ASSERT_EQUAL(reservation.block, RESERVATION_MAX);
    CU_ASSERT_TRUE(reservation_is_low(&reservation, 100, 100 + RESERVATION_MAX / 4 - 1));
    CU_ASSERT_FALSE(reservation_is_low(&reservation, 100, 100 + RESERVATION_MAX / 4));
    begin();
    CU_ASSERT_TRUE(
        reservation_is_wide(&reservation, 1, 65536, now_ms)); /* as earlier versions made it */
    CU_ASSERT_FALSE(reservation_is_wide(&reservation, 1, 1 + RESERVATION_MIN, now_ms));
}

TEST_MAIN("reservation", {"it follows the rate", test_follows_the_rate}, {"a burst", test_burst},
          {"bounds", test_bounds})
