/* What is known of the names of egress = "strict" and of the agent. */
#include "tunnel/egress/egress_names.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DNS_PORT 53
#define FIRST_RETRY_NS (2 * CLOCK_NS_PER_S)
#define LONGEST_RETRY_NS (150 * CLOCK_NS_PER_S)
#define MAX_DOUBLINGS 8 /* which is beyond the longest */

static_assert(EGRESS_NAMES_MAX_LEASES + 64 <= FIREWALL_MAX_EGRESS, "the hub's need room as well");

struct known {
    struct ip_network address;
    int64_t seen_ns; /* when an answer had it last */
    bool is_current; /* in the last good answer */
};

struct name_answer {
    struct known known[EGRESS_NAMES_ADDRESSES];
    size_t n;
};

/* What was refused last. */
struct refused {
    struct ip_network addresses[EGRESS_NAMES_ADDRESSES]; /* a ring */
    size_t n;                                            /* ever */
};

struct name {
    struct firewall_name wanted;
    struct name_answer answer;
    int64_t due_ns;
    unsigned failures; /* since the last answer */
    bool is_asked;
    struct refused refused;
};

struct egress_names {
    struct name list[NETD_MAX_NAMES + NETD_MAX_REACH_NAMES];
    size_t n;
    struct name_answer dns, local_dns;
    struct refused refused_dns;
    int64_t lease_ns;
    bool is_strict, is_bound; /* for whom: the whole gateway; an agent that is bound */
};

struct egress_names *egress_names_new(void)
{
    return memory_zeroed(1, sizeof(struct egress_names));
}

struct egress_names *egress_names_free(struct egress_names *names)
{
    free(names);
    return NULL;
}

/* ---- One answer ---- */

static struct known *egress_names_find(struct name_answer *answer, const struct ip_network *address)
{
    for (size_t i = 0; i < answer->n; i++) {
        if (ip_network_equal(&answer->known[i].address, address))
            return &answer->known[i];
    }
    return NULL;
}

static bool is_among(const struct ip_network *addresses, size_t n, const struct ip_network *address)
{
    for (size_t i = 0; i < n; i++) {
        if (ip_network_equal(&addresses[i], address))
            return true;
    }
    return false;
}

static size_t count_current(const struct name_answer *answer)
{
    size_t count = 0;
    for (size_t i = 0; i < answer->n; i++)
        count += answer->known[i].is_current;
    return count;
}

/* A place for one more: a free one, or that of the one that was seen longest ago. */
static struct known *egress_names_make_room(struct name_answer *answer)
{
    struct known *oldest = &answer->known[0];
    if (answer->n < EGRESS_NAMES_ADDRESSES)
        return &answer->known[answer->n++];
    for (size_t i = 1; i < answer->n; i++) {
        if (answer->known[i].seen_ns < oldest->seen_ns)
            oldest = &answer->known[i];
    }
    return oldest;
}

static int64_t hold_ns(const struct egress_names *names)
{
    return names->lease_ns + names->lease_ns / 5;
}

static void drop_expired(const struct egress_names *names, struct name_answer *answer,
                         int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < answer->n; i++) {
        const struct known *known = &answer->known[i];
        if (known->is_current || known->seen_ns + hold_ns(names) > now_ns)
            answer->known[kept++] = *known;
    }
    answer->n = kept;
}

static bool egress_names_take(const struct egress_names *names, struct name_answer *answer,
                              const struct ip_network *addresses, size_t n, int64_t now_ns)
{
    size_t before = count_current(answer), same = 0;
    if (n > EGRESS_NAMES_ADDRESSES)
        n = EGRESS_NAMES_ADDRESSES;
    for (size_t i = 0; i < answer->n; i++) {
        same += answer->known[i].is_current && is_among(addresses, n, &answer->known[i].address);
        answer->known[i].is_current = false;
    }
    drop_expired(names, answer, now_ns);
    for (size_t i = 0; i < n; i++) {
        struct known *known = egress_names_find(answer, &addresses[i]);
        if (!known)
            known = egress_names_make_room(answer);
        *known = (struct known){addresses[i], now_ns, true};
    }
    return same != before || count_current(answer) != before;
}

static size_t egress_names_add_leases(const struct egress_names *names,
                                      const struct name_answer *answer,
                                      const struct egress_lease *place, int64_t now_ns,
                                      struct egress_lease *leases)
{
    size_t count = 0;
    for (size_t i = 0; i < answer->n; i++) {
        const struct known *known = &answer->known[i];
        int64_t from_ns = known->is_current ? now_ns : known->seen_ns;
        int64_t left_ms = (from_ns + hold_ns(names) - now_ns) / CLOCK_NS_PER_MS;
        if (left_ms <= 0)
            continue;
        leases[count] = *place;
        leases[count].destination = known->address;
        leases[count++].remaining_ms = left_ms;
    }
    return count;
}

/* ---- All of them ---- */

static const struct name *find_name(const struct name *list, size_t n,
                                    const struct firewall_name *wanted)
{
    for (size_t i = 0; i < n; i++) {
        const struct firewall_name *known = &list[i].wanted;
        if (known->protocol == wanted->protocol && known->port == wanted->port &&
            known->side == wanted->side && known->is_agents == wanted->is_agents &&
            strcmp(known->host, wanted->host) == 0)
            return &list[i];
    }
    return NULL;
}

static bool is_for_all(const struct egress_names *names, const struct firewall_name *wanted)
{
    return names->is_strict && !wanted->is_agents;
}

static bool is_for_agent(const struct egress_names *names, const struct firewall_name *wanted)
{
    return names->is_bound && !wanted->is_time;
}

static bool is_needed(const struct egress_names *names, const struct firewall_name *wanted)
{
    return is_for_all(names, wanted) || is_for_agent(names, wanted);
}

static void egress_names_follow_one(struct egress_names *names, const struct egress_names *before,
                                    const struct firewall_name *wanted, int64_t now_ns)
{
    struct name *it = &names->list[names->n++];
    const struct name *known = find_name(before->list, before->n, wanted);
    if (known)
        *it = *known;
    it->wanted = *wanted;
    it->is_asked = false;
    it->due_ns = is_needed(names, wanted) ? now_ns : INT64_MAX; /* its answer outlasts a trial */
}

void egress_names_follow(struct egress_names *names, const struct firewall_config *config,
                         int64_t now_ns)
{
    const struct egress_names before = *names;
    memset(names, 0, sizeof(*names));
    names->lease_ns = config->egress_lease_s * CLOCK_NS_PER_S;
    names->is_strict = config->egress == EGRESS_STRICT;
    names->is_bound = config->agent.is_bound;
    if (!config->dns_is_fixed)
        names->dns = before.dns;
    names->local_dns = before.local_dns;
    names->refused_dns = before.refused_dns;
    for (size_t i = 0; i < config->n_names; i++)
        egress_names_follow_one(names, &before, &config->names[i], now_ns);
}

int egress_names_next(struct egress_names *names, int64_t now_ns)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->list[i].is_asked || names->list[i].due_ns > now_ns)
            continue;
        names->list[i].is_asked = true;
        return (int)i;
    }
    return -ENOENT;
}

struct egress_name egress_names_get(const struct egress_names *names, int name)
{
    const struct name *known = &names->list[name];
    return (struct egress_name){.host = known->wanted.host,
                                .port = known->wanted.port,
                                .side = known->wanted.side,
                                .is_known = known->answer.n > 0,
                                .failures = known->failures};
}

int64_t egress_names_due_ns(const struct egress_names *names)
{
    int64_t due_ns = INT64_MAX;
    for (size_t i = 0; i < names->n; i++) {
        if (!names->list[i].is_asked && names->list[i].due_ns < due_ns)
            due_ns = names->list[i].due_ns;
    }
    return due_ns;
}

void egress_names_hurry(struct egress_names *names, int64_t now_ns)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->list[i].failures > 0 && is_needed(names, &names->list[i].wanted))
            names->list[i].due_ns = now_ns;
    }
}

bool egress_names_answered(struct egress_names *names, int name, const struct ip_network *addresses,
                           size_t n, int64_t now_ns)
{
    struct name *it = &names->list[name];
    it->is_asked = false;
    it->failures = 0;
    it->due_ns = now_ns + names->lease_ns / 2;
    return egress_names_take(names, &it->answer, addresses, n, now_ns);
}

unsigned egress_names_failed(struct egress_names *names, int name, int64_t now_ns)
{
    struct name *it = &names->list[name];
    unsigned doublings = it->failures < MAX_DOUBLINGS ? it->failures : MAX_DOUBLINGS;
    int64_t wait_ns = FIRST_RETRY_NS << doublings;
    it->is_asked = false;
    it->due_ns = now_ns + (wait_ns < LONGEST_RETRY_NS ? wait_ns : LONGEST_RETRY_NS);
    return ++it->failures;
}

bool egress_names_refused(struct egress_names *names, int name, const struct ip_network *address)
{
    struct refused *refused =
        name == EGRESS_NAMES_DNS ? &names->refused_dns : &names->list[name].refused;
    size_t n = refused->n < EGRESS_NAMES_ADDRESSES ? refused->n : EGRESS_NAMES_ADDRESSES;
    if (is_among(refused->addresses, n, address))
        return false;
    refused->addresses[refused->n++ % EGRESS_NAMES_ADDRESSES] = *address;
    return true;
}

bool egress_names_have_dns(struct egress_names *names, const struct ip_network *servers, size_t n,
                           int64_t now_ns)
{
    return egress_names_take(names, &names->dns, servers, n, now_ns);
}

bool egress_names_have_local_dns(struct egress_names *names, const struct ip_network *servers,
                                 size_t n, int64_t now_ns)
{
    return egress_names_take(names, &names->local_dns, servers, n, now_ns);
}

static size_t add_dns(const struct egress_names *names, const struct name_answer *servers,
                      bool is_agents, int64_t now_ns, struct egress_lease *leases)
{
    const struct egress_lease udp = {
        .protocol = IPPROTO_UDP, .port = DNS_PORT, .is_agents = is_agents};
    const struct egress_lease tcp = {
        .protocol = IPPROTO_TCP, .port = DNS_PORT, .is_agents = is_agents};
    size_t n = egress_names_add_leases(names, servers, &udp, now_ns, leases);
    return n + egress_names_add_leases(names, servers, &tcp, now_ns, leases + n);
}

static size_t add_name(const struct egress_names *names, const struct name *name, int64_t now_ns,
                       struct egress_lease *leases)
{
    const struct firewall_name *wanted = &name->wanted;
    struct egress_lease place = {.protocol = wanted->protocol, .port = wanted->port};
    size_t n = 0;
    if (is_for_all(names, wanted))
        n += egress_names_add_leases(names, &name->answer, &place, now_ns, leases);
    place.is_agents = true;
    if (is_for_agent(names, wanted))
        n += egress_names_add_leases(names, &name->answer, &place, now_ns, leases + n);
    return n;
}

size_t egress_names_leases(const struct egress_names *names, int64_t now_ns,
                           struct egress_lease leases[EGRESS_NAMES_MAX_LEASES])
{
    size_t n = add_dns(names, &names->local_dns, true, now_ns, leases);
    if (names->is_strict)
        n += add_dns(names, &names->dns, false, now_ns, leases + n);
    if (names->is_bound)
        n += add_dns(names, &names->dns, true, now_ns, leases + n);
    for (size_t i = 0; i < names->n; i++)
        n += add_name(names, &names->list[i], now_ns, leases + n);
    return n;
}
