/*
 * What the files of a tier share: store.c (transactions and messages), store_open.c (opening and
 * checking), store_state.c (the row of state, the ledger). Nobody else includes this: SQLite is
 * known here only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORE_PRIVATE_H
#define SALLYPORT_AGENT_OUTBOX_STORE_PRIVATE_H

#include "agent/outbox/store.h"

#include <sqlite3.h>

#define STORE_PAGE_BYTES 4096
#define STORE_TABLE_PAGES 3 /* of an empty store, beside the one for messages */

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

extern const char *const store_statement_texts[N_STATEMENTS];

struct store {
    sqlite3 *database;
    sqlite3_stmt *statements[N_STATEMENTS];
    enum store_kind kind;
    bool in_transaction, full_sync;
    uint64_t messages, messages_before; /* now, and when the transaction began */
};

/* What a code of SQLite means to the outbox: 0 or a negative errno, the system's where it is kept.
 */
int store_translate(sqlite3 *database, int code);

int store_run_text(struct store *store, const char *text);
/* Runs a prepared statement that returns no rows (or whose rows do not matter). */
int store_run(struct store *store, enum statement which);

void store_bind_u64(sqlite3_stmt *statement, int at, uint64_t value);
uint64_t store_column_u64(sqlite3_stmt *statement, int at); /* negative: 0 */

/* A checksum over pieces: starts with any HASH, goes on with what it returned. */
uint64_t store_mix(uint64_t hash, const void *bytes, size_t length);

/* Reads the row of state; a fresh store has none, and RET_STATE is left alone. */
int store_load_state(struct store *store, struct store_state *ret_state);

#endif
