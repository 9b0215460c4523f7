/*
 * How many numbers are reserved on disk at a time. After a power cut all that were reserved and may
 * have been used are reported as a gap, so a reservation must be short; but each is a write to
 * flash. It lasts, at the present rate, eight times as long as what a power cut may cost: less than
 * ten times of what may be lost is reported. Pure; main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_RESERVATION_H
#define SALLYPORT_AGENT_OUTBOX_RESERVATION_H

#include <stdbool.h>
#include <stdint.h>

#define RESERVATION_WINDOWS 8 /* of what a power cut may cost, in one reservation */
#define RESERVATION_MIN UINT64_C(64)
#define RESERVATION_MAX UINT64_C(65536)

struct reservation {
    int64_t window_ms; /* so long one lasts */
    uint64_t block;    /* numbers in the last one */
    uint64_t seq;      /* the next number when the last one was made */
    int64_t at_ms;     /* when that was */
};

/* WINDOW_MS: positive. NEXT_SEQ: the next number. */
void reservation_init(struct reservation *reservation, int64_t window_ms, uint64_t next_seq);

/* Whether it is time for the next one: a quarter of a block is left below BELOW, or less. */
bool reservation_is_low(const struct reservation *reservation, uint64_t next_seq, uint64_t below);
/* Whether far more is reserved than needed: it was made at a higher rate, or by another version. */
bool reservation_is_wide(const struct reservation *reservation, uint64_t next_seq, uint64_t below,
                         int64_t now_ms);

/* How many numbers the next one should have, after the rate since the last. */
uint64_t reservation_next(const struct reservation *reservation, uint64_t next_seq, int64_t now_ms);
/* It was made, of BLOCK numbers from NEXT_SEQ on. */
void reservation_made(struct reservation *reservation, uint64_t block, uint64_t next_seq,
                      int64_t now_ms);

#endif
