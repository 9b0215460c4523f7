/*
 * The running firewall: what is decided when rules are loaded, leases come and go, and somebody
 * else touches what is ours. rules.c does it, tamper.c notices, this file decides.
 *
 * Tampering closes: our table comes back without any lease, in one transaction, and no lease is
 * given before somebody on site has acknowledged. However often that happens, the repair comes at
 * once: a pause would leave the machine open for just as long. What becomes rare from the third
 * repair within a minute on is what is written and published about it; and a repair then waits for
 * as long as the last one took, so that a quarrel leaves time for everything else.
 */
#include "tunnel/firewall/firewall.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/config/exposure.h"
#include "tunnel/firewall/conntrack.h"
#include "tunnel/firewall/forwarding.h"
#include "tunnel/firewall/nft_listing.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/firewall/nft_state.h"
#include "tunnel/firewall/tamper.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_US UINT64_C(1000000)
#define SETTLE_US UINT64_C(100000) /* one look for a burst of changes */
#define FIGHT_REPAIRS 3
#define FIGHT_WITHIN_NS (60 * CLOCK_NS_PER_S)
#define FIGHT_TELL_NS (600 * CLOCK_NS_PER_S)

struct firewall {
    const struct netd_config *config, *before_try;
    const struct tunnel_config *tunnel; /* as at the start: what leases are given for */
    struct firewall_hooks hooks;
    struct nft_state *rules;
    struct tamper *tamper;
    sd_event_source *events, *settled, *tick;
    bool is_loaded, is_tampered, is_fighting, is_unrepaired;
    uint32_t repairs;
    int64_t repaired_ns[FIGHT_REPAIRS]; /* a ring */
    int64_t repair_ns;                  /* so long the last one took */
    int64_t told_ns;                    /* when the hooks were called */
    unsigned tunnel_index;              /* of our interface; 0: none */
    int32_t changed_by_pid;
    char changed_by[32], problem[160];
    struct strbuf exposure, told_exposure; /* of the interfaces, for a person; empty: none */
};

struct firewall *firewall_new(const struct netd_config *config, const struct firewall_hooks *hooks)
{
    struct firewall *firewall = memory_zeroed(1, sizeof(*firewall));
    firewall->config = config;
    firewall->tunnel = &config->tunnel;
    if (hooks)
        firewall->hooks = *hooks;
    return firewall;
}

struct firewall *firewall_free(struct firewall *firewall)
{
    if (!firewall)
        return NULL;
    sd_event_source_disable_unref(firewall->events);
    sd_event_source_disable_unref(firewall->settled);
    sd_event_source_disable_unref(firewall->tick);
    tamper_free(firewall->tamper);
    nft_state_free(firewall->rules);
    strbuf_free(&firewall->exposure);
    strbuf_free(&firewall->told_exposure);
    free(firewall);
    return NULL;
}

static void set_problem(struct firewall *firewall, const char *text)
{
    (void)snprintf(firewall->problem, sizeof(firewall->problem), "%s", text);
}

/* ---- Loading ---- */

/* What others began goes, but for what the present leases allow. */
static void cut_strangers(struct firewall *firewall, bool keep, bool is_open)
{
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    size_t n = keep ? nft_state_leases(firewall->rules, leases, ARRAY_LENGTH(leases)) : 0;
    n = firewall_leases_left(leases, n);
    int result = conntrack_cut(leases, n, is_open);
    if (result < 0 && !firewall->problem[0])
        (void)snprintf(firewall->problem, sizeof(firewall->problem),
                       "connections from before the rules cannot be removed: %s",
                       strerror(-result));
}

/*
 * As nft_state_load(). Connections of others are cut before, so that the new rules find none, and
 * after: until that moment the kernel may have followed more of them. IS_OPEN: ours were away.
 */
static int firewall_load(struct firewall *firewall, const struct netd_config *config, bool keep,
                         bool is_open, struct strbuf *problem)
{
    cut_strangers(firewall, keep, is_open);
    int result = nft_state_load(firewall->rules, config, keep, problem);
    cut_strangers(firewall, keep, is_open);
    return result;
}

/* When ours cannot be loaded. */
static void load_built_in(struct firewall *firewall, struct strbuf *problem)
{
    (void)nft_run_load(nft_text_built_in, problem);
    cut_strangers(firewall, false, true);
}

/* ---- Tampering ---- */

/*
 * How long the next look waits for more changes: not at all when our table was touched. Repairs may
 * take half of the time at most, so that whoever answers each does not keep this program from all
 * else.
 */
static uint64_t settle_us(const struct firewall *firewall)
{
    const struct nft_change *culprit = tamper_culprit(firewall->tamper);
    if (!culprit || !culprit->is_on_table)
        return SETTLE_US;
    return firewall->is_fighting ? (uint64_t)(firewall->repair_ns / CLOCK_NS_PER_US) : 0;
}

static void note_repair(struct firewall *firewall, int64_t now_ns)
{
    int64_t *slot = &firewall->repaired_ns[firewall->repairs % FIGHT_REPAIRS];
    *slot = now_ns;
    firewall->repairs++;
    int64_t first = firewall->repaired_ns[firewall->repairs % FIGHT_REPAIRS];
    if (firewall->repairs >= FIGHT_REPAIRS && now_ns - first < FIGHT_WITHIN_NS)
        firewall->is_fighting = true;
}

static void name_culprit(struct firewall *firewall, struct event *event)
{
    const struct nft_change *culprit = tamper_culprit(firewall->tamper);
    firewall->changed_by_pid = culprit ? culprit->pid : 0;
    (void)snprintf(firewall->changed_by, sizeof(firewall->changed_by), "%s",
                   culprit ? culprit->program : "");
    if (culprit) {
        event_add_number(event, MEMBER_PID, culprit->pid);
        event_add_text(event, MEMBER_PROGRAM, culprit->program);
    }
    tamper_forget(firewall->tamper);
}

/* Our rules cannot be loaded: what is there must open nothing, or the built-in rules replace it. */
static void shut_anyhow(struct firewall *firewall)
{
    CLEANUP(strbuf_free) struct strbuf ignored = STRBUF_EMPTY;
    if (nft_state_set_leases(firewall->rules, NULL, 0, &ignored) < 0)
        load_built_in(firewall, &ignored);
    nft_state_doubt(firewall->rules); /* tried again with every tick */
}

/* Everything that a session had goes, whatever is left of it. */
static int shut(struct firewall *firewall, struct strbuf *problem)
{
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    size_t n_leases = nft_state_leases(firewall->rules, leases, ARRAY_LENGTH(leases));
    int result = firewall_load(firewall, firewall->config, false, true, problem);
    if (result < 0)
        shut_anyhow(firewall);
    forwarding_stop(firewall->tunnel);
    (void)conntrack_forget(leases, n_leases); /* that packets stop does not depend on it */
    return result;
}

/* Loads ours again; returns 0 or a negative errno. */
static int repair(struct firewall *firewall, struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    int64_t before_ns = clock_mono_ns();
    int result = shut(firewall, &problem);
    firewall->repair_ns = clock_mono_ns() - before_ns;
    firewall->is_unrepaired = result < 0;
    if (result == 0) {
        note_repair(firewall, clock_mono_ns());
    } else {
        set_problem(firewall, strbuf_text(&problem));
        event_add_text(event, MEMBER_PROBLEM, firewall->problem);
    }
    return result;
}

static void firewall_tell(const struct firewall *firewall, firewall_hook *hook, struct event *event)
{
    event->time_ms = clock_wall_ms();
    if (hook)
        hook(firewall->hooks.context, event);
}

/* EVENT has what was found. Returns 0 when ours is loaded again, or a negative errno. */
static int react(struct firewall *firewall, struct event *event)
{
    bool was_fighting = firewall->is_fighting, was_unrepaired = firewall->is_unrepaired;
    name_culprit(firewall, event);
    firewall->is_tampered = true;
    set_problem(firewall, "rules, hooks, sysctls or tunnels were changed from outside");
    int result = repair(firewall, event);
    if (firewall->is_fighting && result == 0)
        set_problem(firewall, "another program keeps changing the rules; each change is undone");
    int64_t now_ns = clock_mono_ns();
    if ((was_fighting && now_ns - firewall->told_ns < FIGHT_TELL_NS) ||
        (was_unrepaired && result < 0))
        return result; /* told before */
    firewall->told_ns = now_ns;
    event_add_number(event, MEMBER_REPAIRS, firewall->repairs);
    firewall_tell(firewall, firewall->hooks.tampered, event);
    if (result == 0) {
        struct event repaired;
        event_init(&repaired, EVENT_FIREWALL_REPAIRED, 0);
        event_add_text(&repaired, MEMBER_RULESET, nft_state_hash(firewall->rules));
        firewall_tell(firewall, firewall->hooks.repaired, &repaired);
    }
    return result;
}

/* Our table against what it must be, and hooks at devices. Returns whether something was found. */
static int look_at_rules(struct firewall *firewall, struct event *event, struct strbuf *problem)
{
    enum nft_state_verdict verdict;
    int result = nft_state_check(firewall->rules, &verdict, problem);
    if (result < 0)
        return result;
    if (verdict != NFT_STATE_AS_LOADED)
        event_add_text(event, MEMBER_TABLE, nft_state_verdict_names[verdict]);
    result = tamper_look_at_hooks(firewall->tamper, event, problem);
    if (result < 0)
        nft_state_doubt(firewall->rules); /* looked at again with every tick */
    if (verdict != NFT_STATE_AS_LOADED)
        return 1; /* ours is mended whether or not the rest can be read */
    return result < 0 ? result : result > 0;
}

/* Returns 1 when something was not as it should be and now is, 0, or a negative errno. */
static int firewall_look(struct firewall *firewall, bool thorough)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct event event;
    int found = 0;
    event_init(&event, EVENT_FIREWALL_TAMPERED, 0);
    (void)tamper_take_events(firewall->tamper, firewall->rules);
    if (thorough || !nft_state_is_current(firewall->rules))
        found = look_at_rules(firewall, &event, &problem);
    if (found < 0) {
        set_problem(firewall, strbuf_text(&problem));
        return found;
    }
    if (tamper_look_at_machine(firewall->tamper, firewall->tunnel_index, &event) > 0)
        found = 1;
    if (found) {
        int result = react(firewall, &event);
        return result < 0 ? result : 1;
    }
    tamper_forget(firewall->tamper); /* changes that are no business of ours */
    return 0;
}

/* ---- Exposure ---- */

/* The interfaces as the last look found them. */
static void judge_interfaces(struct firewall *firewall)
{
    strbuf_reset(&firewall->exposure);
    (void)exposure_find(&firewall->config->firewall, tamper_links(firewall->tamper),
                        &firewall->exposure);
}

static void look_at_interfaces(struct firewall *firewall)
{
    struct event event;
    judge_interfaces(firewall);
    if (strcmp(strbuf_text(&firewall->exposure), strbuf_text(&firewall->told_exposure)) == 0)
        return;
    strbuf_reset(&firewall->told_exposure);
    strbuf_add(&firewall->told_exposure, strbuf_text(&firewall->exposure));
    event_init(&event,
               firewall->exposure.length ? EVENT_FIREWALL_EXPOSED : EVENT_FIREWALL_NOT_EXPOSED, 0);
    if (firewall->exposure.length)
        event_add_text(&event, MEMBER_PROBLEM, firewall->exposure.data);
    firewall_tell(firewall, firewall->hooks.exposed, &event);
}

/* ---- Loop ---- */

static int on_settled(sd_event_source *source, uint64_t usec, void *context)
{
    (void)source, (void)usec;
    (void)firewall_look(context, false);
    return 0;
}

/* Looks soon, once for many events, and never later because more are coming. */
static int on_events(sd_event_source *source, int descriptor, uint32_t revents, void *context)
{
    (void)source, (void)descriptor, (void)revents;
    struct firewall *firewall = context;
    int enabled = SD_EVENT_OFF;
    uint64_t planned_us = 0, now_us = (uint64_t)(clock_mono_ns() / CLOCK_NS_PER_US);
    if (!tamper_take_events(firewall->tamper, firewall->rules))
        return 0;
    uint64_t at_us = now_us + settle_us(firewall);
    (void)sd_event_source_get_enabled(firewall->settled, &enabled);
    (void)sd_event_source_get_time(firewall->settled, &planned_us);
    if (enabled != SD_EVENT_OFF && planned_us <= at_us)
        return 0;
    int result = sd_event_source_set_time(firewall->settled, at_us);
    return result < 0 ? result : sd_event_source_set_enabled(firewall->settled, SD_EVENT_ONESHOT);
}

/* Events can be lost, and sysctls have none. */
static int on_tick(sd_event_source *source, uint64_t usec, void *context)
{
    (void)usec;
    (void)firewall_look(context, false);
    look_at_interfaces(context);
    int result = sd_event_source_set_time_relative(source, TICK_US);
    return result < 0 ? result : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int firewall_watch(struct firewall *firewall, sd_event *loop)
{
    assert(firewall->is_loaded);
    int result = sd_event_add_io(loop, &firewall->events, tamper_descriptor(firewall->tamper),
                                 EPOLLIN, on_events, firewall);
    if (result >= 0)
        result = sd_event_add_time_relative(loop, &firewall->settled, CLOCK_MONOTONIC, 0, 1000,
                                            on_settled, firewall);
    if (result >= 0)
        result = sd_event_add_time_relative(loop, &firewall->tick, CLOCK_MONOTONIC, TICK_US, 0,
                                            on_tick, firewall);
    return result < 0 ? result : 0;
}

/* ---- Start ---- */

/* The leases that an earlier run left in the kernel; *RET_OPEN: none of its rules. */
static size_t find_leftovers(struct firewall *firewall, struct nft_listing *listing, bool *ret_open)
{
    CLEANUP(strbuf_free) struct strbuf ignored = STRBUF_EMPTY;
    int result = nft_state_list(firewall->rules, listing, &ignored);
    *ret_open = result == -ENOENT;
    return result == 0 ? listing->n_leases : 0;
}

int firewall_start(struct firewall *firewall, struct strbuf *problem)
{
    struct nft_listing listing = {0};
    int result = firewall->rules ? 0 : nft_state_new(&firewall->rules);
    if (result < 0) {
        strbuf_addf(problem, "no netlink socket: %s", strerror(-result));
        return result;
    }
    bool is_open;
    size_t leftovers = find_leftovers(firewall, &listing, &is_open);
    result = firewall_load(firewall, firewall->config, false, is_open, problem);
    if (result < 0) {
        set_problem(firewall, strbuf_text(problem));
        if (result != -EAGAIN) /* which is loaded, but not verified */
            load_built_in(firewall, problem);
        return result;
    }
    firewall->is_loaded = true;
    forwarding_stop(firewall->tunnel);
    (void)conntrack_forget(listing.leases, leftovers);
    if (!firewall->tamper)
        result = tamper_new("/proc/sys", "wireguard", &firewall->tamper);
    if (result < 0) {
        strbuf_addf(problem, "changes of others cannot be watched: %s", strerror(-result));
        return result;
    }
    judge_interfaces(firewall); /* told with the first tick */
    return (int)leftovers;
}

struct nft_state *firewall_rules(const struct firewall *firewall)
{
    return firewall->rules;
}

int firewall_may_open(struct firewall *firewall, struct strbuf *problem)
{
    assert(firewall->is_loaded);
    int seen = nft_state_is_current(firewall->rules) ? 0 : firewall_look(firewall, false);
    if (firewall->is_tampered) {
        strbuf_add(problem, "rules were changed by another program: "
                            "run `sallyport firewall verify` on site");
        return -ETXTBSY;
    }
    if (seen < 0) /* what cannot be looked at is not opened */
        strbuf_add(problem, firewall->problem);
    return seen < 0 ? seen : 0;
}

/* ---- Posture ---- */

int firewall_verify(struct firewall *firewall)
{
    assert(firewall->is_loaded);
    return firewall_look(firewall, true);
}

int firewall_acknowledge(struct firewall *firewall, struct strbuf *problem)
{
    int seen = firewall_verify(firewall);
    if (seen < 0) {
        strbuf_add(problem, firewall->problem);
        return seen;
    }
    if (seen > 0) {
        strbuf_add(problem, "the rules were changed again just now, and repaired");
        return -EBUSY;
    }
    firewall->is_tampered = firewall->is_fighting = false;
    memset(firewall->repaired_ns, 0, sizeof(firewall->repaired_ns));
    firewall->problem[0] = '\0';
    tamper_accept(firewall->tamper);
    return 0;
}

static enum firewall_state state_of(const struct firewall *firewall)
{
    if (!firewall->is_loaded)
        return FIREWALL_OFF;
    if (firewall->is_fighting)
        return FIREWALL_FIGHTING;
    if (firewall->is_tampered)
        return FIREWALL_TAMPERED;
    if (firewall->exposure.length > 0)
        return FIREWALL_EXPOSED;
    return firewall->config->firewall.n_exceptions > 0 ? FIREWALL_EXCEPTED : FIREWALL_LOCKED;
}

void firewall_set_tunnel(struct firewall *firewall, unsigned index)
{
    firewall->tunnel_index = index;
}

void firewall_foreign_tunnels(const struct firewall *firewall, struct strbuf *names)
{
    if (firewall->tamper)
        tamper_foreign_tunnels(firewall->tamper, names);
}

static void describe_agent(const struct firewall *firewall, struct firewall_posture *posture)
{
    const struct agent_config *agent = &firewall->config->firewall.agent;
    if (!firewall->rules || nft_state_loaded(firewall->rules).agent == 0)
        return;
    posture->agent = agent->is_bound ? AGENT_BOUND : AGENT_LOCAL;
    posture->agent_destinations = agent->is_bound ? agent->n_destinations : 0;
}

static void describe_foreign(const struct firewall *firewall, char *text, size_t size)
{
    CLEANUP(strbuf_free) struct strbuf names = STRBUF_EMPTY;
    firewall_foreign_tunnels(firewall, &names);
    if (names.length > 0)
        (void)snprintf(text, size, "WireGuard that is not sallyport's: %s", names.data);
}

void firewall_get_posture(const struct firewall *firewall, struct firewall_posture *ret_posture)
{
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    struct firewall_posture posture = {
        .state = state_of(firewall),
        .exceptions = (uint32_t)firewall->config->firewall.n_exceptions,
        .reloads = firewall->repairs,
        .changed_by_pid = firewall->changed_by_pid,
    };
    if (firewall->rules) {
        size_t n = nft_state_leases(firewall->rules, leases, ARRAY_LENGTH(leases));
        posture.leases = (uint32_t)firewall_leases_left(leases, n);
    }
    describe_agent(firewall, &posture);
    memcpy(posture.changed_by, firewall->changed_by, sizeof(posture.changed_by));
    memcpy(posture.problem, firewall->problem, sizeof(posture.problem));
    if (posture.state == FIREWALL_EXPOSED)
        text_put(posture.problem, sizeof(posture.problem), firewall->exposure.data);
    if (!posture.problem[0])
        describe_foreign(firewall, posture.problem, sizeof(posture.problem));
    if (firewall->rules)
        (void)snprintf(posture.hash, sizeof(posture.hash), "%s", nft_state_hash(firewall->rules));
    *ret_posture = posture;
}

int firewall_get_counters(struct firewall *firewall, struct firewall_counters *ret_counters)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct nft_listing listing;
    uint64_t packets[COUNTER_COUNT];
    int result = nft_state_list(firewall->rules, &listing, &problem);
    if (result < 0 && result != -ENOENT)
        return result;
    nft_state_counters(firewall->rules, packets);
    *ret_counters = (struct firewall_counters){
        .dropped_in = packets[COUNTER_DROPPED_IN],
        .dropped_forward = packets[COUNTER_DROPPED_FORWARD],
        .dropped_out = packets[COUNTER_DROPPED_OUT],
        .spoofed = packets[COUNTER_SPOOFED],
    };
    return 0;
}

/* ---- apply --confirm ---- */

int firewall_try(struct firewall *firewall, const struct netd_config *fresh, struct strbuf *problem)
{
    if (firewall->before_try)
        return -EBUSY;
    int result = firewall_load(firewall, fresh, true, false, problem);
    if (result == -EAGAIN) { /* loaded, but not verified: not a state to stay in */
        (void)firewall_load(firewall, firewall->config, true, false, problem);
        return result;
    }
    if (result < 0)
        return result;
    firewall->before_try = firewall->config;
    firewall->config = fresh;
    return 0;
}

int firewall_confirm(struct firewall *firewall)
{
    if (!firewall->before_try)
        return -ENOENT;
    firewall->before_try = NULL;
    return 0;
}

int firewall_rollback(struct firewall *firewall, struct strbuf *problem)
{
    if (!firewall->before_try)
        return -ENOENT;
    int result = firewall_load(firewall, firewall->before_try, true, false, problem);
    if (result < 0)
        return result;
    firewall->config = firewall->before_try;
    firewall->before_try = NULL;
    return 0;
}
