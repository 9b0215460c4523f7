/* Keeps the names of egress = "strict" resolved. */
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
#include "tunnel/os/privileged_child.h"
#include "tunnel/os/resolv_conf.h"
#include "tunnel/os/resolve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 4                          /* resolvers */
#define RESOLVER_NS (20 * CLOCK_NS_PER_S)  /* then it is killed */
#define DNS_FILE_NS (5 * CLOCK_NS_PER_S)   /* between two looks at resolv.conf */
#define PUSH_RETRY_NS (5 * CLOCK_NS_PER_S) /* when the kernel did not take the leases */

/* The second one lists whom systemd-resolved asks, when the first names only its own stub. */
static const char *const dns_files[] = {"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"};

struct resolver {
    struct egress_resolver *lookup;
    pid_t pid; /* 0: none */
    int watched, output;
    sd_event_source *ended;
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
    struct resolver resolvers[AT_ONCE];
    int64_t dns_file_ns, push_ns; /* when it is time again */
    bool is_dns_missing, is_push_failing;
    struct journal_quota strangers; /* lines of the journal */
};

/* ---- Telling ---- */

/* Whoever answers for a name can make it change all the time: that must not push the rest of the
 * journal out. */
static void record(struct egress_resolver *lookup, struct event *event, int64_t now_ns)
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
    record(lookup, &event, now_ns);
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
    record(lookup, &event, now_ns);
}

/* ---- What may be reached ---- */

static void push(struct egress_resolver *lookup, int64_t now_ns)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct egress_lease leases[EGRESS_NAMES_MAX_LEASES];
    size_t n = egress_names_leases(lookup->names, now_ns, leases);
    int result = firewall_set_egress(lookup->firewall, leases, n, &problem);
    if (result < 0 && !lookup->is_push_failing)
        log_error("egress", "the addresses cannot be let out: %s %s; tried again in 5 s",
                  strerror(-result), strbuf_text(&problem));
    lookup->is_push_failing = result < 0;
    lookup->push_ns =
        now_ns +
        (result < 0 ? PUSH_RETRY_NS : lookup->config->firewall.egress_lease_s * CLOCK_NS_PER_S / 2);
}

static const char *object(const struct egress_resolver *lookup, const struct ip_network *host)
{
    struct route route;
    bool is_routed = ip_network_is_unicast_host(host) && route_find(host, &route) == 0;
    return egress_policy_objection(host, is_routed ? &route : NULL, &lookup->config->firewall,
                                   lookup->tunnel);
}

/* ---- Name servers ---- */

/* Leaves out what needs no leave (a resolver on this machine) and what gets none. */
static size_t sift_dns(struct egress_resolver *lookup, struct ip_network *servers, size_t n,
                       int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!ip_network_is_unicast_host(&servers[i]))
            continue;
        const char *why = object(lookup, &servers[i]);
        if (!why)
            servers[kept++] = servers[i];
        else if (egress_names_refused(lookup->names, EGRESS_NAMES_DNS, &servers[i]))
            record_refusal(lookup, "dns", &servers[i], why, now_ns);
    }
    return kept;
}

static size_t read_dns_file(struct egress_resolver *lookup, const char *path,
                            struct ip_network *servers, int64_t now_ns)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (file_read(path, RESOLV_CONF_BYTES, &text) < 0)
        return 0;
    size_t n = resolv_conf_read(strbuf_text(&text), text.length, servers, NETD_MAX_DNS);
    return sift_dns(lookup, servers, n, now_ns);
}

static void look_for_dns(struct egress_resolver *lookup, int64_t now_ns)
{
    struct ip_network servers[NETD_MAX_DNS];
    size_t n = 0;
    for (size_t i = 0; n == 0 && i < ARRAY_LENGTH(dns_files); i++)
        n = read_dns_file(lookup, dns_files[i], servers, now_ns);
    lookup->dns_file_ns = now_ns + DNS_FILE_NS;
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

static void forget(struct resolver *resolver)
{
    resolver->ended = sd_event_source_disable_unref(resolver->ended);
    if (resolver->pid > 0) {
        (void)kill(resolver->pid, SIGKILL);
        while (waitpid(resolver->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    resolver->pid = 0;
    descriptor_close(&resolver->watched);
    descriptor_close(&resolver->output);
}

/* Reads what it found and ends it; the number of addresses, or why there are none. */
static int take_result(struct resolver *resolver, struct ip_network hosts[RESOLVE_MAX])
{
    char text[RESOLVE_ANSWER_BYTES];
    int status = 0;
    ssize_t got = read(resolver->output, text, sizeof(text) - 1);
    text[got > 0 ? got : 0] = '\0';
    pid_t pid = resolver->pid;
    resolver->pid = 0;
    int code = waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    forget(resolver);
    if (code == RESOLVE_NO_NAME)
        return -ENOENT;
    if (code == RESOLVE_NO_ROUTE)
        return -ENETUNREACH;
    if (code != RESOLVE_DONE)
        return -ETIMEDOUT;
    return resolve_read(text, hosts);
}

static size_t sift(struct egress_resolver *lookup, int name, struct ip_network *hosts, size_t n,
                   int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const char *why = object(lookup, &hosts[i]);
        if (!why)
            hosts[kept++] = hosts[i];
        else if (egress_names_refused(lookup->names, name, &hosts[i]))
            record_refusal(lookup, egress_names_host(lookup->names, name), &hosts[i], why, now_ns);
    }
    return kept;
}

static const char *explain(int problem)
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
        return; /* told before */
    log_warning("egress", "name=%s %s; %s; asked for again", egress_names_host(lookup->names, name),
                explain(problem),
                egress_names_is_known(lookup->names, name) ? "what it had stays"
                                                           : "it cannot be reached");
}

static void take_answer(struct egress_resolver *lookup, int name, const struct ip_network *hosts,
                        size_t n, int64_t now_ns)
{
    const char *host = egress_names_host(lookup->names, name);
    if (egress_names_failures(lookup->names, name) > 0)
        log_info("egress", "name=%s is found", host);
    if (!egress_names_answered(lookup->names, name, hosts, n, now_ns))
        return;
    record_change(lookup, host, hosts, n, now_ns);
    lookup->push_ns = now_ns;
}

/* What follows is done by the timer, at once. */
static void wake(struct egress_resolver *lookup)
{
    (void)sd_event_source_set_time_relative(lookup->timer, 0);
    (void)sd_event_source_set_enabled(lookup->timer, SD_EVENT_ONESHOT);
}

static int on_ended(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct resolver *resolver = context;
    struct egress_resolver *lookup = resolver->lookup;
    struct ip_network hosts[RESOLVE_MAX];
    int64_t now_ns = clock_mono_ns();
    (void)source, (void)descriptor, (void)events;
    int found = take_result(resolver, hosts);
    size_t kept = found > 0 ? sift(lookup, resolver->name, hosts, (size_t)found, now_ns) : 0;
    if (kept > 0)
        take_answer(lookup, resolver->name, hosts, kept, now_ns);
    else
        take_failure(lookup, resolver->name, found > 0 ? -EADDRNOTAVAIL : found, now_ns);
    wake(lookup);
    return 0;
}

static void start_resolver(struct egress_resolver *lookup, struct resolver *resolver, int name,
                           int64_t now_ns)
{
    char port[8];
    const char *const arguments[] = {"/proc/self/exe", "--resolve",
                                     egress_names_host(lookup->names, name), port, NULL};
    (void)snprintf(port, sizeof(port), "%u", egress_names_port(lookup->names, name));
    resolver->name = name;
    resolver->deadline_ns = now_ns + RESOLVER_NS;
    resolver->watched = privileged_child_start(arguments, false, &resolver->output, &resolver->pid);
    if (resolver->watched >= 0 && sd_event_add_io(lookup->loop, &resolver->ended, resolver->watched,
                                                  EPOLLIN, on_ended, resolver) >= 0)
        return;
    forget(resolver);
    take_failure(lookup, name, -ECHILD, now_ns);
}

static void start_resolvers(struct egress_resolver *lookup, int64_t now_ns)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        int name =
            lookup->resolvers[i].pid == 0 ? egress_names_next(lookup->names, now_ns) : -ENOENT;
        if (name >= 0)
            start_resolver(lookup, &lookup->resolvers[i], name, now_ns);
    }
}

/* on_ended() follows, as for one that ended by itself. */
static void kill_overdue(struct egress_resolver *lookup, int64_t now_ns)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        if (lookup->resolvers[i].pid > 0 && lookup->resolvers[i].deadline_ns <= now_ns)
            (void)kill(lookup->resolvers[i].pid, SIGKILL);
    }
}

/* ---- The loop ---- */

static int64_t next_ns(const struct egress_resolver *lookup, int64_t now_ns)
{
    bool is_full = true;
    int64_t next = lookup->push_ns;
    if (!lookup->config->firewall.dns_is_fixed)
        next = min_i64(next, lookup->dns_file_ns);
    for (size_t i = 0; i < AT_ONCE; i++) {
        const struct resolver *resolver = &lookup->resolvers[i];
        if (resolver->pid == 0)
            is_full = false;
        else if (resolver->deadline_ns > now_ns) /* else it is dead, and on_ended() on its way */
            next = min_i64(next, resolver->deadline_ns);
    }
    return is_full ? next : min_i64(next, egress_names_due_ns(lookup->names));
}

/* Leave for the name servers comes first: the resolvers will need it. */
static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct egress_resolver *lookup = context;
    int64_t now_ns = clock_mono_ns();
    (void)usec;
    if (lookup->config->firewall.egress != EGRESS_STRICT)
        return 0;
    kill_overdue(lookup, now_ns);
    if (!lookup->config->firewall.dns_is_fixed && lookup->dns_file_ns <= now_ns)
        look_for_dns(lookup, now_ns);
    if (lookup->push_ns <= now_ns)
        push(lookup, now_ns);
    start_resolvers(lookup, now_ns);
    int64_t wait_ns = next_ns(lookup, now_ns) - clock_mono_ns();
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
        forget(&lookup->resolvers[i]);
    lookup->config = config;
    if (config->firewall.egress == EGRESS_STRICT) /* answers outlast a trial of "open" */
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
    for (size_t i = 0; i < AT_ONCE; i++)
        lookup->resolvers[i] = (struct resolver){.lookup = lookup, .watched = -1, .output = -1};
    if (sd_event_add_time_relative(loop, &lookup->timer, CLOCK_MONOTONIC, 0, 1000, on_timer,
                                   lookup) < 0)
        abort();
    egress_resolver_follow(lookup, config);
    return lookup;
}

struct egress_resolver *egress_resolver_free(struct egress_resolver *lookup)
{
    if (!lookup)
        return NULL;
    for (size_t i = 0; i < AT_ONCE; i++)
        forget(&lookup->resolvers[i]);
    sd_event_source_disable_unref(lookup->timer);
    egress_names_free(lookup->names);
    free(lookup);
    return NULL;
}
