/* From "the session may open" to "the hub has answered". */
#include "tunnel/session/tunnel_opening.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/os/privileged_child.h"
#include "tunnel/os/resolve.h"
#include "tunnel/wire/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS 50           /* between two looks for the handshake */
#define NEXT_ADDRESS_MS 5000 /* without an answer, the next address of the hub is tried */

struct tunnel_opening {
    const struct tunnel_config *config;
    struct firewall *firewall;
    struct tunnel_opening_hooks hooks;
    sd_event *loop;
    struct wireguard *wireguard;
    sd_event_source *timer; /* handshake polls; one-shot with a failure to report */
    sd_event_source *ended; /* of the resolver, then of wireguard-go */
    pid_t resolver;         /* 0: none */
    int resolver_watched, resolver_output;
    struct sockaddr_storage hubs[RESOLVE_MAX];
    int n_hubs, hub;
    int64_t next_hub_ns;
    enum session_end end; /* of a failure that the timer will report */
    char detail[160];
};

static const struct sockaddr_storage no_hub; /* AF_UNSPEC */

struct tunnel_opening *tunnel_opening_free(struct tunnel_opening *bring_up)
{
    if (!bring_up)
        return NULL;
    sd_event_source_disable_unref(bring_up->timer);
    sd_event_source_disable_unref(bring_up->ended);
    wireguard_free(bring_up->wireguard);
    free(bring_up);
    return NULL;
}

static void schedule(struct tunnel_opening *bring_up, int64_t in_ms)
{
    (void)sd_event_source_set_time_relative(bring_up->timer, (uint64_t)in_ms * 1000);
    (void)sd_event_source_set_enabled(bring_up->timer, SD_EVENT_ONESHOT);
}

/* Reports from the loop, never from within a call of the owner. */
static void fail(struct tunnel_opening *bring_up, enum session_end end, const char *detail)
{
    bring_up->end = end;
    text_put(bring_up->detail, sizeof(bring_up->detail), detail);
    schedule(bring_up, 0);
}

static void forget_resolver(struct tunnel_opening *bring_up)
{
    sd_event_source_disable_unref(bring_up->ended);
    bring_up->ended = NULL;
    if (bring_up->resolver > 0)
        privileged_child_stop(bring_up->resolver);
    bring_up->resolver = 0;
    descriptor_close(&bring_up->resolver_watched);
    descriptor_close(&bring_up->resolver_output);
}

static int interface_ended(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct tunnel_opening *bring_up = context;
    (void)descriptor, (void)events;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    fail(bring_up, SESSION_END_FAILED, "wireguard-go has ended by itself");
    return 0;
}

/* Makes the interface and begins to look for the handshake. */
static void try_hub(struct tunnel_opening *bring_up)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct sockaddr_storage *hub = tunnel_opening_hub(bring_up);
    int result = firewall_allow_hub(bring_up->firewall, hub, SESSION_OPENING_MS);
    if (!result)
        result = wireguard_up(bring_up->wireguard, hub, &problem);
    firewall_set_tunnel(bring_up->firewall, if_nametoindex(TUNNEL_INTERFACE));
    int watched = wireguard_descriptor(bring_up->wireguard);
    if (!result && watched >= 0)
        result = sd_event_add_io(bring_up->loop, &bring_up->ended, watched, EPOLLIN,
                                 interface_ended, bring_up);
    if (result < 0) {
        fail(bring_up, SESSION_END_FAILED, problem.length ? problem.data : strerror(-result));
        return;
    }
    (void)snprintf(bring_up->detail, sizeof(bring_up->detail), "no handshake with the hub at ");
    size_t used = strlen(bring_up->detail);
    char endpoint[WIREGUARD_ENDPOINT_BYTES];
    text_put(bring_up->detail + used, sizeof(bring_up->detail) - used,
             wireguard_endpoint(hub, endpoint));
    bring_up->next_hub_ns = clock_mono_ns() + NEXT_ADDRESS_MS * CLOCK_NS_PER_MS;
    schedule(bring_up, POLL_MS);
}

static void try_next_hub(struct tunnel_opening *bring_up)
{
    bring_up->hub = (bring_up->hub + 1) % bring_up->n_hubs;
    bring_up->next_hub_ns = clock_mono_ns() + NEXT_ADDRESS_MS * CLOCK_NS_PER_MS;
    const struct sockaddr_storage *hub = tunnel_opening_hub(bring_up);
    if (firewall_allow_hub(bring_up->firewall, hub, SESSION_OPENING_MS) < 0 ||
        wireguard_set_hub(bring_up->wireguard, hub) < 0)
        fail(bring_up, SESSION_END_FAILED, "the hub's next address could not be set");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct tunnel_opening *bring_up = context;
    (void)source, (void)usec;
    if (bring_up->end != SESSION_END_NONE) {
        bring_up->hooks.failed(bring_up->hooks.context, bring_up->end, bring_up->detail);
        return 0;
    }
    int64_t handshake_s = wireguard_last_handshake_s(bring_up->wireguard);
    if (handshake_s < 0) {
        fail(bring_up, SESSION_END_FAILED, "the interface does not answer to wg");
    } else if (handshake_s > 0) {
        bring_up->hooks.ready(bring_up->hooks.context);
    } else {
        schedule(bring_up, POLL_MS);
        if (bring_up->n_hubs > 1 && clock_mono_ns() >= bring_up->next_hub_ns)
            try_next_hub(bring_up);
    }
    return 0;
}

static void explain_resolver(struct tunnel_opening *bring_up, int code)
{
    static const struct {
        int code;
        const char *why;
    } table[] = {{RESOLVE_NO_NAME, "name not found"},
                 {RESOLVE_NO_SERVER, "name not found, no name server answers"},
                 {RESOLVE_NO_ROUTE, "no route"}};
    char detail[sizeof(bring_up->detail)];
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
        why = table[i].code == code ? table[i].why : why;
    (void)snprintf(detail, sizeof(detail), "%s: %.100s", why ? why : "the resolver failed",
                   bring_up->config->hub.endpoint_host);
    fail(bring_up, why ? SESSION_END_HUB_UNREACHABLE : SESSION_END_FAILED, detail);
}

static int resolver_ended(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct tunnel_opening *bring_up = context;
    char answer[RESOLVE_ANSWER_BYTES];
    int status = 0;
    (void)source, (void)descriptor, (void)events;
    ssize_t got = read(bring_up->resolver_output, answer, sizeof(answer) - 1);
    answer[got > 0 ? got : 0] = '\0';
    pid_t pid = bring_up->resolver;
    bring_up->resolver = 0;
    int code = waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    forget_resolver(bring_up);
    bring_up->n_hubs =
        code == RESOLVE_DONE
            ? resolve_parse(answer, bring_up->config->hub.endpoint_port, bring_up->hubs)
            : 0;
    if (bring_up->n_hubs > 0)
        try_hub(bring_up);
    else
        explain_resolver(bring_up, code == RESOLVE_DONE ? RESOLVE_NO_NAME : code);
    return 0;
}

void tunnel_opening_start(struct tunnel_opening *bring_up)
{
    char port[8];
    const char *const resolver[] = {"/proc/self/exe", "--resolve",
                                    bring_up->config->hub.endpoint_host, port, NULL};
    (void)snprintf(port, sizeof(port), "%u", bring_up->config->hub.endpoint_port);
    bring_up->end = SESSION_END_NONE;
    bring_up->n_hubs = bring_up->hub = 0;
    (void)snprintf(bring_up->detail, sizeof(bring_up->detail),
                   "name not found: no name server answers in time");
    bring_up->resolver_watched =
        privileged_child_start(resolver, false, &bring_up->resolver_output, &bring_up->resolver);
    if (bring_up->resolver_watched < 0 ||
        sd_event_add_io(bring_up->loop, &bring_up->ended, bring_up->resolver_watched, EPOLLIN,
                        resolver_ended, bring_up) < 0)
        fail(bring_up, SESSION_END_FAILED, "the resolver cannot be started");
}

int tunnel_opening_stop(struct tunnel_opening *bring_up)
{
    forget_resolver(bring_up);
    (void)sd_event_source_set_enabled(bring_up->timer, SD_EVENT_OFF);
    bring_up->n_hubs = 0;
    int result = wireguard_down(bring_up->wireguard);
    firewall_set_tunnel(bring_up->firewall, if_nametoindex(TUNNEL_INTERFACE));
    return result;
}

const char *tunnel_opening_obstacle(const struct tunnel_opening *bring_up)
{
    return bring_up->detail;
}

const struct sockaddr_storage *tunnel_opening_hub(const struct tunnel_opening *bring_up)
{
    return bring_up->n_hubs > 0 ? &bring_up->hubs[bring_up->hub] : &no_hub;
}

struct tunnel_opening *tunnel_opening_new(const struct tunnel_config *config,
                                          struct firewall *firewall,
                                          const struct tunnel_opening_hooks *hooks, sd_event *loop)
{
    struct tunnel_opening *bring_up = memory_zeroed(1, sizeof(*bring_up));
    bring_up->config = config;
    bring_up->firewall = firewall;
    bring_up->hooks = *hooks;
    bring_up->loop = loop;
    bring_up->resolver_watched = bring_up->resolver_output = -1;
    bring_up->wireguard = wireguard_new(config);
    if (sd_event_add_time_relative(loop, &bring_up->timer, CLOCK_MONOTONIC, 0, 1000, on_timer,
                                   bring_up) < 0)
        abort();
    (void)sd_event_source_set_enabled(bring_up->timer, SD_EVENT_OFF);
    return bring_up;
}
