/* Keeps the names of egress = "strict" and of the agent resolved. */
#include "tunnel/egress/egress_resolver.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "tunnel/egress/egress_names.h"
#include "tunnel/egress/egress_policy.h"
#include "tunnel/journal/journal_quota.h"
#include "tunnel/model/event_text.h"
#include "tunnel/os/resolv_conf.h"
#include "tunnel/os/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 4                          /* resolvers */
#define RESOLVER_NS (20 * CLOCK_NS_PER_S)  /* then it is killed */
#define DNS_FILE_NS (5 * CLOCK_NS_PER_S)   /* between two looks at resolv.conf */
#define PUSH_RETRY_NS (5 * CLOCK_NS_PER_S) /* when the kernel did not take the leases */

/* The second one lists whom systemd-resolved asks, when the first names only its own stub. */
static const char *const dns_files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

/* What is being asked for. */
struct question {
    struct egress_resolver *lookup;
    struct resolver *resolver;
    int64_t deadline_ns;
    int name;
};

struct egress_resolver {
    const struct netd_config *config;
    const struct tunnel_config *tunnel;
    struct firewall *firewall;
    struct egress_resolver_hooks hooks;
    sd_event *loop;
    sd_event_source *timer;
    struct egress_names *names;
    struct question questions[AT_ONCE];
    int64_t dns_file_ns, push_ns; /* when it is time again */
    bool is_dns_missing, is_push_failing;
    bool is_pushed;                 /* the kernel may have leases of ours */
    struct journal_quota strangers; /* lines of the journal */
};

/* ---- Telling ---- */

/* Whoever answers for a name can make it change all the time: that must not push the rest of the
 * journal out. */
static void egress_resolver_record(struct egress_resolver *lookup, struct event *event,
                                   int64_t now_ns)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    log_info("egress", "event=%s %s", event_name(event), strbuf_text(&members));
    if (journal_quota_take(&lookup->strangers, now_ns / CLOCK_NS_PER_MS, event))
        lookup->hooks.journal(lookup->hooks.context, event);
}

static void record_change(struct egress_resolver *lookup, const char *name,
                          const struct ip_network *hosts, size_t n, int64_t now_ns)
{
    CLEANUP(strbuf_free) struct strbuf addresses = STRBUF_EMPTY;
    char text[IP_NETWORK_TEXT_BYTES];
    struct event event;
    for (size_t i = 0; i < n; i++)
        strbuf_addf(&addresses, "%s%s", i > 0 ? " " : "", ip_network_format(&hosts[i], text));
    event_init(&event, EVENT_EGRESS_CHANGED, clock_wall_ms());
    event_add_text(&event, MEMBER_NAME, name);
    event_add_text(&event, MEMBER_ADDRESSES, strbuf_text(&addresses));
    egress_resolver_record(lookup, &event, now_ns);
}

static void record_refusal(struct egress_resolver *lookup, const char *name,
                           const struct ip_network *host, const char *why, int64_t now_ns)
{
    char text[IP_NETWORK_TEXT_BYTES];
    struct event event;
    event_init(&event, EVENT_EGRESS_REFUSED, clock_wall_ms());
    event_add_text(&event, MEMBER_NAME, name);
    event_add_text(&event, MEMBER_ADDRESS, ip_network_format(host, text));
    event_add_text(&event, MEMBER_WHY, why);
    egress_resolver_record(lookup, &event, now_ns);
}

/* ---- What may be reached ---- */

static void egress_resolver_push(struct egress_resolver *lookup, int64_t now_ns)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    size_t n = egress_names_leases(lookup->names, now_ns, leases);
    int result =
        n > 0 || lookup->is_pushed ? firewall_set_egress(lookup->firewall, leases, n, &problem) : 0;
    if (result < 0 && !lookup->is_push_failing)
        log_error("egress", "the addresses cannot be let out: %s %s; tried again in 5 s",
                  strerror(-result), strbuf_text(&problem));
    lookup->is_push_failing = result < 0;
    lookup->is_pushed = n > 0 || result < 0;
    lookup->push_ns =
        now_ns +
        (result < 0 ? PUSH_RETRY_NS : lookup->config->firewall.egress_lease_s * CLOCK_NS_PER_S / 2);
}

static const char *object(const struct egress_resolver *lookup, const struct ip_network *host,
                          int side)
{
    struct route route;
    bool is_routed = ip_network_is_unicast_host(host) && route_find(host, &route) == 0;
    return egress_policy_objection(host, side, is_routed ? &route : NULL, &lookup->config->firewall,
                                   lookup->tunnel);
}

/* ---- Name servers ---- */

static bool is_loopback(const struct ip_network *host)
{
    static const uint8_t one[16] = {[15] = 1};
    return host->family == AF_INET ? host->bytes[0] == 127
                                   : memcmp(host->bytes, one, sizeof(one)) == 0;
}

/* A name server at an address of this machine, which needs leave for the agent alone. */
static bool is_own(const struct ip_network *host)
{
    struct route route;
    return is_loopback(host) ||
           (ip_network_is_unicast_host(host) && route_find(host, &route) == 0 && route.is_local);
}

/* Moves what is on this machine to LOCAL. Returns how many stay among the N of SERVERS. */
static size_t split_dns(struct ip_network *servers, size_t n, struct ip_network *local,
                        size_t *n_local)
{
    size_t kept = 0;
    *n_local = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_own(&servers[i]))
            local[(*n_local)++] = servers[i];
        else
            servers[kept++] = servers[i];
    }
    return kept;
}

/* Leaves out what gets no leave. */
static size_t sift_dns(struct egress_resolver *lookup, struct ip_network *servers, size_t n,
                       int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!ip_network_is_unicast_host(&servers[i]))
            continue;
        const char *why = object(lookup, &servers[i], NETD_SIDE_WAN);
        if (!why)
            servers[kept++] = servers[i];
        else if (egress_names_refused(lookup->names, EGRESS_NAMES_DNS, &servers[i]))
            record_refusal(lookup, "dns", &servers[i], why, now_ns);
    }
    return kept;
}

static size_t read_dns_file(const char *path, struct ip_network servers[NETD_MAX_DNS])
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (file_read(path, RESOLV_CONF_BYTES, &text) < 0)
        return 0;
    return resolv_conf_read(strbuf_text(&text), text.length, servers, NETD_MAX_DNS);
}

/* What egress = "strict", or a bound agent, has to be let out to. */
static bool needs_dns(const struct egress_resolver *lookup)
{
    const struct firewall_config *config = &lookup->config->firewall;
    return !config->dns_is_fixed && (config->egress == EGRESS_STRICT || config->agent.is_bound);
}

/* SERVERS are of this machine itself, N of them. */
static void take_local_dns(struct egress_resolver *lookup, const struct ip_network *servers,
                           size_t n, int64_t now_ns)
{
    if (egress_names_have_local_dns(lookup->names, servers, n, now_ns))
        lookup->push_ns = now_ns;
}

static void look_for_dns(struct egress_resolver *lookup, int64_t now_ns)
{
    struct ip_network servers[NETD_MAX_DNS], local[NETD_MAX_DNS];
    size_t n = 0, n_local = 0;
    for (size_t i = 0; n == 0 && i < ARRAY_LENGTH(dns_files); i++) {
        size_t n_read = read_dns_file(dns_files[i], servers);
        n_read = split_dns(servers, n_read, local, &n_local);
        if (i == 0) /* the other one is not asked by the agent */
            take_local_dns(lookup, local, n_local, now_ns);
        n = needs_dns(lookup) ? sift_dns(lookup, servers, n_read, now_ns) : 0;
    }
    lookup->dns_file_ns = now_ns + DNS_FILE_NS;
    if (!needs_dns(lookup))
        return;
    if (n == 0 && !lookup->is_dns_missing)
        log_warning("egress",
                    "file=%s has no name server elsewhere; give them in firewall.dns if "
                    "names are not found",
                    dns_files[0]);
    lookup->is_dns_missing = n == 0;
    if (n == 0 || !egress_names_have_dns(lookup->names, servers, n, now_ns))
        return;
    record_change(lookup, "dns", servers, n, now_ns);
    egress_names_hurry(lookup->names, now_ns);
    lookup->push_ns = now_ns;
}

/* ---- Resolvers ---- */

/* The number of addresses, or why there are none. */
static int egress_resolver_read_answer(int code, const char *answer,
                                       struct ip_network hosts[RESOLVE_MAX])
{
    if (code == RESOLVE_NO_NAME)
        return -ENOENT;
    if (code == RESOLVE_NO_ROUTE)
        return -ENETUNREACH;
    return code == RESOLVE_DONE ? resolve_read(answer, hosts) : -ETIMEDOUT;
}

static size_t sift(struct egress_resolver *lookup, int name, struct ip_network *hosts, size_t n,
                   int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const char *why = object(lookup, &hosts[i], egress_names_get(lookup->names, name).side);
        if (!why)
            hosts[kept++] = hosts[i];
        else if (egress_names_refused(lookup->names, name, &hosts[i]))
            record_refusal(lookup, egress_names_get(lookup->names, name).host, &hosts[i], why,
                           now_ns);
    }
    return kept;
}

static const char *egress_resolver_explain(int problem)
{
    switch (problem) {
    case -ENOENT:
        return "name not found";
    case -ENETUNREACH:
        return "no route to any of its addresses";
    case -EADDRNOTAVAIL:
        return "all its addresses are refused";
    case -ECHILD:
        return "the resolver cannot be started";
    case -EINVAL:
        return "the resolver's answer cannot be read";
    default:
        return "no name server answers";
    }
}

static void take_failure(struct egress_resolver *lookup, int name, int problem, int64_t now_ns)
{
    if (egress_names_failed(lookup->names, name, now_ns) > 1)
        return; /* logged before */
    const struct egress_name about = egress_names_get(lookup->names, name);
    log_warning("egress", "name=%s %s; %s; asked for again", about.host,
                egress_resolver_explain(problem),
                about.is_known ? "its earlier addresses stay" : "it cannot be reached");
}

static void egress_resolver_take_answer(struct egress_resolver *lookup, int name,
                                        const struct ip_network *hosts, size_t n, int64_t now_ns)
{
    const struct egress_name about = egress_names_get(lookup->names, name);
    if (about.failures > 0)
        log_info("egress", "name=%s is found", about.host);
    if (!egress_names_answered(lookup->names, name, hosts, n, now_ns))
        return;
    record_change(lookup, about.host, hosts, n, now_ns);
    lookup->push_ns = now_ns;
}

/* What follows is done by the timer, at once. */
static void wake(struct egress_resolver *lookup)
{
    (void)sd_event_source_set_time_relative(lookup->timer, 0);
    (void)sd_event_source_set_enabled(lookup->timer, SD_EVENT_ONESHOT);
}

static void egress_resolver_on_answer(void *context, int code, const char *answer)
{
    struct question *question = context;
    struct egress_resolver *lookup = question->lookup;
    struct ip_network hosts[RESOLVE_MAX];
    int64_t now_ns = clock_mono_ns();
    int found = egress_resolver_read_answer(code, answer, hosts);
    size_t kept = found > 0 ? sift(lookup, question->name, hosts, (size_t)found, now_ns) : 0;
    if (kept > 0)
        egress_resolver_take_answer(lookup, question->name, hosts, kept, now_ns);
    else
        take_failure(lookup, question->name, found > 0 ? -EADDRNOTAVAIL : found, now_ns);
    wake(lookup);
}

static void egress_resolver_ask(struct egress_resolver *lookup, struct question *question, int name,
                                int64_t now_ns)
{
    question->name = name;
    question->deadline_ns = now_ns + RESOLVER_NS;
    const struct egress_name about = egress_names_get(lookup->names, name);
    if (resolver_ask(question->resolver, about.host, about.port) < 0)
        take_failure(lookup, name, -ECHILD, now_ns);
}

static void ask_for_all(struct egress_resolver *lookup, int64_t now_ns)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct question *question = &lookup->questions[i];
        int name = resolver_is_busy(question->resolver) ? -ENOENT
                                                        : egress_names_next(lookup->names, now_ns);
        if (name >= 0)
            egress_resolver_ask(lookup, question, name, now_ns);
    }
}

static void end_overdue(struct egress_resolver *lookup, int64_t now_ns)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct question *question = &lookup->questions[i];
        if (!resolver_is_busy(question->resolver) || question->deadline_ns > now_ns)
            continue;
        resolver_forget(question->resolver);
        take_failure(lookup, question->name, -ETIMEDOUT, now_ns);
    }
}

/* ---- The loop ---- */

static int64_t next_ns(const struct egress_resolver *lookup)
{
    bool is_full = true;
    int64_t next = min_i64(lookup->push_ns, lookup->dns_file_ns);
    for (size_t i = 0; i < AT_ONCE; i++) {
        const struct question *question = &lookup->questions[i];
        if (!resolver_is_busy(question->resolver))
            is_full = false;
        else
            next = min_i64(next, question->deadline_ns);
    }
    return is_full ? next : min_i64(next, egress_names_due_ns(lookup->names));
}

/* Leave for the name servers comes first: the resolvers will need it. */
static int egress_resolver_on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct egress_resolver *lookup = context;
    int64_t now_ns = clock_mono_ns();
    (void)usec;
    end_overdue(lookup, now_ns);
    if (lookup->dns_file_ns <= now_ns)
        look_for_dns(lookup, now_ns);
    if (lookup->push_ns <= now_ns)
        egress_resolver_push(lookup, now_ns);
    ask_for_all(lookup, now_ns);
    int64_t wait_ns = next_ns(lookup) - clock_mono_ns();
    int problem =
        sd_event_source_set_time_relative(source, wait_ns > 0 ? (uint64_t)wait_ns / 1000 + 1 : 0);
    return problem < 0 ? problem : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void egress_resolver_follow(struct egress_resolver *lookup, const struct netd_config *config)
{
    if (!lookup)
        return;
    int64_t now_ns = clock_mono_ns();
    for (size_t i = 0; i < AT_ONCE; i++)
        resolver_forget(lookup->questions[i].resolver);
    lookup->config = config;
    egress_names_follow(lookup->names, &config->firewall, now_ns);
    lookup->dns_file_ns = lookup->push_ns = now_ns;
    wake(lookup);
}

struct egress_resolver *egress_resolver_new(const struct netd_config *config,
                                            const struct tunnel_config *tunnel,
                                            struct firewall *firewall,
                                            const struct egress_resolver_hooks *hooks,
                                            sd_event *loop)
{
    struct egress_resolver *lookup = memory_zeroed(1, sizeof(*lookup));
    lookup->tunnel = tunnel;
    lookup->firewall = firewall;
    lookup->hooks = *hooks;
    lookup->loop = loop;
    journal_quota_init(&lookup->strangers, clock_mono_ns() / CLOCK_NS_PER_MS);
    lookup->names = egress_names_new();
    for (size_t i = 0; i < AT_ONCE; i++) {
        struct question *question = &lookup->questions[i];
        question->lookup = lookup;
        question->resolver = resolver_new(loop, egress_resolver_on_answer, question);
    }
    if (sd_event_add_time_relative(loop, &lookup->timer, CLOCK_MONOTONIC, 0, 1000,
                                   egress_resolver_on_timer, lookup) < 0)
        abort();
    egress_resolver_follow(lookup, config);
    return lookup;
}

struct egress_resolver *egress_resolver_free(struct egress_resolver *lookup)
{
    if (!lookup)
        return NULL;
    for (size_t i = 0; i < AT_ONCE; i++)
        resolver_free(lookup->questions[i].resolver);
    sd_event_source_disable_unref(lookup->timer);
    egress_names_free(lookup->names);
    free(lookup);
    return NULL;
}
