/* The tables of a tier's database. */
#include "agent/outbox/store_format.h"

#include "agent/outbox/sql.h"

#include <errno.h>

#define FORMAT_VERSION 2
#define APPLICATION_ID 0x53504c59 /* "SPLY" */

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
 * Format 1 had no facts. Its rows stay as they are, without them (see store_rows.c); a power cut in
 * the middle leaves format 1.
 */
static const char from_format_1[] = "BEGIN;"
                                    "ALTER TABLE message ADD COLUMN kind INTEGER;"
                                    "ALTER TABLE message ADD COLUMN timestamp_ms INTEGER;"
                                    "ALTER TABLE message ADD COLUMN owner TEXT;"
                                    "PRAGMA user_version = 2;"
                                    "COMMIT";

static int try_migrate(sqlite3 *database)
{
    int r = sql_run_text(database, from_format_1);
    if (r < 0 && !sqlite3_get_autocommit(database))
        (void)sql_run_text(database, "ROLLBACK");
    return r;
}

static int migrate(sqlite3 *database)
{
    int r = try_migrate(database);
    if (r == -ENOSPC && sql_checkpoint(database) == 0) /* the room of its log can be used again */
        r = try_migrate(database);
    return r;
}

int store_format_check(sqlite3 *database)
{
    uint64_t application = 0, version = 0, tables = 0;
    int r = sql_query_u64(database, "PRAGMA application_id", &application);
    if (r == 0)
        r = sql_query_u64(database, "PRAGMA user_version", &version);
    if (r == 0)
        r = sql_query_u64(database, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (application == 0 && version == 0 && tables == 0)
        return sql_run_text(database, schema);
    if (application != APPLICATION_ID)
        return -EBADMSG;
    if (version == 1)
        return migrate(database);
    return version == FORMAT_VERSION ? 0 : -EBADMSG;
}
