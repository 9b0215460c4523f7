/*
 * The row of state and the ledger of a tier. The row has a checksum: a number that a worn flash
 * cell changed would be used twice.
 */
#include "agent/base/macros.h"
#include "agent/outbox/store_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    uint64_t hash = store_mix(1, state->stream, strlen(state->stream));
    hash = store_mix(hash, state->previous_stream, strlen(state->previous_stream));
    return (int64_t)store_mix(hash, numbers, sizeof(numbers));
}

/* Takes over the row that STATEMENT stands on, if it is whole. */
static int take_state(struct store *store, sqlite3_stmt *statement, struct store_state *ret_state)
{
    struct store_state state = {.next_seq = store_column_u64(statement, 3),
                                .reserved_below = store_column_u64(statement, 4),
                                .settled_below = store_column_u64(statement, 5),
                                .disk_first = store_column_u64(statement, 6),
                                .disk_below = store_column_u64(statement, 7),
                                .ledger_version = store_column_u64(statement, 8),
                                .wall_ms = sqlite3_column_int64(statement, 9),
                                .clean = sqlite3_column_int(statement, 10) == 1,
                                .alone = sqlite3_column_int(statement, 11) == 1};
    copy_stream(statement, 1, state.stream);
    copy_stream(statement, 2, state.previous_stream);
    uint64_t messages = store_column_u64(statement, 12);
    if (sqlite3_column_int64(statement, 13) != state_checksum(&state, messages))
        return -EBADMSG;
    store->messages = messages;
    *ret_state = state;
    return 0;
}

int store_load_state(struct store *store, struct store_state *ret_state)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->database, "SELECT * FROM state WHERE id = 1", -1,
                                  &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    int r = code == SQLITE_ROW ? take_state(store, statement, ret_state)
                               : store_translate(store->database, code);
    (void)sqlite3_finalize(statement);
    return r;
}

int store_save_state(struct store *store, const struct store_state *state)
{
    sqlite3_stmt *statement = store->statements[ST_STATE_SAVE];
    (void)sqlite3_bind_text(statement, 1, state->stream, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 2, state->previous_stream, -1, SQLITE_STATIC);
    store_bind_u64(statement, 3, state->next_seq);
    store_bind_u64(statement, 4, state->reserved_below);
    store_bind_u64(statement, 5, state->settled_below);
    store_bind_u64(statement, 6, state->disk_first);
    store_bind_u64(statement, 7, state->disk_below);
    store_bind_u64(statement, 8, state->ledger_version);
    (void)sqlite3_bind_int64(statement, 9, state->wall_ms);
    (void)sqlite3_bind_int(statement, 10, state->clean);
    (void)sqlite3_bind_int(statement, 11, state->alone);
    store_bind_u64(statement, 12, store->messages);
    (void)sqlite3_bind_int64(statement, 13, state_checksum(state, store->messages));
    return store_run(store, ST_STATE_SAVE);
}

static int save_span(struct store *store, const struct span *span)
{
    sqlite3_stmt *statement = store->statements[ST_LEDGER_ADD];
    (void)sqlite3_bind_int(statement, 1, (int)span->kind);
    store_bind_u64(statement, 2, span->first);
    store_bind_u64(statement, 3, span->last);
    (void)sqlite3_bind_int64(statement, 4, span->from_ms);
    (void)sqlite3_bind_int64(statement, 5, span->to_ms);
    store_bind_u64(statement, 6, span->event_seq);
    return store_run(store, ST_LEDGER_ADD);
}

int store_save_ledger(struct store *store, const struct loss_ledger *ledger)
{
    const struct span_list *lists[] = {&ledger->historical, &ledger->gaps};
    int r = store_run(store, ST_LEDGER_CLEAR);
    for (size_t list = 0; list < ARRAY_LENGTH(lists); list++) {
        for (size_t i = 0; r == 0 && i < lists[list]->n; i++)
            r = save_span(store, &lists[list]->spans[i]);
    }
    return r;
}

int store_load_ledger(struct store *store, struct loss_ledger *ledger)
{
    sqlite3_stmt *statement = store->statements[ST_LEDGER_LOAD];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        uint64_t kind = store_column_u64(statement, 1);
        struct span span = {.first = store_column_u64(statement, 2),
                            .last = store_column_u64(statement, 3),
                            .from_ms = sqlite3_column_int64(statement, 4),
                            .to_ms = sqlite3_column_int64(statement, 5),
                            .event_seq = store_column_u64(statement, 6)};
        if (kind >= SPAN_KINDS || span.first == 0 || span.first > span.last)
            continue;
        span.kind = (enum span_kind)kind;
        loss_ledger_add(ledger, &span);
    }
    int r = store_translate(store->database, code);
    (void)sqlite3_reset(statement);
    return r;
}
