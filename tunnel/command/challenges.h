/*
 * Which challenges a signed command may name: the one in force, and those that were replaced only
 * because of refusals, for a while. Pure: time and random texts are given. tests/proof/challenges.c
 * proves that nothing may be used for longer than is said here. netd only, main thread.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_CHALLENGES_H
#define SALLYPORT_TUNNEL_COMMAND_CHALLENGES_H

#include "tunnel/model/command_text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHALLENGE_LIFE_MS (60 * 60 * 1000) /* for so long a challenge may be used */
#define CHALLENGE_RENEWAL_MS 10000         /* between two renewals because of refusals */
#define CHALLENGE_GRACE_MS 60000           /* a challenge that was renewed so may still be used */
#define CHALLENGE_RETRY_MS 1000            /* when the kernel has no random bits yet */
#define CHALLENGE_TEXT_BYTES COMMAND_CHALLENGE_BYTES

/* One more than can be within their time at once. */
#define CHALLENGES_OLD (CHALLENGE_GRACE_MS / CHALLENGE_RENEWAL_MS + 1)

struct challenge {
    char text[CHALLENGE_TEXT_BYTES]; /* "" when there is none: nothing matches it then */
    int64_t until_ms;                /* it may be used, and of the one in force: is renewed */
};

struct challenges {
    struct challenge now;                 /* in force */
    struct challenge old[CHALLENGES_OLD]; /* replaced because of refusals; a ring */
    size_t next_old;                      /* its place for the next one */
    int64_t renewed_ms;                   /* the last renewal because of a refusal */
    bool is_stale;                        /* such a renewal is due */
};

/* None is in force yet; a first refusal renews at once. */
void challenges_init(struct challenges *challenges, int64_t now_ms);

/* TEXT is in force from now on; NULL: there are no random bits, and nothing is for a second. */
void challenges_begin(struct challenges *challenges, const char *text, int64_t now_ms);

/* Somebody has used one: nothing that was signed before may do anything; challenges_begin() next.
 */
void challenges_use_up(struct challenges *challenges);

/* A command was refused: the one in force is to be renewed, but not more often than in 10 s. */
void challenges_refused(struct challenges *challenges);
bool challenges_is_renewal_due(const struct challenges *challenges, int64_t now_ms);

/*
 * Puts the one in force among the old ones, where it may be used for a minute at most: a refusal is
 * no reason to turn those away who have signed for it already. challenges_begin() next.
 */
void challenges_retire(struct challenges *challenges, int64_t now_ms);

bool challenges_may_be_used(const struct challenges *challenges, const char *text, int64_t now_ms);

/* When the one in force has to be renewed, because of its age or of a refusal. */
int64_t challenges_next_ms(const struct challenges *challenges);

#endif
