/*
 * Where the messages in custody are: in memory until they are committed, then in the live tier
 * (tmpfs: survives a kill of the process, costs no flash), then in the disk tier. Everything that
 * is written goes through one place, which calls the live tier first and the disk tier after it.
 * Main loop only, owned by the outbox.
 *
 * NOW_MS is monotonic, WALL_MS is UTC. A tier that fails is bypassed and tried again; the figures
 * say so.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_TIERS_H
#define SALLYPORT_AGENT_OUTBOX_TIERS_H

#include "agent/base/strbuf.h"
#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/message_queue.h"
#include "agent/outbox/recovery.h"
#include "agent/outbox/store.h"

struct tiers; /* opaque */

struct tiers_settings {
    const char *state_dir, *runtime_dir; /* made when missing */
    uint64_t max_bytes;                  /* of both tiers, bodies and their overhead */
    int64_t spill_after_ms, sync_ms;
};

/*
 * Opens both tiers and makes true in them what follows from what they hold. MEMORY has all messages
 * that are taken and not committed, and perhaps some that are; it is only read. LEDGER is empty.
 * Both must outlive the result. Damage is reported in WARNING. Fails only when no tier can be used
 * at all: -EBUSY when another process holds one, or a negative errno.
 */
int tiers_open(const struct tiers_settings *settings, const struct message_queue *memory,
               struct loss_ledger *ledger, int64_t wall_ms, struct strbuf *warning,
               struct tiers **ret_tiers);

/* Moves everything to disk, durably, and closes. Accepts NULL, returns NULL. */
struct tiers *tiers_close(struct tiers *tiers);

struct tiers_state {
    const struct numbers *numbers; /* they change with the next call */
    bool history_saved;     /* a tier holds which messages are historical: they may be handed out */
    int commit_error;       /* of the last commit, negative errno; 0: none */
    int64_t now_ms;         /* as the last caller gave it */
    uint64_t dropped;       /* messages, for want of room or unreadable, since the start */
    uint64_t dropped_below; /* those for want of room had numbers below, at most; 0: none yet */
};
struct tiers_state tiers_state(const struct tiers *tiers);

/* Before the next number is taken: makes sure that it is not used twice after a power cut. */
void tiers_reserve(struct tiers *tiers, int64_t now_ms, int64_t wall_ms);
uint64_t tiers_take_number(struct tiers *tiers);

/*
 * Puts what is only in memory into custody, deletes what was acknowledged, saves the ledger. 0 or a
 * negative errno: tried again with the next one. ON_DISK: all of it is on disk then, if the disk
 * tier works.
 */
int tiers_commit(struct tiers *tiers, bool on_disk, int64_t now_ms);

/*
 * Does what is due on disk. Link up: messages below SPILL_BELOW move there (0: none); link down:
 * every sync_ms all of them do.
 */
void tiers_work(struct tiers *tiers, bool link_up, uint64_t spill_below, int64_t now_ms);

/* Gives the room of empty tiers back, now and then. */
void tiers_shrink(struct tiers *tiers, int64_t now_ms);

/* When tiers_work() is due at the latest: after PAUSE_MS, or at SPILL_AT_MS if that is earlier. */
int64_t tiers_next_due(const struct tiers *tiers, bool link_up, int64_t spill_at_ms,
                       int64_t pause_ms, int64_t now_ms);

/* The link broke. FIRST: no number from it on was handed out, so these are historical from now on.
 */
void tiers_link_down(struct tiers *tiers, uint64_t first, int64_t now_ms);
/* The link is up again: which messages are historical is saved before it returns. */
void tiers_link_up(struct tiers *tiers, int64_t now_ms);

/*
 * Hands committed messages FROM <= seq < BELOW to VISIT in order, but for those acknowledged: of
 * the disk tier, or when it has none of them, of the live tier. 0 or a negative errno: there may be
 * more, to be read later.
 */
int tiers_read(struct tiers *tiers, uint64_t from, uint64_t below, store_visit *visit,
               void *context);

/* The lowest number in the live tier that is at least FROM; LIMIT when none is below that. */
uint64_t tiers_first_live(const struct tiers *tiers, uint64_t from, uint64_t limit);

/* The broker has acknowledged SEQ, a committed number. */
void tiers_release(struct tiers *tiers, uint64_t seq);

struct tiers_figures {
    uint64_t live_messages, disk_messages; /* in custody; those in memory count as live */
    uint64_t bytes;
    uint64_t released, disk_bytes_written; /* since the start */
    int64_t oldest_wall_ms;                /* 0: none */
    char problem[160];                     /* "" for none */
    int64_t unsafe_since_ms; /* UTC; since when a power cut may cost more than promised; 0: not */
    char unsafe_reason[160];
};
void tiers_get_figures(const struct tiers *tiers, struct tiers_figures *ret_figures);

#endif
