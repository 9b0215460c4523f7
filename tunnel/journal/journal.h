/*
 * The audit trail: one text line per event, append-only, each line chained to the one before by
 * SHA-256, on disk (fsync) before anything is done. Files of bounded size in one folder; the chain
 * goes on from file to file. netd writes; main thread only. journal_chain_* is pure.
 *
 * A line:  SEQ TIME EVENT KEY=VALUE ... hash=HEX
 * TIME is UTC with milliseconds; a value with a space, a quote or a backslash is quoted. HEX is the
 * SHA-256 of the previous line's HEX, a newline, and this line up to " hash=". The first line of
 * each file is the event `chain` with previous=HEX, so that a file can be checked by itself after
 * older ones were dropped.
 */
#ifndef SALLYPORT_TUNNEL_JOURNAL_JOURNAL_H
#define SALLYPORT_TUNNEL_JOURNAL_JOURNAL_H

#include "agent/base/strbuf.h"
#include "tunnel/journal/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_LINE_BYTES 4095 /* the longest line; a longer one is refused (-E2BIG) */

struct journal; /* opaque */

struct journal_settings {
    const char *folder;  /* made when missing */
    uint64_t file_bytes; /* a file that has reached this size is followed by a new one */
    unsigned files;      /* how many are kept, at least 2 */
};

/*
 * Opens the trail and checks its newest file. A torn last line (never acted on) is cut off and the
 * fact journalled. Returns 0, or a negative errno with the reason in PROBLEM.
 */
int journal_open(const struct journal_settings *settings, int64_t wall_ms, struct strbuf *problem,
                 struct journal **ret_journal);
struct journal *journal_close(struct journal *journal); /* accepts NULL, returns NULL */

/*
 * Writes one line and makes it durable. DETAIL is "" or "key=value key=value", made with
 * journal_add(). Returns 0, or a negative errno: nothing was written then (a part is cut off).
 */
int journal_write(struct journal *journal, const char *event, const char *detail, int64_t wall_ms);

/* Appends " KEY=VALUE" (without the space at the start), quoted where needed. */
void journal_add(struct strbuf *detail, const char *key, const char *value);
void journal_add_i64(struct strbuf *detail, const char *key, int64_t value);

/* Lines written since the start. */
uint64_t journal_lines(const struct journal *journal);

/*
 * Reads the line at CURSOR (0: the oldest kept; a cursor into a file that was dropped: the oldest
 * kept). Appends it to LINE without its newline. Returns 1, 0 when there is none yet, or a negative
 * errno. *RET_STARTS_FILE tells that it is the first line of the oldest kept file.
 */
int journal_read(struct journal *journal, uint64_t cursor, struct strbuf *line, uint64_t *ret_next,
                 bool *ret_starts_file);

/* ---- Checking a chain, line by line, oldest first ---- */

struct journal_chain {
    char hash[SHA256_HEX_BYTES]; /* of the line before; "" before the first */
    uint64_t seq;                /* of the line before */
    uint64_t lines;
};

void journal_chain_init(struct journal_chain *chain);

/* Returns NULL when LINE follows, else what is wrong with it. */
const char *journal_chain_check(struct journal_chain *chain, const char *line, size_t length);

/* ---- Reading a line ---- */

/* The line's event and, by key, a value (unquoted) appended to OUT; false when it has none. */
bool journal_line_event(const char *line, struct strbuf *out);
bool journal_line_value(const char *line, const char *key, struct strbuf *out);

#endif
