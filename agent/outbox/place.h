/*
 * One tier, where its file is, and how it is doing: what fails is tried again after a second, then
 * more and more rarely, at least once a minute. Main loop only, owned by struct tiers.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_PLACE_H
#define SALLYPORT_AGENT_OUTBOX_PLACE_H

#include "agent/base/strbuf.h"
#include "agent/outbox/recovery.h"
#include "agent/outbox/seq_set.h"
#include "agent/outbox/tier.h"

struct place {
    const struct tier_kind *kind;
    struct tier *tier; /* NULL: cannot be opened at the moment */
    char *path;
    int error; /* why it cannot take anything, negative errno; 0: it works */
    int64_t retry_at_ms, retry_wait_ms;
    uint64_t ledger_version; /* of the ledger that is saved in it */
    struct seq_set released; /* acknowledged, to be removed from it */
};

void place_init(struct place *place, const struct tier_kind *kind, const char *folder);
void place_free(struct place *place); /* closes */

/*
 * Opens what is there at start; a damaged file is set aside and a fresh one opened. What is wrong
 * is added to WARNING. Returns 0, or a negative errno, which is then the place's error.
 */
int place_open(struct place *place, const char *folder, int64_t wall_ms, struct strbuf *warning,
               struct tier_found *ret_found);

/* Instead of the file: a fresh one, which nothing of the old one gets into. 0 or negative errno. */
int place_renew(struct place *place);
/* The same, but the old one is set aside as damaged. */
int place_replace(struct place *place, int64_t wall_ms, struct strbuf *warning);

/* Adds TEXT to a warning of several parts. */
void place_warn(struct strbuf *warning, const char *text);

/* Notes R as its failure, and when to try again. Returns R. */
int place_failed(struct place *place, int r, int64_t now_ms);
/* It works, as far as is known, or it is time to try again. */
bool place_may_try(const struct place *place, int64_t now_ms);
/* What `error` means, for an operator. */
const char *place_problem(const struct place *place);

/* FILL within a transaction; anything that fails undoes all. 0 or a negative errno. */
typedef int place_fill(void *context);
int place_change(const struct place *place, bool durable, place_fill *fill, void *context);

/* Within a transaction: removes what was acknowledged. *COUNT rises by how many there were. */
int place_remove_released(const struct place *place, uint64_t *count);

#endif
