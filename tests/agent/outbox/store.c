/* One tier: messages, state and ledger in a database; transactions; damage. */
#include "agent/outbox/store.h"
#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct store *open_store(const char *name, struct stored_state *ret_state)
{
    struct store *store = NULL;
    memset(ret_state, 0, sizeof(*ret_state));
    CU_ASSERT_EQUAL_FATAL(store_open(STORE_DISK, test_path(name), ret_state, NULL, NULL, &store),
                          0);
    return store;
}

static void put(struct store *store, uint64_t first, uint64_t last)
{
    char body[64];
    for (uint64_t seq = first; seq <= last; seq++) {
        int length = snprintf(body, sizeof(body), "body %llu", (unsigned long long)seq);
        const struct stored_message message = {.seq = seq,
                                               .wall_ms = (int64_t)seq * 7,
                                               .topic = "data/x",
                                               .topic_length = 6,
                                               .facts = {OUTBOX_EVENT, "boiler", (int64_t)seq * 9},
                                               .body = body,
                                               .body_length = (size_t)length};
        CU_ASSERT_EQUAL_FATAL(store_append(store, &message), 0);
    }
}

struct seen {
    uint64_t seqs[100];
    size_t n, limit;
    bool good;
};

static bool see(void *context, const struct stored_message *message)
{
    struct seen *seen = context;
    char body[64];
    int length = snprintf(body, sizeof(body), "body %llu", (unsigned long long)message->seq);
    seen->good &= message->body && message->body_length == (size_t)length &&
                  memcmp(message->body, body, (size_t)length) == 0 &&
                  message->wall_ms == (int64_t)message->seq * 7 && message->topic_length == 6 &&
                  memcmp(message->topic, "data/x", 6) == 0 && message->facts.kind == OUTBOX_EVENT &&
                  strcmp(message->facts.owner, "boiler") == 0 &&
                  message->facts.timestamp_ms == (int64_t)message->seq * 9;
    seen->seqs[seen->n++] = message->seq;
    return seen->n < seen->limit;
}

static struct seen read_all(struct store *store, uint64_t first, uint64_t below, size_t limit)
{
    struct seen seen = {.limit = limit, .good = true};
    CU_ASSERT_EQUAL(store_read(store, first, below, see, &seen), 0);
    return seen;
}

static void test_messages(void)
{
    struct stored_state state;
    struct store *store = open_store("messages.db", &state);
    uint64_t count = 99, first = 99, last = 99;
    CU_ASSERT_EQUAL(store_range(store, &first, &last), 0);
    CU_ASSERT(first == 0 && last == 0);
    CU_ASSERT_EQUAL(store_bytes(store), 0);
    CU_ASSERT_EQUAL(store_begin(store, true), 0);
    put(store, 1, 50);
    put(store, 50, 50); /* there already: left alone */
    CU_ASSERT_EQUAL(store_remove(store, 10, 12, &count), 0);
    CU_ASSERT_EQUAL(count, 3);
    CU_ASSERT_EQUAL(store_remove(store, 10, 12, &count), 0);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(store_commit(store), 0);
    CU_ASSERT_EQUAL(store_messages(store), 47);
    CU_ASSERT(store_bytes(store) > 0);
    CU_ASSERT_EQUAL(store_range(store, &first, &last), 0);
    CU_ASSERT(first == 1 && last == 50);
    struct seen seen = read_all(store, 8, 16, 99);
    CU_ASSERT_TRUE(seen.good);
    CU_ASSERT_EQUAL_FATAL(seen.n, 5);
    CU_ASSERT(seen.seqs[0] == 8 && seen.seqs[1] == 9 && seen.seqs[2] == 13 && seen.seqs[4] == 15);
    CU_ASSERT_EQUAL(read_all(store, 1, 51, 4).n, 4);
    store_close(store);
}

static void test_rollback(void)
{
    struct stored_state state;
    struct store *store = open_store("rollback.db", &state);
    CU_ASSERT_EQUAL(store_begin(store, false), 0);
    put(store, 1, 5);
    CU_ASSERT_EQUAL(store_commit(store), 0);
    CU_ASSERT_EQUAL(store_begin(store, false), 0);
    put(store, 6, 9);
    CU_ASSERT_EQUAL(store_remove(store, 1, 3, NULL), 0);
    CU_ASSERT_EQUAL(store_messages(store), 6);
    store_rollback(store);
    store_rollback(store); /* without a transaction: nothing */
    CU_ASSERT_EQUAL(store_messages(store), 5);
    CU_ASSERT_EQUAL(read_all(store, 1, 100, 99).n, 5);
    store_close(store);
}

static void test_state_and_ledger(void)
{
    struct stored_state state, read;
    struct store *store = open_store("state.db", &state);
    struct loss_ledger ledger = {.version = 0}, loaded = {.version = 0};
    TEST_TEXT_EQUAL(state.stream, "");
    state = (struct stored_state){.stream = "0123abcd",
                                  .previous_stream = "4567cdef",
                                  .next_seq = 10,
                                  .reserved_below = 20,
                                  .settled_below = 5,
                                  .disk_first = 2,
                                  .disk_below = 3,
                                  .ledger_version = 77,
                                  .wall_ms = 12345,
                                  .clean = true,
                                  .alone = true};
    struct run_list on_disk = {.version = 0}, loaded_on_disk = {.version = 0};
    run_list_add(&on_disk, 4, 8);
    run_list_add(&on_disk, 12, 12);
    loss_ledger_outage_begins(&ledger, 3);
    loss_ledger_add_gap(&ledger, SPAN_FULL, 1, 2, 100, 200);
    loss_ledger_gap_reported(&ledger, &on_disk, 9);
    CU_ASSERT_EQUAL(store_begin(store, true), 0);
    put(store, 1, 5);
    CU_ASSERT_EQUAL(store_save(store, &state, &ledger, &on_disk), 0);
    CU_ASSERT_EQUAL(store_save(store, &state, &ledger, &on_disk), 0); /* replaces */
    CU_ASSERT_EQUAL(store_save(store, &state, NULL, NULL), 0);        /* leaves the ledger alone */
    CU_ASSERT_EQUAL(store_commit(store), 0);
    store_close(store);
    CU_ASSERT_EQUAL_FATAL(
        store_open(STORE_DISK, test_path("state.db"), &read, &loaded, &loaded_on_disk, &store), 0);
    TEST_TEXT_EQUAL(read.stream, state.stream);
    TEST_TEXT_EQUAL(read.previous_stream, state.previous_stream);
    CU_ASSERT(read.next_seq == 10 && read.reserved_below == 20 && read.settled_below == 5);
    CU_ASSERT(read.disk_first == 2 && read.disk_below == 3 && read.ledger_version == 77);
    CU_ASSERT(read.wall_ms == 12345 && read.clean && read.alone);
    CU_ASSERT_EQUAL(store_messages(store), 5);
    CU_ASSERT_TRUE(loss_ledger_is_historical(&loaded, 3));
    CU_ASSERT_EQUAL_FATAL(loaded.gaps.n, 1);
    const struct span *gap = &loaded.gaps.spans[0];
    CU_ASSERT(gap->kind == SPAN_FULL && gap->first == 1 && gap->last == 2);
    CU_ASSERT(gap->from_ms == 100 && gap->to_ms == 200 && gap->event_seq == 9);
    CU_ASSERT_EQUAL_FATAL(loaded_on_disk.n, 2);
    CU_ASSERT(loaded_on_disk.runs[0].first == 4 && loaded_on_disk.runs[0].last == 8);
    CU_ASSERT(loaded_on_disk.runs[1].first == 12 && loaded_on_disk.runs[1].last == 12);
    struct run_list held = {.version = 0};
    CU_ASSERT_EQUAL(store_held(store, &held), 0);
    CU_ASSERT_EQUAL_FATAL(held.n, 1);
    CU_ASSERT(held.runs[0].first == 1 && held.runs[0].last == 5);
    run_list_free(&held);
    run_list_free(&on_disk);
    run_list_free(&loaded_on_disk);
    loss_ledger_free(&ledger);
    loss_ledger_free(&loaded);
    store_close(store);
}

static void test_held(void)
{
    struct stored_state state;
    struct store *store = open_store("held.db", &state), *second = NULL;
    CU_ASSERT_EQUAL(store_open(STORE_DISK, test_path("held.db"), &state, NULL, NULL, &second),
                    -EBUSY);
    CU_ASSERT_PTR_NULL(second);
    store_close(store);
    store = open_store("held.db", &state);
    store_close(store);
}

/* Every page in turn overwritten with every kind of nonsense: an error or the truth, no crash. */
static void test_no_damage_crashes(void)
{
    static unsigned char content[1 << 16];
    struct stored_state state;
    char path[256], log[300];
    (void)snprintf(path, sizeof(path), "%s", test_path("damage.db"));
    (void)snprintf(log, sizeof(log), "%s-wal", path);
    struct store *store = open_store("damage.db", &state);
    CU_ASSERT_EQUAL(store_begin(store, true), 0);
    for (uint64_t i = 0; i < 10; i++)
        put(store, i * 50 + 1, i * 50 + 50);
    state.next_seq = 501;
    (void)snprintf(state.stream, sizeof(state.stream), "00000001");
    CU_ASSERT_EQUAL(store_save(store, &state, NULL, NULL), 0);
    CU_ASSERT_EQUAL(store_commit(store), 0);
    store_close(store);
    (void)unlink(log);
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, content, sizeof(content));
    close(file);
    CU_ASSERT_FATAL(length > 4096 * 5);
    uint32_t random = 1;
    size_t refused = 0;
    for (int round = 0; round < 200; round++) {
        random = random * 1664525U + 1013904223U;
        off_t at = (off_t)((random >> 4) % (uint32_t)length);
        unsigned char noise[64];
        memset(noise, round % 3 == 0 ? 0 : (int)(random >> 24), sizeof(noise));
        file = open(path, O_WRONLY | O_TRUNC);
        CU_ASSERT_EQUAL(write(file, content, (size_t)length), length);
        CU_ASSERT(pwrite(file, noise, 1 + random % sizeof(noise), at) > 0);
        close(file);
        store = NULL;
        int r = store_open(STORE_DISK, path, &state, NULL, NULL, &store);
        struct seen seen = {.limit = 90, .good = true};
        CU_ASSERT(r == 0 || r == -EBADMSG);
        refused += r < 0;
        if (r == 0) { /* what it says is right */
            CU_ASSERT_EQUAL(state.next_seq, 501);
            TEST_TEXT_EQUAL(state.stream, "00000001");
        }
        if (store)
            (void)store_read(store, 1, 1000, see, &seen);
        for (size_t i = 1; i < seen.n; i++)
            CU_ASSERT(seen.seqs[i] > seen.seqs[i - 1]);
        store_close(store);
        (void)unlink(log);
    }
    CU_ASSERT(refused > 50);
}

/* A worn cell in the row of state: SQLite does not notice, and a number would be used twice. */
static void test_state_is_checked(void)
{
    static char content[1 << 16];
    struct stored_state state;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s", test_path("worn.db"));
    struct store *store = open_store("worn.db", &state);
    (void)snprintf(state.stream, sizeof(state.stream), "0a0b0c0d");
    CU_ASSERT_EQUAL(store_begin(store, true), 0);
    CU_ASSERT_EQUAL(store_save(store, &state, NULL, NULL), 0);
    CU_ASSERT_EQUAL(store_commit(store), 0);
    store_close(store);
    (void)unlink(test_path("worn.db-wal"));
    int file = open(path, O_RDWR);
    ssize_t length = read(file, content, sizeof(content));
    char *place = memmem(content, (size_t)length, "0a0b0c0d", 8);
    CU_ASSERT_PTR_NOT_NULL_FATAL(place);
    CU_ASSERT_EQUAL(pwrite(file, "1", 1, place - content), 1);
    close(file);
    store = NULL;
    CU_ASSERT_EQUAL(store_open(STORE_DISK, path, &state, NULL, NULL, &store), -EBADMSG);
    CU_ASSERT_PTR_NULL(store);
}

static void test_not_a_file(void)
{
    struct stored_state state;
    struct store *store = NULL;
    CU_ASSERT_EQUAL(mkdir(test_path("folder.db"), 0700), 0);
    CU_ASSERT_EQUAL(store_open(STORE_LIVE, test_path("folder.db"), &state, NULL, NULL, &store),
                    -EBADMSG);
    CU_ASSERT_EQUAL(store_open(STORE_LIVE, "/nonexistent/x.db", &state, NULL, NULL, &store),
                    -ENOENT);
    CU_ASSERT_EQUAL(store_open(STORE_LIVE, "/proc/self/x.db", &state, NULL, NULL, &store), -ENOENT);
}

TEST_MAIN("store", {"messages go in, out in order, and away", test_messages},
          {"what is rolled back has not been", test_rollback},
          {"state and ledger come back", test_state_and_ledger},
          {"one process at a time", test_held}, {"no damage crashes", test_no_damage_crashes},
          {"the row of state is checked", test_state_is_checked},
          {"what is no file is refused with the reason", test_not_a_file})
