/*
 * One tier of the outbox: an SQLite database of messages, the ledger about them and one row of
 * state. Only store.c knows SQLite; its error codes end there. Main loop only, owned by the outbox.
 *
 * All functions that can fail return 0 or a negative errno: -EBADMSG for a damaged file (set it
 * aside), -EBUSY when another process holds it, -ENOSPC when there is no room, else what the
 * system said. A failed call inside a transaction leaves it to be ended by store_rollback().
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORE_H
#define SALLYPORT_AGENT_OUTBOX_STORE_H

#include "agent/base/strbuf.h"
#include "agent/outbox/facts.h"
#include "agent/outbox/loss_ledger.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store; /* opaque */

#define STORE_STREAM_DIGITS 8

struct store_message {
    uint64_t seq;
    int64_t wall_ms;
    const char *topic; /* not NUL-terminated */
    size_t topic_length;
    struct outbox_facts facts;
    const void *body;
    size_t body_length;
};

/* The row of state. Written only when asked: a fresh store has zeros and "". */
struct store_state {
    char stream[STORE_STREAM_DIGITS + 1];
    char previous_stream[STORE_STREAM_DIGITS + 1]; /* what it replaced, until the disk knows; "" */
    uint64_t next_seq;       /* every number from here on is unused, as far as this tier knows */
    uint64_t reserved_below; /* disk: numbers below may be in use although this tier never saw them
                              */
    uint64_t settled_below;  /* disk: numbers below are acknowledged, stored here, or in a gap */
    uint64_t disk_first, disk_below; /* live: what the disk tier holds, [first, below) */
    uint64_t ledger_version;         /* of the ledger saved with it: the higher one is the newer */
    int64_t wall_ms;                 /* when it was written */
    bool clean;                      /* disk: closed in order; next_seq is exact */
    bool alone;                      /* disk: the live tier does not work; next_seq is exact but for
                                        a power cut */
};

enum store_kind {
    STORE_LIVE, /* on tmpfs: never synced, killed processes only */
    STORE_DISK, /* on flash: synced when asked, and kept ready for a full disk */
};

/*
 * Opens or makes the database at PATH and holds it alone. -EBADMSG when it is damaged, of an
 * unknown version, or no regular file; *RET_STATE is then what could still be read of it.
 */
int store_open(enum store_kind kind, const char *path, struct store_state *ret_state,
               struct store **ret_store);
struct store *store_close(struct store *store); /* accepts NULL, returns NULL */

/* How many bytes of the file its messages take, in whole pages. */
uint64_t store_bytes(struct store *store);
uint64_t store_messages(const struct store *store);

/*
 * A transaction. DURABLE: on a disk tier, store_commit() returns only when it is on the medium;
 * without it a power cut may lose it, but never break the store. Everything that changes the
 * store needs one.
 */
int store_begin(struct store *store, bool durable);
int store_commit(struct store *store);
void store_rollback(struct store *store); /* accepts a store without a transaction */

/* Adds a message; one that is there already is left alone. */
int store_put(struct store *store, const struct store_message *message);

/* Removes the messages FIRST..LAST, inclusive. *RET_COUNT (may be NULL): how many there were. */
int store_delete(struct store *store, uint64_t first, uint64_t last, uint64_t *ret_count);

int store_save_state(struct store *store, const struct store_state *state);
int store_save_ledger(struct store *store,
                      const struct loss_ledger *ledger);                /* and the state, too */
int store_load_ledger(struct store *store, struct loss_ledger *ledger); /* LEDGER is empty before */

/*
 * Hands the messages FIRST <= seq < BELOW to VISIT in order, until it returns false. The pointers
 * are valid during the call. A row that fails its checksum has the body NULL: only its number
 * means anything.
 */
typedef bool store_visit(void *context, const struct store_message *message);
int store_read(struct store *store, uint64_t first, uint64_t below, store_visit *visit,
               void *context);

/* The lowest and the highest number in the store; both 0 when it is empty. */
int store_range(struct store *store, uint64_t *ret_first, uint64_t *ret_last);

/* Copies the write-ahead log into the database, so that the log's room can be used again. */
int store_checkpoint(struct store *store);

/* Gives the room of a store without messages back to the file system, if it is much. */
void store_shrink(struct store *store);

/*
 * Renames the closed database at PATH to PATH.damaged-SECONDS (with its log), and removes all but
 * the newest two of those. Returns 0 or a negative errno; *RET_NAME is owned by the caller.
 */
int store_set_aside(const char *path, int64_t wall_ms, char **ret_name);

#endif
