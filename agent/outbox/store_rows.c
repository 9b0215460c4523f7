/* Rows of a tier in SQLite: how values are stored, and which of the values read are accepted. */
#include "agent/outbox/store_rows.h"

#include "agent/outbox/sql.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Fast rather than strong: it has to notice a worn flash cell, not an attacker. */
static uint64_t checksum_mix(uint64_t hash, const void *bytes, size_t length)
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

static uint64_t checksum_of_content(const struct stored_message *message)
{
    uint64_t hash = checksum_mix(message->seq + 1, &message->wall_ms, sizeof(message->wall_ms));
    hash = checksum_mix(hash, message->topic, message->topic_length);
    return checksum_mix(hash, message->body, message->body_length);
}

static int64_t message_checksum(const struct stored_message *message)
{
    const int64_t numbers[] = {message->facts.kind, message->facts.timestamp_ms};
    uint64_t hash = checksum_mix(checksum_of_content(message), numbers, sizeof(numbers));
    return (int64_t)checksum_mix(hash, message->facts.owner, strlen(message->facts.owner));
}

/*
 * A row that was written in format 1 has no facts (NULL): the topic was "data/DEVICE" or "event"
 * then, and the time of custody is the nearest to the time of reading that is known.
 */
static bool derive_facts(struct stored_message *message)
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
static bool read_facts(sqlite3_stmt *statement, struct stored_message *message)
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
static bool is_as_stored(sqlite3_stmt *statement, struct stored_message *message)
{
    int64_t stored = sqlite3_column_int64(statement, 2);
    if (sqlite3_column_type(statement, 5) == SQLITE_NULL)
        return derive_facts(message) && stored == (int64_t)checksum_of_content(message);
    return read_facts(statement, message) && stored == message_checksum(message);
}

void store_row_bind_message(sqlite3_stmt *statement, const struct stored_message *message)
{
    sql_bind_u64(statement, 1, message->seq);
    (void)sqlite3_bind_int64(statement, 2, message->wall_ms);
    (void)sqlite3_bind_int64(statement, 3, message_checksum(message));
    (void)sqlite3_bind_text(statement, 4, message->topic, (int)message->topic_length,
                            SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 5, message->body ? message->body : "",
                            (int)message->body_length, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 6, (int)message->facts.kind);
    (void)sqlite3_bind_int64(statement, 7, message->facts.timestamp_ms);
    (void)sqlite3_bind_text(statement, 8, message->facts.owner, -1, SQLITE_STATIC);
}

bool store_row_read_message(sqlite3_stmt *statement, uint64_t first, uint64_t below,
                            struct stored_message *ret_message)
{
    struct stored_message message = {.seq = sql_column_u64(statement, 0),
                                     .wall_ms = sqlite3_column_int64(statement, 1)};
    if (message.seq < first || message.seq >= below)
        return false; /* a page in the wrong place */
    const void *topic = sqlite3_column_text(statement, 3);
    const void *body = sqlite3_column_blob(statement, 4);
    message.topic = topic ? topic : "";
    message.topic_length = (size_t)sqlite3_column_bytes(statement, 3);
    message.body = body ? body : "";
    message.body_length = (size_t)sqlite3_column_bytes(statement, 4);
    if (!is_as_stored(statement, &message))
        message.body = NULL;
    *ret_message = message;
    return true;
}

static void copy_stream(sqlite3_stmt *statement, int column, char ret[STREAM_DIGITS + 1])
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    bool good =
        text && strlen(text) == STREAM_DIGITS && strspn(text, "0123456789abcdef") == STREAM_DIGITS;
    (void)snprintf(ret, STREAM_DIGITS + 1, "%s", good ? text : "");
}

static int64_t state_checksum(const struct stored_state *state, uint64_t messages)
{
    uint64_t numbers[] = {state->next_seq,   state->reserved_below, state->settled_below,
                          state->disk_first, state->disk_below,     state->ledger_version,
                          state->clean,      state->alone,          messages};
    uint64_t hash = checksum_mix(1, state->stream, strlen(state->stream));
    hash = checksum_mix(hash, state->previous_stream, strlen(state->previous_stream));
    return (int64_t)checksum_mix(hash, numbers, sizeof(numbers));
}

void store_row_bind_state(sqlite3_stmt *statement, const struct stored_state *state,
                          uint64_t messages)
{
    (void)sqlite3_bind_text(statement, 1, state->stream, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 2, state->previous_stream, -1, SQLITE_STATIC);
    sql_bind_u64(statement, 3, state->next_seq);
    sql_bind_u64(statement, 4, state->reserved_below);
    sql_bind_u64(statement, 5, state->settled_below);
    sql_bind_u64(statement, 6, state->disk_first);
    sql_bind_u64(statement, 7, state->disk_below);
    sql_bind_u64(statement, 8, state->ledger_version);
    (void)sqlite3_bind_int64(statement, 9, state->wall_ms);
    (void)sqlite3_bind_int(statement, 10, state->clean);
    (void)sqlite3_bind_int(statement, 11, state->alone);
    sql_bind_u64(statement, 12, messages);
    (void)sqlite3_bind_int64(statement, 13, state_checksum(state, messages));
}

int store_row_read_state(sqlite3_stmt *statement, struct stored_state *ret_state,
                         uint64_t *ret_messages)
{
    struct stored_state state = {.next_seq = sql_column_u64(statement, 3),
                                 .reserved_below = sql_column_u64(statement, 4),
                                 .settled_below = sql_column_u64(statement, 5),
                                 .disk_first = sql_column_u64(statement, 6),
                                 .disk_below = sql_column_u64(statement, 7),
                                 .ledger_version = sql_column_u64(statement, 8),
                                 .wall_ms = sqlite3_column_int64(statement, 9),
                                 .clean = sqlite3_column_int(statement, 10) == 1,
                                 .alone = sqlite3_column_int(statement, 11) == 1};
    copy_stream(statement, 1, state.stream);
    copy_stream(statement, 2, state.previous_stream);
    uint64_t messages = sql_column_u64(statement, 12);
    if (sqlite3_column_int64(statement, 13) != state_checksum(&state, messages))
        return -EBADMSG;
    *ret_messages = messages;
    *ret_state = state;
    return 0;
}

void store_row_bind_span(sqlite3_stmt *statement, const struct span *span)
{
    (void)sqlite3_bind_int(statement, 1, (int)span->kind);
    sql_bind_u64(statement, 2, span->first);
    sql_bind_u64(statement, 3, span->last);
    (void)sqlite3_bind_int64(statement, 4, span->from_ms);
    (void)sqlite3_bind_int64(statement, 5, span->to_ms);
    sql_bind_u64(statement, 6, span->event_seq);
}

bool store_row_read_span(sqlite3_stmt *statement, struct span *ret_span)
{
    uint64_t kind = sql_column_u64(statement, 1);
    struct span span = {.first = sql_column_u64(statement, 2),
                        .last = sql_column_u64(statement, 3),
                        .from_ms = sqlite3_column_int64(statement, 4),
                        .to_ms = sqlite3_column_int64(statement, 5),
                        .event_seq = sql_column_u64(statement, 6)};
    if (kind >= SPAN_KINDS || span.first == 0 || span.first > span.last)
        return false;
    span.kind = (enum span_kind)kind;
    *ret_span = span;
    return true;
}
