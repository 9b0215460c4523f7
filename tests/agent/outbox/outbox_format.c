/*
 * Stores that the version before wrote (format 1: messages without facts) are taken over with all
 * that is in them. The files in format-1/ are its own: 1 to 6 were taken while the link was down
 * and moved to the disk tier; 7 to 10 while it was up, 8 an event, only 7 handed out; 11 after the
 * link broke again; then it was killed, with all in the write-ahead logs.
 */
#include "tests/support/outbox_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>

#define TAKEN_1_MS (WALL_MS + 1000000)
#define TAKEN_7_MS (WALL_MS + 1001500)

/* To FOLDER, and as what a power cut would leave of it. */
static void copy_old(const char *folder, const char *name)
{
    char from[512], to[512], synced[600];
    (void)mkdir(folder, 0750);
    (void)snprintf(from, sizeof(from), "%s/tests/agent/outbox/format-1/%s", SOURCE_FOLDER, name);
    (void)snprintf(to, sizeof(to), "%s/%s", folder, name);
    (void)snprintf(synced, sizeof(synced), "%s.synced", to);
    copy_file(from, to);
    copy_file(from, synced);
}

static void begin(struct box *box)
{
    box_init(box);
    copy_old(box->state_dir, "outbox.db");
    copy_old(box->state_dir, "outbox.db-wal");
    copy_old(box->runtime_dir, "live.db");
    copy_old(box->runtime_dir, "live.db-wal");
    box->now_ms += 5000;
}

/* The format of the file, as another program sees it; the outbox is closed. */
static int format_of(const char *folder, const char *name)
{
    char path[512];
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &database), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(database, "PRAGMA user_version", -1, &statement, NULL),
                          SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    int version = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
    return version;
}

/* Messages FIRST..LAST of the old store, with the facts that follow from their topics. */
static void expect_old(struct box *box, uint64_t first, uint64_t last)
{
    char body[100];
    struct outbox_message message;
    for (uint64_t seq = first; seq <= last; seq++) {
        CU_ASSERT_TRUE_FATAL(outbox_next_backlog(box->outbox, &message));
        CU_ASSERT_EQUAL_FATAL(message.seq, seq);
        size_t length = box_body(seq, sizeof(body), body);
        CU_ASSERT(message.body_length == length && memcmp(message.body, body, length) == 0);
        bool event = seq == 8, odd = seq % 2;
        TEST_TEXT_EQUAL(message.topic, event ? "event" : odd ? "data/odd" : "data/even");
        CU_ASSERT_EQUAL(message.facts.kind, event ? OUTBOX_EVENT : OUTBOX_DATA);
        TEST_TEXT_EQUAL(message.facts.owner, event ? "" : odd ? "odd" : "even");
        CU_ASSERT_EQUAL(message.historical, seq != 7);
        CU_ASSERT_EQUAL(message.wall_ms, seq < 7 ? TAKEN_1_MS : TAKEN_7_MS);
        CU_ASSERT_EQUAL(message.facts.timestamp_ms, message.wall_ms);
    }
}

/* Killed, and the next version starts on what it left. */
static void test_after_a_kill(void)
{
    struct box box;
    struct outbox_gap gap;
    begin(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), "4e88e1fb");
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 6);
    CU_ASSERT_EQUAL(box_stats(&box).live_messages, 5);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(box_take(&box, 3, 200), 14);
    box_link(&box, true);
    expect_old(&box, 1, 11);
    box_expect(&box, outbox_next_backlog, 12, 14, true, false);
    box_close(&box); /* the old ones move to disk between the new ones */
    box_lose_live(&box);
    CU_ASSERT_EQUAL(format_of(box.state_dir, "outbox.db"), 2);
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    box_link(&box, true);
    expect_old(&box, 1, 11);
    box_expect(&box, outbox_next_backlog, 12, 14, true, true);
    box_done(&box);
}

static void open_work(struct box *box)
{
    box_open(box);
}

/* The new version is killed in its turn, just after it took the store over. */
static void test_killed_after_the_start(void)
{
    struct box box;
    struct outbox_gap gap;
    begin(&box);
    box_in_killed_child(&box, open_work);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    box_link(&box, true);
    expect_old(&box, 1, 11);
    box_done(&box);
}

static void test_after_a_power_cut(void)
{
    struct box box;
    struct outbox_gap gap;
    begin(&box);
    box_lose_live(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), "4e88e1fb");
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "power-loss");
    CU_ASSERT(gap.first == 7 && gap.last >= 11);
    box_link(&box, true);
    expect_old(&box, 1, 6);
    box_done(&box);
}

/* The power fails again before anything was synced: what the old version wrote counts. */
static void test_cut_after_the_start(void)
{
    struct box box;
    begin(&box);
    box_lose_live(&box);
    box_in_killed_child(&box, open_work);
    box_power_cut(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    box_link(&box, true);
    expect_old(&box, 1, 6);
    box_done(&box);
}

/* The checksum of an old row is the old one, and still checked. */
static void test_flipped_bit(void)
{
    struct box box;
    struct outbox_gap gap;
    static char content[1 << 16];
    char path[512];
    begin(&box);
    box_in_killed_child(&box, open_work);
    box_open(&box);
    box_close(&box); /* the log is in the file now */
    (void)snprintf(path, sizeof(path), "%s/outbox.db", box.state_dir);
    (void)snprintf(content, sizeof(content), "%s-wal", path);
    (void)unlink(content);
    int file = open(path, O_RDWR);
    ssize_t length = read(file, content, sizeof(content));
    CU_ASSERT_FATAL(length > 4096);
    char *place = memmem(content, (size_t)length, "<4>", 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    CU_ASSERT_EQUAL(pwrite(file, "\x01", 1, place - content + 50), 1);
    close(file);
    box_open(&box);
    box_link(&box, true);
    expect_old(&box, 1, 3);
    CU_ASSERT_EQUAL(outbox_commit(box.outbox, box.now_ms), 0); /* the gap first */
    CU_ASSERT_TRUE_FATAL(outbox_next_gap(box.outbox, &gap));
    TEST_TEXT_EQUAL(gap.reason, "damaged");
    CU_ASSERT(gap.first == 4 && gap.last == 4);
    expect_old(&box, 5, 11);
    box_done(&box);
}

/* --- a full disk ----------------------------------------------------------------------------- */

static bool mount_small(const struct box *box)
{
    static bool entered;
    if (!entered &&
        (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)) {
        printf("(no mount namespace here: not tested) ");
        return false;
    }
    entered = true;
    (void)mkdir(box->state_dir, 0750);
    CU_ASSERT_EQUAL_FATAL(mount("small", box->state_dir, "tmpfs", 0, "size=256k"), 0);
    return true;
}

/* To the last block, with the file whose path it returns. */
static const char *fill(const struct box *box)
{
    static const char zeros[4096];
    static char path[512];
    (void)snprintf(path, sizeof(path), "%s/filling", box->state_dir);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    CU_ASSERT_FATAL(file >= 0);
    while (write(file, zeros, sizeof(zeros)) > 0)
        ;
    close(file);
    return path;
}

/* What the end of the old version leaves when it is stopped in order: a log without content. */
static void settle_log(const struct box *box)
{
    int persist = 1;
    char path[512];
    sqlite3 *database = NULL;
    (void)snprintf(path, sizeof(path), "%s/outbox.db", box->state_dir);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &database), SQLITE_OK);
    (void)sqlite3_file_control(database, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    CU_ASSERT_EQUAL(sqlite3_exec(database, "SELECT count(*) FROM message", NULL, NULL, NULL),
                    SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_close(database), SQLITE_OK);
}

/* No room to take the disk tier over at the first start: later, then, and nothing is lost. */
static void test_full_disk(void)
{
    struct box box;
    begin(&box);
    if (!mount_small(&box))
        return;
    copy_old(box.state_dir, "outbox.db");
    copy_old(box.state_dir, "outbox.db-wal");
    const char *filling = fill(&box);
    box_open(&box);
    TEST_CONTAINS(strbuf_text(&box.warning), "outbox.db cannot be used: No space left on device");
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), "4e88e1fb");
    CU_ASSERT_EQUAL(box_take(&box, 3, 200), 14);
    CU_ASSERT_EQUAL(unlink(filling), 0);
    box_pass(&box, 70000);
    TEST_TEXT_EQUAL(box_stats(&box).problem, "");
    CU_ASSERT_EQUAL(box_stats(&box).messages, 14);
    box_link(&box, true);
    expect_old(&box, 1, 11);
    box_expect(&box, outbox_next_backlog, 12, 14, true, true);
    box_done(&box);
    CU_ASSERT_EQUAL(umount2(box.state_dir, MNT_DETACH), 0);
}

/* After a stop in order the log's own room is enough, also when nothing else knows the stream. */
static void test_full_disk_after_a_stop(void)
{
    struct box box;
    begin(&box);
    box_lose_live(&box);
    if (!mount_small(&box))
        return;
    copy_old(box.state_dir, "outbox.db");
    copy_old(box.state_dir, "outbox.db-wal");
    settle_log(&box);
    const char *filling = fill(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), "4e88e1fb");
    box_link(&box, true);
    expect_old(&box, 1, 6);
    CU_ASSERT_EQUAL(unlink(filling), 0);
    box_done(&box);
    CU_ASSERT_EQUAL(format_of(box.state_dir, "outbox.db"), 2);
    CU_ASSERT_EQUAL(umount2(box.state_dir, MNT_DETACH), 0);
}

TEST_MAIN("outbox_format",
          {"a store of format 1 after a kill: all of it, with its facts", test_after_a_kill},
          {"killed again just after the start", test_killed_after_the_start},
          {"a store of format 1 after a power cut", test_after_a_power_cut},
          {"and another one just after the start", test_cut_after_the_start},
          {"a flipped bit in an old row costs one message", test_flipped_bit},
          {"the disk is full at the first start", test_full_disk},
          {"the same after a stop in order and a reboot", test_full_disk_after_a_stop})
