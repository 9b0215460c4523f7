/* What a tier keeps its messages in: opening, transactions, messages. */
#include "agent/outbox/store.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/outbox/sql.h"
#include "agent/outbox/store_format.h"
#include "agent/outbox/store_rows.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_MAX_BYTES (UINT64_C(32) << 20)
#define SPARE_BYTES (64 << 10) /* of the log, beyond what it has used: some twelve states */
#define SHRINK_BYTES (UINT64_C(4) << 20)
#define PAGE_BYTES 4096
#define TABLE_PAGES 3 /* of an empty store, beside the one for messages */

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

static const char *const statement_texts[N_STATEMENTS] = {
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

/* What differs between the tiers. */
struct medium {
    const char *settings;
    bool synced; /* on demand; its log keeps its room */
};

static const struct medium tmpfs = {"PRAGMA synchronous = OFF;"
                                    "PRAGMA wal_autocheckpoint = 256",
                                    false},
                           flash = {"PRAGMA synchronous = NORMAL;"
                                    "PRAGMA wal_autocheckpoint = 1000",
                                    true};

struct store {
    sqlite3 *database;
    sqlite3_stmt *statements[N_STATEMENTS];
    const struct medium *medium;
    bool in_transaction, full_sync;
    uint64_t messages, messages_before; /* now, and when the transaction began */
    off_t roomy_below;                  /* so much of the log has its blocks */
};

/* --- transactions ---------------------------------------------------------------------------- */

int store_begin(struct store *store, bool durable)
{
    assert(!store->in_transaction);
    if (store->medium->synced && durable != store->full_sync) {
        int r = sql_run_text(store->database,
                             durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
        if (r < 0)
            return r;
        store->full_sync = durable;
    }
    int r = sql_run(store->statements[ST_BEGIN]);
    if (r < 0)
        return r;
    store->in_transaction = true;
    store->messages_before = store->messages;
    return 0;
}

int store_commit(struct store *store)
{
    assert(store->in_transaction);
    int r = sql_run(store->statements[ST_COMMIT]);
    if (r == 0)
        store->in_transaction = false;
    return r;
}

void store_rollback(struct store *store)
{
    if (!store->in_transaction)
        return;
    if (!sqlite3_get_autocommit(store->database)) /* else SQLite has done it already */
        (void)sql_run(store->statements[ST_ROLLBACK]);
    store->messages = store->messages_before;
    store->in_transaction = false;
}

/* --- state and ledger ------------------------------------------------------------------------ */

/* Beyond the most that is written, the rest becomes one span. */
static int save_on_disk(struct store *store, const struct run_list *on_disk)
{
    sqlite3_stmt *add = store->statements[ST_LEDGER_ADD];
    int r = 0;
    for (size_t i = 0; r == 0 && i < on_disk->n && i < STORE_ON_DISK_MAX; i++) {
        size_t last = i + 1 == STORE_ON_DISK_MAX ? on_disk->n - 1 : i;
        const struct span span = {
            SPAN_ON_DISK, on_disk->runs[i].first, on_disk->runs[last].last, 0, 0, 0};
        store_row_bind_span(add, &span);
        r = sql_run(add);
    }
    return r;
}

static int save_ledger(struct store *store, const struct loss_ledger *ledger)
{
    const struct span_list *lists[] = {&ledger->historical, &ledger->gaps};
    sqlite3_stmt *add = store->statements[ST_LEDGER_ADD];
    int r = sql_run(store->statements[ST_LEDGER_CLEAR]);
    for (size_t list = 0; list < ARRAY_LENGTH(lists); list++) {
        for (size_t i = 0; r == 0 && i < lists[list]->n; i++) {
            store_row_bind_span(add, &lists[list]->spans[i]);
            r = sql_run(add);
        }
    }
    return r;
}

int store_save(struct store *store, const struct stored_state *state,
               const struct loss_ledger *ledger, const struct run_list *on_disk)
{
    sqlite3_stmt *save = store->statements[ST_STATE_SAVE];
    store_row_bind_state(save, state, store->messages);
    int r = sql_run(save);
    if (r == 0 && ledger)
        r = save_ledger(store, ledger);
    return r == 0 && ledger && on_disk ? save_on_disk(store, on_disk) : r;
}

static int load_ledger(struct store *store, struct loss_ledger *ledger, struct run_list *on_disk)
{
    sqlite3_stmt *statement = store->statements[ST_LEDGER_LOAD];
    struct span span;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (!store_row_read_span(statement, &span))
            continue;
        if (span.kind == SPAN_ON_DISK)
            run_list_add(on_disk, span.first, span.last);
        else
            loss_ledger_add(ledger, &span);
    }
    int r = sql_result(store->database, code);
    (void)sqlite3_reset(statement);
    return r;
}

/* A fresh store has no row, and RET_STATE is left alone. */
static int load_state(struct store *store, struct stored_state *ret_state)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, "SELECT * FROM state WHERE id = 1", -1,
                                  &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_ROW ? store_row_read_state(statement, ret_state, &store->messages)
                               : sql_result(store->database, code);
    (void)sqlite3_finalize(statement);
    return r;
}

/* --- messages -------------------------------------------------------------------------------- */

int store_append(struct store *store, const struct stored_message *message)
{
    sqlite3_stmt *statement = store->statements[ST_PUT];
    store_row_bind_message(statement, message);
    int r = sql_run(statement);
    if (r == 0)
        store->messages += (uint64_t)sqlite3_changes(store->database);
    return r;
}

int store_remove(struct store *store, uint64_t first, uint64_t last, uint64_t *ret_count)
{
    sqlite3_stmt *statement = store->statements[ST_DELETE];
    sql_bind_u64(statement, 1, first);
    sql_bind_u64(statement, 2, last);
    int r = sql_run(statement);
    if (r < 0)
        return r;
    uint64_t count = (uint64_t)sqlite3_changes(store->database);
    store->messages -= count < store->messages ? count : store->messages;
    if (ret_count)
        *ret_count = count;
    return 0;
}

int store_read(struct store *store, uint64_t first, uint64_t below, store_visit *visit,
               void *context)
{
    sqlite3_stmt *statement = store->statements[ST_READ];
    sql_bind_u64(statement, 1, first);
    sql_bind_u64(statement, 2, below);
    int code;
    bool sound = true, more = true;
    while (more && sound && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct stored_message message;
        sound = store_row_read_message(statement, first, below, &message);
        if (!sound)
            break;
        first = message.seq + 1; /* the next one must be higher */
        more = visit(context, &message);
    }
    int r = !sound ? -EBADMSG : more ? sql_result(store->database, code) : 0;
    (void)sqlite3_reset(statement);
    return r;
}

int store_range(struct store *store, uint64_t *ret_first, uint64_t *ret_last)
{
    sqlite3_stmt *statement = store->statements[ST_RANGE];
    int code = sqlite3_step(statement);
    int r = sql_result(store->database, code);
    if (code == SQLITE_ROW) {
        *ret_first = sql_column_u64(statement, 0);
        *ret_last = sql_column_u64(statement, 1);
    }
    (void)sqlite3_reset(statement);
    return r;
}

static int store_held_exactly(struct store *store, struct run_list *ret_held)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, "SELECT seq FROM message ORDER BY seq", -1,
                                  &statement, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        uint64_t seq = sql_column_u64(statement, 0);
        if (seq > 0)
            run_list_add(ret_held, seq, seq);
        code = SQLITE_OK;
    }
    int r = sql_result(store->database, code);
    (void)sqlite3_finalize(statement);
    return r;
}

int store_held(struct store *store, struct run_list *ret_held)
{
    if (store_bytes(store) <= CHECK_MAX_BYTES)
        return store_held_exactly(store, ret_held);
    uint64_t first = 0, last = 0;
    int r = store_range(store, &first, &last);
    if (r == 0 && first > 0)
        run_list_add(ret_held, first, last);
    return r;
}

/* --- room ------------------------------------------------------------------------------------ */

static uint64_t pages(struct store *store, enum statement which)
{
    sqlite3_stmt *statement = store->statements[which];
    uint64_t count = sqlite3_step(statement) == SQLITE_ROW ? sql_column_u64(statement, 0) : 0;
    (void)sqlite3_reset(statement);
    return count;
}

uint64_t store_messages(const struct store *store)
{
    return store->messages;
}

uint64_t store_bytes(struct store *store)
{
    uint64_t all = pages(store, ST_PAGES), unused = pages(store, ST_FREE_PAGES);
    bool empty = store->messages == 0 || all < unused + TABLE_PAGES;
    return empty ? 0 : (all - unused - TABLE_PAGES) * PAGE_BYTES;
}

/* Blocks behind the end of the log are its own before they are needed. */
int store_keep_room(struct store *store, bool reuse)
{
    struct stat about;
    if (reuse)
        (void)sql_checkpoint(store->database);
    if (!store->medium->synced)
        return 0;
    CLEANUP(descriptor_close)
    int file = open(sqlite3_filename_wal(sqlite3_db_filename(store->database, "main")),
                    O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 || fstat(file, &about) < 0)
        return 0; /* its first transaction makes it, or tells what is wrong */
    if (about.st_size + SPARE_BYTES <= store->roomy_below)
        return 0;
    int r = fallocate(file, FALLOC_FL_KEEP_SIZE, 0, about.st_size + SPARE_BYTES) < 0 ? -errno : 0;
    if (r == 0)
        store->roomy_below = about.st_size + SPARE_BYTES;
    return r == -ENOSPC || r == -EDQUOT ? -ENOSPC : 0;
}

void store_shrink(struct store *store)
{
    if (store->messages > 0 || pages(store, ST_PAGES) * PAGE_BYTES < SHRINK_BYTES)
        return;
    /* Nothing but tables is copied; the checkpoint cuts the file. A failure leaves all as it was.
     */
    if (sql_run_text(store->database, "VACUUM") == 0)
        (void)sql_checkpoint(store->database);
}

/* --- opening --------------------------------------------------------------------------------- */

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
    int r = sql_run_text(store->database, common);
    if (r == 0)
        r = sql_run_text(store->database, store->medium->settings);
    if (r == 0)
        r = sql_query_is(store->database, "PRAGMA journal_mode = WAL", "wal");
    if (r == 0 && store->medium->synced) {
        /* The log's blocks stay ours, so that a start on a full disk can still be recorded. */
        int persist = 1;
        (void)sqlite3_file_control(store->database, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    }
    return r;
}

static int prepare_all(struct store *store)
{
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(store->database, statement_texts[i], -1,
                                      SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (code != SQLITE_OK)
            return sql_result(store->database, code);
    }
    return 0;
}

/*
 * Looks for damage, and counts the messages. A large store is not read from end to end at start:
 * that takes seconds on cheap flash, and every page and row is checked when it is read anyway.
 */
static int check_content(struct store *store)
{
    if (store_bytes(store) > CHECK_MAX_BYTES)
        return 0;
    int r = sql_quick_check(store->database);
    if (r == 0)
        r = sql_query_u64(store->database, "SELECT count(*) FROM message", &store->messages);
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
    int r = sql_result(store->database, sqlite3_open_v2(path, &store->database, flags, NULL));
    if (!store->database)
        return -ENOMEM;
    if (r < 0) /* again: now it is known which system error it was */
        return sql_result(store->database, sqlite3_extended_errcode(store->database));
    /* SQLite silently falls back to read-only. */
    if (sqlite3_db_readonly(store->database, "main") == 1)
        return access(path, W_OK) < 0 ? -errno : -EROFS;
    return 0;
}

int store_open(enum store_kind kind, const char *path, struct stored_state *ret_state,
               struct loss_ledger *ret_ledger, struct run_list *ret_on_disk,
               struct store **ret_store)
{
    struct store *store = memory_zeroed(1, sizeof(*store));
    store->medium = kind == STORE_LIVE ? &tmpfs : &flash;
    int r = open_database(store, path);
    if (r == 0)
        r = configure(store);
    if (r == 0)
        r = store_format_check(store->database);
    if (r == 0)
        r = load_state(store, ret_state);
    if (r == 0)
        r = prepare_all(store);
    if (r == 0)
        r = check_content(store);
    if (r == 0 && ret_ledger)
        r = load_ledger(store, ret_ledger, ret_on_disk);
    if (r < 0) {
        (void)store_close(store);
        return r;
    }
    *ret_store = store;
    return 0;
}
