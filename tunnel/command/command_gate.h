/*
 * The gate: every signed command passes here or is refused, in a fixed order, with one reason code.
 *
 *   rate limit -> too large, retained -> signature -> grammar -> gateway -> used before
 *   -> challenge -> time and services -> written down as used -> the session (session_control),
 * which journals and acts
 *
 * Nothing is read from a text before its signature is good; only the id is, of a text that is
 * refused, for the answer. After every attempt that was looked at, good or bad, the challenge is
 * replaced. Five refusals here within a minute shut the gate for a minute: then nothing is looked
 * at, and the journal gets one line at the beginning and one with the count at the end. Of refusals
 * that no operator need have caused, here and now, the journal gets no more than journal_quota.h
 * allows.
 *
 * netd only, main loop only. Time is CLOCK_BOOTTIME in ms, given by the caller.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_COMMAND_GATE_H
#define SALLYPORT_TUNNEL_COMMAND_COMMAND_GATE_H

#include "tunnel/command/signature.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/journal/journal.h"
#include "tunnel/model/command_text.h"

#include <stdint.h>

#define COMMAND_GATE_MAX_FAILURES 5
#define COMMAND_GATE_WINDOW_MS 60000
#define COMMAND_GATE_CHALLENGE_MS (60 * 60 * 1000) /* for so long a challenge may be used */
#define COMMAND_GATE_RETRY_MS 1000                 /* when the kernel has no random bits yet */

struct command_gate; /* opaque */

struct command_gate_settings {
    const struct netd_config *config; /* with a tunnel; outlives the gate */
    const char *used_path;            /* the file of used commands */
    struct signature_settings signature;
    struct journal *journal;
    /*
     * Does what COMMAND says, in the name of SIGNER: everything that can be checked without the
     * session has been, and it is on disk as used. Journals what it does or refuses. REFUSAL_NONE:
     * done, or begun.
     */
    enum refusal (*act)(void *context, const struct command *command, const char *signer);
    void (*changed)(void *context); /* the challenge or the journal changed */
    void *context;
};

/* The strings of SETTINGS are copied. */
struct command_gate *command_gate_new(const struct command_gate_settings *settings, int64_t now_ms);
struct command_gate *command_gate_free(struct command_gate *gate); /* NULL is fine; NULL */

/* What the next command must carry; "" when there is none, and nothing can be opened. */
const char *command_gate_challenge(const struct command_gate *gate);

struct command_gate_answer {
    enum refusal refusal;
    char id[SESSION_NAME_BYTES]; /* "" when the text cannot be read */
};

/* What came from the broker, as it came. */
struct command_message {
    const char *text; /* any bytes; no NUL at the end */
    size_t length;
    bool is_retained; /* the broker had kept it */
    bool is_cut;      /* there was more than may be: this is the beginning */
};

/* One attempt. Blocks while ssh-keygen runs. */
void command_gate_command(struct command_gate *gate, const struct command_message *message,
                          int64_t now_ms, struct command_gate_answer *ret_answer);

/* Renews the challenge when its hour is over, and ends the rate limit. To be called when due. */
void command_gate_tick(struct command_gate *gate, int64_t now_ms);
int64_t command_gate_next_tick_ms(const struct command_gate *gate);

#endif
