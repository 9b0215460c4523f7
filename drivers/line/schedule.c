/* Who is asked next on one line. See schedule.h for the rules. */
#include "drivers/line/schedule.h"

#include "agent/base/min_max.h"

#include <assert.h>

#define REDIAL_FIRST_NS INT64_C(1000000000) /* doubled by each failure */
#define REDIAL_MIN_NS INT64_C(100000000)    /* chance must not make it a busy loop */

/* The first point of the group's grid that is not before TIME_NS. */
static int64_t grid_from(const struct schedule_group *group, int64_t time_ns)
{
    int64_t past = time_ns - group->grid_ns;
    if (past <= 0) /* only before the first turn */
        return group->grid_ns;
    return group->grid_ns +
           (past + group->interval_ns - 1) / group->interval_ns * group->interval_ns;
}

static bool is_suspect(const struct schedule_device *unit)
{
    return unit->breaker.state == UNIT_FAILING || unit->breaker.state == UNIT_TRIPPED;
}

/* The group of UNIT that has waited longest. */
static size_t oldest_group(const struct schedule *schedule, const struct schedule_device *unit)
{
    size_t oldest = unit->first_group;
    for (size_t i = 1; i < unit->n_groups; i++) {
        size_t group = unit->first_group + i;
        if (schedule->groups[group].due_ns < schedule->groups[oldest].due_ns)
            oldest = group;
    }
    return oldest;
}

void schedule_start(struct schedule *schedule, int64_t now_ns, size_t phase, size_t total)
{
    assert(phase < total || schedule->n_groups == 0);
    double shift = total ? (double)phase / (double)total : 0;
    int64_t first_ns = (now_ns + SCHEDULE_TICK_NS - 1) / SCHEDULE_TICK_NS * SCHEDULE_TICK_NS;
    for (size_t i = 0; i < schedule->n_groups; i++) {
        struct schedule_group *group = &schedule->groups[i];
        int64_t spread = min_i64(group->interval_ns, SCHEDULE_SPREAD_MAX_NS);
        double place = ((double)i + shift) / (double)schedule->n_groups; /* 0 <= place < 1 */
        int64_t ticks = (int64_t)((double)spread * place) / SCHEDULE_TICK_NS;
        group->offset_ns = ticks * SCHEDULE_TICK_NS;
        group->grid_ns = first_ns + group->offset_ns;
        group->due_ns = group->grid_ns;
        group->missed = false;
    }
}

/*
 * Whether asking UNIT in vain costs no other group a turn: every group that comes due meanwhile can
 * still be served, one after the other, before the next turn of any of them is due.
 */
static bool costs_no_turn(const struct schedule *schedule, const struct schedule_device *unit,
                          int64_t now_ns)
{
    int64_t end_ns = now_ns + unit->cost_ns, next_ns = INT64_MAX, queue_ns = 0;
    for (size_t i = 0; i < schedule->n_groups; i++) {
        const struct schedule_group *group = &schedule->groups[i];
        if (is_suspect(&schedule->units[group->unit]) || group->due_ns > end_ns)
            continue;
        queue_ns += schedule->turn_ns;
        next_ns = min_i64(next_ns, group->due_ns + group->interval_ns);
    }
    return end_ns + queue_ns < next_ns;
}

/* The tripped unit that was left alone longest; NULL: none is tripped. */
static const struct schedule_device *find_scout(const struct schedule *schedule)
{
    const struct schedule_device *scout = NULL;
    for (size_t i = 0; i < schedule->n_units; i++) {
        const struct schedule_device *unit = &schedule->units[i];
        if (unit->breaker.state == UNIT_TRIPPED && (!scout || unit->asked_ns < scout->asked_ns))
            scout = unit;
    }
    return scout;
}

/* When a suspect may be asked at the earliest: not before ASK_AT_NS. */
static int64_t suspect_ready(const struct schedule *schedule, const struct schedule_device *unit,
                             int64_t ask_at_ns, int64_t now_ns)
{
    if (ask_at_ns > now_ns || costs_no_turn(schedule, unit, now_ns))
        return ask_at_ns;
    return max_i64(ask_at_ns, schedule->rest_until_ns);
}

/* The best turn found so far. */
struct schedule_search {
    int64_t now_ns;
    int64_t wake_ns; /* the earliest thing that is not ready yet */
    struct turn turn;
    int64_t rank_ns; /* of `turn`: the smallest wins */
    const struct schedule_device *scout;
    const struct schedule_device *suspect; /* ready, and waiting longest */
    int64_t suspect_ask_at_ns, suspect_ready_ns;
};

static void consider_group(struct schedule_search *search, enum turn_kind kind, size_t index,
                           const struct schedule_group *group)
{
    if (group->due_ns > search->now_ns) {
        search->wake_ns = min_i64(search->wake_ns, group->due_ns);
    } else if (group->due_ns < search->rank_ns) {
        search->rank_ns = group->due_ns;
        search->turn = (struct turn){kind, index, search->now_ns};
    }
}

static void consider_groups(const struct schedule *schedule, struct schedule_search *search,
                            const struct schedule_device *unit, enum turn_kind kind)
{
    for (size_t i = 0; i < unit->n_groups; i++) {
        size_t group = unit->first_group + i;
        consider_group(search, kind, group, &schedule->groups[group]);
    }
}

/* A suspect is asked as soon as it may be; until then its groups get notices. */
static void consider_suspect(const struct schedule *schedule, struct schedule_search *search,
                             const struct schedule_device *unit)
{
    int64_t ask_at = unit->ask_at_ns;
    if (unit == search->scout)
        ask_at = min_i64(ask_at, schedule->scout_at_ns);
    int64_t ready = suspect_ready(schedule, unit, ask_at, search->now_ns);
    if (ready > search->now_ns) {
        search->wake_ns = min_i64(search->wake_ns, ready);
        consider_groups(schedule, search, unit, TURN_NOTICE);
    } else if (!search->suspect || ask_at < search->suspect_ask_at_ns) {
        search->suspect = unit;
        search->suspect_ask_at_ns = ask_at;
        search->suspect_ready_ns = ready;
    }
}

struct turn schedule_next(const struct schedule *schedule, bool connected, int64_t now_ns)
{
    struct schedule_search search = {.now_ns = now_ns,
                                     .wake_ns = INT64_MAX,
                                     .rank_ns = INT64_MAX,
                                     .scout = find_scout(schedule)};
    for (size_t i = 0; i < schedule->n_units; i++) {
        const struct schedule_device *unit = &schedule->units[i];
        if (!connected)
            consider_groups(schedule, &search, unit, TURN_NOTICE);
        else if (is_suspect(unit))
            consider_suspect(schedule, &search, unit);
        else
            consider_groups(schedule, &search, unit, TURN_POLL);
    }
    if (search.suspect && search.suspect_ready_ns + SCHEDULE_PATIENCE_NS < search.rank_ns)
        return (struct turn){TURN_POLL, oldest_group(schedule, search.suspect), now_ns};
    if (search.turn.kind == TURN_WAIT)
        search.turn.at_ns = search.wake_ns;
    return search.turn;
}

uint64_t schedule_take(struct schedule *schedule, size_t index, int64_t now_ns)
{
    struct schedule_group *group = &schedule->groups[index];
    int64_t late = now_ns - group->due_ns;
    struct schedule_device *unit = &schedule->units[group->unit];
    schedule->is_costly = !is_suspect(unit) || !costs_no_turn(schedule, unit, now_ns);
    schedule->taken_ns = now_ns;
    unit->asked_ns = now_ns;
    group->due_ns = grid_from(group, now_ns + 1);
    if (late < group->interval_ns || is_suspect(unit))
        return 0;
    return (uint64_t)(late / group->interval_ns);
}

int64_t schedule_spare_until(const struct schedule *schedule, size_t index)
{
    int64_t until_ns = schedule->groups[index].due_ns;
    for (size_t i = 0; i < schedule->n_groups; i++) {
        const struct schedule_group *group = &schedule->groups[i];
        if (!is_suspect(&schedule->units[group->unit]))
            until_ns = min_i64(until_ns, group->due_ns);
    }
    return until_ns;
}

bool schedule_is_suspect(const struct schedule *schedule, size_t index)
{
    return is_suspect(&schedule->units[schedule->groups[index].unit]);
}

void schedule_put_off(struct schedule *schedule, size_t index, int64_t now_ns)
{
    struct schedule_group *group = &schedule->groups[index];
    group->missed = true;
    group->due_ns = grid_from(group, max_i64(group->due_ns + SCHEDULE_NOTICE_GAP_NS, now_ns + 1));
}

/* The next point of the grid; when that is far away, a turn soon, staggered like at the start. */
static void bring_forward(struct schedule_group *group, int64_t now_ns)
{
    group->due_ns = grid_from(group, now_ns + 1);
    if (group->interval_ns > SCHEDULE_SPREAD_MAX_NS)
        group->due_ns = min_i64(group->due_ns, now_ns + group->offset_ns);
}

/* One of those that were away is back, perhaps with others: all are probed, one after the other. */
static void rally(struct schedule *schedule, int64_t now_ns)
{
    int64_t ask_at_ns = now_ns;
    if (now_ns < schedule->rally_ns)
        return;
    for (size_t i = 0; i < schedule->n_units; i++) {
        struct schedule_device *unit = &schedule->units[i];
        if (unit->breaker.state != UNIT_TRIPPED)
            continue;
        unit->ask_at_ns = min_i64(unit->ask_at_ns, ask_at_ns);
        schedule->rest_until_ns = min_i64(schedule->rest_until_ns, now_ns);
        breaker_hope(&unit->breaker);
        ask_at_ns += SCHEDULE_TICK_NS;
        schedule->rally_ns = now_ns + SCHEDULE_RALLY_NS;
    }
}

bool schedule_answered(struct schedule *schedule, size_t index, int64_t now_ns)
{
    struct schedule_device *unit = &schedule->units[schedule->groups[index].unit];
    bool was_suspect = is_suspect(unit);
    schedule->turn_ns += (now_ns - schedule->taken_ns - schedule->turn_ns) / 8;
    bool recovered = breaker_succeed(&unit->breaker);
    schedule->groups[index].missed = false;
    for (size_t i = 0; was_suspect && i < unit->n_groups; i++) {
        struct schedule_group *group = &schedule->groups[unit->first_group + i];
        if (!group->missed)
            continue;
        if (recovered)
            bring_forward(group, now_ns);
        else /* one silent block of a unit that lives must not be asked more often than it is due */
            group->due_ns = min_i64(group->due_ns, grid_from(group, now_ns + 1));
    }
    if (recovered)
        rally(schedule, now_ns);
    return recovered;
}

/*
 * The others have lost COST_NS: suspects rest for it. A single failure after a long rest has been
 * paid for. Many units that die at once do not make the rest longer than the bound for scouts.
 */
static void charge(struct schedule *schedule, int64_t cost_ns, int64_t now_ns)
{
    int64_t rest_ns = cost_ns * (SCHEDULE_REST - 1);
    int64_t until_ns = max_i64(schedule->rest_until_ns, now_ns - rest_ns) + rest_ns;
    schedule->rest_until_ns = min_i64(until_ns, now_ns + cost_ns * SCHEDULE_SCOUT_REST);
}

/* How long no tripped unit is probed ahead of its time after a probe that took COST_NS in vain. */
static int64_t scout_rest(const struct schedule *schedule, int64_t cost_ns)
{
    for (size_t i = 0; i < schedule->n_units; i++) {
        if (schedule->units[i].breaker.state != UNIT_TRIPPED)
            return max_i64(SCHEDULE_SCOUT_NS, SCHEDULE_SCOUT_REST * cost_ns);
    }
    return SCHEDULE_SCOUT_NS; /* nobody answers, so nobody loses a turn */
}

bool schedule_failed(struct schedule *schedule, size_t index, enum breaker_failure kind,
                     int64_t started_ns, int64_t now_ns, uint32_t random)
{
    struct schedule_device *unit = &schedule->units[schedule->groups[index].unit];
    bool is_free = unit->breaker.state == UNIT_UNKNOWN;
    schedule->groups[index].missed = true;
    unit->cost_ns = now_ns - started_ns;
    if (!is_free && schedule->is_costly)
        charge(schedule, unit->cost_ns, now_ns);
    bool tripped = breaker_fail(&unit->breaker, kind, now_ns, random);
    if (unit->breaker.state != UNIT_TRIPPED) {
        unit->ask_at_ns = schedule->groups[oldest_group(schedule, unit)].due_ns;
        return false;
    }
    unit->ask_at_ns = unit->breaker.probe_at_ns;
    schedule->scout_at_ns = now_ns + scout_rest(schedule, unit->cost_ns);
    return tripped;
}

void schedule_lost(struct schedule *schedule, size_t index)
{
    schedule->groups[index].missed = true;
}

void schedule_resume(struct schedule *schedule, int64_t now_ns)
{
    for (size_t i = 0; i < schedule->n_groups; i++) {
        if (schedule->groups[i].missed)
            bring_forward(&schedule->groups[i], now_ns);
    }
    rally(schedule, now_ns);
}

int64_t schedule_redial_ns(unsigned failed, uint32_t random)
{
    int64_t limit = REDIAL_FIRST_NS;
    for (unsigned i = 1; i < failed && limit < SCHEDULE_REDIAL_NS; i++)
        limit *= 2;
    limit = min_i64(limit, SCHEDULE_REDIAL_NS);
    double share = (double)random / (double)UINT32_MAX;
    return REDIAL_MIN_NS + (int64_t)((double)(limit - REDIAL_MIN_NS) * share);
}
