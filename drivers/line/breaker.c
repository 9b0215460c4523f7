/* The circuit breaker of one unit. */
#include "drivers/line/breaker.h"

#include "agent/base/min_max.h"

/* The longest distance that, lengthened by a quarter, still ends within the maximum. */
#define DISTANCE_MAX_NS (BREAKER_PROBE_MAX_NS / 5 * 4)

/* What a failure weighs. Bytes that make no reply show that somebody lives there. */
static unsigned weight_of(enum breaker_failure kind)
{
    switch (kind) {
    case BREAKER_SILENCE:
        return 2;
    case BREAKER_BAD_REPLY:
        return 1;
    }
    return 2;
}

/* The window after the present row of failures and the answer that ended it. */
static uint64_t window_after(const struct breaker *breaker)
{
    if (breaker->failures >= 63)
        return UINT64_MAX << 1;
    uint64_t row = (UINT64_C(1) << breaker->failures) - 1;
    return (breaker->window << breaker->failures | row) << 1;
}

bool breaker_succeed(struct breaker *breaker)
{
    bool recovered = breaker->state == UNIT_TRIPPED;
    *breaker = (struct breaker){.state = UNIT_OK, .window = recovered ? 0 : window_after(breaker)};
    return recovered;
}

static void plan_probe(struct breaker *breaker, int64_t now_ns, uint32_t random)
{
    int64_t distance = breaker->distance_ns;
    distance = distance ? 2 * distance : BREAKER_PROBE_MIN_NS;
    breaker->distance_ns = min_i64(distance, DISTANCE_MAX_NS);
    int64_t quarter = breaker->distance_ns / 4;
    breaker->probe_at_ns = now_ns + breaker->distance_ns +
                           (int64_t)((double)quarter * (double)random / (double)UINT32_MAX);
}

/* Silences in a row that this unit is allowed. */
static unsigned patience(const struct breaker *breaker)
{
    unsigned earlier = (unsigned)__builtin_popcountll(breaker->window);
    return BREAKER_TRIPS_AFTER + (earlier < BREAKER_EARLIER_MAX ? earlier : BREAKER_EARLIER_MAX);
}

bool breaker_fail(struct breaker *breaker, enum breaker_failure kind, int64_t now_ns,
                  uint32_t random)
{
    bool was_tripped = breaker->state == UNIT_TRIPPED;
    if (breaker->failures < UINT32_MAX)
        breaker->failures++;
    if (!was_tripped) {
        breaker->weight += weight_of(kind);
        breaker->state = UNIT_FAILING;
        if (breaker->weight < 2 * patience(breaker))
            return false;
    }
    breaker->state = UNIT_TRIPPED;
    plan_probe(breaker, now_ns, random);
    return !was_tripped;
}

void breaker_hope(struct breaker *breaker)
{
    breaker->distance_ns = 0;
}
