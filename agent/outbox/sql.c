/* SQLite with the error codes of this project. */
#include "agent/outbox/sql.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool has_failed(sqlite3_file *file)
{
    int last_errno = 0;
    if (file && file->pMethods)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &last_errno);
    return last_errno != 0;
}

/*
 * Whether the system has failed this connection at its file or its log. What SQLite then calls
 * damage may be a page that it could not read.
 */
static bool has_failed_reads(sqlite3 *database)
{
    sqlite3_file *file = NULL, *log = NULL;
    (void)sqlite3_file_control(database, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    (void)sqlite3_file_control(database, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    return has_failed(file) || has_failed(log);
}

static int damage(sqlite3 *database)
{
    return database && has_failed_reads(database) ? -SQL_EREAD : -EBADMSG;
}

int sql_result(sqlite3 *database, int code)
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
        return damage(database);
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
        if (code == SQLITE_IOERR_SHORT_READ)
            return damage(database);
        if (code == SQLITE_IOERR_CORRUPTFS || code == SQLITE_IOERR_READ)
            return -SQL_EREAD;
        return system_errno > 0 ? -system_errno : -EIO;
    }
    return -EIO;
}

int sql_run_text(sqlite3 *database, const char *text)
{
    return sql_result(database, sqlite3_exec(database, text, NULL, NULL, NULL));
}

int sql_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    int r = sql_result(sqlite3_db_handle(statement), code);
    (void)sqlite3_reset(statement);
    return r;
}

int sql_checkpoint(sqlite3 *database)
{
    return sql_result(
        database, sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

int sql_query_u64(sqlite3 *database, const char *text, uint64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_DONE ? -EBADMSG : sql_result(database, code);
    if (r == 0)
        *ret_value = sql_column_u64(statement, 0);
    (void)sqlite3_finalize(statement);
    return r;
}

int sql_query_is(sqlite3 *database, const char *text, const char *expected)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database, text, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = sql_result(database, code);
    if (r == 0) {
        const char *answer = (const char *)sqlite3_column_text(statement, 0);
        r = answer && strcmp(answer, expected) == 0 ? 0 : -EBADMSG;
    }
    (void)sqlite3_finalize(statement);
    return r;
}

int sql_quick_check(sqlite3 *database)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_ROW ? 0 : code == SQLITE_DONE ? -EBADMSG : sql_result(database, code);
    if (r == 0) {
        const char *answer = (const char *)sqlite3_column_text(statement, 0);
        r = answer && strcmp(answer, "ok") == 0 ? 0 : damage(database);
    }
    (void)sqlite3_finalize(statement);
    return r;
}

void sql_bind_u64(sqlite3_stmt *statement, int at, uint64_t value)
{
    assert(value <= INT64_MAX);
    (void)sqlite3_bind_int64(statement, at, (int64_t)value);
}

uint64_t sql_column_u64(sqlite3_stmt *statement, int at)
{
    int64_t value = sqlite3_column_int64(statement, at);
    return value > 0 ? (uint64_t)value : 0;
}
