/*
 * What the outbox has to remember about runs of sequence numbers, apart from the messages
 * themselves: which were stored through an outage (historical), and which were lost (gaps). Pure:
 * no clock, no store. Main loop only, owned by the outbox, saved by its tiers.
 *
 * Whether a message is historical is kept as runs, not per message, so that the loss of the link
 * costs one small write, however long the backlog is.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_LOSS_LEDGER_H
#define SALLYPORT_AGENT_OUTBOX_LOSS_LEDGER_H

#include "agent/outbox/run_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are stored: append only. */
enum span_kind {
    SPAN_HISTORICAL = 0,
    SPAN_FULL = 1,       /* dropped: no room */
    SPAN_POWER_LOSS = 2, /* may have been in the live tier when the power failed */
    SPAN_DAMAGED = 3,    /* were, or may have been, in a damaged file */
    SPAN_TOO_LARGE = 4,  /* longer than a message may be */
    SPAN_ON_DISK = 5,    /* no loss: in the live tier, what the disk tier holds */
    SPAN_KINDS
};
const char *span_kind_name(enum span_kind kind); /* "full", "power-loss", ...: part of the events */

#define SPAN_OPEN ((uint64_t)INT64_MAX) /* `last` of the outage that has not ended */

struct span {
    enum span_kind kind;
    uint64_t first, last;   /* inclusive */
    int64_t from_ms, to_ms; /* gaps: wall time of custody; 0: unknown */
    uint64_t event_seq;     /* gaps: the message that reports it; 0: not yet reported */
};

struct span_list {
    struct span *spans;
    size_t n, room;
};

struct loss_ledger {
    struct span_list historical; /* ascending, disjoint */
    struct span_list gaps;       /* as they happened */
    uint64_t version;            /* rises with every change */
    uint64_t historical_version; /* the last one that changed what is historical */
};

/* Runs of either sort are merged, or forgotten in favour of the newest gaps, beyond this many. */
#define LOSS_LEDGER_MAX_SPANS 4096

void loss_ledger_free(struct loss_ledger *ledger); /* leaves an empty ledger */
void loss_ledger_copy(struct loss_ledger *to, const struct loss_ledger *from);
void loss_ledger_add(struct loss_ledger *ledger,
                     const struct span *span); /* as loaded: nothing merged */

/* From FIRST on, what is not yet handed out is historical, until loss_ledger_outage_ends(). */
void loss_ledger_outage_begins(struct loss_ledger *ledger, uint64_t first);
/* BELOW is the first number that is not historical. */
void loss_ledger_outage_ends(struct loss_ledger *ledger, uint64_t below);
bool loss_ledger_is_historical(const struct loss_ledger *ledger, uint64_t seq);

/* Forgets runs that end before OLDEST, the lowest number in custody. */
void loss_ledger_forget_below(struct loss_ledger *ledger, uint64_t oldest);

/*
 * Notes a loss; contiguous losses of one kind that are not yet reported become one, and what is in
 * a gap already is not noted again. Gaps whose reports are among what was lost have to be reported
 * again, once this one is reported.
 */
void loss_ledger_add_gap(struct loss_ledger *ledger, enum span_kind kind, uint64_t first,
                         uint64_t last, int64_t from_ms, int64_t to_ms);

/*
 * The oldest gap that no message reports yet; NULL for none. Valid until the next change. A gap
 * with numbers that are IN_FLIGHT is left out: an acknowledgement may still say that they arrived.
 */
const struct span *loss_ledger_next_gap(const struct loss_ledger *ledger,
                                        const struct run_list *in_flight);
/* The message EVENT_SEQ reports loss_ledger_next_gap(). */
void loss_ledger_gap_reported(struct loss_ledger *ledger, const struct run_list *in_flight,
                              uint64_t event_seq);

/* The broker has SEQ: it is in no gap that is not yet reported, and the gaps that it reports may be
 * forgotten. */
void loss_ledger_arrived(struct loss_ledger *ledger, uint64_t seq);
/* The messages FIRST..LAST are lost: gaps that they report have to be reported again. */
void loss_ledger_reports_lost(struct loss_ledger *ledger, uint64_t first, uint64_t last);

#endif
