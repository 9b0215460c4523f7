/* Which numbers go on after a start, for every way in which the last run can have ended. */
#include "agent/outbox/recovery.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#define WALL_MS INT64_C(1795343987000)

static struct loss_ledger ledger;
static const struct run_list none_in_flight;
static struct numbers numbers;

static void name_stream(char *stream, const char *text)
{
    (void)snprintf(stream, STREAM_DIGITS + 1, "%s", text);
}

/* A tier that is open and knows STREAM; messages FIRST..LAST (0: none). */
static struct tier_found found(const char *stream, uint64_t next_seq, uint64_t first, uint64_t last)
{
    struct tier_found tier = {.open = true, .first = first, .last = last};
    tier.known = stream[0] != '\0';
    tier.state.next_seq = next_seq;
    tier.state.ledger_version = 5;
    name_stream(tier.state.stream, stream);
    return tier;
}

/* The same as the disk tier of a running agent leaves it: numbers below RESERVED may be in use. */
static struct tier_found found_disk(const char *stream, uint64_t next_seq, uint64_t first,
                                    uint64_t last, uint64_t reserved)
{
    struct tier_found tier = found(stream, next_seq, first, last);
    tier.state.reserved_below = reserved;
    tier.state.settled_below = next_seq;
    tier.state.disk_first = first ? first : next_seq;
    tier.state.disk_below = next_seq;
    tier.state.wall_ms = WALL_MS - 9000;
    return tier;
}

static struct tier_found damaged(bool open)
{
    return (struct tier_found){.open = open, .damaged = true};
}

static struct tier_found reconciled; /* the disk tier */

static bool reconcile(const struct tier_found *live, const struct tier_found *disk)
{
    loss_ledger_free(&ledger);
    run_list_free(&reconciled.stale);
    reconciled = *disk;
    return recovery_reconcile(live, &reconciled, WALL_MS, &ledger, &numbers);
}

static void expect_numbers(const char *stream, uint64_t next_seq, uint64_t boundary,
                           uint64_t disk_first, uint64_t reserved)
{
    TEST_TEXT_EQUAL(numbers.stream, stream);
    CU_ASSERT_EQUAL(numbers.next_seq, next_seq);
    CU_ASSERT_EQUAL(numbers.committed_below, next_seq);
    CU_ASSERT_EQUAL(numbers.boundary, boundary);
    CU_ASSERT_EQUAL(numbers.disk_first, disk_first);
    CU_ASSERT_EQUAL(numbers.reserved_below, reserved);
    CU_ASSERT_TRUE(numbers.live_state_stale);
}

static void expect_gap(enum span_kind kind, uint64_t first, uint64_t last)
{
    const struct span *gap = loss_ledger_next_gap(&ledger, &none_in_flight);
    CU_ASSERT_PTR_NOT_NULL_FATAL(gap);
    CU_ASSERT_EQUAL(gap->kind, kind);
    CU_ASSERT_EQUAL(gap->first, first);
    CU_ASSERT_EQUAL(gap->last, last);
    CU_ASSERT_EQUAL(ledger.gaps.n, 1);
}

static void test_nothing(void)
{
    const struct tier_found live = found("", 0, 0, 0), disk = found("", 0, 0, 0);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("", 1, 1, 1, SEQ_LIMIT);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    const struct tier_found none = {.open = false}; /* and without a disk */
    CU_ASSERT_FALSE(reconcile(&live, &none));
    expect_numbers("", 1, 1, 1, SEQ_LIMIT);
}

static void test_kill(void)
{
    struct tier_found live = found("aa", 21, 11, 20), disk = found_disk("aa", 11, 1, 10, 65547);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 11, 1, 65547);
    CU_ASSERT_FALSE(numbers.live_stale);
    CU_ASSERT_FALSE(numbers.disk_misses_history);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    live.state.next_seq = 15; /* the row 20 is newer than the state */
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 11, 1, 65547);
}

/* The kill came between the transaction that moved messages to disk and the one after it. */
static void test_kill_after_a_move(void)
{
    const struct tier_found live = found("aa", 21, 11, 20),
                            disk = found_disk("aa", 21, 1, 18, 65547);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 21, 1, 65547);
    CU_ASSERT_TRUE(numbers.live_stale); /* its rows are on disk */
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
}

static void test_newer_ledger(void)
{
    struct tier_found live = found("aa", 5, 0, 0), disk = found_disk("aa", 5, 1, 4, 65540);
    loss_ledger_add_gap(&live.ledger, SPAN_FULL, 1, 1, 0, 0);
    loss_ledger_add_gap(&disk.ledger, SPAN_FULL, 1, 2, 0, 0);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_gap(SPAN_FULL, 1, 1); /* the same version: the live one */
    disk.state.ledger_version = 6;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_gap(SPAN_FULL, 1, 2);
    CU_ASSERT_EQUAL(ledger.version, 6);
    CU_ASSERT_TRUE(numbers.disk_misses_history); /* they differ, and messages are there */
    loss_ledger_free(&live.ledger);
    loss_ledger_free(&disk.ledger);
}

/* The disk tier knows of numbers that the live tier has not seen. */
static void test_older_live_tier(void)
{
    const struct tier_found live = found("aa", 11, 0, 0);
    struct tier_found disk = found_disk("aa", 31, 1, 30, 65567);
    disk.state.settled_below = 20;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 65567, 31, 1, 65567);
    expect_gap(SPAN_POWER_LOSS, 20, 65566);
    disk.state.alone = true; /* it was the only one that worked: its number is exact */
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 31, 31, 1, 65567);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    disk.state.alone = false;
    disk.state.clean = true; /* or stopped in order; its reservation is not valid any more */
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 31, 31, 1, 31);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
}

static void test_clean_stop(void)
{
    const struct tier_found live = found("", 0, 0, 0); /* a reboot */
    struct tier_found disk = found_disk("aa", 11, 3, 10, 65547);
    disk.state.clean = true;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 11, 11, 3, 11);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
}

static void test_power_cut(void)
{
    const struct tier_found live = found("", 0, 0, 0);
    struct tier_found disk = found_disk("aa", 15, 1, 10, 65547);
    disk.state.settled_below = 11;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 65547, 65547, 1, 65547);
    expect_gap(SPAN_POWER_LOSS, 11, 65546);
    CU_ASSERT_EQUAL(ledger.gaps.spans[0].from_ms, WALL_MS - 9000);
    CU_ASSERT_EQUAL(ledger.gaps.spans[0].to_ms, WALL_MS);
}

static void test_live_tier_damaged(void)
{
    const struct tier_found live = damaged(true);
    const struct tier_found disk = found_disk("aa", 11, 1, 10, 65547);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 65547, 65547, 1, 65547);
    expect_gap(SPAN_DAMAGED, 11, 65546);
}

/* The live tier knows what the disk tier should hold. */
static void test_disk_tier_damaged(void)
{
    struct tier_found live = found("aa", 21, 11, 20);
    const struct tier_found disk = damaged(true);
    live.state.disk_first = 4;
    live.state.disk_below = 11;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 11, 11, SEQ_LIMIT);
    expect_gap(SPAN_DAMAGED, 4, 10);
}

/* What was acknowledged of it did arrive: the live tier knows which messages were still there. */
static void test_disk_tier_damaged_with_holes(void)
{
    struct tier_found live = found("aa", 21, 11, 20);
    const struct tier_found disk = damaged(true);
    live.state.disk_first = 4;
    live.state.disk_below = 11;
    run_list_add(&live.on_disk, 4, 4);
    run_list_add(&live.on_disk, 7, 8);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    CU_ASSERT_EQUAL_FATAL(ledger.gaps.n, 2);
    CU_ASSERT(ledger.gaps.spans[0].first == 4 && ledger.gaps.spans[0].last == 4);
    CU_ASSERT(ledger.gaps.spans[1].first == 7 && ledger.gaps.spans[1].last == 8);
    run_list_free(&live.on_disk);
}

/* The end of its log is damaged: what is missing of what it held is lost, what is there again was
 * settled before. */
static void test_disk_tier_set_back(void)
{
    struct tier_found live = found("aa", 21, 11, 20), disk = found_disk("aa", 9, 2, 7, 80);
    live.state.disk_first = 4;
    live.state.disk_below = 11;
    run_list_add(&live.on_disk, 4, 4);
    run_list_add(&live.on_disk, 7, 9);
    run_list_add(&disk.held, 2, 7);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_gap(SPAN_DAMAGED, 8, 9);
    CU_ASSERT_EQUAL_FATAL(reconciled.stale.n, 2);
    CU_ASSERT(reconciled.stale.runs[0].first == 2 && reconciled.stale.runs[0].last == 3);
    CU_ASSERT(reconciled.stale.runs[1].first == 5 && reconciled.stale.runs[1].last == 6);
    disk.state.alone = true; /* the live tier did not work at the end: it knows nothing */
    disk.state.next_seq = 21;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    CU_ASSERT_EQUAL(reconciled.stale.n, 0);
    run_list_free(&live.on_disk);
    run_list_free(&disk.held);
}

/* A state could be read from the damaged file, and nothing else knows anything. */
static void test_disk_tier_damaged_alone(void)
{
    const struct tier_found live = found("", 0, 0, 0);
    struct tier_found disk = found_disk("aa", 21, 0, 0, 65557);
    disk.damaged = true;
    disk.known = false;
    disk.state.clean = true;
    disk.state.disk_first = 4;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 21, 21, 21);
    expect_gap(SPAN_DAMAGED, 4, 20); /* although it was stopped in order */
}

static void test_both_damaged(void)
{
    const struct tier_found live = damaged(true), disk = damaged(true);
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("", 1, 1, 1, SEQ_LIMIT); /* a new stream */
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
}

/* It cannot be opened: what it holds is not lost, and its reservation is not known. */
static void test_disk_out_of_reach(void)
{
    struct tier_found live = found("aa", 21, 11, 20);
    const struct tier_found disk = {.open = false};
    live.state.disk_first = 4;
    live.state.disk_below = 11;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 11, 4, 21); /* not known: nothing new is handed out */
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
    live.state.reserved_below = 80;
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("aa", 21, 11, 4, 80);
}

/* A new stream began because nothing could be reserved; the disk tier has the one before. */
static void test_new_stream(void)
{
    struct tier_found live = found("bb", 70001, 60001, 70000);
    const struct tier_found disk = found_disk("aa", 50000, 1, 49999, 65536);
    name_stream(live.state.previous_stream, "aa");
    CU_ASSERT_FALSE(reconcile(&live, &disk));
    expect_numbers("bb", 70001, 60001, 1, SEQ_LIMIT);
    TEST_TEXT_EQUAL(numbers.previous_stream, "aa");
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
}

static void test_foreign_live_tier(void)
{
    const struct tier_found live = found("bb", 8, 1, 7);
    struct tier_found disk = found_disk("aa", 11, 1, 10, 65547);
    disk.state.clean = true;
    CU_ASSERT_TRUE(reconcile(&live, &disk));
    expect_numbers("aa", 11, 11, 1, 11);
    CU_ASSERT_PTR_NULL(loss_ledger_next_gap(&ledger, &none_in_flight));
}

int main(void)
{
    static const struct test_case cases[] = {
        {"a first start", test_nothing},
        {"a kill: the numbers of the live tier are exact", test_kill},
        {"a kill just after messages moved to disk", test_kill_after_a_move},
        {"the newer of two ledgers counts", test_newer_ledger},
        {"a live tier that is older than the disk tier", test_older_live_tier},
        {"a stop in order and a reboot", test_clean_stop},
        {"a power cut: a gap up to what was reserved", test_power_cut},
        {"the live tier is damaged", test_live_tier_damaged},
        {"the disk tier is damaged: the live tier knows what is lost", test_disk_tier_damaged},
        {"the disk tier is damaged: what had arrived of it is no loss",
         test_disk_tier_damaged_with_holes},
        {"the disk tier is set back: its log was damaged", test_disk_tier_set_back},
        {"the disk tier is damaged, and nothing else is left", test_disk_tier_damaged_alone},
        {"both are damaged: a new stream", test_both_damaged},
        {"the disk tier is out of reach", test_disk_out_of_reach},
        {"a new stream goes on beside the old one on disk", test_new_stream},
        {"a live tier of another stream", test_foreign_live_tier},
    };
    int failed = test_main("recovery", cases, sizeof(cases) / sizeof(cases[0]));
    loss_ledger_free(&ledger);
    return failed;
}
