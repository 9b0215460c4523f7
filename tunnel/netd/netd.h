/*
 * What the parts of the running netd share; owned by netd_main.c. Only netd_main.c,
 * netd_requests.c and netd_signed.c see it.
 */
#ifndef SALLYPORT_TUNNEL_NETD_NETD_H
#define SALLYPORT_TUNNEL_NETD_NETD_H

#include "tunnel/command/command_gate.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/egress/egress_resolver.h"
#include "tunnel/firewall/firewall.h"
#include "tunnel/journal/journal.h"
#include "tunnel/session/session_control.h"
#include "tunnel/wire/netd_server.h"

#include <systemd/sd-event.h>

struct netd {
    const char *config_path;
    struct netd_config *config;  /* as loaded at the start: tunnel, paths, access */
    struct netd_config *rules;   /* whose firewall is loaded, when not `config`'s; else NULL */
    struct netd_config *trial;   /* whose firewall is tried; NULL: none */
    bool is_unconfirmed;         /* the rules tried last are not confirmed (yet) */
    sd_event_source *trial_ends; /* timer of the trial */
    int64_t trial_ends_ms;       /* CLOCK_MONOTONIC */
    sd_event_source *renewal;    /* to be started anew when idle; NULL: not asked for */
    struct firewall_counters counters; /* as of counters_ms; reading them starts a process */
    int64_t counters_ms;
    struct journal *journal;
    struct firewall *firewall;
    struct session_control *session_control;
    struct egress_resolver *lookup;
    struct netd_server *server;
    struct command_gate *gate; /* NULL without a tunnel */
    sd_event_source *gate_timer;
    bool awaits_hub;                    /* the signed command that is looked at opens a session */
    char signed_id[SESSION_NAME_BYTES]; /* of the signed command whose answer comes later */
    sd_event *loop;
};

/* Answers one request: struct netd_server_settings.handle. CONTEXT is the struct netd. */
enum netd_server_answer netd_handle(void *context, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply);

/* Fills the body of a reply that comes later: struct netd_server_settings.complete. */
void netd_complete(void *context, struct wire_message *reply, const char *text);

/* Lets signed commands in, if there is a tunnel. 0 or a negative errno. The session_control is
 * there. */
int netd_open_gate(struct netd *netd);
void netd_close_gate(struct netd *netd);

/* The two verbs of signed commands. */
enum netd_server_answer netd_challenge(struct netd *netd, const struct netd_server_peer *peer,
                                       const struct wire_message *request,
                                       struct wire_message *reply);
enum netd_server_answer netd_signed(struct netd *netd, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply);

/* Fills the answer to the signed command ID; its result is set. */
void netd_answer_signed(struct netd *netd, const char *id, struct wire_message *reply);

/* Writes the line of EVENT, and tells the subscribers; failures go to the log. */
void netd_journal(struct netd *netd, const struct event *event);

/* Undoes a trial that nobody confirmed. */
void netd_end_trial(struct netd *netd);

/* Writes the ruleset that is loaded at the next boot. */
void netd_write_boot_file(const struct netd *netd);

#endif
