/*
 * The challenge that the next signed command must carry: 256 random bits, so that a command is
 * fresh whatever the clock says. Replaced at the start, after every attempt, and every hour. One
 * owner; no I/O but getrandom(2); the time (CLOCK_BOOTTIME, ms) is given by the caller.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_CHALLENGE_H
#define SALLYPORT_TUNNEL_MODEL_CHALLENGE_H

#include <stdbool.h>
#include <stdint.h>

#define CHALLENGE_BYTES 65                     /* 64 hex digits and the NUL */
#define CHALLENGE_MS (60 * 60 * INT64_C(1000)) /* for so long it may be used */
#define CHALLENGE_RETRY_MS 1000                /* when the kernel has no random bits yet */

struct challenge {
    char text[CHALLENGE_BYTES]; /* "" when there is none: nothing matches it then */
    int64_t until_ms;           /* when it has to be renewed */
};

/* Makes a new one. Returns 0, or a negative errno: then there is none, and a retry is due soon. */
int challenge_renew(struct challenge *challenge, int64_t now_ms);

/* Whether TEXT is the challenge, now. */
bool challenge_matches(const struct challenge *challenge, const char *text, int64_t now_ms);

#endif
