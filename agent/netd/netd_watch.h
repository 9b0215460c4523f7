/*
 * What the agent knows of netd: the state of firewall and tunnel for the status, and every
 * line of netd's journal as an event. The last line that was taken into custody is
 * remembered in <state_dir>/warden.position, so that a restart repeats nothing and misses nothing;
 * a kill in the moment between may repeat one line, under another number. Main loop only.
 */
#ifndef SALLYPORT_AGENT_NETD_NETD_WATCH_H
#define SALLYPORT_AGENT_NETD_NETD_WATCH_H

#include "agent/base/strbuf.h"
#include "agent/payload/encode.h"
#include "config/schema/config.h"
#include "tunnel/wire/wire.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct netd_watch; /* opaque */

struct netd_watch_callbacks {
    /* Takes one journal line into custody, durably; false: it cannot now. */
    bool (*event)(void *context, const char *name, int64_t timestamp_ms,
                  const struct event_field *fields, size_t n_fields);
    /* The status is no longer what it was; or netd came, or went. */
    void (*changed)(void *context);
    /* What the next signed command must carry: 64 hex digits. */
    void (*challenge)(void *context, const char *challenge);
    /* The answer to netd_watch_signed(). None comes when netd goes before. */
    void (*answered)(void *context, enum refusal refusal, const struct wire_signed_reply *reply);
    void *context;
};

/* CONFIG must outlive the result. Returns 0 or a negative errno. */
int netd_watch_new(const struct config_gateway *config,
                   const struct netd_watch_callbacks *callbacks, sd_event *loop,
                   struct netd_watch **ret_watch);
struct netd_watch *netd_watch_free(struct netd_watch *watch); /* accepts NULL; NULL */

bool netd_watch_is_connected(const struct netd_watch *watch);

/* Hands a signed command to netd; see netd_client_signed(). */
int netd_watch_signed(struct netd_watch *watch, const void *text, size_t length, bool is_retained);

/* Appends `"firewall":{...},"tunnel":{...}`; both "unknown" while netd is not there. */
void netd_watch_status(const struct netd_watch *watch, struct strbuf *out);

/*
 * Takes a journal line apart: its event into NAME (SIZE bytes), its time, and its details as
 * FIELDS, at most MOST, whose texts live in TEXTS. Whole numbers without quotes become numbers.
 * Returns how many fields, or -EBADMSG for what is no journal line. Pure.
 */
int netd_watch_parse(const char *line, char *name, size_t size, int64_t *ret_timestamp_ms,
                     struct event_field *fields, size_t most, struct strbuf *texts);

#endif
