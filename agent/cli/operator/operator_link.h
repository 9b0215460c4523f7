/*
 * The operator's session to the broker: the uplink of the agent with a topic filter and without a
 * will, in an event loop of its own that runs while a command waits for something. Main thread
 * only. What it prints goes to stderr.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_LINK_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_LINK_H

#include "agent/cli/operator/operator_config.h"
#include "agent/cli/operator/operator_text.h"

#include <stdbool.h>
#include <stdint.h>

struct operator_link; /* opaque */

/* What a gateway published, or someone who pretends to be one; valid during the call. */
struct operator_message {
    struct operator_gateway gateway;
    const char *topic; /* what follows the gateway's name: "status", "data/boiler" */
    const char *payload;
    size_t length;
    bool is_cut; /* it was longer: this is only the beginning */
    bool is_retained;
};

struct operator_ear {
    void (*received)(void *context, const struct operator_message *message);
    void *context;
};

/*
 * Connects, and subscribes to PREFIX/FILTER. Each server is tried once. Returns CLI_DONE, or
 * CLI_UNREACHABLE after saying why, with *RET_LINK NULL. NAME precedes what it prints.
 * The ear may be called before this returns; *RET_LINK is set by then.
 */
int operator_link_new(const struct operator_config *config, const char *name, const char *filter,
                      const struct operator_ear *ear, struct operator_link **ret_link);

/*
 * Receives until the ear has called operator_link_enough() or DEADLINE_NS (of clock_mono_ns(),
 * INT64_MAX: none) has passed. Reports a lost session and connects again. Returns whether the ear
 * had enough.
 */
bool operator_link_wait(struct operator_link *link, int64_t deadline_ns);
void operator_link_enough(struct operator_link *link);

/* Publishes to PREFIX/TOPIC, QoS 1, not retained. Returns 0 or a negative errno. */
int operator_link_publish(struct operator_link *link, const char *topic, const void *payload,
                          size_t length);

/* Whether the broker has acknowledged everything that was published. */
bool operator_link_is_delivered(const struct operator_link *link);

/*
 * Ends the session. Accepts NULL, returns NULL. Leaves the process with CODE when the MQTT library
 * is stuck.
 */
struct operator_link *operator_link_free(struct operator_link *link, int code);

#endif
