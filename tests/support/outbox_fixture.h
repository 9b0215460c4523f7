/*
 * What the tests of the outbox share: one outbox in folders of its own, with a clock that the test
 * moves by hand. Included once by each of those programs.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_OUTBOX_FIXTURE_H
#define SALLYPORT_TESTS_SUPPORT_OUTBOX_FIXTURE_H

#include "agent/base/memory.h"
#include "agent/outbox/outbox.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WALL_MS INT64_C(1795343987000)

struct box {
    char state_dir[256], runtime_dir[256];
    struct outbox_settings settings;
    struct outbox *outbox;
    struct strbuf warning;
    int64_t now_ms;
};

static inline void box_init(struct box *box)
{
    static unsigned number;
    memset(box, 0, sizeof(*box));
    (void)snprintf(box->state_dir, sizeof(box->state_dir), "%s/state-%u", test_folder(), number);
    (void)snprintf(box->runtime_dir, sizeof(box->runtime_dir), "%s/run-%u", test_folder(),
                   number++);
    box->settings = (struct outbox_settings){.state_dir = box->state_dir,
                                             .runtime_dir = box->runtime_dir,
                                             .max_bytes = UINT64_C(64) << 20,
                                             .spill_after_ms = 2000,
                                             .sync_ms = 1000};
    box->now_ms = 1000000;
}

static inline int box_try_open(struct box *box)
{
    return outbox_open(&box->settings, WALL_MS + box->now_ms, &box->warning, &box->outbox);
}

static inline void box_open(struct box *box)
{
    CU_ASSERT_EQUAL_FATAL(box_try_open(box), 0);
}

static inline void box_close(struct box *box)
{
    box->outbox = outbox_close(box->outbox);
}

static inline void box_done(struct box *box)
{
    box_close(box);
    strbuf_free(&box->warning);
}

/* The body of message SEQ: its number and a filling that follows from it. */
static inline size_t box_body(uint64_t seq, size_t length, char *body)
{
    int n = snprintf(body, 32, "<%" PRIu64 ">", seq);
    for (size_t i = (size_t)n; i < length; i++)
        body[i] = (char)('a' + (seq + i) % 26);
    return length > (size_t)n ? length : (size_t)n;
}

static inline uint64_t box_next_seq(struct box *box)
{
    struct outbox_stats stats;
    outbox_get_stats(box->outbox, box->now_ms, &stats);
    return stats.next_seq;
}

/* The topic and the facts that go with message SEQ. */
static inline const char *box_topic(uint64_t seq)
{
    return seq % 2 ? "data/odd" : "data/even";
}

static inline struct outbox_facts box_facts(uint64_t seq)
{
    return (struct outbox_facts){.kind = seq % 2 ? OUTBOX_DATA : OUTBOX_EVENT,
                                 .owner = seq % 3 == 0   ? ""
                                          : seq % 3 == 1 ? "odd"
                                                         : "even",
                                 .timestamp_ms = WALL_MS + (int64_t)seq};
}

/* Takes a message with BODY and what goes with number SEQ, which it gets if all is well. */
static inline uint64_t box_put(struct box *box, uint64_t seq, const char *body, size_t length)
{
    const struct outbox_facts facts = box_facts(seq);
    return outbox_take(box->outbox, box_topic(seq), &facts, body, length, box->now_ms,
                       WALL_MS + box->now_ms);
}

/* Takes an event, as the report of a gap is one. */
static inline uint64_t box_put_event(struct box *box, const char *body)
{
    const struct outbox_facts facts = {OUTBOX_EVENT, "", WALL_MS};
    return outbox_take(box->outbox, "event", &facts, body, strlen(body), box->now_ms, WALL_MS);
}

/* Takes N messages of LENGTH bytes, each with the content of its number; commits once. */
static inline uint64_t box_take(struct box *box, size_t n, size_t length)
{
    static char body[2 << 20];
    uint64_t seq = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t expected = seq ? seq + 1 : box_next_seq(box);
        size_t size = box_body(expected, length, body);
        seq = box_put(box, expected, body, size);
        CU_ASSERT_EQUAL_FATAL(seq, expected);
    }
    CU_ASSERT_EQUAL_FATAL(outbox_commit(box->outbox, box->now_ms), 0);
    return seq;
}

/* Whether a message that was handed out is what box_take() put in. */
static inline bool box_content_good(const struct outbox_message *message)
{
    static char body[2 << 20];
    size_t length = box_body(message->seq, message->body_length, body);
    const struct outbox_facts facts = box_facts(message->seq);
    return message->body_length == length && memcmp(message->body, body, length) == 0 &&
           strcmp(message->topic, box_topic(message->seq)) == 0 &&
           message->facts.kind == facts.kind && strcmp(message->facts.owner, facts.owner) == 0 &&
           message->facts.timestamp_ms == facts.timestamp_ms;
}

/* Moves the clock by MS in steps, with all that becomes due on the way. */
static inline void box_pass(struct box *box, int64_t ms)
{
    int64_t end = box->now_ms + ms;
    for (;;) {
        int64_t due = outbox_tick(box->outbox, box->now_ms);
        CU_ASSERT_FATAL(due > box->now_ms);
        if (box->now_ms >= end)
            break;
        box->now_ms = due < end ? due : end;
    }
}

static inline void box_link(struct box *box, bool up)
{
    outbox_link(box->outbox, up, box->now_ms);
}

typedef bool box_lane(struct outbox *outbox, struct outbox_message *ret_message);

/* Asserts that LANE hands out exactly FIRST..LAST, in order and whole. RELEASE: acknowledges. */
static inline void box_expect(struct box *box, box_lane *lane, uint64_t first, uint64_t last,
                              bool historical, bool release)
{
    struct outbox_message message;
    for (uint64_t seq = first; seq <= last; seq++) {
        CU_ASSERT_FATAL(lane(box->outbox, &message));
        CU_ASSERT_EQUAL_FATAL(message.seq, seq);
        CU_ASSERT_EQUAL(message.historical, historical);
        CU_ASSERT_TRUE(box_content_good(&message));
        if (release)
            outbox_release(box->outbox, seq);
    }
}

static inline void box_expect_empty(struct box *box, box_lane *lane)
{
    struct outbox_message message;
    CU_ASSERT_FALSE(lane(box->outbox, &message));
}

/* The oldest gap; they are offered only while the link is up. */
static inline bool box_gap(struct box *box, struct outbox_gap *ret_gap)
{
    box_link(box, true);
    bool found = outbox_next_gap(box->outbox, ret_gap);
    box_link(box, false);
    return found;
}

static inline struct outbox_stats box_stats(struct box *box)
{
    struct outbox_stats stats;
    outbox_get_stats(box->outbox, box->now_ms, &stats);
    return stats;
}

/* What SIGKILL does: a child works on the outbox, and is gone without a word. */
static inline void box_in_killed_child(struct box *box, void (*work)(struct box *box))
{
    (void)fflush(stdout);
    unsigned failures = CU_get_number_of_failures();
    pid_t child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        work(box);
        const struct CU_FailureRecord *failure = CU_get_failure_list();
        for (unsigned i = 0; failure; failure = failure->pNext) {
            if (i++ >= failures) /* CUnit would print them only at the end of the test */
                printf("\n    in a child: %s:%u: %s", failure->strFileName, failure->uiLineNumber,
                       failure->strCondition);
        }
        (void)fflush(stdout);
        _exit(CU_get_number_of_failures() > failures ? 1 : 0);
    }
    int status = -1;
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL_FATAL(status, 0);
}

/* What a power cut does to the runtime folder. */
static inline void box_lose_live(const struct box *box)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/live.db", box->runtime_dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/live.db-wal", box->runtime_dir);
    (void)unlink(path);
}

/* --- a power cut, as hard as it can be ------------------------------------------------------- */

static inline void copy_file(const char *from, const char *to)
{
    static char block[1 << 16];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    size_t length;
    while (in && out && (length = fread(block, 1, sizeof(block), in)) > 0)
        (void)fwrite(block, 1, length, out);
    if (in)
        (void)fclose(in);
    if (out)
        (void)fclose(out);
}

static unsigned long syncs; /* of files, since the start of the program */
static int sync_error;      /* errno of every sync from now on; 0: they work */

/*
 * Takes the place of the C library's for SQLite, too: keeps a copy of the file as it was at its
 * last sync. It is read through the same descriptor, because closing another one would drop
 * SQLite's lock. Nothing is really synced: that is the kernel's business, and slow.
 */
static inline void keep_synced_copy(int file)
{
    char link[64], path[512], copy[600];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    if (length <= 0 || strncmp(path, "/tmp/sallyport-test-", 20) != 0)
        return;
    path[length] = '\0';
    (void)snprintf(copy, sizeof(copy), "%s.synced", path);
    FILE *out = fopen(copy, "wb");
    static char block[1 << 16];
    off_t at = 0;
    ssize_t got;
    while (out && (got = pread(file, block, sizeof(block), at)) > 0) {
        (void)fwrite(block, 1, (size_t)got, out);
        at += got;
    }
    if (out)
        (void)fclose(out);
    syncs++;
}

__attribute__((visibility("default"))) int fdatasync(int file)
{
    if (sync_error) {
        errno = sync_error;
        return -1;
    }
    keep_synced_copy(file);
    return 0;
}

__attribute__((visibility("default"))) int fsync(int file)
{
    if (sync_error) {
        errno = sync_error;
        return -1;
    }
    keep_synced_copy(file);
    return 0;
}

/* The agent is gone, the live tier is gone, and of the disk tier only what was synced is there. */
static inline void box_power_cut(const struct box *box)
{
    static const char *const names[] = {"outbox.db", "outbox.db-wal"};
    box_lose_live(box);
    for (size_t i = 0; i < 2; i++) {
        char path[300], copy[310];
        (void)snprintf(path, sizeof(path), "%s/%s", box->state_dir, names[i]);
        (void)snprintf(copy, sizeof(copy), "%s.synced", path);
        (void)unlink(path);
        if (access(copy, F_OK) == 0)
            copy_file(copy, path);
    }
}

#endif
