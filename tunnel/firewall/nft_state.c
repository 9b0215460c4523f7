/* What is loaded: our table in the kernel, and what it must look like. */
#include "tunnel/firewall/nft_state.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/firewall/nft_listing.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/os/netlink.h"
#include "tunnel/os/user.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 8
#define OWN_GENERATIONS 64
#define SLACK_MS 500 /* what clocks and timers of the kernel may be off */

const char *const nft_state_verdict_names[] = {"as-loaded",     "missing",    "changed",
                                               "lease-widened", "lease-lost", NULL};

/* When an element ends: the kernel began to count somewhere between two moments. */
struct deadline {
    int64_t earliest_ns, latest_ns;
};

struct nft_state {
    int socket;
    uint32_t generation; /* the last at which everything was right */
    uint32_t own[OWN_GENERATIONS];
    size_t n_own;
    bool is_loaded;
    const struct netd_config *config; /* as last loaded */
    uid_t agent;                      /* whom the rules bind; 0: nobody */
    char hash[SHA256_HEX_BYTES];
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    struct deadline lease_deadlines[FIREWALL_MAX_LEASES];
    size_t n_leases;
    struct egress_lease egress[FIREWALL_MAX_EGRESS];
    struct deadline egress_deadlines[FIREWALL_MAX_EGRESS];
    size_t n_egress;
    uint64_t packets[COUNTER_COUNT]; /* of tables that are gone */
    uint64_t last[COUNTER_COUNT];    /* of the present one, as last read */
};

int nft_state_new(struct nft_state **ret_rules)
{
    int socket = netlink_open(NETLINK_NETFILTER, 0);
    if (socket < 0)
        return socket;
    struct nft_state *rules = memory_zeroed(1, sizeof(*rules));
    rules->socket = socket;
    *ret_rules = rules;
    return 0;
}

struct nft_state *nft_state_free(struct nft_state *rules)
{
    if (rules)
        descriptor_close(&rules->socket);
    free(rules);
    return NULL;
}

static int64_t left_ms(const struct deadline *deadline, int64_t now_ns)
{
    int64_t left = (deadline->earliest_ns - now_ns) / CLOCK_NS_PER_MS;
    return left > 0 ? left : 0;
}

size_t nft_state_leases(const struct nft_state *rules, struct firewall_lease_state *leases,
                        size_t room)
{
    int64_t now_ns = clock_mono_ns();
    size_t n = rules->n_leases < room ? rules->n_leases : room;
    for (size_t i = 0; i < n; i++) {
        leases[i] = rules->leases[i];
        leases[i].remaining_ms = left_ms(&rules->lease_deadlines[i], now_ns);
    }
    return n;
}

size_t nft_state_egress(const struct nft_state *rules, struct egress_lease *egress, size_t room)
{
    int64_t now_ns = clock_mono_ns();
    size_t n = rules->n_egress < room ? rules->n_egress : room;
    for (size_t i = 0; i < n; i++) {
        egress[i] = rules->egress[i];
        egress[i].remaining_ms = left_ms(&rules->egress_deadlines[i], now_ns);
    }
    return n;
}

/* ---- Generations ---- */

static void note_own(struct nft_state *rules, uint32_t generation)
{
    rules->own[rules->n_own++ % OWN_GENERATIONS] = generation;
}

bool nft_state_is_own(const struct nft_state *rules, uint32_t generation)
{
    size_t n = rules->n_own < OWN_GENERATIONS ? rules->n_own : OWN_GENERATIONS;
    for (size_t i = 0; i < n; i++) {
        if (rules->own[i] == generation)
            return true;
    }
    return false;
}

bool nft_state_is_current(struct nft_state *rules)
{
    uint32_t generation;
    return rules->is_loaded && nft_run_generation(rules->socket, &generation) == 0 &&
           generation == rules->generation;
}

void nft_state_doubt(struct nft_state *rules)
{
    rules->generation = 0; /* which the kernel leaves out when it counts */
}

/*
 * Loads TEXT. *RET_BEFORE is the generation just before; *RET_ALONE tells that no other
 * transaction than ours happened meanwhile.
 */
static int transact(struct nft_state *rules, const char *text, uint32_t *ret_before,
                    bool *ret_alone, struct strbuf *problem)
{
    uint32_t before, after;
    int result = nft_run_generation(rules->socket, &before);
    if (result < 0) {
        strbuf_addf(problem, "the kernel's nftables do not answer: %s", strerror(-result));
        return result;
    }
    result = nft_run_load(text, problem);
    if (result < 0)
        return result;
    result = nft_run_generation(rules->socket, &after);
    if (result < 0)
        return result;
    *ret_before = before;
    *ret_alone = after == before + 1;
    if (*ret_alone)
        note_own(rules, after);
    return 0;
}

/* ---- Reading ---- */

int nft_state_list(struct nft_state *rules, struct nft_listing *ret_listing, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    int result = nft_run_list_table(FIREWALL_TABLE, &text, problem);
    if (result < 0)
        return result;
    result = nft_listing_read(strbuf_text(&text), ret_listing);
    if (result < 0)
        return result;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        if (ret_listing->packets[i] < rules->last[i]) /* another table than the last time */
            rules->packets[i] += rules->last[i];
        rules->last[i] = ret_listing->packets[i];
    }
    return 0;
}

void nft_state_counters(const struct nft_state *rules, uint64_t ret_packets[COUNTER_COUNT])
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        ret_packets[i] = rules->packets[i] + rules->last[i];
}

struct nft_loaded nft_state_loaded(const struct nft_state *rules)
{
    return (struct nft_loaded){.config = rules->config, .agent = rules->agent};
}

const char *nft_state_hash(const struct nft_state *rules)
{
    return rules->hash;
}

/* ---- Comparing ---- */

static const struct firewall_lease_state *find_lease(const struct firewall_lease_state *leases,
                                                     size_t n, const struct firewall_lease *lease)
{
    for (size_t i = 0; i < n; i++) {
        if (firewall_lease_equal(&leases[i].lease, lease))
            return &leases[i];
    }
    return NULL;
}

static const struct egress_lease *find_egress(const struct egress_lease *egress, size_t n,
                                              const struct egress_lease *wanted)
{
    for (size_t i = 0; i < n; i++) {
        if (egress_lease_equal(&egress[i], wanted))
            return &egress[i];
    }
    return NULL;
}

static bool is_longer(int64_t remaining_ms, const struct deadline *deadline, int64_t now_ns)
{
    return remaining_ms > (deadline->latest_ns - now_ns) / CLOCK_NS_PER_MS + SLACK_MS;
}

static bool is_due(const struct deadline *deadline, int64_t now_ns)
{
    return deadline->earliest_ns - now_ns <= SLACK_MS * CLOCK_NS_PER_MS;
}

/* BEFORE_NS: from before the listing was made, so that no element seems to have too much time. */
static enum nft_state_verdict compare_leases(const struct nft_state *rules,
                                             const struct nft_listing *listing, int64_t before_ns,
                                             int64_t after_ns)
{
    for (size_t i = 0; i < listing->n_leases; i++) {
        const struct firewall_lease_state *known =
            find_lease(rules->leases, rules->n_leases, &listing->leases[i].lease);
        if (!known || is_longer(listing->leases[i].remaining_ms,
                                &rules->lease_deadlines[known - rules->leases], before_ns))
            return NFT_STATE_LEASE_WIDENED;
    }
    for (size_t i = 0; i < rules->n_leases; i++) {
        if (!is_due(&rules->lease_deadlines[i], after_ns) &&
            !find_lease(listing->leases, listing->n_leases, &rules->leases[i].lease))
            return NFT_STATE_LEASE_LOST;
    }
    return NFT_STATE_AS_LOADED;
}

static enum nft_state_verdict compare_egress(const struct nft_state *rules,
                                             const struct nft_listing *listing, int64_t before_ns,
                                             int64_t after_ns)
{
    for (size_t i = 0; i < listing->n_egress; i++) {
        const struct egress_lease *known =
            find_egress(rules->egress, rules->n_egress, &listing->egress[i]);
        if (!known || is_longer(listing->egress[i].remaining_ms,
                                &rules->egress_deadlines[known - rules->egress], before_ns))
            return NFT_STATE_LEASE_WIDENED;
    }
    for (size_t i = 0; i < rules->n_egress; i++) {
        if (!is_due(&rules->egress_deadlines[i], after_ns) &&
            !find_egress(listing->egress, listing->n_egress, &rules->egress[i]))
            return NFT_STATE_LEASE_LOST;
    }
    return NFT_STATE_AS_LOADED;
}

static enum nft_state_verdict nft_state_compare(const struct nft_state *rules,
                                                const struct nft_listing *listing,
                                                int64_t before_ns, int64_t after_ns)
{
    if (!rules->is_loaded || strcmp(rules->hash, listing->hash) != 0)
        return NFT_STATE_CHANGED;
    enum nft_state_verdict verdict = compare_leases(rules, listing, before_ns, after_ns);
    return verdict ? verdict : compare_egress(rules, listing, before_ns, after_ns);
}

int nft_state_check(struct nft_state *rules, enum nft_state_verdict *ret_verdict,
                    struct strbuf *problem)
{
    uint32_t before = 0, after;
    struct nft_listing listing;
    int result = nft_run_generation(rules->socket, &before);
    if (result < 0)
        return result;
    int64_t before_ns = clock_mono_ns();
    result = nft_state_list(rules, &listing, problem);
    if (result == -ENOENT || result == -EBADMSG || result == -E2BIG) {
        *ret_verdict = result == -ENOENT ? NFT_STATE_MISSING : NFT_STATE_CHANGED;
        return 0;
    }
    if (result < 0)
        return result;
    *ret_verdict = nft_state_compare(rules, &listing, before_ns, clock_mono_ns());
    /* Changed meanwhile: this much is right, and the next look will tell of the rest. */
    result = nft_run_generation(rules->socket, &after);
    if (result == 0 && *ret_verdict == NFT_STATE_AS_LOADED && after == before)
        rules->generation = after;
    return result;
}

/* ---- Loading ---- */

/* Drops what ran out, and takes over the byte counts of what is left. */
static void refresh_leases(struct nft_state *rules, const struct nft_listing *listing)
{
    int64_t now_ns = clock_mono_ns();
    size_t kept = 0;
    for (size_t i = 0; i < rules->n_leases; i++) {
        const struct firewall_lease_state *present =
            find_lease(listing->leases, listing->n_leases, &rules->leases[i].lease);
        if (!present || left_ms(&rules->lease_deadlines[i], now_ns) == 0)
            continue;
        rules->leases[kept] = *present;
        rules->lease_deadlines[kept++] = rules->lease_deadlines[i];
    }
    rules->n_leases = kept;
}

static void forget_session(struct nft_state *rules)
{
    size_t kept = 0;
    for (size_t i = 0; i < rules->n_egress; i++) {
        if (rules->egress[i].is_hub)
            continue;
        rules->egress[kept] = rules->egress[i];
        rules->egress_deadlines[kept++] = rules->egress_deadlines[i];
    }
    rules->n_egress = kept;
    rules->n_leases = 0;
}

/* Forgets the destinations for which there is no set any more. */
static void drop_without_set(struct nft_state *rules, const struct nft_text *ruleset)
{
    size_t kept = 0;
    for (size_t i = 0; i < rules->n_egress; i++) {
        if (!nft_text_has_set(ruleset, &rules->egress[i]))
            continue;
        rules->egress[kept] = rules->egress[i];
        rules->egress_deadlines[kept++] = rules->egress_deadlines[i];
    }
    rules->n_egress = kept;
}

/* One attempt: 1 when it is loaded and verified, 0 when others changed rules meanwhile. */
static int try_load(struct nft_state *rules, const struct netd_config *config,
                    struct strbuf *problem)
{
    uint32_t before = 0, after = 0;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    struct egress_lease egress[FIREWALL_MAX_EGRESS];
    struct nft_text ruleset = {
        .config = config,
        .leases = leases,
        .n_leases = nft_state_leases(rules, leases, ARRAY_LENGTH(leases)),
        .egress = egress,
        .n_egress = nft_state_egress(rules, egress, ARRAY_LENGTH(egress)),
    };
    ruleset.agent = user_find_agent(config->access.agent_user);
    nft_text_write(&ruleset, &text);
    int64_t before_ns = clock_mono_ns();
    bool alone = false;
    int result = transact(rules, strbuf_text(&text), &before, &alone, problem);
    if (result < 0)
        return result;
    rules->config = config;
    rules->agent = ruleset.agent;
    drop_without_set(rules, &ruleset);
    int64_t spent_ns = clock_mono_ns() - before_ns;
    for (size_t i = 0; i < rules->n_leases; i++)
        rules->lease_deadlines[i].latest_ns += spent_ns;
    for (size_t i = 0; i < rules->n_egress; i++)
        rules->egress_deadlines[i].latest_ns += spent_ns;
    struct nft_listing listing;
    result = nft_state_list(rules, &listing, problem);
    if (result == 0)
        result = nft_run_generation(rules->socket, &after);
    if (result < 0 || !alone || after != before + 1)
        return result;
    memcpy(rules->hash, listing.hash, sizeof(rules->hash));
    rules->generation = after;
    rules->is_loaded = true;
    return 1;
}

int nft_state_load(struct nft_state *rules, const struct netd_config *config, bool keep,
                   struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf ignored = STRBUF_EMPTY;
    struct nft_listing listing = {0};
    (void)nft_state_list(rules, &listing, &ignored); /* for the counts; there may be no table yet */
    if (keep)
        refresh_leases(rules, &listing);
    else
        forget_session(rules);
    for (unsigned i = 0; i < TRIES; i++) {
        int result = try_load(rules, config, problem);
        if (result != 0)
            return result < 0 ? result : 0;
    }
    strbuf_add(problem, "other programs keep changing the ruleset");
    return -EAGAIN;
}

/* ---- Leases ---- */

static struct deadline deadline_in(int64_t remaining_ms, int64_t before_ns, int64_t after_ns)
{
    return (struct deadline){.earliest_ns = before_ns + remaining_ms * CLOCK_NS_PER_MS,
                             .latest_ns = after_ns + remaining_ms * CLOCK_NS_PER_MS};
}

/* Loads the change of sets in TEXT; the rules stay known to be right unless another program changed
 * something meanwhile. */
static int change_sets(struct nft_state *rules, const char *text, struct strbuf *problem)
{
    uint32_t before;
    bool alone;
    int result = transact(rules, text, &before, &alone, problem);
    if (result == 0 && alone && before == rules->generation)
        rules->generation = before + 1;
    return result;
}

int nft_state_set_leases(struct nft_state *rules, const struct firewall_lease_state *leases,
                         size_t n_leases, struct strbuf *problem)
{
    assert(n_leases <= FIREWALL_MAX_LEASES);
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    nft_text_write_leases(leases, n_leases, &text);
    int64_t before_ns = clock_mono_ns();
    int result = change_sets(rules, strbuf_text(&text), problem);
    if (result < 0)
        return result;
    int64_t after_ns = clock_mono_ns();
    rules->n_leases = 0;
    for (size_t i = 0; i < n_leases; i++) {
        if (leases[i].remaining_ms <= 0 || nft_text_is_covered(leases, n_leases, i))
            continue;
        rules->lease_deadlines[rules->n_leases] =
            deadline_in(leases[i].remaining_ms, before_ns, after_ns);
        rules->leases[rules->n_leases++] = leases[i];
    }
    return 0;
}

int nft_state_set_egress(struct nft_state *rules, const struct egress_lease *egress,
                         size_t n_egress, struct strbuf *problem)
{
    assert(n_egress <= FIREWALL_MAX_EGRESS);
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const struct nft_text ruleset = {
        .config = rules->config, .agent = rules->agent, .egress = egress, .n_egress = n_egress};
    nft_text_write_egress(&ruleset, &text);
    int64_t before_ns = clock_mono_ns();
    int result = change_sets(rules, strbuf_text(&text), problem);
    if (result < 0)
        return result;
    int64_t after_ns = clock_mono_ns();
    rules->n_egress = 0;
    for (size_t i = 0; i < n_egress; i++) {
        if (egress[i].remaining_ms <= 0 || !nft_text_has_set(&ruleset, &egress[i]))
            continue;
        rules->egress_deadlines[rules->n_egress] =
            deadline_in(egress[i].remaining_ms, before_ns, after_ns);
        rules->egress[rules->n_egress++] = egress[i];
    }
    return 0;
}
