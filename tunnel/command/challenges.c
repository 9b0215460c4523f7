/* The challenge in force, and a ring of those that were replaced. */
#include "tunnel/command/challenges.h"

#include "agent/base/min_max.h"

#include <string.h>

void challenges_init(struct challenges *challenges, int64_t now_ms)
{
    *challenges = (struct challenges){.renewed_ms = now_ms - CHALLENGE_RENEWAL_MS};
}

void challenges_begin(struct challenges *challenges, const char *text, int64_t now_ms)
{
    challenges->now.text[0] = '\0';
    if (text)
        memcpy(challenges->now.text, text, CHALLENGE_TEXT_BYTES);
    challenges->now.until_ms = now_ms + (text ? CHALLENGE_LIFE_MS : CHALLENGE_RETRY_MS);
    challenges->is_stale = false;
}

void challenges_use_up(struct challenges *challenges)
{
    challenges->now.text[0] = '\0';
    memset(challenges->old, 0, sizeof(challenges->old));
}

void challenges_refused(struct challenges *challenges)
{
    challenges->is_stale = true;
}

bool challenges_is_renewal_due(const struct challenges *challenges, int64_t now_ms)
{
    return challenges->is_stale && now_ms - challenges->renewed_ms >= CHALLENGE_RENEWAL_MS;
}

void challenges_retire(struct challenges *challenges, int64_t now_ms)
{
    struct challenge *old = &challenges->old[challenges->next_old];
    challenges->next_old = (challenges->next_old + 1) % CHALLENGES_OLD;
    *old = challenges->now;
    old->until_ms = min_i64(old->until_ms, now_ms + CHALLENGE_GRACE_MS);
    challenges->now.text[0] = '\0';
    challenges->renewed_ms = now_ms;
}

static bool is_challenge(const struct challenge *challenge, const char *text, int64_t now_ms)
{
    return challenge->text[0] && now_ms < challenge->until_ms && strcmp(challenge->text, text) == 0;
}

bool challenges_may_be_used(const struct challenges *challenges, const char *text, int64_t now_ms)
{
    bool may = is_challenge(&challenges->now, text, now_ms);
    for (size_t i = 0; i < CHALLENGES_OLD; i++)
        may = may || is_challenge(&challenges->old[i], text, now_ms);
    return may;
}

int64_t challenges_next_ms(const struct challenges *challenges)
{
    int64_t next_ms = challenges->now.until_ms;
    if (challenges->is_stale)
        next_ms = min_i64(next_ms, challenges->renewed_ms + CHALLENGE_RENEWAL_MS);
    return next_ms;
}
