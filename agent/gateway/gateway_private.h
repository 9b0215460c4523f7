/*
 * The inside of the gateway. Shared by gateway.c (the loop, start and stop), gateway_parts.c (what
 * it is made of, and what these parts tell it) and gateway_reload.c only. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_PRIVATE_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_PRIVATE_H

#include "agent/flow/pipeline.h"
#include "agent/flow/publisher.h"
#include "agent/gateway/gateway.h"
#include "agent/gateway/status.h"
#include "agent/local/local_socket.h"
#include "agent/netd/command_relay.h"
#include "agent/netd/netd_watch.h"
#include "agent/outbox/outbox.h"
#include "agent/payload/encode.h"
#include "agent/uplink/uplink.h"
#include "drivers/line/line.h"

#define GATEWAY_BATCHES_A_PASS 256

struct gateway {
    struct config *config; /* the generation in force */
    struct config *first;  /* the one that the uplink was made from; may be the same */
    sd_event *loop;
    const struct encoder *encoder;
    struct outbox *outbox;
    struct pipeline *pipeline;
    struct uplink *uplink;
    struct publisher *publisher;
    struct line **lines; /* of each bus; NULL for a bus without devices */
    struct local_socket *control;
    struct netd_watch *netd;
    struct command_relay *command_relay;
    struct liveness *watch;
    char *prefix, *status_topic;
    struct strbuf status;                                               /* reused */
    char store_problem[sizeof(((struct outbox_stats *)NULL)->problem)]; /* the one that is known */
    int64_t started_mono_ns;
    int64_t status_due_ms, tick_due_ms, pump_due_ms, certificate_due_ms; /* monotonic */
    int64_t timer_ms;     /* what the timer is set to */
    uint64_t watchdog_us; /* 0: no watchdog */
    sd_event_source *queue_source, *timer_source, *settle_source, *watchdog_source;
};

int64_t gateway_now_ms(void);
struct status_view gateway_view(const struct gateway *gateway);

/* The retained status: within a second, or at once. A full window only delays it. */
void gateway_status_soon(struct gateway *gateway);
void gateway_publish_status(struct gateway *gateway);

/* Reads what the lines deliver, from now on. 0 or a negative errno. */
int gateway_watch_queue(struct gateway *gateway);

/* The parts, in the order in which they are made. 0 or a negative errno, logged. */
int gateway_open_outbox(struct gateway *gateway);
void gateway_make_pipeline(struct gateway *gateway);
int gateway_make_uplink(struct gateway *gateway); /* and the command_relay, whose road it is */
int gateway_make_lines(struct gateway *gateway);
int gateway_open_control(struct gateway *gateway);
int gateway_watch_netd(struct gateway *gateway);

#endif
