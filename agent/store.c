/*
 * One tier of the outbox on SQLite. The write-ahead log is held with an exclusive lock, so there
 * is no shared-memory file and a second process is turned away. Rows carry a checksum of their
 * content, because SQLite itself notices damage only in the structure around it.
 */
#include "agent/store.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define TABLE_PAGES 3 /* of an empty store, beside the one for messages */
#define FORMAT_VERSION 1
#define APPLICATION_ID 0x53504c59 /* "SPLY" */
#define CHECK_MAX_BYTES (UINT64_C(32) << 20)

enum statement {
    ST_BEGIN,
    ST_COMMIT,
    ST_ROLLBACK,
    ST_PUT,
    ST_DELETE,
    ST_READ,
    ST_RANGE,
    ST_PAGES,
    ST_FREE_PAGES,
    ST_STATE_SAVE,
    ST_LEDGER_CLEAR,
    ST_LEDGER_ADD,
    ST_LEDGER_LOAD,
    N_STATEMENTS
};

static const char *const statement_texts[] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_PUT] = "INSERT OR IGNORE INTO message VALUES(?1, ?2, ?3, ?4, ?5)",
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
_Static_assert(ARRAY_LENGTH(statement_texts) == N_STATEMENTS, "every statement has a text");

static const char schema[] = //
    "BEGIN;"
    "CREATE TABLE message(seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL);"
    "CREATE TABLE state(id INTEGER PRIMARY KEY, stream TEXT, previous_stream TEXT,"
    " next_seq INTEGER, reserved_below INTEGER, settled_below INTEGER, disk_first INTEGER,"
    " disk_below INTEGER, ledger_version INTEGER, wall_ms INTEGER, clean INTEGER, alone INTEGER,"
    " messages INTEGER, checksum INTEGER NOT NULL);"
    "CREATE TABLE span(id INTEGER PRIMARY KEY, kind INTEGER, first INTEGER,"
    " last INTEGER, from_ms INTEGER, to_ms INTEGER, event_seq INTEGER);"
    "PRAGMA application_id = 1397771353;"
    "PRAGMA user_version = 1;"
    "COMMIT";
_Static_assert(APPLICATION_ID == 1397771353 && FORMAT_VERSION == 1, "as the schema says");

struct store {
    sqlite3 *database;
    sqlite3_stmt *statements[N_STATEMENTS];
    enum store_kind kind;
    bool in_transaction, full_sync;
    uint64_t messages, messages_before; /* now, and when the transaction began */
};

/* What a code of SQLite means to the outbox; the system's own errno where SQLite kept it. */
static int translate(sqlite3 *database, int code)
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

static int run_text(struct store *store, const char *text)
{
    return translate(store->database, sqlite3_exec(store->database, text, NULL, NULL, NULL));
}

/* Runs a prepared statement that returns no rows (or whose rows do not matter). */
static int run(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    int code = sqlite3_step(statement);
    int r = translate(store->database, code);
    (void)sqlite3_reset(statement);
    return r;
}

static void bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    assert(value <= INT64_MAX);
    (void)sqlite3_bind_int64(statement, at, (int64_t)value);
}

static uint64_t column_u64(sqlite3_stmt *statement, int at)
{
    int64_t value = sqlite3_column_int64(statement, at);
    return value > 0 ? (uint64_t)value : 0;
}

/* Fast rather than strong: it has to notice a worn flash cell, not an attacker. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
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

static int64_t checksum(const struct store_message *message)
{
    uint64_t hash = mix(message->seq + 1, &message->wall_ms, sizeof(message->wall_ms));
    hash = mix(hash, message->topic, message->topic_length);
    hash = mix(hash, message->body, message->body_length);
    return (int64_t)hash;
}

/* --- opening --------------------------------------------------------------------------------- */

/* One integer that a query returns. */
static int query_u64(struct store *store, const char *text, uint64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_DONE ? -EBADMSG : translate(store->database, code);
    if (r == 0)
        *ret_value = column_u64(statement, 0);
    (void)sqlite3_finalize(statement);
    return r;
}

static int query_is(struct store *store, const char *text, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = translate(store->database, code);
    if (r == 0) {
        const char *answer = (const char *)sqlite3_column_text(statement, 0);
        r = answer && strcmp(answer, expected) == 0 ? 0 : -EBADMSG;
    }
    (void)sqlite3_finalize(statement);
    return r;
}

static int configure(struct store *store)
{
    /* The lock first: before anything is read, or there will be a file of shared memory. */
    static const char common[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                 "PRAGMA page_size = 4096;"
                                 "PRAGMA auto_vacuum = NONE;"
                                 "PRAGMA cache_size = -256;"
                                 "PRAGMA cell_size_check = ON;"
                                 "PRAGMA trusted_schema = OFF;"
                                 "PRAGMA temp_store = MEMORY;"
                                 "PRAGMA mmap_size = 0;"
                                 "PRAGMA secure_delete = OFF";
    int r = run_text(store, common);
    if (r == 0)
        r = run_text(store, store->kind == STORE_LIVE ? "PRAGMA synchronous = OFF;"
                                                        "PRAGMA wal_autocheckpoint = 256"
                                                      : "PRAGMA synchronous = NORMAL;"
                                                        "PRAGMA wal_autocheckpoint = 1000");
    if (r == 0)
        r = query_is(store, "PRAGMA journal_mode = WAL", "wal");
    if (r == 0 && store->kind == STORE_DISK) {
        /* The log's blocks stay ours, so that a start on a full disk can still be recorded. */
        int persist = 1;
        (void)sqlite3_file_control(store->database, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    }
    return r;
}

/* Makes the tables of an empty database; refuses what is not ours or newer than we are. */
static int check_format(struct store *store)
{
    uint64_t application = 0, version = 0, tables = 0;
    int r = query_u64(store, "PRAGMA application_id", &application);
    if (r == 0)
        r = query_u64(store, "PRAGMA user_version", &version);
    if (r == 0)
        r = query_u64(store, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (application == 0 && version == 0 && tables == 0)
        return run_text(store, schema);
    return application == APPLICATION_ID && version == FORMAT_VERSION ? 0 : -EBADMSG;
}

static int prepare_all(struct store *store)
{
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(store->database, statement_texts[i], -1,
                                      SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (code != SQLITE_OK)
            return translate(store->database, code);
    }
    return 0;
}

static void copy_stream(sqlite3_stmt *statement, int column, char ret[STORE_STREAM_DIGITS + 1])
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    bool good = text && strlen(text) == STORE_STREAM_DIGITS &&
                strspn(text, "0123456789abcdef") == STORE_STREAM_DIGITS;
    (void)snprintf(ret, STORE_STREAM_DIGITS + 1, "%s", good ? text : "");
}

static int64_t state_checksum(const struct store_state *state, uint64_t messages)
{
    uint64_t numbers[] = {state->next_seq,   state->reserved_below, state->settled_below,
                          state->disk_first, state->disk_below,     state->ledger_version,
                          state->clean,      state->alone,          messages};
    uint64_t hash = mix(1, state->stream, strlen(state->stream));
    hash = mix(hash, state->previous_stream, strlen(state->previous_stream));
    return (int64_t)mix(hash, numbers, sizeof(numbers));
}

/* Takes over the row that STATEMENT stands on, if it is whole. */
static int take_state(struct store *store, sqlite3_stmt *statement, struct store_state *ret_state)
{
    struct store_state state = {.next_seq = column_u64(statement, 3),
                                .reserved_below = column_u64(statement, 4),
                                .settled_below = column_u64(statement, 5),
                                .disk_first = column_u64(statement, 6),
                                .disk_below = column_u64(statement, 7),
                                .ledger_version = column_u64(statement, 8),
                                .wall_ms = sqlite3_column_int64(statement, 9),
                                .clean = sqlite3_column_int(statement, 10) == 1,
                                .alone = sqlite3_column_int(statement, 11) == 1};
    copy_stream(statement, 1, state.stream);
    copy_stream(statement, 2, state.previous_stream);
    uint64_t messages = column_u64(statement, 12);
    if (sqlite3_column_int64(statement, 13) != state_checksum(&state, messages))
        return -EBADMSG;
    store->messages = messages;
    *ret_state = state;
    return 0;
}

static int load_state(struct store *store, struct store_state *ret_state)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, "SELECT * FROM state WHERE id = 1", -1,
                                  &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_ROW ? take_state(store, statement, ret_state)
                               : translate(store->database, code);
    (void)sqlite3_finalize(statement);
    return r;
}

/*
 * Looks for damage, and counts. A large store is not read from end to end at start: that takes
 * seconds on cheap flash, and every page and row is checked when it is read anyway.
 */
static int check_content(struct store *store)
{
    if (store_bytes(store) > CHECK_MAX_BYTES)
        return 0;
    int r = query_is(store, "PRAGMA quick_check(1)", "ok");
    if (r == 0)
        r = query_u64(store, "SELECT count(*) FROM message", &store->messages);
    return r;
}

static int open_database(struct store *store, const char *path)
{
    struct stat about;
    bool exists = lstat(path, &about) == 0;
    if (exists && !S_ISREG(about.st_mode))
        return -EBADMSG;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int r = translate(store->database, sqlite3_open_v2(path, &store->database, flags, NULL));
    if (!store->database)
        return -ENOMEM;
    if (r < 0) /* again: now it is known which system error it was */
        return translate(store->database, sqlite3_extended_errcode(store->database));
    /* SQLite falls back to reading only without a word. */
    if (sqlite3_db_readonly(store->database, "main") == 1)
        return access(path, W_OK) < 0 ? -errno : -EROFS;
    return 0;
}

int store_open(enum store_kind kind, const char *path, struct store_state *ret_state,
               struct store **ret_store)
{
    struct store *store = memory_zeroed(1, sizeof(*store));
    store->kind = kind;
    int r = open_database(store, path);
    if (r == 0)
        r = configure(store);
    if (r == 0)
        r = check_format(store);
    if (r == 0)
        r = load_state(store, ret_state);
    if (r == 0)
        r = prepare_all(store);
    if (r == 0)
        r = check_content(store);
    if (r < 0) {
        (void)store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;
    store_rollback(store);
    for (size_t i = 0; i < N_STATEMENTS; i++)
        (void)sqlite3_finalize(store->statements[i]);
    (void)sqlite3_close_v2(store->database);
    free(store);
    return NULL;
}

/* --- transactions ---------------------------------------------------------------------------- */

int store_begin(struct store *store, bool durable)
{
    assert(!store->in_transaction);
    if (store->kind == STORE_DISK && durable != store->full_sync) {
        int r =
            run_text(store, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
        if (r < 0)
            return r;
        store->full_sync = durable;
    }
    int r = run(store, ST_BEGIN);
    if (r < 0)
        return r;
    store->in_transaction = true;
    store->messages_before = store->messages;
    return 0;
}

int store_commit(struct store *store)
{
    assert(store->in_transaction);
    int r = run(store, ST_COMMIT);
    if (r == 0)
        store->in_transaction = false;
    return r;
}

void store_rollback(struct store *store)
{
    if (!store->in_transaction)
        return;
    if (!sqlite3_get_autocommit(store->database)) /* else SQLite did it by itself */
        (void)run(store, ST_ROLLBACK);
    store->messages = store->messages_before;
    store->in_transaction = false;
}

int store_checkpoint(struct store *store)
{
    return translate(
        store->database,
        sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

/* --- messages -------------------------------------------------------------------------------- */

int store_put(struct store *store, const struct store_message *message)
{
    sqlite3_stmt *statement = store->statements[ST_PUT];
    bind_u64(statement, 1, message->seq);
    (void)sqlite3_bind_int64(statement, 2, message->wall_ms);
    (void)sqlite3_bind_int64(statement, 3, checksum(message));
    (void)sqlite3_bind_text(statement, 4, message->topic, (int)message->topic_length,
                            SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 5, message->body ? message->body : "",
                            (int)message->body_length, SQLITE_STATIC);
    int r = run(store, ST_PUT);
    if (r == 0)
        store->messages += (uint64_t)sqlite3_changes(store->database);
    return r;
}

int store_delete(struct store *store, uint64_t first, uint64_t last, uint64_t *ret_count)
{
    sqlite3_stmt *statement = store->statements[ST_DELETE];
    bind_u64(statement, 1, first);
    bind_u64(statement, 2, last);
    int r = run(store, ST_DELETE);
    if (r < 0)
        return r;
    uint64_t count = (uint64_t)sqlite3_changes(store->database);
    store->messages -= count < store->messages ? count : store->messages;
    if (ret_count)
        *ret_count = count;
    return 0;
}

/* The row that STATEMENT stands on. False when it cannot even be a row of ours. */
static bool row_message(sqlite3_stmt *statement, uint64_t first, uint64_t below,
                        struct store_message *message)
{
    *message = (struct store_message){.seq = column_u64(statement, 0),
                                      .wall_ms = sqlite3_column_int64(statement, 1)};
    if (message->seq < first || message->seq >= below)
        return false; /* a page in the wrong place */
    const void *topic = sqlite3_column_text(statement, 3);
    const void *body = sqlite3_column_blob(statement, 4);
    message->topic = topic ? topic : "";
    message->topic_length = (size_t)sqlite3_column_bytes(statement, 3);
    message->body = body ? body : "";
    message->body_length = (size_t)sqlite3_column_bytes(statement, 4);
    if (sqlite3_column_int64(statement, 2) != checksum(message))
        message->body = NULL;
    return true;
}

int store_read(struct store *store, uint64_t first, uint64_t below, store_visit *visit,
               void *context)
{
    sqlite3_stmt *statement = store->statements[ST_READ];
    bind_u64(statement, 1, first);
    bind_u64(statement, 2, below);
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
    int r = !sound ? -EBADMSG : more ? translate(store->database, code) : 0;
    (void)sqlite3_reset(statement);
    return r;
}

int store_range(struct store *store, uint64_t *ret_first, uint64_t *ret_last)
{
    sqlite3_stmt *statement = store->statements[ST_RANGE];
    int code = sqlite3_step(statement);
    int r = translate(store->database, code);
    if (code == SQLITE_ROW) {
        *ret_first = column_u64(statement, 0);
        *ret_last = column_u64(statement, 1);
    }
    (void)sqlite3_reset(statement);
    return r;
}

static uint64_t pages(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    uint64_t count = sqlite3_step(statement) == SQLITE_ROW ? column_u64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    return count;
}

uint64_t store_bytes(struct store *store)
{
    uint64_t all = pages(store, ST_PAGES), unused = pages(store, ST_FREE_PAGES);
    bool empty = store->messages == 0 || all < unused + TABLE_PAGES;
    return empty ? 0 : (all - unused - TABLE_PAGES) * PAGE_BYTES;
}

uint64_t store_messages(const struct store *store)
{
    return store->messages;
}

/* --- state and ledger ------------------------------------------------------------------------ */

int store_save_state(struct store *store, const struct store_state *state)
{
    sqlite3_stmt *statement = store->statements[ST_STATE_SAVE];
    (void)sqlite3_bind_text(statement, 1, state->stream, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 2, state->previous_stream, -1, SQLITE_STATIC);
    bind_u64(statement, 3, state->next_seq);
    bind_u64(statement, 4, state->reserved_below);
    bind_u64(statement, 5, state->settled_below);
    bind_u64(statement, 6, state->disk_first);
    bind_u64(statement, 7, state->disk_below);
    bind_u64(statement, 8, state->ledger_version);
    (void)sqlite3_bind_int64(statement, 9, state->wall_ms);
    (void)sqlite3_bind_int(statement, 10, state->clean);
    (void)sqlite3_bind_int(statement, 11, state->alone);
    bind_u64(statement, 12, store->messages);
    (void)sqlite3_bind_int64(statement, 13, state_checksum(state, store->messages));
    return run(store, ST_STATE_SAVE);
}

static int save_span(struct store *store, const struct span *span)
{
    sqlite3_stmt *statement = store->statements[ST_LEDGER_ADD];
    (void)sqlite3_bind_int(statement, 1, (int)span->kind);
    bind_u64(statement, 2, span->first);
    bind_u64(statement, 3, span->last);
    (void)sqlite3_bind_int64(statement, 4, span->from_ms);
    (void)sqlite3_bind_int64(statement, 5, span->to_ms);
    bind_u64(statement, 6, span->event_seq);
    return run(store, ST_LEDGER_ADD);
}

int store_save_ledger(struct store *store, const struct ledger *ledger)
{
    const struct span_list *lists[] = {&ledger->historical, &ledger->gaps};
    int r = run(store, ST_LEDGER_CLEAR);
    for (size_t list = 0; list < ARRAY_LENGTH(lists); list++) {
        for (size_t i = 0; r == 0 && i < lists[list]->n; i++)
            r = save_span(store, &lists[list]->spans[i]);
    }
    return r;
}

int store_load_ledger(struct store *store, struct ledger *ledger)
{
    sqlite3_stmt *statement = store->statements[ST_LEDGER_LOAD];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        uint64_t kind = column_u64(statement, 1);
        struct span span = {.first = column_u64(statement, 2),
                            .last = column_u64(statement, 3),
                            .from_ms = sqlite3_column_int64(statement, 4),
                            .to_ms = sqlite3_column_int64(statement, 5),
                            .event_seq = column_u64(statement, 6)};
        if (kind >= SPAN_KINDS || span.first == 0 || span.first > span.last)
            continue;
        span.kind = (enum span_kind)kind;
        ledger_add(ledger, &span);
    }
    int r = translate(store->database, code);
    (void)sqlite3_reset(statement);
    return r;
}
