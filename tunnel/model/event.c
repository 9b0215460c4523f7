/* One event: the table of kinds with the members that each may have, and the table of members. */
#include "tunnel/model/event.h"

#include "agent/base/macros.h"

#include <assert.h>
#include <string.h>

#define MAX_KEYS 24

static const struct {
    const char *name;
    enum event_type type;
} keys[MEMBER_COUNT] = {
    [MEMBER_OTHER] = {"", EVENT_TYPE_TEXT},
    [MEMBER_ACTION] = {"action", EVENT_TYPE_TEXT},
    [MEMBER_ADDRESS] = {"address", EVENT_TYPE_TEXT},
    [MEMBER_ADDRESSES] = {"addresses", EVENT_TYPE_TEXT},
    [MEMBER_BY] = {"by", EVENT_TYPE_TEXT},
    [MEMBER_BYTES] = {"bytes", EVENT_TYPE_NUMBER},
    [MEMBER_BYTES_CUT] = {"bytes_cut", EVENT_TYPE_NUMBER},
    [MEMBER_CHANGES] = {"changes", EVENT_TYPE_TEXT},
    [MEMBER_COMMAND_ID] = {"command_id", EVENT_TYPE_TEXT},
    [MEMBER_CONFIRM_S] = {"confirm_s", EVENT_TYPE_NUMBER},
    [MEMBER_DAYS_LEFT] = {"days_left", EVENT_TYPE_NUMBER},
    [MEMBER_DETAIL] = {"detail", EVENT_TYPE_TEXT},
    [MEMBER_DEVICE] = {"device", EVENT_TYPE_TEXT},
    [MEMBER_EXPIRES_IN_S] = {"expires_in_s", EVENT_TYPE_NUMBER},
    [MEMBER_FAILURES] = {"failures", EVENT_TYPE_NUMBER},
    [MEMBER_FILE] = {"file", EVENT_TYPE_TEXT},
    [MEMBER_FIRST] = {"first", EVENT_TYPE_NUMBER},
    [MEMBER_FOREIGN_TUNNEL_NAME] = {"foreign_tunnel", EVENT_TYPE_TEXT},
    [MEMBER_FROM] = {"from", EVENT_TYPE_NUMBER},
    [MEMBER_GATEWAY] = {"gateway", EVENT_TYPE_TEXT},
    [MEMBER_HASH] = {"hash", EVENT_TYPE_HEX},
    [MEMBER_ID] = {"id", EVENT_TYPE_TEXT},
    [MEMBER_INTERFACE_NAMES] = {"interfaces", EVENT_TYPE_LIST},
    [MEMBER_INTERFACES] = {"interfaces", EVENT_TYPE_NUMBER},
    [MEMBER_KEY] = {"key", EVENT_TYPE_TEXT},
    [MEMBER_KEY_OF] = {"key_of", EVENT_TYPE_TEXT},
    [MEMBER_LAST] = {"last", EVENT_TYPE_NUMBER},
    [MEMBER_LEASES] = {"leases", EVENT_TYPE_NUMBER},
    [MEMBER_LINE] = {"line", EVENT_TYPE_TEXT},
    [MEMBER_LINES] = {"lines", EVENT_TYPE_NUMBER},
    [MEMBER_LINK_KIND] = {"kind", EVENT_TYPE_TEXT},
    [MEMBER_LOOSENED] = {"loosened", EVENT_TYPE_TEXT},
    [MEMBER_MAX_TTL_S] = {"max_ttl_s", EVENT_TYPE_NUMBER},
    [MEMBER_MESSAGES] = {"messages", EVENT_TYPE_NUMBER},
    [MEMBER_NAME] = {"name", EVENT_TYPE_TEXT},
    [MEMBER_NEW_HOOK] = {"new_hook", EVENT_TYPE_TEXT},
    [MEMBER_PID] = {"pid", EVENT_TYPE_NUMBER},
    [MEMBER_PREVIOUS] = {"previous", EVENT_TYPE_HEX},
    [MEMBER_PROBLEM] = {"problem", EVENT_TYPE_TEXT},
    [MEMBER_PROGRAM] = {"program", EVENT_TYPE_TEXT},
    [MEMBER_PURPOSE] = {"purpose", EVENT_TYPE_TEXT},
    [MEMBER_REASON] = {"reason", EVENT_TYPE_TEXT},
    [MEMBER_REFUSED] = {"refused", EVENT_TYPE_NUMBER},
    [MEMBER_REMOVED] = {"removed", EVENT_TYPE_TEXT},
    [MEMBER_REPAIRS] = {"repairs", EVENT_TYPE_NUMBER},
    [MEMBER_RULESET] = {"ruleset", EVENT_TYPE_TEXT},
    [MEMBER_SERVICE] = {"service", EVENT_TYPE_TEXT},
    [MEMBER_SERVICES] = {"services", EVENT_TYPE_LIST},
    [MEMBER_SET_BACK] = {"set_back", EVENT_TYPE_TEXT},
    [MEMBER_SIGNATURE] = {"signature", EVENT_TYPE_TEXT},
    [MEMBER_SUBJECT] = {"subject", EVENT_TYPE_TEXT},
    [MEMBER_TABLE] = {"table", EVENT_TYPE_TEXT},
    [MEMBER_TO] = {"to", EVENT_TYPE_NUMBER},
    [MEMBER_TTL_S] = {"ttl_s", EVENT_TYPE_NUMBER},
    [MEMBER_UNRECORDED] = {"unrecorded", EVENT_TYPE_NUMBER},
    [MEMBER_VERSION] = {"version", EVENT_TYPE_TEXT},
    [MEMBER_WHY] = {"why", EVENT_TYPE_TEXT},
};

/* What every step of a session may say; see session_control.c. */
#define OF_SESSION                                                                                 \
    MEMBER_ID, MEMBER_COMMAND_ID, MEMBER_BY, MEMBER_SERVICES, MEMBER_REASON, MEMBER_BYTES,         \
        MEMBER_DETAIL, MEMBER_TTL_S, MEMBER_EXPIRES_IN_S, MEMBER_PURPOSE

/* Each list of keys ends with MEMBER_OTHER, which is 0. */
static const struct {
    const char *name;
    enum event_key keys[MAX_KEYS];
} kinds[EVENT_KIND_COUNT] = {
    [EVENT_OTHER] = {"", {0}},
    [EVENT_STARTED] = {"started", {MEMBER_VERSION}},
    [EVENT_STOPPING] = {"stopping", {0}},
    [EVENT_GAP] = {"gap",
                   {MEMBER_FIRST, MEMBER_LAST, MEMBER_FROM, MEMBER_TO, MEMBER_REASON,
                    MEMBER_MESSAGES}},
    [EVENT_LINE_DOWN] = {"line_down", {MEMBER_LINE, MEMBER_REASON}},
    [EVENT_LINE_UP] = {"line_up", {MEMBER_LINE}},
    [EVENT_UNIT_TRIPPED] = {"unit_tripped", {MEMBER_LINE, MEMBER_DEVICE, MEMBER_REASON}},
    [EVENT_UNIT_RECOVERED] = {"unit_recovered", {MEMBER_LINE, MEMBER_DEVICE}},
    [EVENT_CERTIFICATE_EXPIRING] = {"certificate_expiring",
                                    {MEMBER_FILE, MEMBER_SUBJECT, MEMBER_DAYS_LEFT}},
    [EVENT_CONFIG_RELOADED] = {"config_reloaded", {MEMBER_CHANGES}},
    [EVENT_CONFIG_REJECTED] = {"config_rejected", {MEMBER_REASON}},
    [EVENT_STORE_UNSAFE] = {"store_unsafe", {MEMBER_FROM, MEMBER_REASON}},
    [EVENT_STORE_SAFE] = {"store_safe", {MEMBER_FROM, MEMBER_TO}},
    [EVENT_CHAIN] = {"chain", {MEMBER_PREVIOUS}},
    [EVENT_JOURNAL_GAP] = {"journal_gap", {MEMBER_LINES}},
    [EVENT_JOURNAL_DAMAGED] = {"journal_damaged", {MEMBER_FILE}},
    [EVENT_JOURNAL_REPAIRED] = {"journal_repaired", {MEMBER_BYTES_CUT}},
    [EVENT_NETD_STARTED] = {"netd_started", {MEMBER_VERSION}},
    [EVENT_NETD_STOPPED] = {"netd_stopped", {0}},
    [EVENT_LEFTOVERS_REMOVED] = {"leftovers_removed", {MEMBER_LEASES, MEMBER_INTERFACES}},
    [EVENT_FOREIGN_TUNNEL] = {"foreign_tunnel", {MEMBER_INTERFACE_NAMES}},
    [EVENT_FIREWALL_TAMPERED] = {"firewall_tampered",
                                 {MEMBER_TABLE, MEMBER_NEW_HOOK, MEMBER_LOOSENED, MEMBER_TO,
                                  MEMBER_SET_BACK, MEMBER_FOREIGN_TUNNEL_NAME, MEMBER_LINK_KIND,
                                  MEMBER_REMOVED, MEMBER_PID, MEMBER_PROGRAM, MEMBER_PROBLEM,
                                  MEMBER_REPAIRS}},
    [EVENT_FIREWALL_REPAIRED] = {"firewall_repaired", {MEMBER_RULESET}},
    [EVENT_FIREWALL_EXPOSED] = {"firewall_exposed", {MEMBER_PROBLEM}},
    [EVENT_FIREWALL_NOT_EXPOSED] = {"firewall_not_exposed", {0}},
    [EVENT_FIREWALL_ACKNOWLEDGED] = {"firewall_acknowledged", {MEMBER_BY}},
    [EVENT_FIREWALL_TRIAL] = {"firewall_trial", {MEMBER_BY, MEMBER_CONFIRM_S}},
    [EVENT_FIREWALL_TRIAL_REFUSED] = {"firewall_trial_refused", {MEMBER_BY}},
    [EVENT_FIREWALL_KEPT] = {"firewall_kept", {MEMBER_BY}},
    [EVENT_FIREWALL_ROLLED_BACK] = {"firewall_rolled_back", {0}},
    [EVENT_FIREWALL_UNCONFIRMED] = {"firewall_unconfirmed", {0}},
    [EVENT_EGRESS_CHANGED] = {"egress_changed", {MEMBER_NAME, MEMBER_ADDRESSES, MEMBER_UNRECORDED}},
    [EVENT_EGRESS_REFUSED] = {"egress_refused",
                              {MEMBER_NAME, MEMBER_ADDRESS, MEMBER_WHY, MEMBER_UNRECORDED}},
    [EVENT_TUNNEL_WAITING] = {"tunnel_waiting", {OF_SESSION}},
    [EVENT_TUNNEL_OPENING] = {"tunnel_opening", {OF_SESSION}},
    [EVENT_TUNNEL_OPENED] = {"tunnel_opened", {OF_SESSION}},
    [EVENT_TUNNEL_EXTENDED] = {"tunnel_extended", {OF_SESSION}},
    [EVENT_TUNNEL_CLOSING] = {"tunnel_closing", {OF_SESSION}},
    [EVENT_TUNNEL_CLOSED] = {"tunnel_closed", {OF_SESSION}},
    [EVENT_TUNNEL_REFUSED] = {"tunnel_refused",
                              {OF_SESSION, MEMBER_ACTION, MEMBER_KEY, MEMBER_SIGNATURE,
                               MEMBER_KEY_OF, MEMBER_GATEWAY, MEMBER_MAX_TTL_S, MEMBER_SERVICE,
                               MEMBER_FAILURES, MEMBER_UNRECORDED}},
    [EVENT_TUNNEL_APPROVAL_REFUSED] = {"tunnel_approval_refused",
                                       {MEMBER_BY, MEMBER_REASON, MEMBER_DETAIL}},
    [EVENT_TUNNEL_EXTENSION_REFUSED] = {"tunnel_extension_refused",
                                        {MEMBER_ID, MEMBER_BY, MEMBER_REASON, MEMBER_TTL_S,
                                         MEMBER_PURPOSE}},
    [EVENT_RATE_LIMIT_ENDED] = {"rate_limit_ended", {MEMBER_REFUSED, MEMBER_UNRECORDED}},
};

/* ---- What there is ---- */

const char *event_kind_name(enum event_kind kind)
{
    return kinds[kind].name;
}

const char *event_key_name(enum event_key key)
{
    return keys[key].name;
}

enum event_type event_key_type(enum event_key key)
{
    return keys[key].type;
}

enum event_kind event_kind_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return (enum event_kind)i;
    }
    return EVENT_OTHER;
}

enum event_key event_key_find(enum event_kind kind, const char *name)
{
    for (const enum event_key *key = kinds[kind].keys; *key != MEMBER_OTHER; key++) {
        if (strcmp(keys[*key].name, name) == 0)
            return *key;
    }
    return strcmp(name, keys[MEMBER_HASH].name) == 0 ? MEMBER_HASH : MEMBER_OTHER;
}

/* ---- Making one ---- */

void event_init(struct event *event, enum event_kind kind, int64_t time_ms)
{
    assert(kind != EVENT_OTHER);
    event->kind = kind;
    event->is_cut = false;
    event->name = event->used = 0;
    event->time_ms = time_ms;
    event->n_members = 0;
}

static bool event_is_allowed(enum event_kind kind, enum event_key key)
{
    return key != MEMBER_OTHER && event_key_find(kind, keys[key].name) == key;
}

/* A new member at the end; NULL, and the event is cut, when there is no room for one. */
static struct event_member *new_member(struct event *event, enum event_key key)
{
    assert(event_is_allowed(event->kind, key));
    if (event->n_members == EVENT_MAX_MEMBERS) {
        event->is_cut = true;
        return NULL;
    }
    struct event_member *member = &event->members[event->n_members++];
    *member = (struct event_member){.key = key};
    return member;
}

/* How much of TEXT goes into ROOM bytes without cutting a character in two. */
static size_t fitting(const char *text, size_t length, size_t room)
{
    if (length <= room)
        return length;
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
        room--;
    return room;
}

/* Stores TEXT with its NUL at the end of the texts; the NUL of the last one is replaced for it. */
static void event_append(struct event *event, const char *text)
{
    size_t length = strlen(text), room = EVENT_TEXT_BYTES - 1U - event->used;
    size_t taken = fitting(text, length, room);
    memcpy(event->texts + event->used, text, taken);
    event->used = (uint16_t)(event->used + taken);
    event->texts[event->used] = '\0';
    if (taken < length)
        event->is_cut = true;
}

/* Begins a text, or leaves the member out when there is not even room for its NUL. */
static void event_put_text(struct event *event, enum event_key key, const char *text)
{
    struct event_member *member = new_member(event, key);
    if (!member)
        return;
    if (event->used == EVENT_TEXT_BYTES) {
        event->is_cut = true;
        event->n_members--;
        return;
    }
    member->text = event->used;
    event_append(event, text);
    event->used++;
}

void event_add_number(struct event *event, enum event_key key, int64_t number)
{
    assert(keys[key].type == EVENT_TYPE_NUMBER);
    struct event_member *member = new_member(event, key);
    if (!member)
        return;
    member->is_number = true;
    member->number = number;
}

void event_add_text(struct event *event, enum event_key key, const char *text)
{
    assert(keys[key].type != EVENT_TYPE_NUMBER);
    event_put_text(event, key, text);
}

void event_add_item(struct event *event, enum event_key key, const char *item)
{
    assert(keys[key].type == EVENT_TYPE_LIST);
    if (event->n_members == 0 || event->members[event->n_members - 1].key != key) {
        event_put_text(event, key, item);
        return;
    }
    event->used--; /* its NUL */
    event_append(event, ",");
    event_append(event, item);
    event->used++;
}

void event_add_members(struct event *event, const struct event *from)
{
    assert(event->kind == from->kind);
    for (size_t i = 0; i < from->n_members; i++) {
        const struct event_member *member = &from->members[i];
        if (member->is_number)
            event_add_number(event, member->key, member->number);
        else
            event_add_text(event, member->key, event_member_text(from, member));
    }
    event->is_cut = event->is_cut || from->is_cut;
}

/* ---- Reading one ---- */

const char *event_name(const struct event *event)
{
    return event->kind == EVENT_OTHER ? event->texts + event->name : kinds[event->kind].name;
}

const char *event_member_name(const struct event *event, const struct event_member *member)
{
    return member->key == MEMBER_OTHER ? event->texts + member->name : keys[member->key].name;
}

const char *event_member_text(const struct event *event, const struct event_member *member)
{
    return member->is_number ? "" : event->texts + member->text;
}

const struct event_member *event_find(const struct event *event, enum event_key key)
{
    for (size_t i = 0; i < event->n_members; i++) {
        if (event->members[i].key == key)
            return &event->members[i];
    }
    return NULL;
}

const char *event_text(const struct event *event, enum event_key key)
{
    const struct event_member *member = event_find(event, key);
    return member ? event_member_text(event, member) : "";
}
