/*
 * When a lease ends: the one place where seconds of a request become a time of the clock. Pure; any
 * thread. tests/proof/lease_time.c proves what is said here.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_LEASE_TIME_H
#define SALLYPORT_TUNNEL_MODEL_LEASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_MAX_S (INT64_C(366) * 86400)  /* no lease is longer, whatever netd.conf says */
#define LEASE_MAX_NOW_MS (INT64_C(1) << 52) /* of CLOCK_BOOTTIME: 140,000 years */

/* Whether TTL_S can be granted where MAX_TTL_S is the site's limit: 1..MAX_TTL_S..LEASE_MAX_S. */
bool lease_time_is_fit(int64_t ttl_s, int64_t max_ttl_s);

/*
 * TTL_S after NOW_MS, in ms; 0 <= TTL_S <= LEASE_MAX_S, 0 <= NOW_MS < LEASE_MAX_NOW_MS. Never
 * before NOW_MS, at most LEASE_MAX_S after it, and not earlier for a larger value of either.
 */
int64_t lease_time_after(int64_t now_ms, int64_t ttl_s);

/*
 * Whether a lease that ends at DEADLINE_MS may get NEXT_MS instead: later than before, and not past
 * LIMIT_MS, which counts from the first opening.
 */
bool lease_time_may_become(int64_t deadline_ms, int64_t next_ms, int64_t limit_ms);

/*
 * How long it is from NOW_MS to UNTIL_MS, both >= 0, in ms; 0 when that has passed. Never negative,
 * and never more than was granted at any time before NOW_MS.
 */
int64_t lease_time_left(int64_t until_ms, int64_t now_ms);

#endif
