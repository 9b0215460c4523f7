/*
 * What the files of the outbox share: outbox.c (custody and lanes), outbox_live.c and
 * outbox_disk.c (the transactions of each tier), outbox_tiers.c (what those share), outbox_open.c
 * (start, repair, stop), outbox_figures.c (what it says about itself). Nobody else includes this.
 *
 * The invariant that all of it rests on: numbers below `boundary` are in the disk tier or nowhere,
 * numbers from `boundary` to `committed_below` are in the live tier or nowhere, and the rest is in
 * memory only (`recent`) and has not been handed out. Messages move from live to disk oldest
 * first, so the boundary only rises.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_OUTBOX_PRIVATE_H
#define SALLYPORT_AGENT_OUTBOX_OUTBOX_PRIVATE_H

#include "agent/outbox/loss_ledger.h"
#include "agent/outbox/message_queue.h"
#include "agent/outbox/outbox.h"
#include "agent/outbox/seq_set.h"
#include "agent/outbox/store.h"
#include "agent/outbox/topic_ids.h"

/* How many numbers are reserved on disk at a time: one small flash write for each half of it. */
#define RESERVE_BLOCK UINT64_C(65536)
/* Above every number there will ever be: no reservation is needed. */
#define SEQ_LIMIT (UINT64_C(1) << 62)

/* In memory: beyond the first, what is committed is read back from its tier; beyond the second,
 * what cannot be committed is refused. */
#define RECENT_COUNT 128
#define RECENT_BYTES ((size_t)256 << 10)
#define PENDING_COUNT 1024
#define PENDING_BYTES ((size_t)4 << 20)
#define AHEAD_COUNT 64

/* What the live tier may hold while the disk tier cannot take anything. */
#define LIVE_MAX_BYTES (UINT64_C(16) << 20)

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

struct tier {
    struct store *store; /* NULL: cannot be opened at the moment */
    char *path;
    int error; /* why it cannot take anything, negative errno; 0: it works */
    int64_t retry_at_ms, retry_wait_ms;
    uint64_t ledger_version; /* of the ledger that is saved in it */
    struct seq_set released; /* acknowledged, to be deleted from it */
};

/* Messages below `below` that no older mark covers were taken at `time_ms` or a little later. */
struct mark {
    uint64_t below;
    int64_t time_ms;
};

struct rate { /* of bytes taken, forgetting with a time constant */
    bool started;
    double bytes, seconds;
    uint64_t since; /* bytes since `last_ms` */
    int64_t last_ms;
};

struct outbox {
    char stream[STORE_STREAM_DIGITS + 1], previous_stream[STORE_STREAM_DIGITS + 1];
    uint64_t max_bytes;
    int64_t spill_after_ms, sync_ms;

    struct tier live, disk;
    int commit_error;         /* of the last commit */
    bool live_stale;          /* the live tier still has rows below the boundary */
    bool live_state_stale;    /* its row of state must be written with the next commit */
    bool disk_misses_history; /* which of its messages are historical has changed since */
    bool disk_unsynced;       /* a power cut may take back what it was given */
    uint64_t disk_first;      /* no number below is on disk */
    uint64_t next_seq;        /* of the next message taken */
    uint64_t committed_below; /* numbers below may be handed out */
    uint64_t boundary;        /* see above */
    uint64_t reserved_below;  /* numbers below may be used: the disk knows */
    struct loss_ledger ledger,
        undo; /* what is true now; what was before the transaction under way */

    bool link_up;
    uint64_t lane_start;                  /* the first number of the live lane */
    uint64_t live_cursor, backlog_cursor; /* the next to be handed out in each lane, or later */
    bool backlog_done;
    struct message_queue recent;  /* taken: all that is not committed, and some that is */
    struct message_queue ahead;   /* read ahead for the live lane */
    struct message_queue backlog; /* read ahead for the backlog lane */
    struct topic_ids topics;

    struct mark marks[16];
    size_t n_marks;
    int64_t taken_at_ms; /* of the oldest message that is not committed */
    int64_t sync_at_ms;  /* not before this the next routine transaction on disk */
    int64_t shrink_at_ms;
    int64_t wall_ms, now_ms; /* the last ones heard */
    struct rate rate;

    uint64_t taken, released, dropped, disk_bytes_written;
    char damage[160]; /* what was set aside since the start; "" for nothing */
};

/* --- outbox_live.c --- */

/* Puts what is only in memory into custody, deletes what was acknowledged, saves the ledger. */
int tiers_commit(struct outbox *outbox, int64_t now_ms);

/* --- outbox_disk.c --- */

/* A transaction on the disk tier. */
struct disk_job {
    uint64_t move_below; /* messages of the live tier below this move; 0: none */
    bool with_pending;   /* and what is only in memory: the live tier does not work */
    bool durable;        /* on the medium before it returns */
    bool clean;          /* the last one before the end */
    bool due;            /* there is something to do */
};
/* 0 or a negative errno: nothing has changed then, and the tier's error is set. */
int tiers_work_on_disk(struct outbox *outbox, const struct disk_job *job, int64_t now_ms);

/* Before number next_seq is used: makes sure that no power cut can make it be used twice. */
void tiers_reserve(struct outbox *outbox, int64_t now_ms);

/* --- outbox_tiers.c --- */

/* Within a transaction: adds what is only in memory; deletes what was acknowledged, and counts. */
int tiers_put_pending(struct outbox *outbox, struct store *store);
int tiers_delete_released(struct tier *tier, uint64_t *count);

/*
 * Within a transaction: removes the oldest messages until STORE takes no more than BYTES, and notes
 * them in the ledger. When that is committed, tiers_note_dropped() with what it returned.
 */
int tiers_drop_oldest(struct outbox *outbox, struct store *store, uint64_t bytes,
                      uint64_t *ret_dropped, uint64_t *ret_below);
void tiers_note_dropped(struct outbox *outbox, uint64_t dropped, uint64_t below);

/* The tier's file turned out to be damaged: sets it aside and goes on with a fresh one. */
void tiers_replace_damaged(struct outbox *outbox, struct tier *tier, int64_t now_ms);

/* Notes that a stored message is unreadable: it will never arrive. */
void tiers_note_damaged(struct outbox *outbox, const struct store_message *message);

/* Notes R as the tier's failure, and when to try again. Returns R. */
int tiers_failed(struct tier *tier, int r, int64_t now_ms);

/* The lowest number in the live tier that is at least FROM; LIMIT when there is none. */
uint64_t tiers_lowest_live(struct outbox *outbox, uint64_t from, uint64_t limit);

/* Eight random hex digits. */
void tiers_new_stream(char ret_stream[STORE_STREAM_DIGITS + 1]);

/* About how many bytes of a tier a message takes. */
uint64_t tiers_cost(size_t body_length);

/* --- outbox_figures.c --- */

/* Takes over the bytes counted since the last time, at most once a second. */
void figures_fold_rate(struct rate *rate, int64_t now_ms);

#endif
