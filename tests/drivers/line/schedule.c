/* Who is asked next: hours of a line's life on a clock of our own. */
#include "drivers/line/schedule.h"

#include "tests/support/test.h"

#include <string.h>

#define MS INT64_C(1000000)
#define S (1000 * MS)
#define MAX_UNITS 128
#define MAX_GROUPS 256

/* A plant: how long each unit takes to answer, or to time out. */
struct plant {
    struct schedule schedule;
    struct schedule_group groups[MAX_GROUPS];
    struct schedule_device units[MAX_UNITS];
    bool dead[MAX_UNITS];
    int64_t answer_ns, timeout_ns;
    bool connected;

    int64_t now_ns;
    uint32_t random;
    uint64_t answers[MAX_GROUPS], notices[MAX_GROUPS], skipped;
    int64_t first_ask_ns[MAX_GROUPS], last_ask_ns[MAX_GROUPS];
    int64_t longest_gap_ns[MAX_GROUPS]; /* between questions */
    int64_t in_vain_ns;                 /* lost on timeouts */
    uint64_t trips, recoveries;
};

static void add_unit(struct plant *plant)
{
    struct schedule *schedule = &plant->schedule;
    schedule->groups = plant->groups;
    schedule->units = plant->units;
    schedule->units[schedule->n_units++].first_group = schedule->n_groups;
}

static void add_group(struct plant *plant, int64_t interval_ns)
{
    struct schedule *schedule = &plant->schedule;
    struct schedule_group *group = &schedule->groups[schedule->n_groups++];
    group->unit = schedule->n_units - 1;
    group->interval_ns = interval_ns;
    schedule->units[group->unit].n_groups++;
}

static void make_plant(struct plant *plant, size_t n_units, int64_t interval_ns)
{
    memset(plant, 0, sizeof(*plant));
    plant->connected = true;
    plant->answer_ns = 10 * MS;
    plant->timeout_ns = 1 * S;
    plant->now_ns = 1000 * S;
    plant->random = 12345;
    for (size_t i = 0; i < n_units; i++) {
        add_unit(plant);
        add_group(plant, interval_ns);
    }
}

static void start(struct plant *plant)
{
    schedule_start(&plant->schedule, plant->now_ns, 0, 1);
}

static void ask(struct plant *plant, size_t index)
{
    size_t unit = plant->groups[index].unit;
    int64_t started = plant->now_ns;
    plant->skipped += schedule_take(&plant->schedule, index, started);
    if (!plant->first_ask_ns[index])
        plant->first_ask_ns[index] = started;
    else if (started - plant->last_ask_ns[index] > plant->longest_gap_ns[index])
        plant->longest_gap_ns[index] = started - plant->last_ask_ns[index];
    plant->last_ask_ns[index] = started;
    plant->now_ns += plant->dead[unit] ? plant->timeout_ns : plant->answer_ns;
    plant->random = plant->random * 1664525 + 1013904223;
    if (plant->dead[unit]) {
        plant->in_vain_ns += plant->timeout_ns;
        plant->trips += schedule_failed(&plant->schedule, index, BREAKER_SILENCE, started,
                                        plant->now_ns, plant->random);
    } else {
        plant->answers[index]++;
        plant->recoveries += schedule_answered(&plant->schedule, index, plant->now_ns);
    }
}

static void run(struct plant *plant, int64_t duration_ns)
{
    int64_t end = plant->now_ns + duration_ns;
    while (plant->now_ns < end) {
        struct turn turn = schedule_next(&plant->schedule, plant->connected, plant->now_ns);
        switch (turn.kind) {
        case TURN_POLL:
            CU_ASSERT_TRUE(plant->connected);
            ask(plant, turn.group);
            break;
        case TURN_NOTICE:
            plant->notices[turn.group]++;
            schedule_put_off(&plant->schedule, turn.group, plant->now_ns);
            break;
        case TURN_WAIT:
            CU_ASSERT_TRUE_FATAL(turn.at_ns > plant->now_ns); /* no busy loop */
            plant->now_ns = turn.at_ns < end ? turn.at_ns : end;
            break;
        }
    }
}

/* Forgets what was counted so far. */
static void recount(struct plant *plant)
{
    memset(plant->answers, 0, sizeof(plant->answers));
    memset(plant->notices, 0, sizeof(plant->notices));
    memset(plant->longest_gap_ns, 0, sizeof(plant->longest_gap_ns));
    plant->skipped = 0;
    plant->in_vain_ns = 0;
}

static struct plant plant;

static void test_no_drift(void)
{
    make_plant(&plant, 1, 100 * MS);
    start(&plant);
    run(&plant, 3600 * S);
    CU_ASSERT_EQUAL(plant.answers[0], 36000);
    CU_ASSERT_EQUAL(plant.skipped, 0);
    CU_ASSERT_EQUAL(plant.longest_gap_ns[0], 100 * MS);
}

static void test_no_burst(void)
{
    make_plant(&plant, 1, 100 * MS);
    start(&plant);
    run(&plant, 10 * S);
    recount(&plant);
    plant.now_ns += 10 * S + 30 * MS; /* the line was busy with something else */
    int64_t resumed = plant.now_ns;
    run(&plant, 100 * MS);
    CU_ASSERT_EQUAL(plant.answers[0], 2); /* at once, and then on the grid again */
    CU_ASSERT_EQUAL(plant.last_ask_ns[0], resumed + 70 * MS);
    CU_ASSERT_EQUAL(plant.skipped, 100);
}

static void test_every_turn_is_accounted_for(void)
{
    make_plant(&plant, 7, 100 * MS);
    plant.answer_ns = 33 * MS; /* 2.3 times what the line can carry */
    start(&plant);
    run(&plant, 1000 * S);
    uint64_t answers = 0;
    for (size_t i = 0; i < 7; i++)
        answers += plant.answers[i];
    CU_ASSERT_TRUE(answers + plant.skipped >= 7 * 10000 - 7 * 3); /* the last few are pending */
    CU_ASSERT_TRUE(answers + plant.skipped <= 7 * 10000);
    CU_ASSERT_TRUE(answers >= 30303); /* not a moment idle */
}

static void test_fair_turns(void)
{
    make_plant(&plant, 8, 1 * MS);
    start(&plant);
    run(&plant, 100 * S);
    for (size_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(plant.answers[i], 1250);
        CU_ASSERT_TRUE(plant.longest_gap_ns[i] <= 8 * plant.answer_ns);
    }
}

static void test_slow_interval_is_not_starved(void)
{
    make_plant(&plant, 8, 1 * MS);
    add_unit(&plant);
    add_group(&plant, 60 * S);
    start(&plant);
    run(&plant, 3600 * S);
    CU_ASSERT_EQUAL(plant.answers[8], 60);
    CU_ASSERT_TRUE(plant.longest_gap_ns[8] < 60 * S + 10 * plant.answer_ns);
}

static void test_staggered(void)
{
    static struct plant other;
    make_plant(&plant, 5, 1 * S);
    make_plant(&other, 5, 1 * S);
    schedule_start(&plant.schedule, 0, 0, 10);
    schedule_start(&other.schedule, 0, 5, 10);
    for (int64_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(plant.groups[i].due_ns, i * 200 * MS);
        CU_ASSERT_EQUAL(other.groups[i].due_ns, i * 200 * MS + 100 * MS);
    }
}

/* Lines that started at different moments wake the gateway at the same ones. */
static void test_common_ticks(void)
{
    for (size_t phase = 0; phase < 10; phase++) {
        make_plant(&plant, 3, 100 * MS);
        schedule_start(&plant.schedule, 7 * S + (int64_t)phase * 9 * MS + 1, phase, 10);
        for (size_t i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(plant.groups[i].due_ns % (50 * MS), 0);
        CU_ASSERT_TRUE(plant.groups[0].due_ns > 7 * S + (int64_t)phase * 9 * MS);
        CU_ASSERT_TRUE(plant.groups[2].due_ns <= 7 * S + 200 * MS);
    }
}

static void test_long_interval_starts_soon(void)
{
    make_plant(&plant, 50, 24 * 3600 * S);
    start(&plant);
    run(&plant, 5 * S);
    for (size_t i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(plant.answers[i], 1);
}

static void test_waits_for_what_is_next(void)
{
    make_plant(&plant, 2, 1 * S);
    start(&plant);
    struct turn turn = schedule_next(&plant.schedule, true, plant.now_ns);
    CU_ASSERT_EQUAL(turn.kind, TURN_POLL);
    CU_ASSERT_EQUAL(turn.group, 0);
    ask(&plant, 0);
    turn = schedule_next(&plant.schedule, true, plant.now_ns);
    CU_ASSERT_EQUAL(turn.kind, TURN_WAIT);
    CU_ASSERT_EQUAL(turn.at_ns, plant.groups[1].due_ns);
    struct schedule empty = {.groups = NULL};
    CU_ASSERT_EQUAL(schedule_next(&empty, true, 0).at_ns, INT64_MAX);
}

/* 100 units of which 30 are dead, on one wire that is nearly full: the promise of 90 %. */
static void test_dead_units_on_a_shared_line(void)
{
    make_plant(&plant, 100, 1 * S);
    plant.answer_ns = 12 * MS; /* 70 x 12 ms: 84 % of the line */
    for (size_t i = 0; i < 30; i++)
        plant.dead[i * 3] = true;
    start(&plant);
    run(&plant, 60 * S); /* everybody is asked once; that is free */
    recount(&plant);
    run(&plant, 600 * S);
    for (size_t i = 0; i < 100; i++) {
        uint64_t heard = plant.dead[i] ? plant.notices[i] : plant.answers[i];
        CU_ASSERT_TRUE(heard >= 540);
    }
    CU_ASSERT_TRUE(plant.in_vain_ns <= 60 * S);
    CU_ASSERT_TRUE(plant.in_vain_ns >= 20 * S); /* they are not forgotten */
    run(&plant, 1500 * S);
    CU_ASSERT_EQUAL(plant.trips, 30);
    recount(&plant);
    run(&plant, 1500 * S); /* all are tripped: only probes now */
    for (size_t i = 0; i < 100; i++)
        CU_ASSERT_TRUE(plant.dead[i] ? plant.longest_gap_ns[i] < 900 * S
                                     : plant.answers[i] >= 1350);
}

/* The same when the healthy ones alone are more than the line can carry. */
static void test_dead_units_on_a_full_line(void)
{
    make_plant(&plant, 20, 1 * MS);
    for (size_t i = 0; i < 6; i++)
        plant.dead[i * 3] = true;
    start(&plant);
    run(&plant, 30 * S);
    recount(&plant);
    run(&plant, 600 * S);
    CU_ASSERT_TRUE(plant.in_vain_ns <= 60 * S);
    CU_ASSERT_EQUAL(plant.trips, 6); /* each had its turns nevertheless */
    for (size_t i = 0; i < 20; i++)
        CU_ASSERT_TRUE(plant.dead[i] || plant.answers[i] >= 60000 / 14 * 9 / 10);
}

static void test_suspects_wait_while_others_are_due(void)
{
    make_plant(&plant, 3, 1 * S);
    plant.groups[0].interval_ns = 500 * MS; /* the healthy one loses a turn with each timeout */
    plant.dead[1] = plant.dead[2] = true;
    start(&plant);
    run(&plant, 14 * S); /* two free questions, one that was saved up, one that brings rest */
    CU_ASSERT_EQUAL(plant.in_vain_ns, 4 * S);
    CU_ASSERT_EQUAL(plant.trips, 0);
    CU_ASSERT_TRUE(plant.notices[1] + plant.notices[2] >= 16); /* both are reported meanwhile */
    run(&plant, 30 * S);
    CU_ASSERT_EQUAL(plant.trips, 2);
}

/* UNIT fails to answer once. */
static void fail_once(struct plant *on, size_t unit)
{
    int64_t before = on->in_vain_ns;
    on->dead[unit] = true;
    while (on->in_vain_ns == before)
        run(on, 1 * MS);
    on->dead[unit] = false;
}

/* One bad frame costs one poll, even when others keep the line busy. */
static void test_one_failure_costs_one_poll(void)
{
    make_plant(&plant, 15, 1 * S);
    plant.answer_ns = 25 * MS;
    plant.timeout_ns = 250 * MS;
    start(&plant);
    run(&plant, 10 * S);
    recount(&plant);
    for (size_t i = 0; i < 20; i++) {
        fail_once(&plant, i % 15);
        run(&plant, 1 * S);
    }
    CU_ASSERT_EQUAL(plant.in_vain_ns, 20 * plant.timeout_ns);
    CU_ASSERT_EQUAL(plant.skipped, 0);
    for (size_t i = 0; i < 15; i++) {
        CU_ASSERT_EQUAL(plant.notices[i], 0);
        CU_ASSERT_TRUE(plant.longest_gap_ns[i] < 1500 * MS);
    }
}

/* On a line that has no time to spare a single failure is within the budget, too. */
static void test_one_failure_on_a_full_line(void)
{
    make_plant(&plant, 8, 1 * MS);
    plant.answer_ns = 34 * MS;
    start(&plant);
    run(&plant, 60 * S);
    for (int i = 0; i < 5; i++) {
        recount(&plant);
        fail_once(&plant, 3);
        run(&plant, 30 * S);
        CU_ASSERT_EQUAL(plant.in_vain_ns, plant.timeout_ns);
        CU_ASSERT_TRUE(plant.longest_gap_ns[3] < 3 * S); /* the timeout, and patience */
    }
}

static void test_alone_nobody_is_bothered(void)
{
    make_plant(&plant, 1, 1 * S);
    plant.dead[0] = true;
    plant.timeout_ns = 500 * MS;
    start(&plant);
    run(&plant, 3 * S);
    CU_ASSERT_EQUAL(plant.units[0].breaker.state, UNIT_TRIPPED); /* at 0, 1 and 2 s */
    make_plant(&plant, 2, 60 * S); /* the other one wants the line once a minute */
    plant.dead[1] = true;
    start(&plant);
    run(&plant, 180 * S);
    CU_ASSERT_EQUAL(plant.units[1].breaker.state, UNIT_TRIPPED);
    CU_ASSERT_EQUAL(plant.answers[0], 3);
}

static void test_recovery(void)
{
    make_plant(&plant, 3, 100 * MS);
    plant.dead[2] = true;
    start(&plant);
    run(&plant, 120 * S);
    CU_ASSERT_EQUAL(plant.trips, 1);
    plant.dead[2] = false;
    run(&plant, 300 * S);
    CU_ASSERT_EQUAL(plant.recoveries, 1);
    recount(&plant);
    run(&plant, 10 * S);
    CU_ASSERT_EQUAL(plant.answers[2], 100);
    CU_ASSERT_EQUAL(plant.notices[2], 0);
    CU_ASSERT_EQUAL(plant.longest_gap_ns[2], 100 * MS);
}

/* Once recovered, a slow group that missed its turn is not made to wait for the next one. */
static void test_slow_group_after_recovery(void)
{
    make_plant(&plant, 0, 0);
    add_unit(&plant);
    add_group(&plant, 1 * S);
    add_group(&plant, 24 * 3600 * S);
    plant.dead[0] = true;
    start(&plant);
    run(&plant, 100 * S);
    plant.dead[0] = false;
    run(&plant, 200 * S);
    CU_ASSERT_EQUAL(plant.recoveries, 1);
    CU_ASSERT_EQUAL(plant.answers[1], 1);
}

static void test_one_silent_block(void)
{
    make_plant(&plant, 1, 100 * MS);
    start(&plant);
    run(&plant, 1 * S);
    for (int i = 0; i < 20; i++) { /* a failure, then an answer: never trips */
        plant.dead[0] = true;
        run(&plant, 100 * MS);
        plant.dead[0] = false;
        run(&plant, 30 * S);
    }
    CU_ASSERT_EQUAL(plant.trips, 0);
    CU_ASSERT_EQUAL(plant.units[0].breaker.state, UNIT_OK);
}

/* Every unit of PLANT that was dead is back: how long until all were heard. */
static int64_t return_of_the_dead(struct plant *on, int64_t at_most_ns)
{
    int64_t back_ns = on->now_ns;
    bool all_heard = false;
    memset(on->answers, 0, sizeof(on->answers));
    memset(on->dead, 0, sizeof(on->dead));
    while (!all_heard && on->now_ns < back_ns + at_most_ns) {
        run(on, 50 * MS);
        all_heard = true;
        for (size_t i = 0; i < on->schedule.n_groups; i++)
            all_heard &= on->answers[i] > 0;
    }
    CU_ASSERT_TRUE(all_heard);
    return on->now_ns - back_ns;
}

/* 30 of 100 on a line that is nearly full: 30 timeouts until the first of them is asked. */
static void test_return_on_a_shared_line(void)
{
    for (int64_t minutes = 1; minutes < 20; minutes += 13) {
        make_plant(&plant, 100, 1 * S);
        plant.answer_ns = 9 * MS; /* when all are back: 90 % of the line */
        for (size_t i = 0; i < 30; i++)
            plant.dead[i * 3] = true;
        start(&plant);
        run(&plant, minutes * 61 * S); /* some are tripped, later all */
        CU_ASSERT_TRUE(return_of_the_dead(&plant, 300 * S) <= 40 * S);
        CU_ASSERT_EQUAL(plant.recoveries, plant.trips);
    }
}

/* Nobody is left who could lose a turn: 5 s until the first of them is asked. */
static void test_return_of_a_whole_line(void)
{
    for (size_t n_units = 1; n_units <= 31; n_units += 15) {
        for (int64_t minutes = 1; minutes < 20; minutes += 13) {
            make_plant(&plant, n_units, 1 * S);
            memset(plant.dead, true, n_units);
            start(&plant);
            run(&plant, 600 * S);
            run(&plant, minutes * 61 * S);
            CU_ASSERT_EQUAL(plant.trips, n_units);
            int64_t took_ns = return_of_the_dead(&plant, 300 * S);
            CU_ASSERT_TRUE(took_ns <= 5 * S + plant.timeout_ns + (int64_t)n_units * 60 * MS);
        }
    }
}

/* While only some are back, the probes of the others are spread, and harm nobody. */
static void test_return_of_some(void)
{
    make_plant(&plant, 100, 1 * S);
    plant.answer_ns = 9 * MS;
    for (size_t i = 0; i < 30; i++)
        plant.dead[i * 3] = true;
    start(&plant);
    run(&plant, 900 * S);
    recount(&plant);
    for (size_t i = 0; i < 15; i++)
        plant.dead[i * 6] = false;
    run(&plant, 600 * S);
    CU_ASSERT_EQUAL(plant.recoveries, 15);
    CU_ASSERT_TRUE(plant.in_vain_ns <= 60 * S); /* a tenth of the line */
    for (size_t i = 0; i < 100; i++)
        CU_ASSERT_TRUE(plant.dead[i] || i % 6 == 0 || plant.answers[i] >= 540);
}

/* The network was away: when the line is up again, its tripped units are probed at once. */
static void test_return_of_the_network(void)
{
    make_plant(&plant, 20, 1 * S);
    memset(plant.dead, true, 10);
    start(&plant);
    run(&plant, 3600 * S);
    plant.connected = false;
    run(&plant, 600 * S);
    plant.connected = true;
    schedule_resume(&plant.schedule, plant.now_ns);
    CU_ASSERT_TRUE(return_of_the_dead(&plant, 300 * S) <= 2 * S);
    CU_ASSERT_EQUAL(plant.recoveries, 10);
}

/* A unit that comes and goes does not call the dead ones each time. */
static void test_one_rally_a_minute(void)
{
    make_plant(&plant, 3, 1 * S);
    plant.dead[0] = plant.dead[1] = true;
    start(&plant);
    run(&plant, 3600 * S);
    struct schedule_device *dead = &plant.units[0], *back = &plant.units[1];
    CU_ASSERT_EQUAL(dead->breaker.state, UNIT_TRIPPED);
    CU_ASSERT_TRUE(schedule_answered(&plant.schedule, 1, plant.now_ns));
    CU_ASSERT_EQUAL(dead->ask_at_ns, plant.now_ns);
    for (int64_t second = 1; second < 60; second++) {
        dead->ask_at_ns = INT64_MAX;
        back->breaker.state = UNIT_TRIPPED;
        CU_ASSERT_TRUE(schedule_answered(&plant.schedule, 1, plant.now_ns + second * S));
        CU_ASSERT_EQUAL(dead->ask_at_ns, INT64_MAX);
    }
    back->breaker.state = UNIT_TRIPPED;
    CU_ASSERT_TRUE(schedule_answered(&plant.schedule, 1, plant.now_ns + 60 * S));
    CU_ASSERT_EQUAL(dead->ask_at_ns, plant.now_ns + 60 * S);
}

/* Nobody else wants the line until the next group of a healthy unit is due. */
static void test_spare(void)
{
    make_plant(&plant, 3, 1 * S);
    start(&plant);
    int64_t due_ns[3];
    for (size_t i = 0; i < 3; i++)
        due_ns[i] = plant.groups[i].due_ns;
    (void)schedule_take(&plant.schedule, 0, due_ns[0]);
    CU_ASSERT_EQUAL(schedule_spare_until(&plant.schedule, 0), due_ns[1]);
    plant.units[1].breaker.state = UNIT_TRIPPED;
    CU_ASSERT_EQUAL(schedule_spare_until(&plant.schedule, 0), due_ns[2]);
    plant.units[2].breaker.state = UNIT_FAILING;
    CU_ASSERT_EQUAL(schedule_spare_until(&plant.schedule, 0), due_ns[0] + 1 * S); /* its own */
    plant.units[0].breaker.state = UNIT_FAILING;
    CU_ASSERT_EQUAL(schedule_spare_until(&plant.schedule, 0), due_ns[0] + 1 * S);
}

static void test_redial(void)
{
    static const int64_t most[] = {1, 2, 4, 5, 5, 5};
    for (unsigned i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(schedule_redial_ns(i + 1, 0), 100 * MS);
        CU_ASSERT_EQUAL(schedule_redial_ns(i + 1, UINT32_MAX), most[i] * S);
    }
    CU_ASSERT_EQUAL(schedule_redial_ns(UINT32_MAX, UINT32_MAX), 5 * S);
}

static void test_line_down(void)
{
    make_plant(&plant, 4, 100 * MS);
    add_unit(&plant);
    add_group(&plant, 10 * S);
    start(&plant);
    run(&plant, 10 * S);
    recount(&plant);
    plant.connected = false;
    run(&plant, 60 * S);
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(plant.answers[i], 0);
        CU_ASSERT_TRUE(plant.notices[i] == 60 || plant.notices[i] == 61);
    }
    CU_ASSERT_EQUAL(plant.notices[4], 6);
    plant.connected = true;
    schedule_resume(&plant.schedule, plant.now_ns);
    run(&plant, 5 * S);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_TRUE(plant.answers[i] >= 49 && plant.answers[i] <= 51);
    CU_ASSERT_EQUAL(plant.answers[4], 1); /* it does not wait for its next ten seconds */
    CU_ASSERT_EQUAL(plant.skipped, 0);    /* the line was not busy */
}

TEST_MAIN(
    "schedule", {"an hour at 100 ms does not drift", test_no_drift},
    {"what was missed is counted, not caught up", test_no_burst},
    {"every turn is either taken or counted as skipped", test_every_turn_is_accounted_for},
    {"a line asked for too much serves its units in turn", test_fair_turns},
    {"a slow interval keeps its turns on a full line", test_slow_interval_is_not_starved},
    {"first turns are staggered within a line and among lines", test_staggered},
    {"lines poll on common ticks", test_common_ticks},
    {"a daily value is read within 5 s of the start", test_long_interval_starts_soon},
    {"it waits for the next thing to do", test_waits_for_what_is_next},
    {"30 of 100 dead: the others keep 90 % on the same line", test_dead_units_on_a_shared_line},
    {"the same on a line that is full anyway", test_dead_units_on_a_full_line},
    {"a unit that fails waits while others are due", test_suspects_wait_while_others_are_due},
    {"one failure on a busy line costs one poll", test_one_failure_costs_one_poll},
    {"one failure on a full line costs a few polls", test_one_failure_on_a_full_line},
    {"a unit that fails alone is asked as usual", test_alone_nobody_is_bothered},
    {"a unit that answers again is polled as before", test_recovery},
    {"a daily value missed while tripped is read after recovery", test_slow_group_after_recovery},
    {"single failures never trip", test_one_silent_block},
    {"30 of 100 that come back together are heard within 40 s", test_return_on_a_shared_line},
    {"a whole line that comes back is heard within 5 s and a timeout", test_return_of_a_whole_line},
    {"the return of some costs the others no more than a tenth", test_return_of_some},
    {"a line that is up again probes its tripped units at once", test_return_of_the_network},
    {"a unit that comes and goes calls the others once a minute", test_one_rally_a_minute},
    {"a late reply may take what nobody else wants", test_spare},
    {"a line that is down is dialled every 5 s at the latest", test_redial},
    {"a line that is down gives notices, and resumes", test_line_down})
