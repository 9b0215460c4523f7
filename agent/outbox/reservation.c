/* How many numbers are reserved on disk at a time. */
#include "agent/outbox/reservation.h"

#include "agent/base/min_max.h"

#include <assert.h>

void reservation_init(struct reservation *reservation, int64_t window_ms, uint64_t next_seq)
{
    assert(window_ms > 0);
    *reservation = (struct reservation){
        .window_ms = window_ms, .block = RESERVATION_MIN, .seq = next_seq, .at_ms = INT64_MIN};
}

bool reservation_is_low(const struct reservation *reservation, uint64_t next_seq, uint64_t below)
{
    return below < next_seq + reservation->block / 4;
}

/* How many numbers are used in the window, at the rate since the last reservation. */
static uint64_t reservation_rate(const struct reservation *reservation, uint64_t next_seq,
                                 int64_t elapsed_ms)
{
    double used = (double)(next_seq - reservation->seq);
    double elapsed = elapsed_ms > 0 ? (double)elapsed_ms : 1;
    double rate = used * (double)reservation->window_ms / elapsed;
    return rate > (double)RESERVATION_MAX ? RESERVATION_MAX : (uint64_t)rate;
}

static bool is_first(const struct reservation *reservation)
{
    return reservation->at_ms == INT64_MIN;
}

bool reservation_is_wide(const struct reservation *reservation, uint64_t next_seq, uint64_t below,
                         int64_t now_ms)
{
    uint64_t enough = reservation->block;
    if (!is_first(reservation) && now_ms - reservation->at_ms >= 2 * reservation->window_ms)
        enough = reservation_next(reservation, next_seq, now_ms);
    return below > next_seq + 4 * enough;
}

/* In a short time it grows by a factor of two at most: one burst does not count for the rate. */
uint64_t reservation_next(const struct reservation *reservation, uint64_t next_seq, int64_t now_ms)
{
    uint64_t block = reservation->block, used = next_seq - reservation->seq;
    if (is_first(reservation))
        return block;
    int64_t elapsed_ms = now_ms - reservation->at_ms;
    if (elapsed_ms < reservation->window_ms / 4 && used < block / 2)
        return block; /* too short to tell */
    uint64_t rate = reservation_rate(reservation, next_seq, elapsed_ms);
    return max_u64(min_u64(min_u64(rate, block * 2), RESERVATION_MAX), RESERVATION_MIN);
}

void reservation_made(struct reservation *reservation, uint64_t block, uint64_t next_seq,
                      int64_t now_ms)
{
    bool too_short = !is_first(reservation) && block == reservation->block &&
                     now_ms - reservation->at_ms < reservation->window_ms / 4;
    if (too_short)
        return; /* the rate is measured over more than one of them */
    reservation->block = block;
    reservation->seq = next_seq;
    reservation->at_ms = now_ms;
}
