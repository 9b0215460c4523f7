/*
 * netd's protocol: what passes over its SOCK_SEQPACKET socket. Every message is a header and
 * a body whose size is fixed by the verb. Same machine, so host byte order. Pure; shared by both
 * ends; any thread.
 *
 * Requests carry names and numbers, never content: no addresses, paths, keys, rules or commands.
 * The first request on a connection is `hello`. A message that wire_check_request() refuses, and a
 * verb that the peer may not use, ends the connection.
 */
#ifndef SALLYPORT_TUNNEL_WIRE_WIRE_H
#define SALLYPORT_TUNNEL_WIRE_WIRE_H

#include "tunnel/model/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC UINT32_C(0x31545053) /* "SPT1" */
#define WIRE_VERSION 1
#define WIRE_LINE_BYTES 4096    /* one journal line with its NUL */
#define WIRE_SIGNED_BYTES 8192  /* a signed command with its signature, at most */
#define WIRE_CONNECT_BYTES 1459 /* 16 lines of 91 bytes, the NUL, rounded up */
#define WIRE_CHALLENGE_BYTES 68 /* 64 hex digits, the NUL, rounded up */
#define WIRE_SIGNERS_MAX 512    /* keys that may sign */
#define WIRE_KEY_BYTES 32       /* a SHA-256 that stands for one of them */

enum wire_verb {
    WIRE_HELLO = 1,       /* first; who are you */
    WIRE_STATUS,          /* session, firewall */
    WIRE_COUNTERS,        /* what was dropped, what passed */
    WIRE_OPEN_LOCAL,      /* admin only */
    WIRE_EXTEND,          /* admin only */
    WIRE_CLOSE,           /* admin and agent */
    WIRE_APPROVE,         /* admin only */
    WIRE_VERIFY_FIREWALL, /* admin only */
    WIRE_ACKNOWLEDGE,     /* admin only: ends the latch after tampering */
    WIRE_FIREWALL_TRY,    /* admin only: rules of the changed netd.conf, for some seconds */
    WIRE_FIREWALL_KEEP,   /* admin only: keep them */
    WIRE_JOURNAL_READ,    /* one line of the audit trail; also the agent, see below */
    WIRE_SUBSCRIBE,       /* from now on: WIRE_CHANGED whenever status or journal changed; same */
    WIRE_CHANGED,         /* from netd only, unasked */
    WIRE_CHALLENGE,       /* agent only: what the next signed command must carry */
    WIRE_SIGNED,          /* agent only: a signed command */
    WIRE_SIGNERS,         /* agent only: which keys may sign one */
    WIRE_VERB_COUNT,
};

/*
 * The agent may read the journal and subscribe, because it publishes every line as an event. So a
 * taken-over agent knows who opened what, when and why. It gains nothing by that: no line holds a
 * key, a signature or anything else that a later request would be believed for.
 */

/* What the peer's credentials make it. */
enum wire_role {
    WIRE_ROLE_NONE,  /* unknown: the connection is closed at once */
    WIRE_ROLE_AGENT, /* the agent's uid */
    WIRE_ROLE_ADMIN, /* root, or a member of the admin group */
};

struct wire_header {
    uint32_t magic;
    uint16_t version;
    uint16_t verb;  /* enum wire_verb; a reply repeats it */
    uint32_t id;    /* chosen by the client; a reply repeats it */
    int32_t result; /* of a reply: enum refusal; 0 in a request */
};
_Static_assert(sizeof(struct wire_header) == 16, "wire format");

struct wire_open {
    uint32_t ttl_s;
    uint32_t n_services;
    char services[SESSION_MAX_SERVICES][SESSION_NAME_BYTES];
    char reason[SESSION_REASON_BYTES];
    uint8_t pad[4];
};
_Static_assert(sizeof(struct wire_open) == 8 + 16 * 65 + 804 + 4, "wire format");

struct wire_extend {
    uint32_t ttl_s;
    char reason[SESSION_REASON_BYTES];
};
_Static_assert(sizeof(struct wire_extend) == 808, "wire format");

struct wire_approve {
    uint64_t asked; /* wire_status.asked of the request that was looked at: no other is approved */
};
_Static_assert(sizeof(struct wire_approve) == 8, "wire format");

struct wire_try {
    uint32_t confirm_s; /* 1..3600 */
};
_Static_assert(sizeof(struct wire_try) == 4, "wire format");

struct wire_cursor {
    uint64_t cursor; /* 0: the oldest line that is kept; else `next` of the line before */
};
_Static_assert(sizeof(struct wire_cursor) == 8, "wire format");

struct wire_signed {
    uint32_t length;              /* of the text; the rest is zero */
    uint32_t is_retained;         /* 0 or 1: the broker had kept it */
    uint32_t is_cut;              /* 0 or 1: this is but the beginning; `text` is full then */
    char text[WIRE_SIGNED_BYTES]; /* exactly as received: any bytes, no NUL at the end */
};
_Static_assert(sizeof(struct wire_signed) == 8204, "wire format");

/* ---- Bodies of replies ---- */

struct wire_hello {
    char version[32];
    char gateway[132]; /* "site/id"; "" without a tunnel */
    uint32_t role;     /* enum wire_role */
};
_Static_assert(sizeof(struct wire_hello) == 168, "wire format");

struct wire_status {
    uint32_t session_state; /* enum session_state */
    uint32_t session_end;   /* enum session_end: of the last session */
    int64_t opened_wall_ms; /* 0: not open */
    int64_t remaining_ms;   /* of the present state; 0: none */
    int64_t idle_left_ms;   /* OPEN: until it closes for want of payload */
    int64_t limit_left_ms;  /* OPEN: the furthest that an extension may reach */
    uint64_t bytes;         /* OPEN: payload so far */
    uint32_t n_services;
    char services[SESSION_MAX_SERVICES][SESSION_NAME_BYTES]; /* of the present session */
    char opener[132]; /* who: "root", a user's name, a signer's identity */
    char reason[SESSION_REASON_BYTES];
    char detail[160]; /* why the last one failed, for a person */
    char hub[72];     /* "ADDRESS:PORT" in use, "" for none */
    char gateway_address[48];
    uint32_t firewall_state; /* enum firewall_state */
    uint32_t firewall_exceptions, firewall_reloads;
    int32_t firewall_changed_by_pid;
    char firewall_changed_by[32];
    char firewall_problem[160];
    uint32_t is_trying;          /* seconds until the tried rules are undone; 0: none */
    uint64_t journal_lines;      /* written since the start; changes with every event */
    uint64_t asked;              /* number of the present session's request; 0 when closed */
    uint32_t agent_reach;        /* enum agent_reach */
    uint32_t agent_destinations; /* AGENT_BOUND: how many it may reach, beside name servers */
};
_Static_assert(sizeof(struct wire_status) == 2544, "wire format"); /* no hidden padding */

struct wire_counters {
    uint64_t dropped_in, dropped_forward, dropped_out, spoofed;
    uint64_t session_bytes;
    uint64_t refused_peers, refused_requests;
};
_Static_assert(sizeof(struct wire_counters) == 56, "wire format");

struct wire_verdict {
    uint32_t firewall_state; /* enum firewall_state, after the check */
    uint32_t was_mended;     /* 1: it was not as it should be, and was loaded again */
    char text[512];          /* for a person */
};
_Static_assert(sizeof(struct wire_verdict) == 520, "wire format");

struct wire_text {
    char text[512]; /* the reply to anything that can be refused: why, for a person */
};
_Static_assert(sizeof(struct wire_text) == 512, "wire format");

struct wire_line {
    uint64_t next;        /* cursor after this line */
    uint32_t length;      /* 0: no line there (yet) */
    uint32_t starts_file; /* 1: the first line of a file: its `previous` cannot be looked up */
    char line[WIRE_LINE_BYTES];
};
_Static_assert(sizeof(struct wire_line) == 4112, "wire format");

struct wire_challenge {
    char challenge[WIRE_CHALLENGE_BYTES]; /* 64 hex digits */
};
_Static_assert(sizeof(struct wire_challenge) == 68, "wire format");

/* When opening needs the hub, the reply is sent once the session is open or has failed. */
struct wire_signed_reply {
    uint32_t session_state;        /* enum session_state, after the command */
    char id[SESSION_NAME_BYTES];   /* of the command, "" when it could not be read */
    char text[WIRE_CONNECT_BYTES]; /* accepted: a line for each service of the session, "NAME
                                      PROTOCOL ADDRESS:PORT", where it is reached; refused: "" */
};
_Static_assert(sizeof(struct wire_signed_reply) == 1528, "wire format");

/*
 * SHA-256 of the public keys of allowed_signers, as ssh-keygen -l shows them. So the agent can
 * leave aside what netd would refuse; a revoked key, or one whose time is over, may be among them.
 */
struct wire_signers {
    uint32_t n_keys;
    uint8_t keys[WIRE_SIGNERS_MAX][WIRE_KEY_BYTES]; /* beyond n_keys: zero */
};
_Static_assert(sizeof(struct wire_signers) == 16388, "wire format");

/* Any message; what a receiver reads into. */
struct wire_message {
    struct wire_header header;
    union {
        struct wire_open open;
        struct wire_extend extend;
        struct wire_approve approve;
        struct wire_try try;
        struct wire_cursor cursor;
        struct wire_signed signed_text;
        struct wire_hello hello;
        struct wire_status status;
        struct wire_counters counters;
        struct wire_verdict verdict;
        struct wire_text text;
        struct wire_line line;
        struct wire_challenge challenge;
        struct wire_signed_reply signed_reply;
        struct wire_signers signers;
    } body;
};

/* Bytes of a whole request, or of a whole reply, of VERB; 0 for a verb that has none. */
size_t wire_request_size(enum wire_verb verb);
size_t wire_reply_size(enum wire_verb verb);

/* Whether ROLE may use VERB at all; the table of privileges. */
bool wire_is_allowed(enum wire_role role, enum wire_verb verb);

/* Begins a message: zeroes it whole (no stale byte leaves the process) and fills the header. */
void wire_begin(struct wire_message *message, enum wire_verb verb, uint32_t id);

/*
 * Checks what was received, LENGTH bytes: magic, version, verb, exact size, every text terminated
 * and printable, every count in bounds, padding zero. Returns 0, or -EPROTO. It says nothing about
 * whether the peer may ask that.
 */
int wire_check_request(const struct wire_message *message, size_t length);
int wire_check_reply(const struct wire_message *message, size_t length);

#endif
