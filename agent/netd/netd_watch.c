/* What the agent knows of netd. */
#include "agent/netd/netd_watch.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "tunnel/wire/netd_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSITION_NAME "warden.position"

struct netd_watch {
    struct netd_watch_callbacks callbacks;
    struct command_relay *relay;
    struct netd_client *client;
    char *position_file;
};

/* --- callbacks of netd's client --------------------------------------------------------------- */

static void netd_watch_remember(const struct netd_watch *watch, uint64_t position)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", position);
    int problem = file_replace(watch->position_file, text, (size_t)length, 0640);
    if (problem < 0)
        log_warning("netd", "file=%s: %s; after a restart the last events are sent again",
                    watch->position_file, strerror(-problem));
}

static void on_event(void *context, const struct event *event, uint64_t position)
{
    struct netd_watch *watch = context;
    log_info("netd", "event=%s", event_name(event));
    if (watch->callbacks.event(watch->callbacks.context, event))
        netd_watch_remember(watch, position);
}

static void on_change(void *context)
{
    struct netd_watch *watch = context;
    command_relay_netd(watch->relay, netd_client_is_connected(watch->client) ? watch->client : NULL,
                       clock_mono_ns() / CLOCK_NS_PER_MS);
    watch->callbacks.changed(watch->callbacks.context);
}

static void on_challenge(void *context, const char *challenge)
{
    struct netd_watch *watch = context;
    command_relay_challenge(watch->relay, challenge, clock_mono_ns() / CLOCK_NS_PER_MS);
}

static void on_signers(void *context, const struct wire_signers *signers)
{
    struct netd_watch *watch = context;
    command_relay_signers(watch->relay, signers);
}

static void netd_watch_on_answer(void *context, enum refusal refusal,
                                 const struct wire_signed_reply *reply)
{
    struct netd_watch *watch = context;
    command_relay_answered(watch->relay, refusal, reply);
}

/* --- making, ending, asking ------------------------------------------------------------------ */

static uint64_t recall(const struct netd_watch *watch)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (file_read(watch->position_file, 64, &text) < 0)
        return 0; /* the first start: everything that netd still has in its journal */
    return strtoull(strbuf_text(&text), NULL, 10);
}

int netd_watch_new(const struct config_gateway *config, struct command_relay *relay,
                   const struct netd_watch_callbacks *callbacks, sd_event *loop,
                   struct netd_watch **ret_watch)
{
    struct netd_watch *watch = memory_zeroed(1, sizeof(*watch));
    const struct netd_client_callbacks reach_up = {.changed = on_change,
                                                   .event = on_event,
                                                   .challenge = on_challenge,
                                                   .signers = on_signers,
                                                   .answered = netd_watch_on_answer,
                                                   .context = watch};
    watch->callbacks = *callbacks;
    watch->relay = relay;
    watch->position_file = memory_printf("%s/%s", config->state_dir, POSITION_NAME);
    int problem =
        netd_client_new(config->netd_socket, recall(watch), &reach_up, loop, &watch->client);
    if (problem < 0) {
        netd_watch_free(watch);
        return problem;
    }
    *ret_watch = watch;
    return 0;
}

struct netd_watch *netd_watch_free(struct netd_watch *watch)
{
    if (!watch)
        return NULL;
    command_relay_netd(watch->relay, NULL, clock_mono_ns() / CLOCK_NS_PER_MS);
    netd_client_free(watch->client);
    free(watch->position_file);
    free(watch);
    return NULL;
}

const struct wire_status *netd_watch_status(const struct netd_watch *watch)
{
    return netd_client_status(watch->client);
}

const struct wire_counters *netd_watch_counters(const struct netd_watch *watch)
{
    return netd_client_counters(watch->client);
}
