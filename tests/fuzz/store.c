/*
 * A database of the outbox, damaged anywhere: the input is a list of places and bytes to put there,
 * and where the file is cut. It opens, is read, written and closed again; what is read has the
 * number that was asked for, and is one of those that were written or says that it is unreadable.
 */
#include "agent/outbox/store.h"

#include "agent/base/descriptor.h"
#include "tests/support/fuzz_folder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MESSAGES 300
#define BODY_BYTES 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append(struct store *store, uint64_t seq)
{
    char body[BODY_BYTES];
    memset(body, 'a' + (int)(seq % 26), sizeof(body));
    const struct stored_message message = {.seq = seq,
                                           .wall_ms = (int64_t)seq,
                                           .topic = "data/x",
                                           .topic_length = 6,
                                           .facts = {.owner = "boiler"},
                                           .body = body,
                                           .body_length = sizeof(body)};
    assert(store_append(store, &message) == 0);
}

/* A sound database with MESSAGES messages; made once. */
static const struct strbuf *sound(void)
{
    static struct strbuf content;
    struct stored_state state = {0};
    struct store *store = NULL;
    if (content.length > 0)
        return &content;
    fuzz_folder_clear();
    const char *path = fuzz_file("sound", "", 0);
    assert(store_open(STORE_DISK, path, &state, NULL, NULL, &store) == 0);
    assert(store_begin(store, true) == 0);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++)
        append(store, seq);
    state.next_seq = MESSAGES + 1;
    assert(store_save(store, &state, NULL, NULL) == 0 && store_commit(store) == 0);
    store_close(store);
    assert(file_read(path, 1 << 24, &content) == 0 && content.length > 8192);
    return &content;
}

struct reading {
    uint64_t last;
    unsigned n;
};

static bool see(void *context, const struct stored_message *message)
{
    struct reading *reading = context;
    assert(message->seq > reading->last);
    reading->last = message->seq;
    return ++reading->n < 2 * MESSAGES;
}

static void use(struct store *store)
{
    struct reading reading = {0};
    uint64_t first, last, removed;
    (void)store_read(store, 1, SEQ_LIMIT, see, &reading);
    (void)store_range(store, &first, &last);
    (void)store_messages(store);
    (void)store_bytes(store);
    if (store_begin(store, true) == 0) {
        (void)store_remove(store, 1, 10, &removed);
        if (store_commit(store) < 0)
            store_rollback(store);
    }
}

/* Five bytes each: three for the place, one that is put there, one that says how often. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(strbuf_free) struct strbuf damaged = STRBUF_EMPTY;
    struct stored_state state = {0};
    struct store *store = NULL;
    const struct strbuf *content = sound();
    strbuf_append(&damaged, content->data, content->length);
    for (; size >= 5; data += 5, size -= 5) {
        size_t place = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % damaged.length;
        for (size_t i = 0; i <= data[4] && place + i < damaged.length; i++)
            damaged.data[place + i] = (char)(data[3] + i * (data[4] & 1));
    }
    size_t length =
        size >= 2 ? ((size_t)data[0] << 8 | data[1]) % (damaged.length + 1) : damaged.length;
    fuzz_folder_clear();
    const char *path = fuzz_file("store", damaged.data, length);
    if (store_open(STORE_DISK, path, &state, NULL, NULL, &store) < 0)
        return 0; /* set aside by the caller */
    assert(memchr(state.stream, '\0', sizeof(state.stream)));
    use(store);
    store_close(store);
    return 0;
}
