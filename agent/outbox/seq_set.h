/*
 * A small set of sequence numbers, kept as runs because acknowledgements come nearly in order:
 * what was acknowledged but not yet deleted from a tier. Bounded. Main loop only, owned by the
 * outbox.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_SEQ_SET_H
#define SALLYPORT_AGENT_OUTBOX_SEQ_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNS_MAX 256

struct run {
    uint64_t first, last; /* inclusive */
};

struct runs {
    struct run run[RUNS_MAX];
    size_t n;
};

/* False when it has no room for a number that adjoins no run: empty it first. */
bool runs_add(struct runs *runs, uint64_t seq);
bool runs_contain(const struct runs *runs, uint64_t seq);
uint64_t runs_count(const struct runs *runs); /* of numbers */
void runs_remove_oldest(struct runs *runs);
static inline void runs_reset(struct runs *runs)
{
    runs->n = 0;
}

#endif
