/* The challenge that the next signed command must carry. */
#include "tunnel/model/challenge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define RANDOM_BYTES 32

int challenge_renew(struct challenge *challenge, int64_t now_ms)
{
    unsigned char bytes[RANDOM_BYTES];
    *challenge = (struct challenge){.until_ms = now_ms + CHALLENGE_RETRY_MS};
    ssize_t got = getrandom(bytes, sizeof(bytes), GRND_NONBLOCK); /* the loop must not wait */
    if (got != (ssize_t)sizeof(bytes))
        return got < 0 ? -errno : -EIO;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(challenge->text + 2 * i, 3, "%02x", bytes[i]);
    challenge->until_ms = now_ms + CHALLENGE_MS;
    return 0;
}

bool challenge_matches(const struct challenge *challenge, const char *text, int64_t now_ms)
{
    return challenge->text[0] && now_ms < challenge->until_ms && strcmp(challenge->text, text) == 0;
}
