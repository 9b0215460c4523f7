/*
 * The inside of the gateway. Shared by gateway.c (start, the loop, stop) and gateway_reload.c only.
 * Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_PRIVATE_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_PRIVATE_H

#include "agent/flow/announcer.h"
#include "agent/flow/intake.h"
#include "agent/flow/publisher.h"
#include "agent/gateway/generation.h"
#include "agent/gateway/plant.h"
#include "agent/local/local_socket.h"
#include "agent/netd/command_relay.h"
#include "agent/netd/netd_watch.h"
#include "agent/outbox/outbox.h"
#include "agent/payload/dialect.h"
#include "agent/uplink/uplink.h"

struct gateway {
    struct generation *current; /* in force */
    struct generation *first;   /* gave its paths and names to what a reload does not replace */
    sd_event *loop;

    /* Kept from start to stop. */
    struct dialect *dialect;
    struct outbox *outbox;
    struct intake *intake;

    /* The broker's side. */
    struct uplink *uplink;
    struct publisher *publisher;
    struct announcer *announcer;
    struct command_relay *command_relay;

    /* The plant's side, which a reload replaces. */
    struct plant *plant;

    /* This machine's side. */
    struct local_socket *local_socket;
    struct netd_watch *netd;

    char store_problem[sizeof(((struct outbox_stats *)NULL)->problem)]; /* the one that is known */
    int64_t store_unsafe_ms; /* since when, as far as an event says; 0: it is not */
    int64_t started_mono_ns;
    int64_t tick_due_ms, certificate_due_ms; /* monotonic */
    int64_t timer_ms;                        /* what the timer is set to */
    uint64_t watchdog_us;                    /* 0: no watchdog */
    sd_event_source *timer_source, *settle_source, *watchdog_source;
};

#endif
