/*
 * How messages, state and ledger are stored as rows of SQLite: one function that binds the values
 * of a prepared statement, and one that reads them back, beside each other. Rows carry a checksum
 * of their content, because SQLite itself notices damage only in the structure around it.
 * Pure but for the statement. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORE_ROWS_H
#define SALLYPORT_AGENT_OUTBOX_STORE_ROWS_H

#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/stored.h"

#include <sqlite3.h>

/* For the eight columns of `message`; the pointers in MESSAGE must outlive the run. */
void store_row_bind_message(sqlite3_stmt *statement, const struct stored_message *message);
/*
 * False when the row of STATEMENT cannot be one of ours in FIRST..BELOW. The body is
 * NULL when it fails its checksum. The pointers are valid until the next step.
 */
bool store_row_read_message(sqlite3_stmt *statement, uint64_t first, uint64_t below,
                            struct stored_message *ret_message);

/* For the columns of `state` after `id`. MESSAGES: how many there are. */
void store_row_bind_state(sqlite3_stmt *statement, const struct stored_state *state,
                          uint64_t messages);
/* -EBADMSG when it fails its checksum: a number that a worn cell changed would be used twice. */
int store_row_read_state(sqlite3_stmt *statement, struct stored_state *ret_state,
                         uint64_t *ret_messages);

/* For the columns of `span` after `id`. */
void store_row_bind_span(sqlite3_stmt *statement, const struct span *span);
bool store_row_read_span(sqlite3_stmt *statement,
                         struct span *ret_span); /* false: makes no sense */

#endif
