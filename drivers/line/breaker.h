/*
 * The circuit breaker of one unit: a unit that seems dead is left alone, and probed at growing
 * distances until it answers. Pure: time and chance come from the caller. Used by schedule.c only.
 *
 * A unit seems dead when it fails more often in a row than chance explains, as far as its last 64
 * polls tell: after 3 silences, and one more for each failure among those polls that an answer
 * followed, 12 at most. A bad reply weighs half as much as silence: somebody lives there.
 */
#ifndef SALLYPORT_DRIVERS_LINE_BREAKER_H
#define SALLYPORT_DRIVERS_LINE_BREAKER_H

#include "drivers/line/line_state.h"

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_TRIPS_AFTER 3                      /* silences in a row */
#define BREAKER_EARLIER_MAX 9                      /* more of them, for earlier failures */
#define BREAKER_PROBE_MIN_NS INT64_C(5000000000)   /* until the first probe, at least */
#define BREAKER_PROBE_MAX_NS INT64_C(300000000000) /* between probes, at most */

enum breaker_failure {
    BREAKER_SILENCE,   /* nothing came, or the connection broke */
    BREAKER_BAD_REPLY, /* something came that is no reply: noise, a wrong checksum */
};

/* Zeroed: a unit that was never asked. */
struct breaker {
    enum device_state state;
    uint32_t failures;   /* in a row */
    unsigned weight;     /* of them, until it trips: 2 for each silence, 1 for each bad reply */
    uint64_t window;     /* the polls before them, the latest lowest; 1: failed */
    int64_t distance_ns; /* from the last failed probe to the next one, before chance */
    int64_t probe_at_ns; /* UNIT_TRIPPED: not to be asked before */
};

/* The unit answered. Returns whether that closed an open breaker. */
bool breaker_succeed(struct breaker *breaker);

/*
 * The unit failed as KIND says, at NOW_NS. RANDOM (all 32 bits even) lengthens the wait for the
 * next probe by up to a quarter, so that units that died together are not probed together. Returns
 * whether this failure opened the breaker.
 */
bool breaker_fail(struct breaker *breaker, enum breaker_failure kind, int64_t now_ns,
                  uint32_t random);

/* There is a reason to hope that a tripped unit is back: distances begin anew after its next probe.
 */
void breaker_hope(struct breaker *breaker);

#endif
