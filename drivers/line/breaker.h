/*
 * The circuit breaker of one unit: a unit that fails several times in a row is left alone, and
 * probed at growing distances until it answers. Pure: time and chance come from the caller. Used
 * by schedule.c only.
 */
#ifndef SALLYPORT_DRIVERS_LINE_BREAKER_H
#define SALLYPORT_DRIVERS_LINE_BREAKER_H

#include "drivers/line/line_state.h"

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_TRIPS_AFTER 3                      /* failures in a row */
#define BREAKER_PROBE_MIN_NS INT64_C(5000000000)   /* until the first probe, at least */
#define BREAKER_PROBE_MAX_NS INT64_C(300000000000) /* between probes, at most */

/* Zeroed: a unit that was never asked. */
struct breaker {
    enum device_state state;
    uint32_t failures;   /* in a row */
    int64_t distance_ns; /* from the last failed probe to the next one, before chance */
    int64_t probe_at_ns; /* UNIT_TRIPPED: not to be asked before */
};

/* The unit answered. Returns whether that closed an open breaker. */
bool breaker_succeed(struct breaker *breaker);

/*
 * The unit failed, at NOW_NS. RANDOM (all 32 bits even) lengthens the wait for the next probe by
 * up to a quarter, so that units that died together are not probed together. Returns whether
 * this failure opened the breaker.
 */
bool breaker_fail(struct breaker *breaker, int64_t now_ns, uint32_t random);

#endif
