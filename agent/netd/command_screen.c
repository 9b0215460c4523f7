/*
 * The screen: a table of checks, in the order of what they cost. What fails one is doubtful; after
 * the last it is known who signed what, and it remains to say how fresh that is.
 */
#include "agent/netd/command_screen.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "agent/netd/sshsig.h"
#include "tunnel/journal/sha256.h"
#include "tunnel/model/command_text.h"

#include <stdlib.h>
#include <string.h>

#define CHALLENGES 16
_Static_assert(CHALLENGES > CHALLENGES_OLD + 1, "all that count for netd, the one in force too");
#define JUDGED 256 /* as many as netd remembers */

struct command_screen_challenge {
    char text[COMMAND_CHALLENGE_BYTES];
    int64_t until_ms; /* it counts; INT64_MAX for the one in force */
};

struct command_screen {
    char *gateway;
    struct command_screen_challenge challenges[CHALLENGES]; /* a ring */
    size_t n_challenges;                                    /* since the start */
    struct wire_signers *signers;                           /* NULL: not known */
    uint8_t judged[JUDGED][COMMAND_DIGEST_BYTES];           /* a ring */
    size_t n_judged;                                        /* since the start */
};

/* What is known about one message. */
struct command_screen_look {
    const char *text;
    size_t length;
    bool is_retained;
    struct command_parts parts;
    struct command command;
    struct armour armour;
    struct command_label *label;
};

/* ---- What the screen knows ---- */

struct command_screen *command_screen_new(const char *gateway)
{
    struct command_screen *screen = memory_zeroed(1, sizeof(*screen));
    screen->gateway = memory_text(gateway);
    return screen;
}

struct command_screen *command_screen_free(struct command_screen *screen)
{
    if (!screen)
        return NULL;
    free(screen->signers);
    free(screen->gateway);
    free(screen);
    return NULL;
}

/* A challenge that another one replaces may have to count a while longer: only netd knows. */
void command_screen_challenge(struct command_screen *screen, const char *challenge, int64_t now_ms)
{
    struct command_screen_challenge *const ring = screen->challenges;
    size_t last = (screen->n_challenges + CHALLENGES - 1) % CHALLENGES;
    if (ring[last].until_ms == INT64_MAX)
        ring[last].until_ms = now_ms + COMMAND_SCREEN_GRACE_MS;
    if (!challenge[0])
        return;
    struct command_screen_challenge *added = &ring[screen->n_challenges++ % CHALLENGES];
    text_put(added->text, sizeof(added->text), challenge);
    added->until_ms = INT64_MAX;
}

void command_screen_signers(struct command_screen *screen, const struct wire_signers *signers)
{
    free(screen->signers);
    screen->signers = NULL;
    if (!signers)
        return;
    screen->signers = memory_zeroed(1, sizeof(*signers));
    *screen->signers = *signers;
}

void command_screen_judged(struct command_screen *screen,
                           const uint8_t digest[COMMAND_DIGEST_BYTES])
{
    memcpy(screen->judged[screen->n_judged++ % JUDGED], digest, COMMAND_DIGEST_BYTES);
}

static bool is_in_force(const struct command_screen *screen, const char *challenge, int64_t now_ms)
{
    for (size_t i = 0; i < CHALLENGES; i++) {
        const struct command_screen_challenge *one = &screen->challenges[i];
        if (one->text[0] && now_ms < one->until_ms && strcmp(one->text, challenge) == 0)
            return true;
    }
    return false;
}

static bool is_judged(const struct command_screen *screen,
                      const uint8_t digest[COMMAND_DIGEST_BYTES])
{
    size_t n = screen->n_judged < JUDGED ? screen->n_judged : JUDGED;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(screen->judged[i], digest, COMMAND_DIGEST_BYTES) == 0)
            return true;
    }
    return false;
}

/* ---- The checks ---- */

typedef bool screen_check(const struct command_screen *screen, struct command_screen_look *look);

static bool is_new(const struct command_screen *screen, struct command_screen_look *look)
{
    (void)screen;
    return !look->is_retained;
}

/* What is too long for netd has none. */
static bool has_shape(const struct command_screen *screen, struct command_screen_look *look)
{
    (void)screen;
    return command_split(look->text, look->length, &look->parts) == 0 &&
           command_parse(look->parts.text, look->parts.text_length, &look->command) == 0;
}

static bool is_for_us(const struct command_screen *screen, struct command_screen_look *look)
{
    return strcmp(look->command.gateway, screen->gateway) == 0;
}

/* However its signature is written, netd does no command twice. */
static bool is_not_judged(const struct command_screen *screen, struct command_screen_look *look)
{
    uint8_t digest[COMMAND_DIGEST_BYTES];
    sha256_bytes(look->parts.text, look->parts.text_length, digest);
    return !is_judged(screen, digest);
}

static bool claims_signature(const struct command_screen *screen, struct command_screen_look *look)
{
    (void)screen;
    return sshsig_read(look->parts.armour, look->parts.armour_length, &look->armour) == 0;
}

static bool claims_signer(const struct command_screen *screen, struct command_screen_look *look)
{
    uint8_t *signer = look->label->signer;
    sha256_bytes(look->armour.key.at, look->armour.key.length, signer);
    for (size_t i = 0; screen->signers && i < screen->signers->n_keys; i++) {
        if (memcmp(screen->signers->keys[i], signer, WIRE_KEY_BYTES) == 0)
            return true;
    }
    return !screen->signers;
}

static bool is_signed(const struct command_screen *screen, struct command_screen_look *look)
{
    (void)screen;
    return sshsig_is_over(&look->armour, look->parts.text, look->parts.text_length);
}

static screen_check *const checks[] = {
    is_new, has_shape, is_for_us, is_not_judged, claims_signature, claims_signer, is_signed,
};

/* ---- One message ---- */

/* The lane of what has passed all checks. */
static enum command_lane sort(const struct command_screen *screen,
                              const struct command_screen_look *look, int64_t now_ms)
{
    bool is_fresh = is_in_force(screen, look->command.challenge, now_ms);
    if (!screen->signers) /* anybody may have made the key */
        return is_fresh ? COMMAND_LANE_SHAPED : COMMAND_LANE_DOUBTFUL;
    if (!is_fresh) /* its signer is told */
        return COMMAND_LANE_SHAPED;
    return command_kinds[look->command.action].role == COMMAND_NARROWS ? COMMAND_LANE_FIRST
                                                                       : COMMAND_LANE_SIGNED;
}

void command_screen_look(const struct command_screen *screen, const char *text, size_t length,
                         bool is_retained, int64_t now_ms, struct command_label *ret_label)
{
    struct command_screen_look look = {
        .text = text, .length = length, .is_retained = is_retained, .label = ret_label};
    *ret_label = (struct command_label){.lane = COMMAND_LANE_DOUBTFUL};
    for (size_t i = 0; i < ARRAY_LENGTH(checks); i++) {
        if (checks[i](screen, &look))
            continue;
        memset(ret_label->signer, 0, sizeof(ret_label->signer)); /* it need not be his */
        sha256_bytes(text, length, ret_label->digest);
        return;
    }
    ret_label->lane = sort(screen, &look, now_ms);
    if (!screen->signers)
        memset(ret_label->signer, 0, sizeof(ret_label->signer));
    sha256_bytes(look.parts.text, look.parts.text_length, ret_label->digest);
}
