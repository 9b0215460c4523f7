/*
 * One event: what kind it is, when it happened, and its members, typed and in order. The agent's
 * own events and the lines of netd's journal are the same record from where they are made to where
 * they leave: the journal's text is event_text.c, the published form is the dialect's. A value of
 * bounded size without pointers, so it may be copied; allocates nothing; any thread.
 *
 * A new event is one row in the table of kinds in event.c, a new member one row in that of keys.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_EVENT_H
#define SALLYPORT_TUNNEL_MODEL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_MAX_MEMBERS 64
#define EVENT_MANY 48         /* what comes in any number stops here: the rest must fit as well */
#define EVENT_TEXT_BYTES 4096 /* of all texts together, their NULs included */

enum event_kind {
    EVENT_OTHER, /* read from a text of another version; event_name() has its name */

    /* Of the agent. */
    EVENT_STARTED,
    EVENT_STOPPING,
    EVENT_GAP,
    EVENT_LINE_DOWN,
    EVENT_LINE_UP,
    EVENT_UNIT_TRIPPED,
    EVENT_UNIT_RECOVERED,
    EVENT_CERTIFICATE_EXPIRING,
    EVENT_CONFIG_RELOADED,
    EVENT_CONFIG_REJECTED,
    EVENT_STORE_UNSAFE,
    EVENT_STORE_SAFE,

    /* Of netd's journal. */
    EVENT_CHAIN, /* the first line of each file */
    EVENT_JOURNAL_GAP,
    EVENT_JOURNAL_DAMAGED,
    EVENT_JOURNAL_REPAIRED,
    EVENT_NETD_STARTED,
    EVENT_NETD_STOPPED,
    EVENT_LEFTOVERS_REMOVED,
    EVENT_FOREIGN_TUNNEL,
    EVENT_FIREWALL_TAMPERED,
    EVENT_FIREWALL_REPAIRED,
    EVENT_FIREWALL_EXPOSED,
    EVENT_FIREWALL_NOT_EXPOSED,
    EVENT_FIREWALL_ACKNOWLEDGED,
    EVENT_FIREWALL_TRIAL,
    EVENT_FIREWALL_TRIAL_REFUSED,
    EVENT_FIREWALL_KEPT,
    EVENT_FIREWALL_ROLLED_BACK,
    EVENT_FIREWALL_UNCONFIRMED,
    EVENT_EGRESS_CHANGED,
    EVENT_EGRESS_REFUSED,
    EVENT_TUNNEL_WAITING,
    EVENT_TUNNEL_OPENING,
    EVENT_TUNNEL_OPENED,
    EVENT_TUNNEL_EXTENDED,
    EVENT_TUNNEL_CLOSING,
    EVENT_TUNNEL_CLOSED,
    EVENT_TUNNEL_REFUSED,
    EVENT_TUNNEL_APPROVAL_REFUSED,
    EVENT_TUNNEL_EXTENSION_REFUSED,
    EVENT_RATE_LIMIT_ENDED,

    EVENT_KIND_COUNT,
};

enum event_key {
    MEMBER_OTHER, /* read from a text of another version; event_member_name() has its name */

    MEMBER_ACTION,
    MEMBER_ADDRESS,
    MEMBER_ADDRESSES,
    MEMBER_BY,
    MEMBER_BYTES,
    MEMBER_BYTES_CUT,
    MEMBER_CHANGES,
    MEMBER_COMMAND_ID,
    MEMBER_CONFIRM_S,
    MEMBER_DAYS_LEFT,
    MEMBER_DETAIL,
    MEMBER_DEVICE,
    MEMBER_EXPIRES_IN_S,
    MEMBER_FAILURES,
    MEMBER_FILE,
    MEMBER_FIRST,
    MEMBER_FOREIGN_TUNNEL_NAME,
    MEMBER_FROM,
    MEMBER_GATEWAY,
    MEMBER_HASH, /* the journal adds it to each line: allowed with every kind */
    MEMBER_ID,
    MEMBER_INTERFACE_NAMES,
    MEMBER_INTERFACES, /* how many */
    MEMBER_KEY,
    MEMBER_KEY_OF,
    MEMBER_LAST,
    MEMBER_LEASES,
    MEMBER_LINE,
    MEMBER_LINES,
    MEMBER_LINK_KIND,
    MEMBER_LOOSENED,
    MEMBER_MAX_TTL_S,
    MEMBER_MESSAGES,
    MEMBER_NAME,
    MEMBER_NEW_HOOK,
    MEMBER_PID,
    MEMBER_PREVIOUS,
    MEMBER_PROBLEM,
    MEMBER_PROGRAM,
    MEMBER_PURPOSE,
    MEMBER_REASON,
    MEMBER_REFUSED,
    MEMBER_REMOVED,
    MEMBER_REPAIRS,
    MEMBER_RULESET,
    MEMBER_SERVICE,
    MEMBER_SERVICES,
    MEMBER_SET_BACK,
    MEMBER_SIGNATURE,
    MEMBER_SUBJECT,
    MEMBER_TABLE,
    MEMBER_TO,
    MEMBER_TTL_S,
    MEMBER_UNRECORDED,
    MEMBER_VERSION,
    MEMBER_WHY,

    MEMBER_COUNT,
};

enum event_type {
    EVENT_TYPE_NUMBER,
    EVENT_TYPE_TEXT,
    EVENT_TYPE_LIST, /* a text: items with a comma between them */
    EVENT_TYPE_HEX,  /* a text of hex digits; never quoted */
};

struct event_member {
    enum event_key key;
    bool is_number; /* `number` counts, else event_member_text() */
    uint16_t name;  /* of MEMBER_OTHER: where its name is in the event's texts */
    uint16_t text;  /* where its text is */
    int64_t number;
};

struct event {
    enum event_kind kind;
    bool is_cut;     /* a text or a member did not fit */
    uint16_t name;   /* of EVENT_OTHER: where its name is in `texts` */
    uint16_t used;   /* bytes of `texts` */
    int64_t time_ms; /* since 1970, UTC */
    size_t n_members;
    struct event_member members[EVENT_MAX_MEMBERS];
    char texts[EVENT_TEXT_BYTES];
};

/* ---- What there is ---- */

const char *event_kind_name(enum event_kind kind);  /* "tunnel_opened"; of EVENT_OTHER: "" */
const char *event_key_name(enum event_key key);     /* "ttl_s"; of MEMBER_OTHER: "" */
enum event_type event_key_type(enum event_key key); /* of MEMBER_OTHER: EVENT_TYPE_TEXT */

/* The kind that is called NAME; EVENT_OTHER when there is none. */
enum event_kind event_kind_find(const char *name);

/* The key that is called NAME in an event of KIND; MEMBER_OTHER when it has none. */
enum event_key event_key_find(enum event_kind kind, const char *name);

/* ---- Making one ---- */

/* An event of KIND without members. KIND is not EVENT_OTHER. */
void event_init(struct event *event, enum event_kind kind, int64_t time_ms);

/*
 * Add a member at the end; KEY must be allowed with the kind and be of that type (asserted). What
 * does not fit is cut between characters or left out, and `is_cut` set.
 */
void event_add_number(struct event *event, enum event_key key, int64_t number);
void event_add_text(struct event *event, enum event_key key, const char *text);
/* Adds ITEM to the list KEY: begins the list, unless it is what was added last. */
void event_add_item(struct event *event, enum event_key key, const char *item);
/* Adds the members of FROM, an event of the same kind. */
void event_add_members(struct event *event, const struct event *from);

/* ---- Reading one ---- */

const char *event_name(const struct event *event);
const char *event_member_name(const struct event *event, const struct event_member *member);
const char *event_member_text(const struct event *event, const struct event_member *member);

/* The first member with KEY, or NULL. */
const struct event_member *event_find(const struct event *event, enum event_key key);
/* Its text; "" when there is none, or it is a number. */
const char *event_text(const struct event *event, enum event_key key);

#endif
