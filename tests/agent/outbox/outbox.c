/* Custody of messages: numbers, lanes, history, gaps, and what reaches the flash. */
#include "tests/support/outbox_fixture.h"

#include "agent/outbox/reservation.h"

#include <errno.h>
#include <malloc.h>
#include <sqlite3.h>

static void test_numbers_go_on(void)
{
    struct box box;
    char stream[16];
    box_init(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    CU_ASSERT_EQUAL(strlen(stream), 8);
    CU_ASSERT_EQUAL(strspn(stream, "0123456789abcdef"), 8);
    CU_ASSERT_EQUAL(box_take(&box, 3, 100), 3);
    box_close(&box);
    box_power_cut(&box); /* a reboot: the clean stop left everything on disk */
    box_open(&box);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 4);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 4);
    struct outbox_gap gap;
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 4, true, true);
    box_close(&box);
    box_open(&box);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 5);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    box_done(&box);
}

static void test_two_stores_differ(void)
{
    struct box one, two;
    box_init(&one);
    box_init(&two);
    box_open(&one);
    box_open(&two);
    CU_ASSERT_STRING_NOT_EQUAL(outbox_stream(one.outbox), outbox_stream(two.outbox));
    box_done(&one);
    box_done(&two);
}

static void test_not_before_commit(void)
{
    struct box box;
    struct outbox_message message;
    box_init(&box);
    box_open(&box);
    box_link(&box, true);
    uint64_t seq = box_put_event(&box, "{}");
    CU_ASSERT_EQUAL(seq, 1);
    box_expect_empty(&box, outbox_next_live);
    CU_ASSERT_EQUAL(outbox_commit(box.outbox, box.now_ms), 0);
    CU_ASSERT_TRUE_FATAL(outbox_next_live(box.outbox, &message));
    CU_ASSERT_EQUAL(message.seq, 1);
    CU_ASSERT_EQUAL(message.wall_ms, WALL_MS);
    CU_ASSERT_EQUAL(message.body_length, 2);
    CU_ASSERT_FALSE(message.historical);
    TEST_TEXT_EQUAL(message.topic, "event");
    CU_ASSERT_EQUAL(message.facts.kind, OUTBOX_EVENT);
    TEST_TEXT_EQUAL(message.facts.owner, "");
    CU_ASSERT_EQUAL(message.facts.timestamp_ms, WALL_MS);
    box_expect_empty(&box, outbox_next_live); /* once only */
    outbox_release(box.outbox, 1);
    outbox_release(box.outbox, 1);  /* a second acknowledgement does no harm */
    outbox_release(box.outbox, 77); /* nor does a wrong one */
    CU_ASSERT_EQUAL(outbox_commit(box.outbox, box.now_ms), 0);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    CU_ASSERT_EQUAL(box_stats(&box).released, 1);
    box_done(&box);
}

/* Live before backlog, each in order; what was in flight when the link broke comes again. */
static void test_lanes(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    box_take(&box, 5, 300); /* 1..5: before the first session */
    box_expect_empty(&box, outbox_next_live);
    box_expect_empty(&box, outbox_next_backlog); /* the link is down */
    box_link(&box, true);
    box_take(&box, 4, 300); /* 6..9 */
    box_expect(&box, outbox_next_live, 6, 7, false, false);
    box_expect(&box, outbox_next_backlog, 1, 2, true, true);
    box_expect(&box, outbox_next_live, 8, 8, false, false);
    outbox_release(box.outbox, 7);
    box_link(&box, false); /* 6 and 8 in flight, 9 not yet handed out, 3..5 not either */
    box_take(&box, 1, 300);
    box_link(&box, true);
    box_take(&box, 1, 300);
    box_expect(&box, outbox_next_live, 11, 11, false, true);
    box_expect_empty(&box, outbox_next_live);
    box_expect(&box, outbox_next_backlog, 3, 5, true, true);
    box_expect(&box, outbox_next_backlog, 6, 6, false, true); /* it may have arrived like this */
    box_expect(&box, outbox_next_backlog, 8, 8, false, true);
    box_expect(&box, outbox_next_backlog, 9, 10, true, true);
    box_expect_empty(&box, outbox_next_backlog);
    box_pass(&box, 5000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    CU_ASSERT_EQUAL(box_stats(&box).released, 11);
    box_done(&box);
}

static void flag_work(struct box *box)
{
    box_open(box);
    box_take(box, 2, 50); /* 1, 2: down */
    box_link(box, true);
    box_take(box, 3, 50); /* 3, 4, 5: up */
    box_expect(box, outbox_next_live, 3, 3, false, false);
    box_link(box, false); /* 4, 5 were never handed out */
    box_take(box, 1, 50); /* 6: down */
    box_link(box, true);
    box_take(box, 2, 50); /* 7, 8: up, and may have been handed out as such when the kill came */
}

static void expect_flags(struct box *box)
{
    box_expect(box, outbox_next_backlog, 1, 2, true, false);
    box_expect(box, outbox_next_backlog, 3, 3, false, false);
    box_expect(box, outbox_next_backlog, 4, 6, true, false);
    box_expect(box, outbox_next_backlog, 7, 8, false, false);
    box_expect(box, outbox_next_backlog, 9, 9, true, false);
    box_expect_empty(box, outbox_next_backlog);
}

static void test_flags_stay(void)
{
    struct box box;
    box_init(&box);
    box_in_killed_child(&box, flag_work);
    box_open(&box);
    box_take(&box, 1, 50); /* 9: down */
    box_link(&box, true);
    expect_flags(&box);
    box_close(&box); /* all moves to disk */
    box_power_cut(&box);
    box_open(&box);
    box_link(&box, true);
    expect_flags(&box);
    box_done(&box);
}

/* Spilled while the link was up and the broker slow, never handed out, then the power fails. */
static void slow_broker_work(struct box *box)
{
    box_open(box);
    box_link(box, true);
    box_take(box, 10, 500);
    box_expect(box, outbox_next_live, 1, 4, false, false);
    box_pass(box, 3000); /* all ten are on disk now, and none is historical */
    CU_ASSERT_EQUAL_FATAL(box_stats(box).disk_messages, 10);
    box_link(box, false);
    box_link(box, true); /* 5..10 may be handed out as historical from here on */
    box_expect(box, outbox_next_backlog, 1, 4, false, false);
    box_expect(box, outbox_next_backlog, 5, 10, true, false);
}

static void test_flags_survive_power_cut(void)
{
    struct box box;
    box_init(&box);
    box_in_killed_child(&box, slow_broker_work);
    box_power_cut(&box);
    box_open(&box);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 4, false, true);
    box_expect(&box, outbox_next_backlog, 5, 10, true, true);
    box_done(&box);
}

/* The same, with a kill between the loss of the link and its return. */
static void spilled_work(struct box *box)
{
    box_open(box);
    box_link(box, true);
    box_take(box, 10, 500);
    box_pass(box, 3000);
    box_link(box, false);
}

static void returned_work(struct box *box)
{
    box_open(box);
    box_link(box, true);
    box_expect(box, outbox_next_backlog, 1, 10, true, false);
}

static void test_flags_survive_kill_and_power_cut(void)
{
    struct box box;
    box_init(&box);
    box_in_killed_child(&box, spilled_work);
    box_in_killed_child(&box, returned_work);
    box_power_cut(&box);
    box_open(&box);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 10, true, true);
    box_done(&box);
}

struct files {
    uint64_t blocks;
    int64_t modified_ns;
    uint64_t bytes;
};

static struct files look_at(const char *folder)
{
    struct files files = {0, 0, 0};
    DIR *entries = opendir(folder);
    struct dirent *entry;
    CU_ASSERT_PTR_NOT_NULL_FATAL(entries);
    while ((entry = readdir(entries))) {
        char path[600];
        struct stat about;
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &about) < 0)
            continue;
        int64_t modified = about.st_mtim.tv_sec * INT64_C(1000000000) + about.st_mtim.tv_nsec;
        files.modified_ns = modified > files.modified_ns ? modified : files.modified_ns;
        files.blocks += (uint64_t)about.st_blocks;
        files.bytes += (uint64_t)about.st_size;
    }
    closedir(entries);
    return files;
}

/* Nothing but reservations, each for longer than half of what a power cut may cost. */
static void test_little_flash_while_up(void)
{
    struct box box;
    char shared[300];
    box_init(&box);
    box_open(&box);
    box_close(&box); /* the second start is the ordinary one */
    box_open(&box);
    box_link(&box, true);
    usleep(20000); /* the clock of the file system is coarse: a later write must show */
    struct files before = look_at(box.state_dir);
    unsigned long syncs_before = syncs;
    for (uint64_t seq = 1; seq <= 20000; seq += 2) {
        box_take(&box, 2, 1000);
        box_expect(&box, outbox_next_live, seq, seq + 1, false, true);
        box.now_ms += 50;
        (void)outbox_tick(box.outbox, box.now_ms);
    }
    box_pass(&box, 10000);
    struct files after = look_at(box.state_dir);
    CU_ASSERT(syncs > syncs_before);
    CU_ASSERT(syncs - syncs_before <= 500000 / (RESERVATION_WINDOWS * 3000 / 2));
    (void)snprintf(shared, sizeof(shared), "%s/outbox.db-shm", box.state_dir);
    CU_ASSERT_EQUAL(access(shared, F_OK), -1);       /* a mapped file would be written to as well */
    CU_ASSERT(after.bytes - before.bytes < 2 << 20); /* a page each */
    CU_ASSERT_EQUAL(box_stats(&box).disk_bytes_written, 0);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    CU_ASSERT(look_at(box.runtime_dir).bytes < 4 << 20); /* nor does the live tier pile up */
    box_done(&box);
}

static void test_late_acknowledgements_spill(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    box_link(&box, true);
    box_take(&box, 10, 1000);
    box_expect(&box, outbox_next_live, 1, 10, false, false);
    box_pass(&box, 1900);
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 0);
    for (uint64_t seq = 1; seq <= 7; seq++)
        outbox_release(box.outbox, seq);
    box_take(&box, 1, 1000); /* 11: young */
    box_pass(&box, 150);
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 3);
    CU_ASSERT_EQUAL(box_stats(&box).live_messages, 1);
    CU_ASSERT_EQUAL(box_stats(&box).disk_bytes_written, 3000);
    for (uint64_t seq = 8; seq <= 10; seq++)
        outbox_release(box.outbox, seq);
    box_expect(&box, outbox_next_live, 11, 11, false, true);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    box_pass(&box, 3000);
    box_close(&box);
    box_open(&box);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    box_done(&box);
}

/* Link down: at most sync_ms of messages is not on disk. */
static void test_outage_goes_to_disk(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    for (int i = 0; i < 100; i++) {
        box_take(&box, 1, 200);
        box_pass(&box, 100);
        CU_ASSERT(box_stats(&box).live_messages <= 10);
    }
    box_pass(&box, 1000);
    CU_ASSERT_EQUAL(box_stats(&box).live_messages, 0);
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 100);
    box_done(&box);
}

static void power_cut_work(struct box *box)
{
    box_open(box);
    box_take(box, 10, 100);
    box_pass(box, 1100);
    CU_ASSERT_EQUAL_FATAL(box_stats(box).disk_messages, 10);
    box_take(box, 5, 100); /* in the live tier only */
}

static void test_power_cut(void)
{
    struct box box;
    struct outbox_gap gap;
    char stream[16];
    box_init(&box);
    box_open(&box);
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    box_close(&box);
    box_in_killed_child(&box, power_cut_work);
    box_power_cut(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "power-loss");
    CU_ASSERT_EQUAL(gap.first, 11); /* 1..10 are safe */
    uint64_t next = box_next_seq(&box);
    CU_ASSERT_EQUAL(gap.last, next - 1);
    CU_ASSERT(next > 15); /* 11..15 were used, and may have been published */
    CU_ASSERT(gap.from_ms > WALL_MS && gap.from_ms <= gap.to_ms);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 10, true, true);
    box_expect_empty(&box, outbox_next_backlog);
    box_take(&box, 1, 100);
    box_expect(&box, outbox_next_live, next, next, false, true);
    box_done(&box);
}

/* Power cuts in a row: a number is never used twice. */
static uint64_t cut_next;

static void cut_work(struct box *box)
{
    box_open(box);
    box_link(box, true);
    box_take(box, 3, 100);
}

static void test_power_cuts_in_a_row(void)
{
    struct box box;
    box_init(&box);
    for (int i = 0; i < 5; i++) {
        box_in_killed_child(&box, cut_work);
        box_power_cut(&box);
        box_open(&box);
        uint64_t next = box_next_seq(&box);
        CU_ASSERT(next >= cut_next + 3);
        cut_next = box_take(&box, 2, 100) + 1;
        box_close(&box);
    }
    box_done(&box);
}

static void kill_work(struct box *box)
{
    box_open(box);
    box_link(box, true);
    box_take(box, 100, 100);
    box_expect(box, outbox_next_live, 1, 50, false, true);
    CU_ASSERT_EQUAL(outbox_commit(box->outbox, box->now_ms), 0);
}

static void test_kill_leaves_no_gap(void)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box_in_killed_child(&box, kill_work);
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(box_stats(&box).next_seq, 101);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 50);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 51, 100, false, true);
    box_expect_empty(&box, outbox_next_backlog);
    box_done(&box);
}

static void report_work(struct box *box)
{
    box_open(box);
    struct outbox_gap gap;
    CU_ASSERT_FATAL(!outbox_next_gap(box->outbox, &gap)); /* it could not be reported */
    box_link(box, true);
    CU_ASSERT_FATAL(outbox_next_gap(box->outbox, &gap));
    CU_ASSERT_FATAL(box_put_event(box, "gap") > 0);
    outbox_gap_reported(box->outbox);
    CU_ASSERT_FATAL(!outbox_next_gap(box->outbox, &gap));
    if (box->settings.spill_after_ms == 2000)
        CU_ASSERT_EQUAL(outbox_commit(box->outbox, box->now_ms), 0);
}

/* How many gaps the disk tier of a closed outbox still knows. */
static int count_stored_gaps(const struct box *box)
{
    char path[300];
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    (void)snprintf(path, sizeof(path), "%s/outbox.db", box->state_dir);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &database), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(database, "SELECT count(*) FROM span WHERE kind > 0",
                                             -1, &statement, NULL),
                          SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    return count;
}

/* The report and the end of the gap become durable together. */
static void test_gap_is_reported_once(void)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box_in_killed_child(&box, power_cut_work);
    box_power_cut(&box);
    box.settings.spill_after_ms = 1999;
    box_in_killed_child(&box, report_work); /* killed before the commit: neither */
    box.settings.spill_after_ms = 2000;
    box_in_killed_child(&box, report_work); /* after it: both */
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(box_stats(&box).messages, 11);
    box_close(&box);
    CU_ASSERT_EQUAL(count_stored_gaps(&box), 1); /* until the report is acknowledged */
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    box_link(&box, true);
    struct outbox_message message;
    while (outbox_next_backlog(box.outbox, &message))
        outbox_release(box.outbox, message.seq);
    box_close(&box);
    CU_ASSERT_EQUAL(count_stored_gaps(&box), 0);
    box_done(&box);
}

static void report_without_disk_work(struct box *box)
{
    sync_error = EIO;
    report_work(box);
}

/* Whether a gap is made again after its report was taken and the power failed. */
static bool report_is_made_again(void (*work)(struct box *box), uint64_t *ret_messages)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box_in_killed_child(&box, power_cut_work);
    box_power_cut(&box);
    box_in_killed_child(&box, work);
    box_power_cut(&box);
    box_open(&box);
    *ret_messages = box_stats(&box).messages;
    bool again = box_gap(&box, &gap) && gap.first == 11;
    box_done(&box);
    return again;
}

/* The report is on disk before it goes out: it comes again as it was, and not as a second one. */
static void test_report_survives_a_power_cut(void)
{
    uint64_t messages = 0;
    CU_ASSERT_FALSE(report_is_made_again(report_work, &messages));
    CU_ASSERT_EQUAL(messages, 11);
    CU_ASSERT_TRUE(report_is_made_again(report_without_disk_work, &messages)); /* nobody knows */
    CU_ASSERT_EQUAL(messages, 10);
}

/* A gap and ten messages on disk; the report is taken, and two messages are acknowledged. */
static void settled_work(struct box *box)
{
    struct outbox_message message;
    box_open(box);
    box_link(box, true);
    struct outbox_gap gap;
    CU_ASSERT_FATAL(outbox_next_gap(box->outbox, &gap));
    uint64_t seq = box_put_event(box, "gap");
    outbox_gap_reported(box->outbox);
    CU_ASSERT_EQUAL(outbox_commit(box->outbox, box->now_ms), 0);
    CU_ASSERT_TRUE(outbox_next_live(box->outbox, &message) && message.seq == seq);
    if (box->settings.sync_ms == 999)
        outbox_release(box->outbox, seq); /* the broker has the report */
    box_expect(box, outbox_next_backlog, 1, 2, true, true);
    box_pass(box, 1000); /* the disk hears of the two, and of the gap as it is now */
    CU_ASSERT_EQUAL(box_stats(box).disk_messages, box->settings.sync_ms == 999 ? 8 : 9);
}

static bool first_gap_after_settled_work(int64_t sync_ms)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box_in_killed_child(&box, power_cut_work);
    box_power_cut(&box);
    box.settings.sync_ms = sync_ms;
    box_in_killed_child(&box, settled_work);
    box_lose_live(&box); /* and the disk has what was written, although no sync was waited for */
    box_open(&box);
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    bool repeated = gap.first == 11;
    box_done(&box);
    return repeated;
}

static void test_report_on_its_way(void)
{
    CU_ASSERT_FALSE(first_gap_after_settled_work(1000)); /* it is on disk, to be sent again */
    CU_ASSERT_FALSE(first_gap_after_settled_work(999));  /* it had arrived: there is a new gap */
}

/* More than fits in memory, part of it on disk already: still one lane, in order. */
static void test_slow_broker(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    box_link(&box, true);
    box_take(&box, 500, 1000);
    box_expect(&box, outbox_next_live, 1, 100, false, false);
    box_pass(&box, 3000);
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 500);
    box_take(&box, 500, 1000);
    box_expect(&box, outbox_next_live, 101, 700, false, true);
    box_take(&box, 10, 1000);
    box_expect(&box, outbox_next_live, 701, 1010, false, true);
    box_expect_empty(&box, outbox_next_live);
    box_expect_empty(&box, outbox_next_backlog);
    for (uint64_t seq = 100; seq > 0; seq--) /* acknowledged in the wrong order */
        outbox_release(box.outbox, seq);
    box_pass(&box, 2000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    CU_ASSERT_EQUAL(box_stats(&box).released, 1010);
    box_done(&box);
}

/* Memory does not grow with the backlog. */
static void test_memory(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    box_take(&box, 1000, 1000);
    box_pass(&box, 1000);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 20; i++) {
        box_take(&box, 1000, 1000);
        box_pass(&box, 1000);
    }
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 15000, true, true);
    box_pass(&box, 1000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 6000);
    CU_ASSERT(mallinfo2().uordblks < before + (1 << 20)); /* (0 with a sanitizer's allocator) */
    box_done(&box);
}

/* After a long outage the flash is free again. */
static void test_room_is_given_back(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    for (int i = 0; i < 10; i++) {
        box_take(&box, 1000, 1000);
        box_pass(&box, 1000);
    }
    CU_ASSERT(look_at(box.state_dir).bytes > 10000000);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 10000, true, true);
    box_pass(&box, 12000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    char path[300];
    struct stat about;
    (void)snprintf(path, sizeof(path), "%s/outbox.db", box.state_dir);
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    CU_ASSERT(about.st_size < 1 << 20);
    CU_ASSERT_EQUAL(box_take(&box, 1, 1000), 10001);
    box_expect(&box, outbox_next_live, 10001, 10001, false, true);
    box_close(&box);
    box_power_cut(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    CU_ASSERT_EQUAL(box_take(&box, 1, 1000), 10002);
    box_done(&box);
}

/* The ledger on disk must not know of a report that no tier holds. */
static void many_work(struct box *box)
{
    box_open(box);
    box_take(box, 600, 100);
    box_pass(box, 1100);
}

static void early_report_work(struct box *box)
{
    struct outbox_gap gap;
    box_open(box);
    box_link(box, true);
    box_expect(box, outbox_next_backlog, 1, 600, true, false);
    CU_ASSERT_FATAL(outbox_next_gap(box->outbox, &gap));
    CU_ASSERT(box_put_event(box, "gap") > 0);
    outbox_gap_reported(box->outbox);
    for (uint64_t seq = 1; seq <= 600; seq += 2) /* more than can be noted without a write */
        outbox_release(box->outbox, seq);
}

static void test_report_before_commit(void)
{
    struct box box;
    struct outbox_gap gap;
    struct outbox_message message;
    bool reported = false;
    box_init(&box);
    box_in_killed_child(&box, many_work);
    box_power_cut(&box);
    box_in_killed_child(&box, early_report_work);
    box_open(&box);
    box_link(&box, true);
    bool offered = outbox_next_gap(box.outbox, &gap);
    while (outbox_next_backlog(box.outbox, &message))
        reported |= strcmp(message.topic, "event") == 0;
    CU_ASSERT_FALSE(offered); /* nor is there a new one */
    CU_ASSERT_TRUE(reported);
    box_done(&box);
}

static void test_figures(void)
{
    struct box box;
    struct outbox_stats stats;
    box_init(&box);
    box.settings.max_bytes = UINT64_C(100) << 20;
    box.settings.sync_ms = 20000;
    box_open(&box);
    stats = box_stats(&box);
    CU_ASSERT_EQUAL(stats.messages, 0);
    CU_ASSERT_EQUAL(stats.bytes, 0);
    CU_ASSERT_EQUAL(stats.oldest_wall_ms, 0);
    CU_ASSERT(stats.runway_h < 0); /* nothing is known yet */
    int64_t first_ms = box.now_ms + WALL_MS;
    for (int i = 0; i < 600; i++) {
        box_take(&box, 1, 1000);
        box_pass(&box, 1000);
    }
    box_pass(&box, 20000);
    stats = box_stats(&box);
    CU_ASSERT_EQUAL(stats.messages, 600);
    CU_ASSERT_EQUAL(stats.taken, 600);
    CU_ASSERT_EQUAL(stats.next_seq, 601);
    CU_ASSERT_EQUAL(stats.oldest_wall_ms, first_ms);
    CU_ASSERT(stats.bytes > 600000 && stats.bytes < 1000000);
    CU_ASSERT_EQUAL(stats.disk_bytes_written, 600000);
    /* One kilobyte a second into 100 MiB: 21 to 29 hours, by how well the pages are filled. */
    CU_ASSERT(stats.runway_h > 20 && stats.runway_h < 29);
    box_close(&box);
    box_open(&box);
    CU_ASSERT_EQUAL(box_stats(&box).oldest_wall_ms, first_ms);
    CU_ASSERT_EQUAL(box_stats(&box).bytes, stats.bytes);
    box_done(&box);
}

/* The next tick is early enough for what is taken after this one. */
static void test_tick_is_early_enough(void)
{
    struct box box;
    box_init(&box);
    box.settings.sync_ms = 100;
    box_open(&box);
    CU_ASSERT(outbox_tick(box.outbox, box.now_ms) <= box.now_ms + 100);
    box_link(&box, true);
    box.now_ms += 5000;
    CU_ASSERT(outbox_tick(box.outbox, box.now_ms) <= box.now_ms + 1000);
    box_take(&box, 1, 100);
    int64_t due = outbox_tick(box.outbox, box.now_ms + 1500);
    CU_ASSERT_EQUAL(due, box.now_ms + 2000); /* to the point */
    box_done(&box);
}

TEST_MAIN("outbox",
          {"numbers and stream go on after a clean stop and a reboot", test_numbers_go_on},
          {"two stores have two streams", test_two_stores_differ},
          {"nothing is handed out before it is committed, and once only", test_not_before_commit},
          {"live first, backlog in order, in flight comes again", test_lanes},
          {"what is historical is decided once, through kill and stop", test_flags_stay},
          {"and through a power cut", test_flags_survive_power_cut},
          {"and through a kill and a power cut", test_flags_survive_kill_and_power_cut},
          {"only reservations reach the state folder while the link is up",
           test_little_flash_while_up},
          {"what is not acknowledged in time goes to disk", test_late_acknowledgements_spill},
          {"everything goes to disk while the link is down", test_outage_goes_to_disk},
          {"a power cut is a gap, and no number is used again", test_power_cut},
          {"power cuts in a row", test_power_cuts_in_a_row},
          {"a kill is no gap", test_kill_leaves_no_gap},
          {"a gap is reported once", test_gap_is_reported_once},
          {"a report survives a power cut", test_report_survives_a_power_cut},
          {"a report on its way is not made again", test_report_on_its_way},
          {"the disk does not get ahead of what is committed", test_report_before_commit},
          {"room on flash is given back", test_room_is_given_back},
          {"a slow broker gets everything in order", test_slow_broker},
          {"memory does not grow with the backlog", test_memory},
          {"figures: messages, bytes, oldest, runway", test_figures},
          {"the next tick is early enough", test_tick_is_early_enough})
