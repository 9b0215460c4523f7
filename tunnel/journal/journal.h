/*
 * The audit trail: one text line per event, append-only, each line chained to the one before by
 * SHA-256, on disk (fsync) before anything is done. Files of bounded size in one folder; the chain
 * goes on from file to file (journal_chain.h); the text of a line is event_text.h's. netd writes;
 * main thread only.
 */
#ifndef SALLYPORT_TUNNEL_JOURNAL_JOURNAL_H
#define SALLYPORT_TUNNEL_JOURNAL_JOURNAL_H

#include "agent/base/strbuf.h"
#include "tunnel/model/event.h"

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
 * Writes the line of EVENT and makes it durable. Returns 0, or a negative errno: nothing was
 * written then (a part is cut off), which is in the log, and the next line that can be written says
 * how many are missing. Without a JOURNAL, while netd starts: -ENODEV.
 */
int journal_write(struct journal *journal, const struct event *event);

/* Lines written since the start. */
uint64_t journal_lines(const struct journal *journal);

/*
 * Reads the line at CURSOR (0: the oldest kept; a cursor into a file that was dropped: the oldest
 * kept). Appends it to LINE without its newline. Returns 1, 0 when there is none yet, or a negative
 * errno. *RET_STARTS_FILE tells that it is the first line of the oldest kept file.
 */
int journal_read(struct journal *journal, uint64_t cursor, struct strbuf *line, uint64_t *ret_next,
                 bool *ret_starts_file);

#endif
