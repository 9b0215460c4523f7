/*
 * What a challenge can do, one operation at a time, on any set of challenges: what may be used
 * after it that might not be used before. So it holds after any number of operations. Bounds: texts
 * of up to two characters, times of the clock below 2^52 ms.
 */
#include "tunnel/command/challenges.c"

#define MAX_NOW_MS (INT64_C(1) << 52)
#define CHARACTERS 2

static int64_t any_time(void)
{
    uint64_t bits;
    return (int64_t)(bits & (MAX_NOW_MS - 1));
}

static struct challenge any_challenge(void)
{
    struct challenge any;
    any.text[CHARACTERS] = '\0';
    any.until_ms = any_time();
    return any;
}

static struct challenges any_challenges(void)
{
    struct challenges any = {.is_stale = false};
    size_t place;
    bool is_stale;
    __CPROVER_assume(place < CHALLENGES_OLD);
    any.is_stale = is_stale;
    any.now = any_challenge();
    any.old[place] = any_challenge();
    any.renewed_ms = any_time() - CHALLENGE_RENEWAL_MS;
    size_t next_old;
    __CPROVER_assume(next_old < CHALLENGES_OLD);
    any.next_old = next_old;
    return any;
}

static void prove_begin(struct challenges *challenges, const char *text, int64_t now_ms)
{
    const struct challenges before = *challenges;
    struct challenge fresh = any_challenge();
    bool is_made;
    challenges_begin(challenges, is_made ? fresh.text : NULL, now_ms);
    int64_t at_ms = any_time();
    if (!challenges_may_be_used(challenges, text, at_ms))
        return;
    bool is_fresh = is_made && strcmp(fresh.text, text) == 0 && at_ms < now_ms + CHALLENGE_LIFE_MS;
    __CPROVER_assert(is_fresh || challenges_may_be_used(&before, text, at_ms),
                     "nothing but the fresh text is new, and that for its life");
}

static void prove_use_up(struct challenges *challenges, const char *text, int64_t now_ms)
{
    (void)now_ms;
    challenges_use_up(challenges);
    __CPROVER_assert(!challenges_may_be_used(challenges, text, any_time()),
                     "nothing that was signed before may be used");
}

static void prove_retire(struct challenges *challenges, const char *text, int64_t now_ms)
{
    struct challenges before = *challenges;
    challenges_retire(challenges, now_ms);
    int64_t at_ms = any_time();
    if (!challenges_may_be_used(challenges, text, at_ms))
        return;
    __CPROVER_assert(challenges_may_be_used(&before, text, at_ms), "nothing comes back");
    before.now.text[0] = '\0';
    __CPROVER_assert(at_ms < now_ms + CHALLENGE_GRACE_MS ||
                         challenges_may_be_used(&before, text, at_ms),
                     "the one that was in force may be used for a minute at most");
}

static void prove_pace(struct challenges *challenges, const char *text, int64_t now_ms)
{
    (void)text;
    challenges_retire(challenges, now_ms);
    challenges_refused(challenges);
    int64_t at_ms = any_time();
    __CPROVER_assert(!challenges_is_renewal_due(challenges, at_ms) ||
                         at_ms >= now_ms + CHALLENGE_RENEWAL_MS,
                     "two renewals because of refusals are ten seconds apart");
}

static void prove_tick(struct challenges *challenges, const char *text, int64_t now_ms)
{
    (void)text;
    if (now_ms < challenges_next_ms(challenges))
        __CPROVER_assert(now_ms < challenges->now.until_ms &&
                             !challenges_is_renewal_due(challenges, now_ms),
                         "who sleeps until then misses nothing");
}

int main(void)
{
    static void (*const cases[])(struct challenges *, const char *, int64_t) = {
        prove_begin, prove_use_up, prove_retire, prove_pace, prove_tick};
    struct challenges challenges = any_challenges();
    struct challenge asked = any_challenge();
    cases[CASE](&challenges, asked.text, any_time());
    return 0;
}
