/*
 * One tier of the outbox on SQLite: transactions and messages. Rows carry a checksum of their
 * content, because SQLite itself notices damage only in the structure around it.
 */
#include "agent/outbox/store_private.h"

#include "agent/base/macros.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SHRINK_BYTES (UINT64_C(4) << 20)

const char *const store_statement_texts[N_STATEMENTS] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_PUT] = "INSERT OR IGNORE INTO message VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [ST_DELETE] = "DELETE FROM message WHERE seq BETWEEN ?1 AND ?2",
    [ST_READ] = "SELECT * FROM message WHERE seq >= ?1 AND seq < ?2 ORDER BY seq",
    [ST_RANGE] = "SELECT (SELECT min(seq) FROM message), (SELECT max(seq) FROM message)",
    [ST_PAGES] = "PRAGMA page_count",
    [ST_FREE_PAGES] = "PRAGMA freelist_count",
    [ST_STATE_SAVE] = ("INSERT OR REPLACE INTO state "
                       "VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"),
    [ST_LEDGER_CLEAR] = "DELETE FROM span",
    [ST_LEDGER_ADD] = "INSERT INTO span VALUES(NULL, ?1, ?2, ?3, ?4, ?5, ?6)",
    [ST_LEDGER_LOAD] = "SELECT * FROM span ORDER BY id",
};

int store_translate(sqlite3 *database, int code)
{
    int system_errno = database ? sqlite3_system_errno(database) : 0;
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:    /* a table or column is missing */
    case SQLITE_MISMATCH: /* a value of the wrong type */
    case SQLITE_CONSTRAINT:
        return -EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS)
            return -EBADMSG;
        return system_errno > 0 ? -system_errno : -EIO;
    }
    return -EIO;
}

int store_run_text(struct store *store, const char *text)
{
    return store_translate(store->database, sqlite3_exec(store->database, text, NULL, NULL, NULL));
}

int store_run(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    int code = sqlite3_step(statement);
    int r = store_translate(store->database, code);
    (void)sqlite3_reset(statement);
    return r;
}

void store_bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    assert(value <= INT64_MAX);
    (void)sqlite3_bind_int64(statement, at, (int64_t)value);
}

uint64_t store_column_u64(sqlite3_stmt *statement, int at)
{
    int64_t value = sqlite3_column_int64(statement, at);
    return value > 0 ? (uint64_t)value : 0;
}

/* Fast rather than strong: it has to notice a worn flash cell, not an attacker. */
uint64_t store_mix(uint64_t hash, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    uint64_t rest = length;
    for (size_t i = 0; i < length; i++)
        rest = rest << 8 | at[i];
    hash = (hash ^ rest) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint64_t checksum_of_content(const struct store_message *message)
{
    uint64_t hash = store_mix(message->seq + 1, &message->wall_ms, sizeof(message->wall_ms));
    hash = store_mix(hash, message->topic, message->topic_length);
    return store_mix(hash, message->body, message->body_length);
}

static int64_t checksum(const struct store_message *message)
{
    const int64_t numbers[] = {message->facts.kind, message->facts.timestamp_ms};
    uint64_t hash = store_mix(checksum_of_content(message), numbers, sizeof(numbers));
    return (int64_t)store_mix(hash, message->facts.owner, strlen(message->facts.owner));
}

/* --- transactions ---------------------------------------------------------------------------- */

int store_begin(struct store *store, bool durable)
{
    assert(!store->in_transaction);
    if (store->kind == STORE_DISK && durable != store->full_sync) {
        int r = store_run_text(store, durable ? "PRAGMA synchronous = FULL"
                                              : "PRAGMA synchronous = NORMAL");
        if (r < 0)
            return r;
        store->full_sync = durable;
    }
    int r = store_run(store, ST_BEGIN);
    if (r < 0)
        return r;
    store->in_transaction = true;
    store->messages_before = store->messages;
    return 0;
}

int store_commit(struct store *store)
{
    assert(store->in_transaction);
    int r = store_run(store, ST_COMMIT);
    if (r == 0)
        store->in_transaction = false;
    return r;
}

void store_rollback(struct store *store)
{
    if (!store->in_transaction)
        return;
    if (!sqlite3_get_autocommit(store->database)) /* else SQLite did it by itself */
        (void)store_run(store, ST_ROLLBACK);
    store->messages = store->messages_before;
    store->in_transaction = false;
}

int store_checkpoint(struct store *store)
{
    return store_translate(
        store->database,
        sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

/* --- messages -------------------------------------------------------------------------------- */

int store_put(struct store *store, const struct store_message *message)
{
    sqlite3_stmt *statement = store->statements[ST_PUT];
    store_bind_u64(statement, 1, message->seq);
    (void)sqlite3_bind_int64(statement, 2, message->wall_ms);
    (void)sqlite3_bind_int64(statement, 3, checksum(message));
    (void)sqlite3_bind_text(statement, 4, message->topic, (int)message->topic_length,
                            SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 5, message->body ? message->body : "",
                            (int)message->body_length, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 6, (int)message->facts.kind);
    (void)sqlite3_bind_int64(statement, 7, message->facts.timestamp_ms);
    (void)sqlite3_bind_text(statement, 8, message->facts.owner, -1, SQLITE_STATIC);
    int r = store_run(store, ST_PUT);
    if (r == 0)
        store->messages += (uint64_t)sqlite3_changes(store->database);
    return r;
}

int store_delete(struct store *store, uint64_t first, uint64_t last, uint64_t *ret_count)
{
    sqlite3_stmt *statement = store->statements[ST_DELETE];
    store_bind_u64(statement, 1, first);
    store_bind_u64(statement, 2, last);
    int r = store_run(store, ST_DELETE);
    if (r < 0)
        return r;
    uint64_t count = (uint64_t)sqlite3_changes(store->database);
    store->messages -= count < store->messages ? count : store->messages;
    if (ret_count)
        *ret_count = count;
    return 0;
}

/*
 * A row that was written in format 1 has no facts (NULL): the topic was "data/DEVICE" or "event"
 * then, and the time of custody is the nearest to the time of reading that is known.
 */
static bool derive_facts(struct store_message *message)
{
    static const char data[] = "data/";
    const size_t length = sizeof(data) - 1;
    bool of_device = message->topic_length > length && strncmp(message->topic, data, length) == 0;
    message->facts = (struct outbox_facts){.kind = of_device ? OUTBOX_DATA : OUTBOX_EVENT,
                                           .owner = of_device ? message->topic + length : "",
                                           .timestamp_ms = message->wall_ms};
    return message->topic[message->topic_length] == '\0' &&
           strlen(message->topic) == message->topic_length;
}

/* Columns 5 to 7. False when they cannot be what was stored. */
static bool row_facts(sqlite3_stmt *statement, struct store_message *message)
{
    int64_t kind = sqlite3_column_int64(statement, 5);
    const char *owner = (const char *)sqlite3_column_text(statement, 7);
    message->facts = (struct outbox_facts){.owner = owner ? owner : "",
                                           .timestamp_ms = sqlite3_column_int64(statement, 6)};
    if (kind < 0 || kind >= OUTBOX_KINDS)
        return false;
    message->facts.kind = (enum outbox_kind)kind;
    return strlen(message->facts.owner) == (size_t)sqlite3_column_bytes(statement, 7);
}

/* The facts of a row whose other columns are read, and whether all is as it was stored. */
static bool complete(sqlite3_stmt *statement, struct store_message *message)
{
    int64_t stored = sqlite3_column_int64(statement, 2);
    if (sqlite3_column_type(statement, 5) == SQLITE_NULL)
        return derive_facts(message) && stored == (int64_t)checksum_of_content(message);
    return row_facts(statement, message) && stored == checksum(message);
}

/* The row that STATEMENT stands on. False when it cannot even be a row of ours. */
static bool row_message(sqlite3_stmt *statement, uint64_t first, uint64_t below,
                        struct store_message *message)
{
    *message = (struct store_message){.seq = store_column_u64(statement, 0),
                                      .wall_ms = sqlite3_column_int64(statement, 1)};
    if (message->seq < first || message->seq >= below)
        return false; /* a page in the wrong place */
    const void *topic = sqlite3_column_text(statement, 3);
    const void *body = sqlite3_column_blob(statement, 4);
    message->topic = topic ? topic : "";
    message->topic_length = (size_t)sqlite3_column_bytes(statement, 3);
    message->body = body ? body : "";
    message->body_length = (size_t)sqlite3_column_bytes(statement, 4);
    if (!complete(statement, message))
        message->body = NULL;
    return true;
}

int store_read(struct store *store, uint64_t first, uint64_t below, store_visit *visit,
               void *context)
{
    sqlite3_stmt *statement = store->statements[ST_READ];
    store_bind_u64(statement, 1, first);
    store_bind_u64(statement, 2, below);
    int code;
    bool sound = true, more = true;
    while (more && sound && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_message message;
        sound = row_message(statement, first, below, &message);
        if (!sound)
            break;
        first = message.seq + 1; /* the next one must be higher */
        more = visit(context, &message);
    }
    int r = !sound ? -EBADMSG : more ? store_translate(store->database, code) : 0;
    (void)sqlite3_reset(statement);
    return r;
}

int store_range(struct store *store, uint64_t *ret_first, uint64_t *ret_last)
{
    sqlite3_stmt *statement = store->statements[ST_RANGE];
    int code = sqlite3_step(statement);
    int r = store_translate(store->database, code);
    if (code == SQLITE_ROW) {
        *ret_first = store_column_u64(statement, 0);
        *ret_last = store_column_u64(statement, 1);
    }
    (void)sqlite3_reset(statement);
    return r;
}

static uint64_t pages(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    uint64_t count = sqlite3_step(statement) == SQLITE_ROW ? store_column_u64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    return count;
}

uint64_t store_bytes(struct store *store)
{
    uint64_t all = pages(store, ST_PAGES), unused = pages(store, ST_FREE_PAGES);
    bool empty = store->messages == 0 || all < unused + STORE_TABLE_PAGES;
    return empty ? 0 : (all - unused - STORE_TABLE_PAGES) * STORE_PAGE_BYTES;
}

uint64_t store_messages(const struct store *store)
{
    return store->messages;
}

void store_shrink(struct store *store)
{
    if (store->messages > 0 || pages(store, ST_PAGES) * STORE_PAGE_BYTES < SHRINK_BYTES)
        return;
    /* Nothing but tables is copied; the checkpoint cuts the file. A failure leaves all as it was.
     */
    if (store_run_text(store, "VACUUM") == 0)
        (void)store_checkpoint(store);
}
