/*
 * What a tier keeps its messages in: an SQLite database in write-ahead mode with the messages, the
 * ledger about them and one row of state. The log is held with an exclusive lock, so there is no
 * file of shared memory, and a second process is turned away. Main loop only, owned by a place.
 *
 * All functions that can fail return 0 or a negative errno: -EBADMSG for a damaged file (set it
 * aside), -EBUSY when another process holds it, -ENOSPC when there is no room, else what the
 * system said. A failed call inside a transaction leaves it to be ended by store_rollback().
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORE_H
#define SALLYPORT_AGENT_OUTBOX_STORE_H

#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/stored.h"

struct store; /* opaque */

enum store_kind {
    STORE_LIVE, /* on tmpfs: never synced, outlives the process only */
    STORE_DISK, /* on flash: synced when asked, and kept ready for a full disk */
};

/*
 * Opens or makes the database at PATH and holds it alone. *RET_STATE: the state in it; of a damaged
 * one (-EBADMSG: damaged, of an unknown version, no regular file) what could still be read.
 * RET_LEDGER (may be NULL) and RET_ON_DISK, what store_save() was given, are empty before.
 */
int store_open(enum store_kind kind, const char *path, struct stored_state *ret_state,
               struct loss_ledger *ret_ledger, struct run_list *ret_on_disk,
               struct store **ret_store);
struct store *store_close(struct store *store); /* accepts NULL, returns NULL */

/*
 * A transaction. DURABLE: on a disk tier, store_commit() returns only when it is on the medium;
 * without it a power cut may lose it, but never break the store. Everything that changes the
 * store needs one.
 */
int store_begin(struct store *store, bool durable);
int store_commit(struct store *store);
void store_rollback(struct store *store); /* also without a transaction */

/* One that is there already is left alone. */
int store_append(struct store *store, const struct stored_message *message);
/* FIRST..LAST, inclusive. *RET_COUNT (may be NULL): how many there were. */
int store_remove(struct store *store, uint64_t first, uint64_t last, uint64_t *ret_count);
/* The state, and the ledger if it is not NULL; with the ledger, ON_DISK if it is not NULL. */
int store_save(struct store *store, const struct stored_state *state,
               const struct loss_ledger *ledger, const struct run_list *on_disk);

/*
 * Hands the messages FIRST <= seq < BELOW to VISIT in order, until it returns false. The pointers
 * are valid during the call.
 */
typedef bool store_visit(void *context, const struct stored_message *message);
int store_read(struct store *store, uint64_t first, uint64_t below, store_visit *visit,
               void *context);

/*
 * Adds the numbers of the messages to RET_HELD. Of a large store (see check_content() in store.c)
 * only the lowest and the highest are read: those in between are taken to be there.
 */
int store_held(struct store *store, struct run_list *ret_held);

/* The lowest and the highest number; both 0 when it is empty. */
int store_range(struct store *store, uint64_t *ret_first, uint64_t *ret_last);

/* How many messages there are, and how many bytes they take, in whole pages. */
uint64_t store_messages(const struct store *store);
uint64_t store_bytes(struct store *store);

/*
 * Disk tier: makes sure that there is room on the medium for some transactions that only save the
 * state, also when it is full. REUSE: makes the room of the write-ahead log usable again before. 0,
 * or -ENOSPC: little or nothing of that room is left, and nothing else should take it.
 */
int store_keep_room(struct store *store, bool reuse);

/* Gives the room of a store without messages back to the file system, if it is much. */
void store_shrink(struct store *store);

#endif
