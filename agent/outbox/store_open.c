/*
 * Opens a tier: settings, format, check. The write-ahead log is held with an exclusive lock, so
 * there is no shared-memory file and a second process is turned away.
 */
#include "agent/base/memory.h"
#include "agent/outbox/store_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_VERSION 2
#define APPLICATION_ID 0x53504c59 /* "SPLY" */
#define CHECK_MAX_BYTES (UINT64_C(32) << 20)

static const char schema[] = //
    "BEGIN;"
    "CREATE TABLE message(seq INTEGER PRIMARY KEY, wall_ms INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, topic TEXT NOT NULL, body BLOB NOT NULL,"
    " kind INTEGER, timestamp_ms INTEGER, owner TEXT);"
    "CREATE TABLE state(id INTEGER PRIMARY KEY, stream TEXT, previous_stream TEXT,"
    " next_seq INTEGER, reserved_below INTEGER, settled_below INTEGER, disk_first INTEGER,"
    " disk_below INTEGER, ledger_version INTEGER, wall_ms INTEGER, clean INTEGER, alone INTEGER,"
    " messages INTEGER, checksum INTEGER NOT NULL);"
    "CREATE TABLE span(id INTEGER PRIMARY KEY, kind INTEGER, first INTEGER,"
    " last INTEGER, from_ms INTEGER, to_ms INTEGER, event_seq INTEGER);"
    "PRAGMA application_id = 1397771353;"
    "PRAGMA user_version = 2;"
    "COMMIT";
_Static_assert(APPLICATION_ID == 1397771353 && FORMAT_VERSION == 2, "as the schema says");

/*
 * Format 1 had no facts. Its rows stay as they are, without them (see store.c); a power cut in
 * the middle leaves format 1.
 */
static const char from_format_1[] = "BEGIN;"
                                    "ALTER TABLE message ADD COLUMN kind INTEGER;"
                                    "ALTER TABLE message ADD COLUMN timestamp_ms INTEGER;"
                                    "ALTER TABLE message ADD COLUMN owner TEXT;"
                                    "PRAGMA user_version = 2;"
                                    "COMMIT";

/* One integer that a query returns. */
static int query_u64(struct store *store, const char *text, uint64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_DONE ? -EBADMSG : store_translate(store->database, code);
    if (r == 0)
        *ret_value = store_column_u64(statement, 0);
    (void)sqlite3_finalize(statement);
    return r;
}

static int query_is(struct store *store, const char *text, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = store_translate(store->database, code);
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
    int r = store_run_text(store, common);
    if (r == 0)
        r = store_run_text(store, store->kind == STORE_LIVE ? "PRAGMA synchronous = OFF;"
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

static int try_migrate(struct store *store)
{
    int r = store_run_text(store, from_format_1);
    if (r < 0 && !sqlite3_get_autocommit(store->database))
        (void)store_run_text(store, "ROLLBACK");
    return r;
}

static int migrate(struct store *store)
{
    int r = try_migrate(store);
    if (r == -ENOSPC && store_checkpoint(store) == 0) /* the room of its log can be used again */
        r = try_migrate(store);
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
        return store_run_text(store, schema);
    if (application != APPLICATION_ID)
        return -EBADMSG;
    if (version == 1)
        return migrate(store);
    return version == FORMAT_VERSION ? 0 : -EBADMSG;
}

static int prepare_all(struct store *store)
{
    for (size_t i = 0; i < N_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(store->database, store_statement_texts[i], -1,
                                      SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);
        if (code != SQLITE_OK)
            return store_translate(store->database, code);
    }
    return 0;
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
    int r = store_translate(store->database, sqlite3_open_v2(path, &store->database, flags, NULL));
    if (!store->database)
        return -ENOMEM;
    if (r < 0) /* again: now it is known which system error it was */
        return store_translate(store->database, sqlite3_extended_errcode(store->database));
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
        r = store_load_state(store, ret_state);
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
