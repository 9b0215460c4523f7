/*
 * The text of a signed command: where it ends in what was received, and what it says. Pure; no
 * allocation; any thread. The grammar leaves no choice: each command has exactly one text, so that
 * what was signed is what is understood. Everything is bounded by what the text may contain.
 *
 *   sallyport-command: 1
 *   gateway: SITE/ID
 *   challenge: 64 lower-case hex digits
 *   id: 1 to 64 of [A-Za-z0-9-]
 *   action: open | extend | close
 *   service: NAME[,NAME...]     open only; up to 16
 *   ttl: SECONDS                open and extend; digits without a leading zero
 *   reason: TEXT                open and extend; 1 to 200 characters as text_printable() has them
 *
 * LF ends each line, the last one as well; one space follows each colon. The armour of the
 * signature begins on the next line.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_COMMAND_TEXT_H
#define SALLYPORT_TUNNEL_MODEL_COMMAND_TEXT_H

#include "agent/base/strbuf.h"
#include "tunnel/model/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_CHALLENGE_BYTES 65                     /* 64 hex digits and the NUL */
#define COMMAND_TEXT_BYTES 4096                        /* the longest text, signature not counted */
#define COMMAND_MAX_TTL_S INT64_C(1000000000000000000) /* what more digits stand for */

enum command_action {
    COMMAND_OPEN,
    COMMAND_EXTEND,
    COMMAND_CLOSE,
};
#define COMMAND_ACTION_COUNT (COMMAND_CLOSE + 1)

/* The lines that may follow `action`, in this order. */
enum command_field {
    COMMAND_SERVICE = 1 << 0,
    COMMAND_TTL = 1 << 1,
    COMMAND_REASON = 1 << 2,
};

enum command_role {
    COMMAND_WIDENS,  /* not done unless it is on disk as used */
    COMMAND_NARROWS, /* done whatever else fails */
};

/* A new action is one row: what its text has, and what it may do. */
struct command_kind {
    const char *name; /* "open" */
    unsigned fields;  /* of enum command_field; with COMMAND_TTL it has a lifetime */
    enum command_role role;
};
extern const struct command_kind command_kinds[COMMAND_ACTION_COUNT];

struct command {
    char gateway[132]; /* "SITE/ID"; charset and lengths are checked */
    char challenge[COMMAND_CHALLENGE_BYTES];
    char id[SESSION_NAME_BYTES];
    enum command_action action;
    /* Of the fields that its action has not: none, 0, "". */
    char services[SESSION_MAX_SERVICES]
                 [SESSION_NAME_BYTES]; /* [A-Za-z0-9_.-]; may name one twice */
    size_t n_services;                 /* at least 1 */
    int64_t ttl_s;                     /* may be 0, or too much */
    char reason[SESSION_REASON_BYTES];
};

/* Whether what ACTION does has FIELD. */
static inline bool command_has(enum command_action action, enum command_field field)
{
    return command_kinds[action].fields & field;
}

/* Finds the action that is called NAME, of LENGTH bytes; false when there is none. */
bool command_find_action(const char *name, size_t length, enum command_action *ret_action);

/* The two parts of a message; they point into it. */
struct command_parts {
    const char *text, *armour;
    size_t text_length, armour_length;
};

/*
 * Finds the armoured signature (-----BEGIN SSH SIGNATURE----- to -----END SSH SIGNATURE-----, each
 * on a line of its own) that must end MESSAGE; a last LF may be missing. What is inside it is not
 * understood here; it is only checked to be lines of base64. Returns 0, -EFBIG when the text is
 * longer than COMMAND_TEXT_BYTES, or -EBADMSG.
 */
int command_split(const char *message, size_t length, struct command_parts *ret_parts);

/* Reads TEXT, of LENGTH bytes. Returns 0, or -EBADMSG; *RET_COMMAND is untouched then. */
int command_parse(const char *text, size_t length, struct command *ret_command);

/* Appends the text that command_parse() reads: what has to be signed. */
void command_print(const struct command *command, struct strbuf *out);

#endif
