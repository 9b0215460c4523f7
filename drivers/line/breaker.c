/* The circuit breaker of one unit. */
#include "drivers/line/breaker.h"

#include "agent/base/min_max.h"

/* The longest distance that, lengthened by a quarter, still ends within the maximum. */
#define DISTANCE_MAX_NS (BREAKER_PROBE_MAX_NS / 5 * 4)

bool breaker_succeed(struct breaker *breaker)
{
    bool recovered = breaker->state == UNIT_TRIPPED;
    *breaker = (struct breaker){.state = UNIT_OK};
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

bool breaker_fail(struct breaker *breaker, int64_t now_ns, uint32_t random)
{
    bool was_tripped = breaker->state == UNIT_TRIPPED;
    if (breaker->failures < UINT32_MAX)
        breaker->failures++;
    if (breaker->failures < BREAKER_TRIPS_AFTER) {
        breaker->state = UNIT_FAILING;
        return false;
    }
    breaker->state = UNIT_TRIPPED;
    plan_probe(breaker, now_ns, random);
    return !was_tripped;
}
