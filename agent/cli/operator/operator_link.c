/* The operator's session to the broker. */
#include "agent/cli/operator/operator_link.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "agent/cli/cli.h"
#include "agent/uplink/mqtt_client.h"
#include "agent/uplink/uplink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_MS 2000
/* Beside connect_timeout_s, for an attempt: Paho looks at the time every 3 s only. */
#define GRACE_MS 6000
/* Many gateways' retained states come at once, and are small. */
#define MAX_RECEIVED 1024
#define SENTENCE_BYTES 512

struct operator_link {
    const char *name;
    char *prefix; /* with its slash */
    char *filter; /* what is subscribed to */
    struct operator_ear ear;
    sd_event *loop;
    struct uplink *uplink;
    size_t failures;
    bool is_up, was_up, is_enough;
    bool is_publishing; /* something that we published is not acknowledged yet */
};

/* --- callbacks of the uplink ------------------------------------------------------------------ */

static void on_open(void *context, struct uplink_opening *opening)
{
    const struct operator_link *link = context;
    opening->subscriptions[opening->n_subscriptions++] =
        (struct uplink_subscription){.filter = link->filter, .qos = 1};
}

static void on_up(void *context)
{
    struct operator_link *link = context;
    if (link->was_up)
        (void)cli_fail(0, link->name, "connected again");
    link->is_up = link->was_up = true;
}

static void link_on_failed(void *context, const char *reason)
{
    struct operator_link *link = context;
    char sentence[SENTENCE_BYTES]; /* a part of it may come from a foreign certificate */
    text_show(sentence, sizeof(sentence), reason);
    (void)cli_fail(0, link->name, "%s%s", sentence, link->was_up ? "; trying again" : "");
    link->is_up = false;
    link->failures++;
}

static void link_on_acknowledged(void *context, uint64_t tag)
{
    struct operator_link *link = context;
    (void)tag;
    link->is_publishing = false;
}

/* SITE/ID/REST after the prefix; anything else is not from a gateway. */
static bool parse_topic(const struct operator_link *link, const char *topic,
                        struct operator_message *message)
{
    size_t prefix = strlen(link->prefix);
    if (strncmp(topic, link->prefix, prefix) != 0)
        return false;
    const char *site = topic + prefix, *id = strchr(site, '/');
    const char *rest = id ? strchr(id + 1, '/') : NULL;
    if (!rest || !operator_level_parse(site, (size_t)(id - site), message->gateway.site) ||
        !operator_level_parse(id + 1, (size_t)(rest - id - 1), message->gateway.id))
        return false;
    message->topic = rest + 1;
    return true;
}

static void link_on_received(void *context, const char *topic, const void *payload, size_t length,
                             bool retained)
{
    struct operator_link *link = context;
    struct operator_message message = {.payload = payload,
                                       .length = length,
                                       .is_cut = length >= MQTT_RECEIVED_MAX_BYTES,
                                       .is_retained = retained};
    if (parse_topic(link, topic, &message))
        link->ear.received(link->ear.context, &message);
}

/* --- the loop --------------------------------------------------------------------------------- */

/* One turn, of at most a quarter of a second; false when the loop is broken. */
static bool link_turn(struct operator_link *link, int64_t deadline_ns)
{
    int64_t left_us = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_US;
    uint64_t most_us = left_us < 0 ? 0 : left_us > 250000 ? 250000 : (uint64_t)left_us;
    return sd_event_run(link->loop, most_us) >= 0;
}

bool operator_link_wait(struct operator_link *link, int64_t deadline_ns)
{
    link->is_enough = false;
    do {
        if (!link_turn(link, deadline_ns))
            break;
    } while (!link->is_enough && clock_mono_ns() < deadline_ns);
    return link->is_enough;
}

void operator_link_enough(struct operator_link *link)
{
    link->is_enough = true;
}

int operator_link_publish(struct operator_link *link, const char *topic, const void *payload,
                          size_t length)
{
    CLEANUP(memory_free_pointer) char *whole = memory_printf("%s%s", link->prefix, topic);
    const struct mqtt_message message = {
        .topic = whole, .payload = payload, .length = length, .qos = 1};
    int result = uplink_publish(link->uplink, &message, 1);
    if (result == 0)
        link->is_publishing = true;
    return result;
}

bool operator_link_is_delivered(const struct operator_link *link)
{
    return !link->is_publishing;
}

/* --- making and ending ------------------------------------------------------------------------ */

static int link_make(struct operator_link *link, const struct config_uplink *config)
{
    const struct uplink_callbacks callbacks = {.open = on_open,
                                               .up = on_up,
                                               .max_received = MAX_RECEIVED,
                                               .failed = link_on_failed,
                                               .acknowledged = link_on_acknowledged,
                                               .received = link_on_received,
                                               .context = link};
    int result = sd_event_new(&link->loop);
    if (result >= 0)
        result = uplink_new(config, &callbacks, link->loop, &link->uplink);
    return result < 0 ? result : 0;
}

/* Until there is a session, or each server has failed. */
static bool connect_once(struct operator_link *link, const struct config_uplink *config)
{
    int64_t patience_ms =
        (int64_t)config->servers.length * (2 * config->connect_timeout_s * 1000 + GRACE_MS);
    int64_t deadline_ns = clock_mono_ns() + patience_ms * CLOCK_NS_PER_MS;
    uplink_start(link->uplink);
    while (!link->is_up && link->failures < config->servers.length) {
        if (clock_mono_ns() >= deadline_ns || !link_turn(link, deadline_ns)) {
            (void)cli_fail(0, link->name, "no broker has answered in time");
            break;
        }
    }
    return link->is_up;
}

int operator_link_new(const struct operator_config *config, const char *name, const char *filter,
                      const struct operator_ear *ear, struct operator_link **ret_link)
{
    struct operator_link *link = memory_zeroed(1, sizeof(*link));
    log_open(LOG_LEVEL_ERROR); /* all messages are printed by this file */
    link->name = name;
    link->prefix = memory_printf("%s/", config->uplink.prefix);
    link->filter = memory_printf("%s%s", link->prefix, filter);
    link->ear = *ear;
    *ret_link = link; /* messages may come before this ends */
    int result = link_make(link, &config->uplink);
    if (result < 0)
        (void)cli_fail(0, name, "the MQTT client cannot be created: %s", strerror(-result));
    if (result < 0 || !connect_once(link, &config->uplink)) {
        *ret_link = operator_link_free(link, CLI_UNREACHABLE);
        return CLI_UNREACHABLE;
    }
    return CLI_DONE;
}

struct operator_link *operator_link_free(struct operator_link *link, int code)
{
    if (!link)
        return NULL;
    if (link->uplink && !uplink_stop(link->uplink, STOP_MS)) {
        (void)fflush(stdout);
        _exit(code);
    }
    uplink_free(link->uplink);
    sd_event_unref(link->loop);
    free(link->filter);
    free(link->prefix);
    free(link);
    return NULL;
}
