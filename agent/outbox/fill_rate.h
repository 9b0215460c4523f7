/*
 * How fast the outbox fills: bytes taken in the last ten minutes or so (a mean that forgets with a
 * time constant). Pure; main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_FILL_RATE_H
#define SALLYPORT_AGENT_OUTBOX_FILL_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct fill_rate {
    bool started;
    double bytes, seconds;
    uint64_t total; /* that was taken until `last_ms` */
    int64_t last_ms;
};

/* Takes over what has been added since the last time, at most once a second. TOTAL: ever taken. */
void fill_rate_fold(struct fill_rate *rate, uint64_t total, int64_t now_ms);

/* Hours until ROOM bytes are filled; -1: unknown. */
double fill_rate_hours(const struct fill_rate *rate, uint64_t room);

#endif
