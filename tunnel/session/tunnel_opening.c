/* From "the session may open" to "the hub has answered". */
#include "tunnel/session/tunnel_opening.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/config/overlap.h"
#include "tunnel/os/resolver.h"
#include "tunnel/os/rtnl_routes.h"
#include "tunnel/wire/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define POLL_MS 50 /* between two looks for the handshake */
/* A hub takes no handshake that seems older than the last one: WireGuard's defence against replay.
 */
#define NO_HANDSHAKE                                                                               \
    "no handshake with the hub at %s: UDP blocked, key unknown to the hub, or this gateway's "     \
    "clock "                                                                                       \
    "behind"
#define NEXT_ADDRESS_MS 5000 /* without an answer, the next address of the hub is tried */

struct tunnel_opening {
    const struct tunnel_config *config;
    struct firewall *firewall;
    struct tunnel_opening_hooks hooks;
    sd_event *loop;
    struct wireguard *wireguard;
    sd_event_source *timer; /* handshake polls; one-shot with a failure to report */
    sd_event_source *ended; /* of wireguard-go */
    struct resolver *resolver;
    struct sockaddr_storage hubs[RESOLVE_MAX];
    int n_hubs, hub;
    int64_t next_hub_ns;
    enum session_end end; /* of a failure that the timer will report */
    char detail[160];
};

static const struct sockaddr_storage no_hub; /* AF_UNSPEC */

struct tunnel_opening *tunnel_opening_free(struct tunnel_opening *opening)
{
    if (!opening)
        return NULL;
    sd_event_source_disable_unref(opening->timer);
    sd_event_source_disable_unref(opening->ended);
    resolver_free(opening->resolver);
    wireguard_free(opening->wireguard);
    free(opening);
    return NULL;
}

static void schedule(struct tunnel_opening *opening, int64_t in_ms)
{
    (void)sd_event_source_set_time_relative(opening->timer, (uint64_t)in_ms * 1000);
    (void)sd_event_source_set_enabled(opening->timer, SD_EVENT_ONESHOT);
}

/* Reports from the loop, never from within a call of the owner. */
static void fail(struct tunnel_opening *opening, enum session_end end, const char *detail)
{
    opening->end = end;
    text_put(opening->detail, sizeof(opening->detail), detail);
    schedule(opening, 0);
}

static int interface_ended(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct tunnel_opening *opening = context;
    (void)descriptor, (void)events;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    fail(opening, SESSION_END_FAILED, "wireguard-go has ended by itself");
    return 0;
}

static int check_routes(const struct tunnel_opening *opening, const struct sockaddr_storage *hub,
                        struct strbuf *problem)
{
    CLEANUP(rtnl_route_list_free) struct rtnl_route_list routes = {0};
    struct ip_network host;
    uint16_t port;
    int result = ip_network_of_socket(hub, &host, &port);
    if (result == 0)
        result = rtnl_routes_list(&routes);
    if (result < 0)
        return result;
    return overlap_bars_session(opening->config, &routes, &host, problem) ? -EADDRINUSE : 0;
}

/* Makes the interface and begins to look for the handshake. */
static void try_hub(struct tunnel_opening *opening)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct sockaddr_storage *hub = tunnel_opening_hub(opening);
    int result = check_routes(opening, hub, &problem);
    if (!result)
        result = firewall_allow_hub(opening->firewall, hub, SESSION_OPENING_MS);
    if (!result)
        result = wireguard_up(opening->wireguard, hub, &problem);
    firewall_set_tunnel(opening->firewall, if_nametoindex(TUNNEL_INTERFACE));
    int watched = wireguard_descriptor(opening->wireguard);
    if (!result && watched >= 0)
        result = sd_event_add_io(opening->loop, &opening->ended, watched, EPOLLIN, interface_ended,
                                 opening);
    if (result < 0) {
        fail(opening, SESSION_END_FAILED, problem.length ? problem.data : strerror(-result));
        return;
    }
    char endpoint[WIREGUARD_ENDPOINT_BYTES];
    (void)snprintf(opening->detail, sizeof(opening->detail), NO_HANDSHAKE,
                   wireguard_endpoint(hub, endpoint));
    opening->next_hub_ns = clock_mono_ns() + NEXT_ADDRESS_MS * CLOCK_NS_PER_MS;
    schedule(opening, POLL_MS);
}

static void try_next_hub(struct tunnel_opening *opening)
{
    opening->hub = (opening->hub + 1) % opening->n_hubs;
    opening->next_hub_ns = clock_mono_ns() + NEXT_ADDRESS_MS * CLOCK_NS_PER_MS;
    const struct sockaddr_storage *hub = tunnel_opening_hub(opening);
    if (firewall_allow_hub(opening->firewall, hub, SESSION_OPENING_MS) < 0 ||
        wireguard_set_hub(opening->wireguard, hub) < 0)
        fail(opening, SESSION_END_FAILED, "the hub's next address could not be set");
}

static int opening_on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct tunnel_opening *opening = context;
    (void)source, (void)usec;
    if (opening->end != SESSION_END_NONE) {
        opening->hooks.failed(opening->hooks.context, opening->end, opening->detail);
        return 0;
    }
    int64_t handshake_s = wireguard_last_handshake_s(opening->wireguard);
    if (handshake_s < 0) {
        fail(opening, SESSION_END_FAILED, "the interface does not answer to wg");
    } else if (handshake_s > 0) {
        opening->hooks.ready(opening->hooks.context);
    } else {
        schedule(opening, POLL_MS);
        if (opening->n_hubs > 1 && clock_mono_ns() >= opening->next_hub_ns)
            try_next_hub(opening);
    }
    return 0;
}

static void explain_resolver(struct tunnel_opening *opening, int code)
{
    static const struct {
        int code;
        const char *why;
    } table[] = {{RESOLVE_NO_NAME, "name not found"},
                 {RESOLVE_NO_SERVER, "name not found, no name server answers"},
                 {RESOLVE_NO_ROUTE, "no route"}};
    char detail[sizeof(opening->detail)];
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
        why = table[i].code == code ? table[i].why : why;
    (void)snprintf(detail, sizeof(detail), "%s: %.100s", why ? why : "the resolver failed",
                   opening->config->hub.endpoint_host);
    fail(opening, why ? SESSION_END_HUB_UNREACHABLE : SESSION_END_FAILED, detail);
}

static void opening_on_answer(void *context, int code, const char *answer)
{
    struct tunnel_opening *opening = context;
    opening->n_hubs = code == RESOLVE_DONE
                          ? resolve_parse(answer, opening->config->hub.endpoint_port, opening->hubs)
                          : 0;
    if (opening->n_hubs > 0)
        try_hub(opening);
    else
        explain_resolver(opening, code == RESOLVE_DONE ? RESOLVE_NO_NAME : code);
}

void tunnel_opening_start(struct tunnel_opening *opening)
{
    const struct tunnel_hub *hub = &opening->config->hub;
    opening->end = SESSION_END_NONE;
    opening->n_hubs = opening->hub = 0;
    (void)snprintf(opening->detail, sizeof(opening->detail),
                   "name not found: no name server answers in time");
    if (resolver_ask(opening->resolver, hub->endpoint_host, hub->endpoint_port) < 0)
        fail(opening, SESSION_END_FAILED, "the resolver cannot be started");
}

int tunnel_opening_stop(struct tunnel_opening *opening)
{
    resolver_forget(opening->resolver);
    opening->ended = sd_event_source_disable_unref(opening->ended);
    (void)sd_event_source_set_enabled(opening->timer, SD_EVENT_OFF);
    opening->n_hubs = 0;
    int result = wireguard_down(opening->wireguard);
    firewall_set_tunnel(opening->firewall, if_nametoindex(TUNNEL_INTERFACE));
    return result;
}

const char *tunnel_opening_obstacle(const struct tunnel_opening *opening)
{
    return opening->detail;
}

const struct sockaddr_storage *tunnel_opening_hub(const struct tunnel_opening *opening)
{
    return opening->n_hubs > 0 ? &opening->hubs[opening->hub] : &no_hub;
}

struct tunnel_opening *tunnel_opening_new(const struct tunnel_config *config,
                                          struct firewall *firewall,
                                          const struct tunnel_opening_hooks *hooks, sd_event *loop)
{
    struct tunnel_opening *opening = memory_zeroed(1, sizeof(*opening));
    opening->config = config;
    opening->firewall = firewall;
    opening->hooks = *hooks;
    opening->loop = loop;
    opening->resolver = resolver_new(loop, opening_on_answer, opening);
    opening->wireguard = wireguard_new(config);
    if (sd_event_add_time_relative(loop, &opening->timer, CLOCK_MONOTONIC, 0, 1000,
                                   opening_on_timer, opening) < 0)
        abort();
    (void)sd_event_source_set_enabled(opening->timer, SD_EVENT_OFF);
    return opening;
}
