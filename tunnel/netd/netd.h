/*
 * What the parts of the running netd share. netd_main.c makes and ends it, netd_requests.c
 * answers requests with it; no other file sees it. Main loop only.
 */
#ifndef SALLYPORT_TUNNEL_NETD_NETD_H
#define SALLYPORT_TUNNEL_NETD_NETD_H

#include "tunnel/egress/egress_resolver.h"
#include "tunnel/journal/journal.h"
#include "tunnel/netd/netd_signed.h"
#include "tunnel/netd/rules_trial.h"

struct netd {
    struct netd_config *config; /* as loaded at the start */
    sd_event *loop;
    struct journal *journal; /* NULL while the firewall starts */
    struct firewall *firewall;
    struct rules_trial *trial;
    struct egress_resolver *lookup;
    struct session_control *session_control;
    struct netd_signed *commands;        /* NULL without a tunnel */
    uint64_t opening_ticket;             /* whoever waits for the hub's answer; 0: nobody */
    char opening_id[SESSION_NAME_BYTES]; /* of their signed command */
    struct netd_server *server;        /* NULL before the start is over, and after the stop began */
    sd_event_source *renewal;          /* ends netd as soon as it is idle; NULL: not asked for */
    struct firewall_counters counters; /* as of counters_ms; reading them starts a process */
    int64_t counters_ms;
};

/* Writes the line of EVENT, and tells the subscribers; failures are in the log. */
void netd_journal(struct netd *netd, const struct event *event);

/* The same for an event that is all said by its kind. */
void netd_note(struct netd *netd, enum event_kind kind);

/* Tells the subscribers that there is news. */
void netd_notify(struct netd *netd);

/* Writes the rules of the next boot to `lockdown.nft` in the state folder, to be read there. */
void netd_write_boot_file(const struct netd *netd);

#endif
