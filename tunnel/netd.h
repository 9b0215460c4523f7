/*
 * What the parts of the running warden share; owned by netd_main.c. Only netd_main.c and
 * netd_requests.c see it.
 */
#ifndef SALLYPORT_TUNNEL_NETD_H
#define SALLYPORT_TUNNEL_NETD_H

#include "tunnel/firewall.h"
#include "tunnel/journal.h"
#include "tunnel/keeper.h"
#include "tunnel/lookup.h"
#include "tunnel/netd_config.h"
#include "tunnel/server.h"

#include <systemd/sd-event.h>

struct netd {
    const char *config_path;
    struct netd_config *config;  /* as loaded at the start: tunnel, paths, access */
    struct netd_config *rules;   /* whose firewall is loaded, when not `config`'s; else NULL */
    struct netd_config *trial;   /* whose firewall is tried; NULL: none */
    sd_event_source *trial_ends; /* timer of the trial */
    int64_t trial_ends_ms;       /* CLOCK_MONOTONIC */
    struct firewall_counters counters; /* as of counters_ms; reading them starts a process */
    int64_t counters_ms;
    struct journal *journal;
    struct firewall *firewall;
    struct keeper *keeper;
    struct lookup *lookup;
    struct server *server;
    sd_event *loop;
};

/* Answers one request: struct server_settings.handle. CONTEXT is the struct netd. */
enum server_answer netd_handle(void *context, const struct server_peer *peer,
                               const struct wire_message *request, struct wire_message *reply);

/* Writes one line; failures go to the log. DETAIL may be "". */
void netd_journal(struct netd *netd, const char *event, const char *detail);

/* Undoes a trial that nobody confirmed. */
void netd_end_trial(struct netd *netd);

/* Writes the ruleset that is loaded at the next boot. */
void netd_write_boot_file(const struct netd *netd);

#endif
