/*
 * What the outbox does when its files or folders fail: damaged, full, read-only, held by somebody
 * else. Full disks are real ones: small tmpfs mounts in a mount namespace of the test's own.
 */
#include "tests/support/outbox_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>

/* Where a mount namespace can be had, as root or through a user namespace. */
static bool have_namespace;

static bool write_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY);
    bool good = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    if (file >= 0)
        close(file);
    return good;
}

/* As an ordinary user: root in a user namespace of our own. */
static bool enter_user_namespace(void)
{
    char users[64], groups[64];
    (void)snprintf(users, sizeof(users), "0 %u 1", (unsigned)getuid());
    (void)snprintf(groups, sizeof(groups), "0 %u 1", (unsigned)getgid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/gid_map", groups);
}

static bool enter_namespace(void)
{
    if (unshare(CLONE_NEWNS) < 0 && !enter_user_namespace())
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void mount_small(const char *folder, unsigned kib, unsigned long flags)
{
    char options[64];
    (void)snprintf(options, sizeof(options), "size=%uk", kib);
    (void)mkdir(folder, 0750);
    CU_ASSERT_EQUAL_FATAL(mount("small", folder, "tmpfs", flags, options), 0);
}

static void remount(const char *folder, unsigned kib, unsigned long flags)
{
    char options[64];
    (void)snprintf(options, sizeof(options), "size=%uk", kib);
    CU_ASSERT_EQUAL_FATAL(mount("small", folder, "tmpfs", MS_REMOUNT | flags, options), 0);
}

static void unmount(const char *folder)
{
    CU_ASSERT_EQUAL(umount2(folder, MNT_DETACH), 0);
}

/* Fills the file system of FOLDER to the last block. */
static void fill(const char *folder)
{
    char path[300], block[4096] = {0};
    (void)snprintf(path, sizeof(path), "%s/filling", folder);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    CU_ASSERT_FATAL(file >= 0);
    while (write(file, block, sizeof(block)) > 0)
        ;
    close(file);
}

static void make_room(const char *folder)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/filling", folder);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static void skip(void)
{
    printf("(no mount namespace here: not tested) ");
}

static size_t count_files(const char *folder, const char *part)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries)))
        count += strstr(entry->d_name, part) && !strstr(entry->d_name, "-wal");
    if (entries)
        closedir(entries);
    return count;
}

static const char *file_of(const char *folder, const char *name)
{
    static char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void overwrite(const char *path, off_t at, const void *bytes, size_t length)
{
    int file = open(path, O_WRONLY);
    CU_ASSERT_FATAL(file >= 0);
    CU_ASSERT_EQUAL(pwrite(file, bytes, length, at), (ssize_t)length);
    close(file);
}

/* --- another process ------------------------------------------------------------------------- */

static void second_work(struct box *box)
{
    box->outbox = NULL;
    CU_ASSERT_EQUAL(box_try_open(box), -EBUSY);
    TEST_CONTAINS(strbuf_text(&box->warning), "outbox.db is held by another process");
    CU_ASSERT_PTR_NULL(box->outbox);
    /* Only the state folder is shared: that is enough. */
    box->settings.runtime_dir = test_path("elsewhere");
    CU_ASSERT_EQUAL(box_try_open(box), -EBUSY);
}

static void test_held(void)
{
    struct box box;
    box_init(&box);
    box_open(&box);
    box_take(&box, 3, 100);
    struct box other = box;
    other.warning = (struct strbuf)STRBUF_EMPTY;
    box_in_killed_child(&other, second_work);
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 4); /* it goes on undisturbed */
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 4, true, true);
    box_done(&box);
}

/* --- damaged files --------------------------------------------------------------------------- */

static void damage_truncate(const char *path)
{
    CU_ASSERT_EQUAL(truncate(path, 5000), 0);
}

static void damage_zero_page(const char *path)
{
    static const char zeros[4096];
    overwrite(path, 4096, zeros, sizeof(zeros));
}

static void damage_header(const char *path)
{
    overwrite(path, 0, "not a database at all", 21);
}

static void damage_all(const char *path)
{
    unsigned char noise[20000];
    uint32_t state = 12345;
    for (size_t i = 0; i < sizeof(noise); i++) {
        state = state * 1664525U + 1013904223U;
        noise[i] = (unsigned char)(state >> 24);
    }
    overwrite(path, 0, noise, sizeof(noise));
}

static void damage_folder(const char *path)
{
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0750), 0);
}

static void damage_fifo(const char *path)
{
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
}

static void (*const damages[])(const char *path) = {
    damage_truncate, damage_zero_page, damage_header, damage_all, damage_folder, damage_fifo};

/* 40 messages, all on disk, and killed. */
static void forty_work(struct box *box)
{
    box_open(box);
    box_take(box, 40, 1000);
    box_pass(box, 1500);
    CU_ASSERT_EQUAL_FATAL(box_stats(box).disk_messages, 40);
}

/* Without the log what is in the database file counts. */
static void settle_log(struct box *box)
{
    box_open(box);
    box_close(box);
    (void)unlink(file_of(box->state_dir, "outbox.db-wal"));
}

static void test_damaged_disk(void)
{
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        struct box box;
        struct outbox_gap gap;
        char stream[16];
        box_init(&box);
        box_in_killed_child(&box, forty_work);
        settle_log(&box);
        damages[i](file_of(box.state_dir, "outbox.db"));
        box_open(&box);
        TEST_CONTAINS(strbuf_text(&box.warning), "outbox.db was damaged and is kept as");
        CU_ASSERT_EQUAL(count_files(box.state_dir, ".damaged-"), 1);
        (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
        CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
        CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap)); /* the live tier knew */
        TEST_TEXT_EQUAL(gap.reason, "damaged");
        CU_ASSERT_EQUAL(gap.first, 1);
        CU_ASSERT_EQUAL(gap.last, 40);
        CU_ASSERT_EQUAL(box_take(&box, 1, 100), 41);
        box_close(&box);
        box_lose_live(&box);
        box_open(&box); /* the fresh file is as good as the old one was */
        TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
        TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
        CU_ASSERT_EQUAL(box_stats(&box).messages, 1);
        box_done(&box);
    }
}

static void test_two_damaged_files_are_kept(void)
{
    struct box box;
    box_init(&box);
    for (int i = 0; i < 5; i++) {
        box.now_ms += 60000;
        box_open(&box);
        box_close(&box);
        damage_header(file_of(box.state_dir, "outbox.db"));
        (void)unlink(file_of(box.state_dir, "outbox.db-wal"));
    }
    box_open(&box);
    CU_ASSERT_EQUAL(count_files(box.state_dir, ".damaged-"), 2);
    box_done(&box);
}

/* An empty file is what is left after a kill during the very first start. */
static void test_empty_file(void)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    CU_ASSERT_EQUAL(mkdir(box.state_dir, 0750), 0);
    close(open(file_of(box.state_dir, "outbox.db"), O_CREAT | O_WRONLY, 0600));
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 1);
    box_done(&box);
}

static void test_foreign_database(void)
{
    struct box box;
    box_init(&box);
    CU_ASSERT_EQUAL(mkdir(box.state_dir, 0750), 0);
    sqlite3 *foreign = NULL;
    CU_ASSERT_EQUAL(sqlite3_open(file_of(box.state_dir, "outbox.db"), &foreign), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_exec(foreign, "CREATE TABLE message(seq, text)", NULL, NULL, NULL),
                    SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_close(foreign), SQLITE_OK);
    box_open(&box);
    TEST_CONTAINS(strbuf_text(&box.warning), "outbox.db was damaged and is kept as");
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 1);
    box_done(&box);
}

static off_t find_in_file(const char *path, const char *text)
{
    static char content[1 << 20];
    FILE *file = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size_t length = fread(content, 1, sizeof(content), file);
    (void)fclose(file);
    const char *place = memmem(content, length, text, strlen(text));
    return place ? place - content : -1;
}

/* A worn flash cell within a body: SQLite does not notice, the checksum does. */
static void test_flipped_bit(void)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box_in_killed_child(&box, forty_work);
    settle_log(&box);
    off_t at = find_in_file(file_of(box.state_dir, "outbox.db"), "<17>");
    CU_ASSERT_FATAL(at > 0);
    overwrite(file_of(box.state_dir, "outbox.db"), at + 100, "\x01", 1);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    box_link(&box, true);
    for (uint64_t seq = 1; seq <= 40; seq++) {
        struct outbox_message message;
        if (seq == 17)
            continue;
        if (!outbox_next_backlog(box.outbox, &message)) { /* the gap waits for a commit */
            CU_ASSERT_EQUAL(outbox_commit(box.outbox, box.now_ms), 0);
            CU_ASSERT_TRUE_FATAL(outbox_next_backlog(box.outbox, &message));
        }
        CU_ASSERT_EQUAL(message.seq, seq);
        CU_ASSERT_TRUE(box_content_good(&message));
    }
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "damaged");
    CU_ASSERT_EQUAL(gap.first, 17);
    CU_ASSERT_EQUAL(gap.last, 17);
    box_done(&box);
}

static void live_damage_work(struct box *box)
{
    box_open(box);
    box_take(box, 10, 1000);
    box_pass(box, 1500); /* 1..10 on disk */
    box_take(box, 10, 1000);
    static const char noise[8192] = "noise";
    (void)unlink(file_of(box->runtime_dir, "live.db-wal"));
    overwrite(file_of(box->runtime_dir, "live.db"), 0, noise, sizeof(noise));
}

static void test_damaged_live(void)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box_in_killed_child(&box, live_damage_work);
    box_open(&box);
    TEST_CONTAINS(strbuf_text(&box.warning), "live.db was damaged and is kept as");
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "damaged");
    CU_ASSERT_EQUAL(gap.first, 11);
    uint64_t next = box_next_seq(&box);
    CU_ASSERT(next > 20);
    CU_ASSERT_EQUAL(gap.last, next - 1);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 10, true, true);
    box_done(&box);
}

static void test_both_damaged(void)
{
    struct box box;
    char stream[16];
    box_init(&box);
    box_in_killed_child(&box, live_damage_work);
    box_open(&box);
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    box_close(&box);
    (void)unlink(file_of(box.state_dir, "outbox.db-wal"));
    damage_header(file_of(box.state_dir, "outbox.db"));
    (void)unlink(file_of(box.runtime_dir, "live.db-wal"));
    damage_header(file_of(box.runtime_dir, "live.db"));
    box_open(&box);
    CU_ASSERT_STRING_NOT_EQUAL(outbox_stream(box.outbox), stream); /* a new one */
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 1);
    box_done(&box);
}

/* The flash goes bad while the agent runs. */
static void damage_while_running(struct box *box)
{
    struct outbox_gap gap;
    struct outbox_message message;
    static char noise[1 << 16];
    uint64_t last = 0, received = 0;
    box_open(box);
    box_take(box, 3000, 1000);
    box_pass(box, 1500);
    memset(noise, 0xa5, sizeof(noise));
    for (off_t at = 1 << 20; at < 2 << 20; at += (off_t)sizeof(noise))
        overwrite(file_of(box->state_dir, "outbox.db"), at, noise, sizeof(noise));
    box_link(box, true);
    uint64_t fresh = box_take(box, 5, 1000);
    for (int i = 0; i < 3; i++) {
        while (outbox_next_backlog(box->outbox, &message)) {
            CU_ASSERT(message.seq > last);
            CU_ASSERT_TRUE(box_content_good(&message));
            last = message.seq;
            received++;
            if (message.seq % 3 || message.seq < 2000)
                outbox_release(box->outbox, message.seq); /* the others are still in flight */
        }
        CU_ASSERT_EQUAL(outbox_commit(box->outbox, box->now_ms), 0);
    }
    CU_ASSERT(received > 0 && received < 3000);
    CU_ASSERT_EQUAL(count_files(box->state_dir, ".damaged-"), 1);
    TEST_CONTAINS(box_stats(box).problem, "outbox.db was damaged");
    CU_ASSERT_TRUE_FATAL(outbox_next_gap(box->outbox, &gap));
    TEST_TEXT_EQUAL(gap.reason, "damaged");
    CU_ASSERT(gap.first == last + 1 && gap.last == 3000); /* all that did not arrive, and no more */
    box_expect(box, outbox_next_live, fresh - 4, fresh, false, true);
    box_pass(box, 2000);
}

static void damaged_while_running_work(struct box *box)
{
    damage_while_running(box);
    FILE *file = fopen(test_path("stream"), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fprintf(file, "%s", outbox_stream(box->outbox));
    (void)fclose(file);
}

/* The fresh file knows stream and numbers, should the power fail next. */
static void test_damaged_while_running(void)
{
    struct box box;
    char stream[16] = "";
    box_init(&box);
    box_in_killed_child(&box, damaged_while_running_work);
    box_lose_live(&box);
    FILE *file = fopen(test_path("stream"), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fscanf(file, "%15s", stream), 1);
    (void)fclose(file);
    box_open(&box);
    TEST_TEXT_EQUAL(strbuf_text(&box.warning), "");
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    CU_ASSERT(box_next_seq(&box) > 3005);
    box_done(&box);
}

/* The live tier goes bad while the agent runs: what is in memory still goes out. */
static void test_live_damaged_while_running(void)
{
    struct box box;
    struct outbox_gap gap;
    static char noise[1 << 20];
    box_init(&box);
    box_open(&box);
    box_link(&box, true);
    for (int i = 0; i < 100; i++)
        box_take(&box, 10, 1000);
    memset(noise, 0xa5, sizeof(noise));
    overwrite(file_of(box.runtime_dir, "live.db"), 0, noise, sizeof(noise));
    overwrite(file_of(box.runtime_dir, "live.db-wal"), 0, noise, sizeof(noise));
    uint64_t last = 0, before = 0, back = 0; /* the numbers before and after the damage */
    struct outbox_message message;
    for (int i = 0; i < 3; i++) {
        while (outbox_next_live(box.outbox, &message)) {
            CU_ASSERT_TRUE(box_content_good(&message));
            CU_ASSERT(message.seq == last + 1 || back == 0);
            before = message.seq == last + 1 ? before : last;
            back = message.seq == last + 1 ? back : message.seq;
            last = message.seq;
            outbox_release(box.outbox, message.seq);
        }
        CU_ASSERT_EQUAL(outbox_commit(box.outbox, box.now_ms), 0);
    }
    CU_ASSERT_EQUAL(last, 1000);
    CU_ASSERT(back > 1 && back < 1000);
    CU_ASSERT_TRUE_FATAL(outbox_next_gap(box.outbox, &gap));
    TEST_TEXT_EQUAL(gap.reason, "damaged");
    CU_ASSERT_EQUAL(gap.first, before + 1);
    CU_ASSERT_EQUAL(gap.last, back - 1);
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 1001);
    box_expect(&box, outbox_next_live, 1001, 1001, false, true);
    box_done(&box);
}

/* --- full, and read-only --------------------------------------------------------------------- */

static void expect_all(struct box *box, uint64_t first, uint64_t last)
{
    box_link(box, true);
    box_expect(box, outbox_next_backlog, first, last, true, false);
    box_expect_empty(box, outbox_next_backlog);
}

static void test_disk_full(void)
{
    struct box box;
    struct outbox_gap gap;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 1024, 0);
    box_open(&box);
    box_take(&box, 50, 1000);
    box_pass(&box, 1500);
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 50);
    fill(box.state_dir);
    for (int i = 0; i < 10; i++) {
        box_take(&box, 100, 1000);
        box_pass(&box, 1000);
    }
    CU_ASSERT_EQUAL(box_stats(&box).messages, 1050);
    CU_ASSERT(box_stats(&box).live_messages > 0);
    TEST_CONTAINS(box_stats(&box).problem, "outbox.db: disk full");
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 30, true, true); /* cannot be deleted there now */
    make_room(box.state_dir);
    remount(box.state_dir, 8192, 0);
    expect_all(&box, 31, 1050); /* the thirty do not come again */
    box_link(&box, false);
    box_pass(&box, 70000);
    TEST_TEXT_EQUAL(box_stats(&box).problem, "");
    CU_ASSERT_EQUAL(box_stats(&box).live_messages, 0);
    expect_all(&box, 31, 1050);
    box_done(&box);
    unmount(box.state_dir);
}

/* The live tier is bounded when the disk takes nothing: the oldest go, and that is on record. */
static void test_disk_full_for_long(void)
{
    struct box box;
    struct outbox_gap gap;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    box.settings.max_bytes = 1 << 20;
    mount_small(box.state_dir, 256, 0);
    box_open(&box);
    fill(box.state_dir);
    for (int i = 0; i < 20; i++) {
        box_take(&box, 100, 1000);
        box_pass(&box, 1000);
    }
    CU_ASSERT(box_stats(&box).bytes <= 1 << 20);
    CU_ASSERT(box_stats(&box).messages > 500);
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "full");
    CU_ASSERT_EQUAL(gap.first, 1);
    CU_ASSERT_EQUAL(gap.last, 2000 - box_stats(&box).messages);
    CU_ASSERT_EQUAL(box_stats(&box).dropped, gap.last);
    expect_all(&box, gap.last + 1, 2000);
    box_done(&box);
    unmount(box.state_dir);
}

static void full_start_work(struct box *box)
{
    box_open(box);
    box_take(box, 20, 1000);
    box_close(box);
    fill(box->state_dir);
    box_lose_live(box);
    box_open(box); /* the disk is full, and still the stream and its numbers go on */
    TEST_TEXT_EQUAL(strbuf_text(&box->warning), "");
    CU_ASSERT_EQUAL(box_take(box, 1, 100), 21);
}

static void test_disk_full_at_start(void)
{
    struct box box;
    char stream[16];
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 1024, 0);
    box_open(&box);
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    box_close(&box);
    box_in_killed_child(&box, full_start_work);
    box_lose_live(&box); /* and a power cut on top: no number is used again */
    box_open(&box);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    CU_ASSERT(box_next_seq(&box) > 21);
    expect_all(&box, 1, 20);
    box_done(&box);
    unmount(box.state_dir);
}

/* Nothing can be written from the first start on; later it can. */
static void test_first_start_without_disk(void)
{
    struct box box;
    char stream[16];
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 1024, MS_RDONLY);
    box_open(&box);
    TEST_CONTAINS(strbuf_text(&box.warning), "outbox.db cannot be used");
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    box_take(&box, 20, 100);
    box_pass(&box, 5000);
    CU_ASSERT_EQUAL(box_stats(&box).live_messages, 20);
    CU_ASSERT_NOT_EQUAL(box_stats(&box).problem[0], '\0');
    remount(box.state_dir, 1024, 0);
    box_pass(&box, 70000);
    TEST_TEXT_EQUAL(box_stats(&box).problem, "");
    CU_ASSERT_EQUAL(box_stats(&box).disk_messages, 20);
    box_close(&box);
    box_lose_live(&box);
    box_open(&box);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    expect_all(&box, 1, 20);
    box_done(&box);
    unmount(box.state_dir);
}

static void twenty_work(struct box *box)
{
    box_open(box);
    box_take(box, 20, 100);
    box_pass(box, 1100);
}

/* The live tier survived, the disk tier cannot be opened, and comes back while the agent runs. */
static void test_disk_comes_back(void)
{
    struct box box;
    struct outbox_gap gap;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 1024, 0);
    box_in_killed_child(&box, twenty_work);
    remount(box.state_dir, 1024, MS_RDONLY);
    box_open(&box);
    CU_ASSERT_EQUAL(box_take(&box, 5, 100), 25);
    CU_ASSERT_NOT_EQUAL(box_stats(&box).problem[0], '\0');
    CU_ASSERT_EQUAL(box_stats(&box).messages, 5);
    remount(box.state_dir, 1024, 0);
    box_pass(&box, 70000);
    TEST_TEXT_EQUAL(box_stats(&box).problem, "");
    CU_ASSERT_EQUAL(box_stats(&box).messages, 25);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    box_close(&box);
    box_lose_live(&box);
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    expect_all(&box, 1, 25);
    box_done(&box);
    unmount(box.state_dir);
}

static void read_only_work(struct box *box)
{
    box_open(box);
    box_take(box, 20, 100);
    box_close(box);
    box_lose_live(box);
    remount(box->state_dir, 1024, MS_RDONLY);
    box_open(box); /* the file is out of reach: another stream */
    CU_ASSERT_NOT_EQUAL(box_stats(box).problem[0], '\0');
    CU_ASSERT_EQUAL(box_put(box, 21, "<21>", 4), 1);
    CU_ASSERT_EQUAL(box_put(box, 22, "<22>", 4), 2);
    CU_ASSERT_EQUAL(outbox_commit(box->outbox, box->now_ms), 0);
    char stream[16];
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box->outbox));
    remount(box->state_dir, 1024, 0); /* back, but with other numbers in it */
    box_pass(box, 70000);
    TEST_CONTAINS(box_stats(box).problem, "holds another stream, restart to take it over");
    TEST_TEXT_EQUAL(outbox_stream(box->outbox), stream);
    CU_ASSERT_EQUAL(box_stats(box).messages, 2);
}

/* Both streams' messages arrive: those of the live tier under new numbers of the old stream. */
static void test_read_only_for_a_while(void)
{
    struct box box;
    char stream[16];
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 1024, 0);
    box_open(&box);
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    box_close(&box);
    box_in_killed_child(&box, read_only_work);
    remount(box.state_dir, 1024, 0);
    box_open(&box);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    TEST_CONTAINS(strbuf_text(&box.warning), "its 2 messages got new numbers in stream");
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 23);
    expect_all(&box, 1, 23);
    box_done(&box);
    unmount(box.state_dir);
}

/* There is no room for them when the two meet: they are kept for a human, and it is said. */
static void test_no_room_for_another_stream(void)
{
    struct box box;
    char stream[16];
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 1024, 0);
    box_open(&box);
    (void)snprintf(stream, sizeof(stream), "%s", outbox_stream(box.outbox));
    box_close(&box);
    box_in_killed_child(&box, read_only_work);
    remount(box.state_dir, 1024, 0);
    (void)unlink(file_of(box.state_dir, "outbox.db-wal")); /* its room would be enough */
    fill(box.state_dir);
    box_open(&box);
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), stream);
    TEST_CONTAINS(
        strbuf_text(&box.warning),
        "its messages could not get new numbers (No space left on device), and it is set aside");
    CU_ASSERT_EQUAL(count_files(box.runtime_dir, "live.db.damaged-"), 1);
    make_room(box.state_dir);
    box_pass(&box, 70000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 20);
    CU_ASSERT_EQUAL(box_take(&box, 1, 100), 21);
    expect_all(&box, 1, 21);
    box_done(&box);
    unmount(box.state_dir);
}

/* The reservation cannot be renewed: a new stream begins before a number could repeat. */
static char old_stream[16], new_stream[16];
static uint64_t old_last;

static void exhaust(struct box *box)
{
    struct outbox_message message;
    box_open(box);
    (void)snprintf(old_stream, sizeof(old_stream), "%s", outbox_stream(box->outbox));
    box_link(box, true);
    sync_error = EIO;
    old_last = 0;
    for (uint64_t seq = 1; seq <= 700; seq += 10) { /* for 70 s */
        box_take(box, 10, 30);
        bool is_old = strcmp(outbox_stream(box->outbox), old_stream) == 0;
        while (outbox_next_live(box->outbox, &message)) {
            CU_ASSERT_TRUE(box_content_good(&message));
            outbox_release(box->outbox, message.seq);
            old_last = is_old ? message.seq : old_last;
        }
        CU_ASSERT(!is_old || seq < 200 || box_stats(box).messages > 0); /* they wait */
        box_pass(box, 1000);
    }
    (void)outbox_commit(box->outbox, box->now_ms);
    CU_ASSERT_EQUAL(box_stats(box).messages, 0);
    (void)snprintf(new_stream, sizeof(new_stream), "%s", outbox_stream(box->outbox));
}

static void exhaust_work(struct box *box)
{
    exhaust(box);
    FILE *file = fopen(test_path("old-last"), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fprintf(file, "%s %s %" PRIu64, old_stream, new_stream, old_last);
    (void)fclose(file);
}

static void test_reservation_runs_out(void)
{
    struct box box;
    box_init(&box);
    box_in_killed_child(&box, exhaust_work);
    FILE *file = fopen(test_path("old-last"), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fscanf(file, "%15s %15s %" SCNu64, old_stream, new_stream, &old_last), 3);
    (void)fclose(file);
    CU_ASSERT_STRING_NOT_EQUAL(old_stream, new_stream);
    CU_ASSERT(old_last > 30 && old_last < 200);
    box_open(&box); /* after a kill the new stream goes on */
    TEST_TEXT_EQUAL(outbox_stream(box.outbox), new_stream);
    CU_ASSERT_EQUAL(box_next_seq(&box), 701);
    box_done(&box);
    box_lose_live(&box); /* after a power cut the old one does, beyond all it had used */
    box_open(&box);
    bool newer = strcmp(outbox_stream(box.outbox), new_stream) == 0;
    CU_ASSERT(newer || strcmp(outbox_stream(box.outbox), old_stream) == 0);
    CU_ASSERT(box_next_seq(&box) > (newer ? 700 : old_last));
    box_done(&box);
}

/* The runtime folder is full: straight to disk, and back when there is room. */
static void test_live_full(void)
{
    struct box box;
    struct outbox_gap gap;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.runtime_dir, 256, 0);
    box_open(&box);
    box_link(&box, true);
    box_take(&box, 5, 1000);
    fill(box.runtime_dir);
    box_take(&box, 1000, 1000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 1005);
    CU_ASSERT(box_stats(&box).disk_messages >= 900);
    box_expect(&box, outbox_next_live, 1, 1005, false, true);
    box_pass(&box, 5000);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0);
    CU_ASSERT_FALSE(outbox_next_gap(box.outbox, &gap));
    make_room(box.runtime_dir);
    box_pass(&box, 70000);
    uint64_t written = box_stats(&box).disk_bytes_written;
    box_take(&box, 5, 1000);
    box_expect(&box, outbox_next_live, 1006, 1010, false, true);
    box_pass(&box, 1000);
    CU_ASSERT_EQUAL(box_stats(&box).disk_bytes_written, written);
    TEST_TEXT_EQUAL(box_stats(&box).problem, "");
    box_done(&box);
    unmount(box.runtime_dir);
}

static void live_full_work(struct box *box)
{
    box_open(box);
    box_link(box, true);
    box_take(box, 5, 1000);
    fill(box->runtime_dir);
    box_take(box, 200, 1000);
    box_expect(box, outbox_next_live, 1, 150, false, true);
    CU_ASSERT_EQUAL(outbox_commit(box->outbox, box->now_ms), 0);
    CU_ASSERT_EQUAL(box_stats(box).messages, 55);
}

static void test_live_full_and_killed(void)
{
    struct box box;
    struct outbox_gap gap;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.runtime_dir, 256, 0);
    box_in_killed_child(&box, live_full_work);
    make_room(box.runtime_dir);
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(box_stats(&box).next_seq, 206);
    box_link(&box, true);
    /* Acknowledged ones may come again, for up to sync_ms; all others must. */
    struct outbox_message message = {.seq = 0};
    while (message.seq < 151)
        CU_ASSERT_TRUE_FATAL(outbox_next_backlog(box.outbox, &message));
    CU_ASSERT_EQUAL(message.seq, 151);
    box_expect(&box, outbox_next_backlog, 152, 205, false, true);
    box_done(&box);
    unmount(box.runtime_dir);
}

/*
 * The runtime folder is full, and its path leads nowhere: the disk tier is the only one. The same
 * path gets the old file back afterwards.
 */
static void disk_alone(struct box *box, uint64_t last)
{
    char away[300];
    (void)snprintf(away, sizeof(away), "%s-away", box->runtime_dir);
    box_open(box);
    box_link(box, true);
    box_take(box, 5, 1000);
    box_expect(box, outbox_next_live, 1, 2, false, true);
    fill(box->runtime_dir);
    CU_ASSERT_EQUAL(rename(box->runtime_dir, away), 0);
    for (uint64_t seq = 5; seq < last; seq += 5)
        box_take(box, 5, 1000);
    TEST_CONTAINS(box_stats(box).problem, "live.db");
    CU_ASSERT_EQUAL(box_stats(box).disk_messages, last - 2);
    CU_ASSERT_EQUAL(rename(away, box->runtime_dir), 0);
}

static void disk_alone_work(struct box *box)
{
    disk_alone(box, 200);
}

static void disk_alone_for_a_while_work(struct box *box)
{
    disk_alone(box, 200);
    box_pass(box, 1000); /* nothing more is taken */
}

static void disk_alone_to_the_end_work(struct box *box)
{
    disk_alone(box, 200);
    box_expect(box, outbox_next_live, 3, 200, false, true);
    box_pass(box, 600); /* the disk tier forgets them, the live tier is not yet tried again */
    CU_ASSERT_EQUAL(box_stats(box).messages, 0);
}

static void expect_200(struct box *box)
{
    box_link(box, true);
    box_expect(box, outbox_next_backlog, 3, 200, false, false);
    box_expect_empty(box, outbox_next_backlog);
}

static void start_disk_alone(struct box *box, char *mounted, size_t size,
                             void (*work)(struct box *box))
{
    (void)snprintf(mounted, size, "%s", test_path("small-run"));
    mount_small(mounted, 512, 0);
    box_init(box);
    box->settings.sync_ms = 500;
    (void)snprintf(box->runtime_dir, sizeof(box->runtime_dir), "%s/run", mounted);
    box_in_killed_child(box, work);
}

static void test_disk_alone(void)
{
    struct box box;
    struct outbox_gap gap;
    char mounted[200];
    if (!have_namespace) {
        skip();
        return;
    }
    start_disk_alone(&box, mounted, sizeof(mounted), disk_alone_work);
    box_open(&box);
    CU_ASSERT_FALSE(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(box_stats(&box).next_seq, 201);
    expect_200(&box);
    box_done(&box);
    unmount(mounted);

    start_disk_alone(&box, mounted, sizeof(mounted), disk_alone_for_a_while_work);
    box_power_cut(&box);
    box_open(&box);
    expect_200(&box);
    box_done(&box);
    unmount(mounted);

    start_disk_alone(&box, mounted, sizeof(mounted), disk_alone_to_the_end_work);
    CU_ASSERT(count_files(box.runtime_dir, "live.db") > 0);
    box_open(&box);
    CU_ASSERT_EQUAL(box_stats(&box).messages, 0); /* what the old live tier holds is history */
    CU_ASSERT_EQUAL(box_stats(&box).next_seq, 201);
    box_done(&box);
    unmount(mounted);
}

/* What could not be committed when the link came up is backlog, and goes out when it can. */
static void test_link_up_while_full(void)
{
    struct box box;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 256, 0);
    mount_small(box.runtime_dir, 256, 0);
    box_open(&box);
    fill(box.state_dir);
    fill(box.runtime_dir);
    char body[1000];
    uint64_t seq = 1;
    for (; seq <= 200; seq++) {
        size_t length = box_body(seq, sizeof(body), body);
        CU_ASSERT_EQUAL(box_put(&box, seq, body, length), seq);
    }
    CU_ASSERT(outbox_commit(box.outbox, box.now_ms) < 0);
    box_link(&box, true);
    struct outbox_message message;
    uint64_t handed_out = 0;
    while (outbox_next_backlog(box.outbox, &message))
        handed_out++;
    CU_ASSERT(handed_out < 200);
    remount(box.state_dir, 16384, 0);
    remount(box.runtime_dir, 16384, 0);
    box_pass(&box, 70000);
    box_expect(&box, outbox_next_backlog, handed_out + 1, 200, true, false);
    box_expect_empty(&box, outbox_next_live);
    box_done(&box);
    unmount(box.state_dir);
    unmount(box.runtime_dir);
}

static void test_both_full(void)
{
    struct box box;
    struct outbox_gap gap;
    static char body[4096];
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    mount_small(box.state_dir, 256, 0);
    mount_small(box.runtime_dir, 256, 0);
    box_open(&box);
    fill(box.state_dir);
    fill(box.runtime_dir);
    uint64_t refused = 0, taken = 0;
    for (int i = 0; i < 3000; i++) {
        size_t length = box_body((uint64_t)i + 1, 1000, body);
        uint64_t seq = box_put(&box, (uint64_t)i + 1, body, length);
        CU_ASSERT(seq == 0 || seq == (uint64_t)i + 1);
        refused += seq == 0;
        taken += seq != 0;
        (void)outbox_commit(box.outbox, box.now_ms);
    }
    CU_ASSERT_FALSE(box_gap(&box, &gap)); /* its report could not be taken */
    CU_ASSERT(refused > 0 && taken > 500);
    CU_ASSERT_EQUAL(box_stats(&box).dropped, refused);
    make_room(box.state_dir);
    make_room(box.runtime_dir);
    remount(box.state_dir, 16384, 0);
    remount(box.runtime_dir, 16384, 0);
    box_pass(&box, 130000);
    TEST_TEXT_EQUAL(box_stats(&box).problem, "");
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "full");
    CU_ASSERT_EQUAL(gap.last - gap.first + 1, refused);
    expect_all(&box, 1, gap.first - 1);
    box_done(&box);
    unmount(box.state_dir);
    unmount(box.runtime_dir);
}

static void no_permission_work(struct box *box)
{
    if (setgid(65534) < 0 || setuid(65534) < 0)
        return;
    box->settings.runtime_dir = box->settings.state_dir = "/nonexistent/folder";
    CU_ASSERT_EQUAL(box_try_open(box), -EACCES);
    TEST_CONTAINS(strbuf_text(&box->warning), "/nonexistent/folder cannot be used");
}

static void test_no_permission(void)
{
    struct box box;
    box_init(&box);
    box_in_killed_child(&box, no_permission_work);
}

/* --- the limit ------------------------------------------------------------------------------- */

static void test_limit(void)
{
    struct box box;
    struct outbox_gap gap;
    box_init(&box);
    box.settings.max_bytes = 1 << 20;
    box_open(&box);
    for (int i = 0; i < 30; i++) {
        box_take(&box, 100, 1000);
        box_pass(&box, 1000);
        CU_ASSERT(box_stats(&box).bytes <= 1 << 20);
    }
    uint64_t kept = box_stats(&box).messages;
    CU_ASSERT(kept > 600 && kept < 1100);
    box_close(&box);
    box_lose_live(&box);
    box_open(&box);
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "full");
    CU_ASSERT_EQUAL(gap.first, 1);
    CU_ASSERT_EQUAL(gap.last, 3000 - kept);
    CU_ASSERT(gap.from_ms >= WALL_MS + 1000000 && gap.to_ms > gap.from_ms);
    expect_all(&box, 3000 - kept + 1, 3000);
    box_done(&box);
}

/* What is dropped is not handed out any more, although it was read ahead. */
static void test_dropped_is_gone(void)
{
    struct box box;
    struct outbox_gap gap;
    struct outbox_message message;
    box_init(&box);
    box.settings.max_bytes = 1 << 19;
    box_open(&box);
    box_take(&box, 300, 1000);
    box_pass(&box, 1000);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 10, true, true);
    box_expect(&box, outbox_next_backlog, 11, 12, true, false);
    for (int i = 0; i < 4; i++) { /* a slow broker: these go to disk, too */
        box_take(&box, 50, 1000);
        box_pass(&box, 3000);
    }
    CU_ASSERT_FALSE(outbox_next_gap(box.outbox, &gap)); /* two of them may have arrived */
    outbox_release(box.outbox, 11);
    outbox_release(box.outbox, 12);
    CU_ASSERT_TRUE_FATAL(outbox_next_gap(box.outbox, &gap));
    CU_ASSERT(gap.first == 13 && gap.last > 20 && gap.last < 290);
    CU_ASSERT_TRUE_FATAL(outbox_next_backlog(box.outbox, &message));
    CU_ASSERT_EQUAL(message.seq, gap.last + 1);
    box_done(&box);
}

/* A transaction that drops and then fails has dropped nothing. */
static void test_drop_that_fails(void)
{
    struct box box;
    struct outbox_gap gap;
    if (!have_namespace) {
        skip();
        return;
    }
    box_init(&box);
    box.settings.max_bytes = 1 << 19;
    mount_small(box.state_dir, 2048, 0);
    box_open(&box);
    box_take(&box, 500, 1000);
    box_pass(&box, 1000);
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    uint64_t dropped = gap.last;
    CU_ASSERT_EQUAL(box_stats(&box).messages, 500 - dropped);
    fill(box.state_dir);
    for (int i = 0; i < 5; i++) {
        box_take(&box, 60, 1000);
        box_pass(&box, 1000);
    }
    TEST_CONTAINS(box_stats(&box).problem, "disk full");
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    CU_ASSERT_EQUAL(gap.last, dropped);
    CU_ASSERT_EQUAL(box_stats(&box).dropped, dropped);
    expect_all(&box, dropped + 1, 800);
    box_done(&box);
    unmount(box.state_dir);
}

static void test_too_large(void)
{
    struct box box;
    struct outbox_gap gap;
    static char body[OUTBOX_BODY_MAX_BYTES + 1];
    box_init(&box);
    box_open(&box);
    CU_ASSERT_EQUAL(box_take(&box, 1, OUTBOX_BODY_MAX_BYTES), 1);
    CU_ASSERT_EQUAL(box_put(&box, 2, body, sizeof(body)), 0);
    CU_ASSERT_EQUAL(box_take(&box, 1, 10), 3);
    CU_ASSERT_TRUE_FATAL(box_gap(&box, &gap));
    TEST_TEXT_EQUAL(gap.reason, "too-large");
    CU_ASSERT_EQUAL(gap.first, 2);
    CU_ASSERT_EQUAL(gap.last, 2);
    box_link(&box, true);
    box_expect(&box, outbox_next_backlog, 1, 1, true, true);
    box_expect(&box, outbox_next_backlog, 3, 3, true, true);
    box_done(&box);
}

static const struct test_case cases[] = {
    {"a second process is turned away", test_held},
    {"a damaged disk tier is set aside, and the loss is on record", test_damaged_disk},
    {"two damaged files are kept", test_two_damaged_files_are_kept},
    {"an empty file is a fresh store", test_empty_file},
    {"a database of something else is set aside", test_foreign_database},
    {"a flipped bit costs one message", test_flipped_bit},
    {"a damaged live tier", test_damaged_live},
    {"both tiers damaged: a new stream", test_both_damaged},
    {"damage while running", test_damaged_while_running},
    {"live tier damaged while running", test_live_damaged_while_running},
    {"disk full: kept in memory, and on disk when there is room", test_disk_full},
    {"disk full for long: the oldest go, on record", test_disk_full_for_long},
    {"disk full at start: stream and numbers go on", test_disk_full_at_start},
    {"first start without a disk", test_first_start_without_disk},
    {"the disk comes back while the agent runs", test_disk_comes_back},
    {"read-only for a while: nothing is lost", test_read_only_for_a_while},
    {"no room for the messages of another stream: kept aside", test_no_room_for_another_stream},
    {"no reservation: a new stream before a number repeats", test_reservation_runs_out},
    {"live tier full: straight to disk", test_live_full},
    {"live tier full, and killed: no gap", test_live_full_and_killed},
    {"the disk tier alone: through a kill and a power cut", test_disk_alone},
    {"the link comes up while all is full", test_link_up_while_full},
    {"both full: refused, on record", test_both_full},
    {"no permission: a reason", test_no_permission},
    {"the limit: the oldest go, on record", test_limit},
    {"what was dropped is not handed out", test_dropped_is_gone},
    {"a drop that fails drops nothing", test_drop_that_fails},
    {"too large for a message: on record", test_too_large},
};

int main(void)
{
    have_namespace = enter_namespace();
    return test_main("outbox_failure", cases, sizeof(cases) / sizeof(cases[0]));
}
