/* The arithmetic of leases. */
#include "tunnel/model/lease_time.h"

bool lease_time_is_fit(int64_t ttl_s, int64_t max_ttl_s)
{
    return max_ttl_s > 0 && max_ttl_s <= LEASE_MAX_S && ttl_s > 0 && ttl_s <= max_ttl_s;
}

int64_t lease_time_after(int64_t now_ms, int64_t ttl_s)
{
    return now_ms + ttl_s * 1000;
}

bool lease_time_may_become(int64_t deadline_ms, int64_t next_ms, int64_t limit_ms)
{
    return next_ms > deadline_ms && next_ms <= limit_ms;
}

int64_t lease_time_left(int64_t until_ms, int64_t now_ms)
{
    return until_ms > now_ms ? until_ms - now_ms : 0;
}
