/*
 * Who is asked next on one line. Pure: time and chance come from the caller, so that hours of a
 * plant are tested in milliseconds. Used by line.c only, by its worker thread.
 *
 * - A poll group (a device and an interval) is due on a grid of absolute times. A turn that comes
 *   late does not move the grid, and what was missed is counted, never caught up.
 * - Groups take turns in the order in which they became due, so that a line that is asked for
 *   more than it can carry serves everybody in turn.
 * - A unit whose last answer is missing is a suspect. Suspects are asked by unit, the one that
 *   waits longest first, and only when no healthy unit waits. A question that would cost healthy
 *   units a turn if it were in vain is asked only while the time lost on such questions stays
 *   within 1/SCHEDULE_REST of the line's time; a single one after a long rest is within it, so
 *   that one bad frame costs one poll. The first question to a unit is free: only asking shows
 *   who lives.
 * - Tripped units are probed at the distances of breaker.h. Besides, so that units that come back
 *   together are soon noticed, the one that was left alone longest is probed ahead of its time when
 *   no probe failed for SCHEDULE_SCOUT_NS or, while others answer, for SCHEDULE_SCOUT_REST times
 *   what the last one took. When one of them answers, or the line is connected again, all others
 *   are probed at once, a tick apart, but not again within SCHEDULE_RALLY_NS.
 * - What is not asked when due (tripped, held back, or not connected) gets a notice instead, at
 *   most one each second: a batch that says so.
 */
#ifndef SALLYPORT_DRIVERS_LINE_SCHEDULE_H
#define SALLYPORT_DRIVERS_LINE_SCHEDULE_H

#include "drivers/line/breaker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_REST 15                         /* one part for suspects, 14 for the others */
#define SCHEDULE_PATIENCE_NS INT64_C(1000000000) /* how long a suspect lets others go first */
#define SCHEDULE_SCOUT_NS INT64_C(5000000000)
#define SCHEDULE_SCOUT_REST 30
#define SCHEDULE_RALLY_NS INT64_C(60000000000)
#define SCHEDULE_NOTICE_GAP_NS INT64_C(1000000000) /* between notices of one group, at least */
#define SCHEDULE_SPREAD_MAX_NS INT64_C(5000000000) /* the first turns of all groups, at most */

/*
 * All lines of a gateway begin their turns on the same ticks of the monotonic clock: what comes in
 * together is committed and sent together, and most of what a poll costs is waking up for it. A
 * longer tick saves more and makes values wait for one another.
 */
#define SCHEDULE_TICK_NS INT64_C(50000000)

struct schedule_group {
    size_t unit;
    int64_t interval_ns; /* positive */

    /* set by schedule_start() */
    int64_t offset_ns; /* of its first turn from the start */
    int64_t grid_ns;   /* one of its grid points */
    int64_t due_ns;
    bool missed; /* its last turn brought no answer */
};

struct schedule_device {
    size_t first_group, n_groups; /* its groups are next to each other */
    struct breaker breaker;
    int64_t ask_at_ns; /* of a suspect: not before, but for a scout */
    int64_t asked_ns;  /* when it was asked last */
    int64_t cost_ns;   /* how long its last failure took */
};

/* The maker fills the two arrays, which stay the maker's, and zeroes the rest. */
struct schedule {
    struct schedule_group *groups;
    size_t n_groups;
    struct schedule_device *units;
    size_t n_units;
    int64_t rest_until_ns; /* no suspect before, unless that costs no other group a turn */
    int64_t scout_at_ns;   /* no probe ahead of its time before */
    int64_t rally_ns;      /* no further rally before */
    int64_t taken_ns;      /* when the present turn began */
    bool is_costly;        /* it may cost another group a turn */
    int64_t turn_ns;       /* how long an answered one takes, on average */
};

enum turn_kind {
    TURN_WAIT,   /* nothing to do before at_ns */
    TURN_POLL,   /* ask `group`: schedule_take(), and then how it ended */
    TURN_NOTICE, /* say that `group` is not asked: schedule_put_off() */
};

struct turn {
    enum turn_kind kind;
    size_t group;
    int64_t at_ns; /* TURN_WAIT: INT64_MAX when there is nothing at all */
};

/*
 * Starts the grids at the tick after NOW_NS. The groups of this line are spread over the ticks of
 * their interval (of 5 s when it is longer), and PHASE / TOTAL (0 <= phase < total) shifts this
 * line against others; intervals of a tick or less all begin together.
 */
void schedule_start(struct schedule *schedule, int64_t now_ns, size_t phase, size_t total);

/* What to do at NOW_NS. Without a connection there are only notices. */
struct turn schedule_next(const struct schedule *schedule, bool connected, int64_t now_ns);

/*
 * GROUP is being asked: its next turn is the next point of its grid. Returns how many of its
 * turns were missed because the line was busy.
 */
uint64_t schedule_take(struct schedule *schedule, size_t group, int64_t now_ns);

/*
 * Until when GROUP, which has just been taken, may keep the line without costing another turn:
 * when the next group of a healthy unit is due, its own next turn included. In the past when one
 * is waiting.
 */
int64_t schedule_spare_until(const struct schedule *schedule, size_t group);

/* Whether the unit of GROUP did not answer when it was asked last. */
bool schedule_is_suspect(const struct schedule *schedule, size_t group);

/* GROUP was given a notice: its next one comes a second later at the earliest. */
void schedule_put_off(struct schedule *schedule, size_t group, int64_t now_ns);

/* GROUP was answered. Returns whether that closed its unit's breaker. */
bool schedule_answered(struct schedule *schedule, size_t group, int64_t now_ns);

/*
 * GROUP was asked in vain from STARTED_NS to NOW_NS; KIND and RANDOM as for breaker_fail(). Returns
 * whether that opened its unit's breaker.
 */
bool schedule_failed(struct schedule *schedule, size_t group, enum breaker_failure kind,
                     int64_t started_ns, int64_t now_ns, uint32_t random);

/* GROUP was asked when the connection broke: the device is not to blame. */
void schedule_lost(struct schedule *schedule, size_t group);

/* The line is up again: whoever missed turns gets the next one soon, tripped units included. */
void schedule_resume(struct schedule *schedule, int64_t now_ns);

/*
 * How long to wait before a line that could not be connected FAILED times in a row (1 or more) is
 * dialled again: 0.1 s to 1 s, 2 s, 4 s, then SCHEDULE_REDIAL_NS at most. RANDOM: all 32 bits even.
 */
#define SCHEDULE_REDIAL_NS INT64_C(5000000000)
int64_t schedule_redial_ns(unsigned failed, uint32_t random);

#endif
