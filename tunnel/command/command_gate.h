/*
 * The gate: every signed command passes here or is refused, with one reason code. First come the
 * checks that cost microseconds and prove nothing, so that a flood of forgeries costs little; then
 * ssh-keygen, which takes its time; and then what only a good signature gets to:
 *
 *   too large, retained -> grammar -> gateway -> used before -> challenge -> claims a key that may
 *   sign -> signature -> used before, challenge, once more -> time and services -> written down as
 *   used -> the session (session_control), which journals and acts
 *
 * No refusal keeps another command out. What claims a listed key and the challenge waits for
 * ssh-keygen in a queue, first come, first served; whoever asks may have one there at a time, so
 * that the others wait for few. One verification runs at a time, and after one that was refused
 * the next begins COMMAND_GATE_PAUSE_MS after it began: a budget of its own.
 *
 * The challenge. A good command, and a command of a signer that was refused for what it says, uses
 * it up: it and all older ones are void at once. Any other refusal replaces it too, but at most
 * once in CHALLENGE_RENEWAL_MS, and the one that was replaced may be used for
 * CHALLENGE_GRACE_MS more, so that an operator who has just signed for it is not turned away by
 * somebody's forgery. No challenge may be used for longer than CHALLENGE_LIFE_MS.
 *
 * Of refusals that no signer caused, here and now, journal and log get no more than journal_quota.h
 * allows.
 *
 * netd only, main loop only. Time is CLOCK_BOOTTIME in ms, given by the caller.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_COMMAND_GATE_H
#define SALLYPORT_TUNNEL_COMMAND_COMMAND_GATE_H

#include "tunnel/command/signature.h"
#include "tunnel/command/signer_list.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/journal/journal.h"
#include "tunnel/model/command_text.h"

#include <stdint.h>

#define COMMAND_GATE_PAUSE_MS 50
#define COMMAND_GATE_WAITING 16 /* commands that wait for ssh-keygen; more are `rate-limited` */

struct command_gate; /* opaque */

struct command_gate_answer {
    enum refusal refusal;
    char id[SESSION_NAME_BYTES]; /* "" when the text cannot be read */
};

struct command_gate_settings {
    const struct netd_config *config; /* with a tunnel; outlives the gate */
    const char *used_path;            /* the file of used commands */
    const char *allowed_signers;
    struct journal *journal;
    /*
     * Begins to verify PARTS, which are copied; command_gate_verified() gets the result, but not
     * from within. One at a time. Returns 0 or a negative errno.
     */
    int (*verify)(void *context, const struct command_parts *parts);
    void (*forget)(void *context); /* ends the verification that runs: nobody wants its result */
    /*
     * Does what COMMAND says, in the name of SIGNER: everything that can be checked without the
     * session has been, and it is on disk as used. Journals what it does or refuses. REFUSAL_NONE:
     * done, or begun.
     */
    enum refusal (*act)(void *context, const struct command *command, const char *signer);
    /* The answer to a command that command_gate_command() did not answer. */
    void (*answer)(void *context, uint64_t ticket, const struct command_gate_answer *answer);
    void (*changed)(void *context); /* the challenge, the journal or who may sign changed */
    void *context;
};

/* The strings of SETTINGS are copied. */
struct command_gate *command_gate_new(const struct command_gate_settings *settings, int64_t now_ms);
struct command_gate *command_gate_free(struct command_gate *gate); /* NULL is fine; NULL */

/* What the next command must carry; "" when there is none, and nothing can be opened. */
const char *command_gate_challenge(const struct command_gate *gate);

/* Who may sign, as of now. */
const struct signers *command_gate_signers(struct command_gate *gate);

/* What came from the broker, as it came. */
struct command_message {
    const char *text; /* any bytes; no NUL at the end */
    size_t length;
    bool is_retained; /* the broker had kept it */
    bool is_cut;      /* there was more than may be: this is the beginning */
};

/*
 * One attempt of whoever TICKET stands for, who has no other one here. Returns true and the answer,
 * or false: the answer comes through settings.answer.
 */
bool command_gate_command(struct command_gate *gate, uint64_t ticket,
                          const struct command_message *message, int64_t now_ms,
                          struct command_gate_answer *ret_answer);

/* The result of the verification that runs. */
void command_gate_verified(struct command_gate *gate, const struct signature_result *result,
                           int64_t now_ms);

/* TICKET has gone: what it asked for and is not done yet will not be done. */
void command_gate_forget(struct command_gate *gate, uint64_t ticket);

/* Begins the next verification, and renews the challenge. To be called when due. */
void command_gate_tick(struct command_gate *gate, int64_t now_ms);
int64_t command_gate_next_tick_ms(const struct command_gate *gate);

#endif
