/*
 * The clocks. Pure logic never calls these: it is given the time by its caller. Any thread.
 */
#ifndef SALLYPORT_AGENT_BASE_CLOCK_H
#define SALLYPORT_AGENT_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01 UTC; may jump when the clock is set. For timestamps only. */
int64_t clock_wall_ms(void);

/* Nanoseconds since some fixed point; never jumps (CLOCK_MONOTONIC). For schedules, deadlines. */
int64_t clock_mono_ns(void);

/* Milliseconds since the start of the machine, time asleep included (CLOCK_BOOTTIME). For deadlines
 * that a suspended machine must not stretch. */
int64_t clock_boot_ms(void);

/* Sleeps until clock_mono_ns() reaches DEADLINE_NS; returns at once when that has passed. */
void clock_sleep_until(int64_t deadline_ns);

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_US INT64_C(1000)
#define CLOCK_NS_PER_S INT64_C(1000000000)

#endif
