/*
 * What the live tier and the disk tier are made of: a store, where its file is, and how it is
 * doing. What fails is tried again after a second, then more and more rarely, at least once a
 * minute. Main loop only, owned by struct tiers.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_PLACE_H
#define SALLYPORT_AGENT_OUTBOX_PLACE_H

#include "agent/outbox/seq_set.h"
#include "agent/outbox/store.h"
#include "agent/outbox/tier.h"

struct place;

/* What a file is read for. */
enum place_use { PLACE_COMMIT, PLACE_READ, PLACE_USES };

/* What is not the same for both. */
struct place_kind {
    const char *file_name;
    enum store_kind store;
    int (*commit)(struct place *place, const struct tier_job *job, int64_t now_ms);
    bool tells_of_disk; /* what the disk tier holds is saved in it, too */
    /* Its messages are gone: notes which of them will never arrive, and what the fresh file needs.
     */
    void (*write_off)(struct custody *custody);
};

/* How long a file has not been readable, whenever somebody tried. */
struct unread {
    int64_t since_ms; /* INT64_MAX: it is readable, as far as is known */
    int64_t last_ms;  /* the last try */
};

struct place {
    struct tier tier; /* the first member: a tier of this class is a place */
    const struct place_kind *kind;
    struct custody *custody;
    struct store *store; /* NULL: cannot be opened at the moment */
    char *path;
    int64_t retry_wait_ms;
    struct unread unread[PLACE_USES];
    uint64_t on_disk_version; /* live: of what the disk tier holds, as saved in this one */
    struct seq_set released;  /* acknowledged, to be removed from it */
};

/* A tier of KIND that is not open yet; its file belongs in FOLDER. CUSTODY must outlive it. */
struct tier *place_new(const struct place_kind *kind, struct custody *custody, const char *folder);

/* Records R as its failure, and when to try again. Returns R. */
int place_failed(struct place *place, int r, int64_t now_ms);

/*
 * Whether R, what an operation for USE returned, means that the file is lost: it is damaged, or it
 * could not be read for a minute in which it was tried again and again.
 */
bool place_is_lost(struct place *place, enum place_use use, int r, int64_t now_ms);

/*
 * The file turned out to be damaged: writes it off, sets it aside and continues with a fresh one.
 * Returns 0, or a negative errno, which is then the error of the tier.
 */
int place_replace(struct place *place, int64_t now_ms);

/* FILL within a transaction; anything that fails undoes all. 0 or a negative errno. */
typedef int place_fill(void *context);
int place_change(const struct place *place, bool durable, place_fill *fill, void *context);

/* Within a transaction: removes what was acknowledged. *COUNT rises by how many there were. */
int place_remove_released(const struct place *place, uint64_t *count);
/* Within a transaction: adds what is only in memory. *BODY_BYTES rises by the size of it. */
int place_append_pending(const struct place *place, uint64_t *body_bytes);

/* What was only in memory is in it now; before `committed_below` changes. */
void place_note_pending(struct place *place);

/* The ledger, when the one that is saved in it is older; else NULL. */
const struct loss_ledger *place_unsaved_ledger(const struct place *place);
/* The state, and place_unsaved_ledger() with all that belongs to it, within a transaction. */
int place_save(const struct place *place, const struct stored_state *state);
/* That transaction is committed. */
void place_note_saved(struct place *place);

#endif
