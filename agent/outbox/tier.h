/*
 * The interface of a tier: a place that keeps messages in custody under their numbers. There are
 * two instances, the live tier (live_tier.c) and the disk tier (disk_tier.c); another one
 * would implement struct tier_class. Main loop only, owned by struct tiers.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_TIER_H
#define SALLYPORT_AGENT_OUTBOX_TIER_H

#include "agent/base/strbuf.h"
#include "agent/outbox/custody.h"
#include "agent/outbox/run_list.h"

/* What a transaction of the disk tier is for, beside what is due there anyway. */
struct tier_job {
    uint64_t move_below; /* messages of the live tier below this move here; 0: none */
    bool with_pending;   /* and what is only in memory: the live tier does not work */
    bool durable;        /* on the medium before it returns; so are some that do not ask for it */
    bool clean;          /* the last one before the end */
};

struct tier_figures {
    bool open;         /* false: its file cannot be opened at the moment */
    uint64_t messages; /* in it, acknowledged ones included */
    uint64_t released; /* acknowledged, to be removed with the next transaction */
    const char *path;
    const char *problem; /* what is wrong with it; NULL: nothing */
    const char *reading; /* why it could not be read last; NULL: it could */
};

struct tier_class {
    /*
     * At start: opens what is there (a damaged file is set aside, a fresh one opened). What is
     * wrong is added to WARNING. 0, or a negative errno, which is then the tier's error.
     */
    int (*recover)(struct tier *tier, const char *folder, struct strbuf *warning,
                   struct tier_found *ret_found);

    /*
     * One transaction with all that is due: appends what it has to take over, removes what was
     * acknowledged, saves state and ledger. JOB: for the disk tier only, else NULL. 0 or a negative
     * errno: nothing has changed then.
     */
    int (*commit)(struct tier *tier, const struct tier_job *job, int64_t now_ms);

    /*
     * Hands the messages FROM <= seq < BELOW to VISIT in order until it returns false, those that
     * are acknowledged or unreadable, too. 0 or a negative errno: see fail().
     */
    int (*read)(struct tier *tier, uint64_t from, uint64_t below, store_visit *visit,
                void *context);

    /* SEQ is acknowledged. False when a commit has to make room for that note first. */
    bool (*release)(struct tier *tier, uint64_t seq);
    void (*forget_released)(struct tier *tier, bool all); /* else the oldest: they stay in it */
    bool (*is_released)(const struct tier *tier, uint64_t seq);

    /* R is what an operation returned: a damaged file is replaced, else it is tried again later. */
    void (*fail)(struct tier *tier, int r, int64_t now_ms);
    /* The same for read(): it may still be written. R may be 0: reading works. */
    void (*note_read)(struct tier *tier, int r, int64_t now_ms);
    /* It failed, and all that it held is in the other tier: starts afresh, if it is time to try. */
    void (*renew)(struct tier *tier, int64_t now_ms);

    void (*figures)(const struct tier *tier, struct tier_figures *ret_figures);
    uint64_t (*bytes)(const struct tier *tier); /* that its messages take, in whole pages */
    void (*shrink)(struct tier *tier);          /* gives room that is not needed back */
    void (*close)(struct tier *tier);           /* frees it, too */
};

/* The first member of each instance; all of it may be read by everyone. */
struct tier {
    const struct tier_class *class;
    int error;               /* why it cannot take anything, negative errno; 0: it works */
    int64_t retry_at_ms;     /* not tried again before */
    int read_error;          /* why it could not be read last, negative errno; 0: it could */
    int64_t read_at_ms;      /* not read again before */
    struct run_list held;    /* numbers of the messages in it that are not acknowledged */
    uint64_t ledger_version; /* of the ledger that is saved in it */
};

/* The lowest number in TIER that is at least FROM; LIMIT when none is below that. */
uint64_t tier_first(struct tier *tier, uint64_t from, uint64_t limit);

/*
 * The messages of TIER below BELOW that are not acknowledged will never arrive: its file is
 * damaged. It holds none of them any more.
 */
void tier_write_off(struct tier *tier, struct custody *custody, uint64_t below);

#endif
