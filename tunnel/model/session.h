/*
 * One tunnel session from the request to its end: a pure state machine. It decides; netd
 * journals the decision, and only then commits it and acts. At most one session at a time; nothing
 * of it is ever on disk, so a reboot means closed. Time is CLOCK_BOOTTIME in milliseconds, given
 * by the caller.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_SESSION_H
#define SALLYPORT_TUNNEL_MODEL_SESSION_H

#include "tunnel/model/event.h"
#include "tunnel/model/refusal.h"

#include <stdbool.h>
#include <stdint.h>

#define SESSION_MAX_SERVICES 16  /* that one session may open */
#define SESSION_NAME_BYTES 65    /* of a service, of a command's id; with the NUL */
#define SESSION_REASON_BYTES 804 /* 200 characters of UTF-8, the NUL, rounded up */

#define SESSION_APPROVAL_MS (15 * 60 * 1000)
#define SESSION_OPENING_MS 18000 /* to a handshake with the hub; the answer comes within 20 s */

enum session_state {
    SESSION_CLOSED,        /* nothing is open; the reason of the last end is kept */
    SESSION_WAIT_APPROVAL, /* asked for; a person on site has to agree within 15 minutes */
    SESSION_OPENING,       /* interface, handshake, lease; no lease yet */
    SESSION_OPEN,          /* the lease is, or is just being put, in the kernel */
    SESSION_CLOSING,       /* everything is being removed; tried again until it is */
};
#define SESSION_STATE_COUNT (SESSION_CLOSING + 1)
extern const char *const session_state_names[SESSION_STATE_COUNT]; /* "closed", "waiting", ... */

/* Why a session ended. */
enum session_end {
    SESSION_END_NONE, /* none since the start */
    SESSION_END_EXPIRED,
    SESSION_END_IDLE,
    SESSION_END_CLOSED_BY_OPERATOR,
    SESSION_END_CLOSED_LOCALLY,
    SESSION_END_TAMPERED,
    SESSION_END_SHUTDOWN,
    SESSION_END_FAILED,
    SESSION_END_NOT_APPROVED,
    SESSION_END_HUB_UNREACHABLE,
};
#define SESSION_END_COUNT (SESSION_END_HUB_UNREACHABLE + 1)
extern const char *const session_end_names[SESSION_END_COUNT]; /* "none", "expired", ... */

/* The site's limits; from netd.conf, checked there, checked again here. */
struct session_limits {
    int64_t max_ttl_s, idle_close_s; /* positive, or every request is refused */
    bool needs_approval;
};

struct session {
    enum session_state state;
    enum session_end last_end; /* of the session before; while CLOSING: of this one */
    int64_t ttl_s;             /* as last asked for: counts from the lease, or the extension */
    int64_t opened_ms;         /* 0: not opened (yet) */
    int64_t deadline_ms;       /* of the present state: approval, opening, the lease */
    int64_t limit_ms;          /* OPEN: no extension passes it */
    int64_t active_ms;         /* OPEN: when payload passed last */
    uint64_t bytes;            /* OPEN: payload so far, as last reported */
};

enum session_input {
    SESSION_ASK,     /* a checked request to open: signed and verified, or local */
    SESSION_APPROVE, /* a person on site agrees */
    SESSION_READY,   /* handshake done: the lease goes in, and the time begins */
    SESSION_EXTEND,
    SESSION_END,     /* with the end in `end`: closed, tampered, shutdown, failed, unreachable */
    SESSION_TICK,    /* time has passed */
    SESSION_TRAFFIC, /* the payload counter is at `bytes` */
    SESSION_GONE,    /* interface and leases are removed */
};

struct session_event {
    enum session_input input;
    int64_t ttl_s;        /* ASK, EXTEND */
    enum session_end end; /* END */
    uint64_t bytes;       /* TRAFFIC */
};

/* What netd has to do after it has committed the decision. */
enum session_action {
    SESSION_ACT_NOTHING,
    SESSION_ACT_BRING_UP, /* resolve, interface, handshake; then READY or END */
    SESSION_ACT_LEASE,    /* add leases until `next.deadline_ms`; END if that fails */
    SESSION_ACT_RELEASE,  /* give the leases `next.deadline_ms` */
    SESSION_ACT_REMOVE,   /* remove leases and interface; then GONE */
};

struct session_decision {
    enum refusal refusal; /* not REFUSAL_NONE: nothing changes */
    enum session_action action;
    bool widens;             /* must not be committed unless the journal line is safe on disk */
    enum event_kind journal; /* what goes to the journal; EVENT_OTHER: nothing */
    struct session next;     /* what the session becomes */
};

void session_init(struct session *session);

/* Decides; changes nothing. The caller assigns `next` once it has journalled. */
struct session_decision session_decide(const struct session *session,
                                       const struct session_limits *limits,
                                       const struct session_event *event, int64_t now_ms);

/* When SESSION_TICK has to come at the latest; INT64_MAX for never. */
int64_t session_next_tick_ms(const struct session *session, const struct session_limits *limits);

#endif
