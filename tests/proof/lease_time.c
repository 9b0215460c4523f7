/*
 * The arithmetic of leases keeps what its header says, for all times of the clock below
 * LEASE_MAX_NOW_MS and all lengths of a lease; what is fit, what an extension may be and what is
 * left, for all numbers. tests/proof/session.c builds on it.
 */
#include "tunnel/model/lease_time.c"

/* Declared without a value: any. */
static void prove_fit(void)
{
    int64_t ttl_s, max_ttl_s;
    bool is_within = ttl_s >= 1 && ttl_s <= max_ttl_s && max_ttl_s <= LEASE_MAX_S;
    __CPROVER_assert(lease_time_is_fit(ttl_s, max_ttl_s) == is_within,
                     "fit is what the site's limit permits, and that no more than ours");
}

/* Any within the bounds; the masks leave the solver fewer bits. */
static int64_t any_now_ms(void)
{
    uint64_t bits;
    return (int64_t)(bits & (LEASE_MAX_NOW_MS - 1));
}

static int64_t any_ttl_s(void)
{
    uint64_t bits;
    int64_t ttl_s = (int64_t)(bits & 0x1ffffff);
    _Static_assert(LEASE_MAX_S <= 0x1ffffff, "the mask leaves all of them");
    __CPROVER_assume(ttl_s <= LEASE_MAX_S);
    return ttl_s;
}

static void prove_after(void)
{
    int64_t now_ms = any_now_ms(), end_ms = lease_time_after(now_ms, any_ttl_s());
    __CPROVER_assert(end_ms >= now_ms, "never in the past");
    __CPROVER_assert(end_ms - now_ms <= LEASE_MAX_S * 1000, "never further than the longest lease");
}

static void prove_order_of_now(void)
{
    int64_t now_ms = any_now_ms(), later_ms = any_now_ms(), ttl_s = any_ttl_s();
    __CPROVER_assume(now_ms <= later_ms);
    __CPROVER_assert(lease_time_after(now_ms, ttl_s) <= lease_time_after(later_ms, ttl_s),
                     "later never ends earlier");
}

/* So by induction a longer lease ends later. */
static void prove_order_of_ttl(void)
{
    int64_t now_ms = any_now_ms(), ttl_s = any_ttl_s();
    __CPROVER_assume(ttl_s < LEASE_MAX_S);
    __CPROVER_assert(lease_time_after(now_ms, ttl_s + 1) == lease_time_after(now_ms, ttl_s) + 1000,
                     "a second longer ends a second later");
}

static void prove_extension(void)
{
    int64_t deadline_ms, next_ms, limit_ms;
    __CPROVER_assert(lease_time_may_become(deadline_ms, next_ms, limit_ms) ==
                         (next_ms > deadline_ms && next_ms <= limit_ms),
                     "an extension reaches further, and not past the limit");
}

static void prove_left(void)
{
    int64_t until_ms, granted_ms, now_ms;
    __CPROVER_assume(until_ms >= 0 && granted_ms >= 0 && now_ms >= granted_ms);
    int64_t left_ms = lease_time_left(until_ms, now_ms);
    __CPROVER_assert(left_ms >= 0, "never negative");
    __CPROVER_assert((left_ms == 0) == (now_ms >= until_ms), "nothing from the deadline on");
    __CPROVER_assert(left_ms == 0 || left_ms <= until_ms - granted_ms, "never more than granted");
}

int main(void)
{
    static void (*const cases[])(void) = {prove_fit,          prove_after,     prove_order_of_now,
                                          prove_order_of_ttl, prove_extension, prove_left};
    cases[CASE]();
    return 0;
}
