/*
 * A small set of sequence numbers, kept as runs because acknowledgements come nearly in order:
 * what was acknowledged but not yet deleted from a tier. Bounded. Main loop only, owned by
 * outbox.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_SEQ_SET_H
#define SALLYPORT_AGENT_OUTBOX_SEQ_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEQ_SET_MAX 256

struct run {
    uint64_t first, last; /* inclusive */
};

struct seq_set {
    struct run run[SEQ_SET_MAX];
    size_t n;
};

/* False when it has no room for a number that adjoins no run: empty it first. */
bool seq_set_add(struct seq_set *set, uint64_t seq);
bool seq_set_contains(const struct seq_set *set, uint64_t seq);
uint64_t seq_set_count(const struct seq_set *set); /* of numbers */
void seq_set_remove_oldest(struct seq_set *set);
static inline void seq_set_reset(struct seq_set *set)
{
    set->n = 0;
}

#endif
