/* A mean of bytes a second that forgets. */
#include "agent/outbox/fill_rate.h"

#include <math.h>

#define RATE_SECONDS 600.0 /* how fast it forgets */
#define RATE_KNOWN_SECONDS 10.0

void fill_rate_fold(struct fill_rate *rate, uint64_t total, int64_t now_ms)
{
    if (!rate->started) {
        rate->started = true;
        rate->last_ms = now_ms;
    }
    double seconds = (double)(now_ms - rate->last_ms) / 1000.0;
    if (seconds < 1.0)
        return;
    double fraction = exp(-seconds / RATE_SECONDS);
    rate->bytes = rate->bytes * fraction + (double)(total - rate->total);
    rate->seconds = rate->seconds * fraction + seconds;
    rate->total = total;
    rate->last_ms = now_ms;
}

double fill_rate_hours(const struct fill_rate *rate, uint64_t room)
{
    if (rate->seconds < RATE_KNOWN_SECONDS || rate->bytes < 1.0)
        return -1.0;
    return (double)room * rate->seconds / rate->bytes / 3600.0;
}
