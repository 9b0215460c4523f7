/*
 * The time of a lease: no deadline is computed too late, whatever the clock says and however long
 * a transaction with the kernel takes. Bounds: times of the clock below 2^61 ns (73 years), a
 * transaction of less than a day, a session's longest time.
 */
#include "tunnel/firewall/nft_state.c"

#define MAX_NS (INT64_C(1) << 36)
#define DAY_NS (INT64_C(1) << 32)
#define MAX_MS (INT64_C(1) << 16)

int main(void)
{
    int64_t before_ns, after_ns, now_ns, remaining_ms, listed_ms;
    __CPROVER_assume(before_ns >= 0 && before_ns < MAX_NS);
    __CPROVER_assume(after_ns >= before_ns && after_ns - before_ns < DAY_NS);
    __CPROVER_assume(now_ns >= after_ns && now_ns < 2 * MAX_NS);
    __CPROVER_assume(remaining_ms > 0 && remaining_ms <= MAX_MS);
    struct deadline deadline = deadline_in(remaining_ms, before_ns, after_ns);
    int64_t left = left_ms(&deadline, now_ns);
    __CPROVER_assert(left >= 0 && left <= remaining_ms, "never more than was given");
    __CPROVER_assert(
        now_ns + left * CLOCK_NS_PER_MS <= before_ns + remaining_ms * CLOCK_NS_PER_MS || left == 0,
        "loading again never prolongs");
    __CPROVER_assert(now_ns < before_ns + remaining_ms * CLOCK_NS_PER_MS || left == 0,
                     "nothing is left after the end");
    /* What the kernel lists is judged: too much is seen, what is due is not missed. */
    __CPROVER_assume(listed_ms >= 0 && listed_ms <= 2 * MAX_MS);
    int64_t latest_ns = after_ns + remaining_ms * CLOCK_NS_PER_MS;
    if (now_ns + listed_ms * CLOCK_NS_PER_MS > latest_ns + (SLACK_MS + 1) * CLOCK_NS_PER_MS)
        __CPROVER_assert(is_longer(listed_ms, &deadline, now_ns), "a longer lease is seen");
    if (now_ns + listed_ms * CLOCK_NS_PER_MS <= latest_ns)
        __CPROVER_assert(!is_longer(listed_ms, &deadline, now_ns), "a right one is not accused");
    if (now_ns >= before_ns + remaining_ms * CLOCK_NS_PER_MS)
        __CPROVER_assert(is_due(&deadline, now_ns), "an ended one is not missed");
    return 0;
}
