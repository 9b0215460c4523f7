/*
 * A file that the system does not read for a while is not damaged: whichever read fails, once or
 * from then on, at the start or later, the store never says that it is, and holds everything
 * afterwards.
 */
#undef _FORTIFY_SOURCE /* its inline pread64() would be the one that is defined below */
#include "agent/outbox/sql.h"
#include "agent/outbox/store.h"

#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define MESSAGES 60
#define REMOVED 20 /* of them: pages that are free again */
#define BODY 9000  /* several pages, which hang together */

/* ---- Reads that fail ---- */

static struct {
    unsigned done;  /* reads of a database or its log */
    unsigned first; /* fails, counted from 1; 0: none does */
    unsigned count; /* so many */
} reads;

static bool is_ours(int file)
{
    char link[64], path[512];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    return strstr(path, ".db") != NULL;
}

__attribute__((visibility("default"))) ssize_t pread64(int file, void *bytes, size_t n, off64_t at)
{
    if (is_ours(file)) {
        reads.done++;
        if (reads.first > 0 && reads.done >= reads.first &&
            reads.done - reads.first < reads.count) {
            errno = EIO;
            return -1;
        }
    }
    return preadv64(file, &(struct iovec){bytes, n}, 1, at);
}

static void fail_reads(unsigned first, unsigned count)
{
    reads.done = 0;
    reads.first = first;
    reads.count = count;
}

/* ---- The store ---- */

static void fill(enum store_kind kind, const char *path)
{
    static char body[BODY];
    struct stored_state state = {.next_seq = 0};
    struct store *store = NULL;
    CU_ASSERT_EQUAL_FATAL(store_open(kind, path, &state, NULL, NULL, &store), 0);
    CU_ASSERT_EQUAL(store_begin(store, true), 0);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        memset(body, (int)seq, sizeof(body));
        const struct stored_message message = {.seq = seq,
                                               .wall_ms = 1,
                                               .topic = "data/x",
                                               .topic_length = 6,
                                               .facts = {OUTBOX_DATA, "x", 1},
                                               .body = body,
                                               .body_length = sizeof(body)};
        CU_ASSERT_EQUAL(store_append(store, &message), 0);
    }
    CU_ASSERT_EQUAL(store_remove(store, 1, REMOVED, NULL), 0);
    CU_ASSERT_EQUAL(store_commit(store), 0);
    store_close(store);
}

static bool count_sound(void *context, const struct stored_message *message)
{
    unsigned *count = context;
    *count += message->body && message->body_length == BODY;
    return true;
}

/* Opens it and reads everything; returns the first error. */
static int use(enum store_kind kind, const char *path, unsigned *ret_messages)
{
    struct stored_state state = {.next_seq = 0};
    struct store *store = NULL;
    *ret_messages = 0;
    int r = store_open(kind, path, &state, NULL, NULL, &store);
    if (r == 0)
        r = store_read(store, 1, MESSAGES + 1, count_sound, ret_messages);
    store_close(store);
    return r;
}

/* Whether COUNT reads from number AT on have kept it from being used; then it is there as a whole.
 */
static bool try_reads(enum store_kind kind, const char *path, unsigned at, unsigned count)
{
    unsigned messages;
    fail_reads(at, count);
    int r = use(kind, path, &messages);
    bool reached = reads.done >= at;
    if (r < 0 && r != -SQL_EREAD)
        printf("\n    reads %u to %u: %s ", at, at + count - 1, strerror(-r));
    CU_ASSERT(r == 0 || r == -SQL_EREAD);
    fail_reads(0, 0);
    CU_ASSERT_EQUAL(use(kind, path, &messages), 0);
    CU_ASSERT_EQUAL(messages, MESSAGES - REMOVED);
    return reached;
}

static void judge(enum store_kind kind, const char *name)
{
    static const unsigned counts[] = {1, 3, 100000};
    const char *path = test_path(name);
    char kept[512];
    (void)snprintf(kept, sizeof(kept), "%s", path);
    fill(kind, kept);
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        unsigned at = 1;
        while (try_reads(kind, kept, at, counts[i]))
            at++;
        CU_ASSERT(at > 100); /* every page of it was in the way once */
    }
}

static void test_disk(void)
{
    judge(STORE_DISK, "outbox.db");
}

static void test_live(void)
{
    judge(STORE_LIVE, "live.db");
}

TEST_MAIN("store_unread", {"the disk tier", test_disk}, {"the live tier", test_live})
