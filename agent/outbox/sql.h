/*
 * SQLite with the error codes of this project: SQLite's own do not leave this file. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_SQL_H
#define SALLYPORT_AGENT_OUTBOX_SQL_H

#include <sqlite3.h>
#include <stdint.h>

/*
 * The system did not read a part of a file. SQLite has a code of its own for it ("the file system
 * is corrupt"), but a cable or a controller may be the cause, and then nothing is lost.
 */
#define SQL_EREAD EREMOTEIO

/*
 * What a code of SQLite means: 0 or a negative errno, the system's where SQLite has kept it. Only
 * content that was read can be damaged (-EBADMSG): on a connection that the system has failed, what
 * SQLite calls damage is -SQL_EREAD, and another connection will tell.
 */
int sql_result(sqlite3 *database, int code);

int sql_run_text(sqlite3 *database, const char *text);
/* Runs a prepared statement that returns no rows (or whose rows do not matter). */
int sql_run(sqlite3_stmt *statement);
/* Copies the write-ahead log into the database, so that the log's room can be used again. */
int sql_checkpoint(sqlite3 *database);

/* One integer that a query returns; -EBADMSG when there is none. */
int sql_query_u64(sqlite3 *database, const char *text, uint64_t *ret_value);
/* 0 when the text that a query returns is EXPECTED, else -EBADMSG or what went wrong. */
int sql_query_is(sqlite3 *database, const char *text, const char *expected);

/* Looks for damage: 0 for none, -EBADMSG, or what kept it from looking. */
int sql_quick_check(sqlite3 *database);

void sql_bind_u64(sqlite3_stmt *statement, int at, uint64_t value); /* at most INT64_MAX */
uint64_t sql_column_u64(sqlite3_stmt *statement, int at);           /* negative: 0 */

#endif
