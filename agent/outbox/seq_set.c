/* A small set of sequence numbers, kept as runs. */
#include "agent/outbox/seq_set.h"

#include <string.h>

bool seq_set_add(struct seq_set *set, uint64_t seq)
{
    for (size_t i = set->n; i-- > 0;) { /* the newest run nearly always fits */
        struct run *run = &set->run[i];
        if (seq >= run->first && seq <= run->last)
            return true;
        if (seq == run->last + 1) {
            run->last = seq;
            return true;
        }
        if (seq + 1 == run->first) {
            run->first = seq;
            return true;
        }
    }
    if (set->n == SEQ_SET_MAX)
        return false;
    set->run[set->n++] = (struct run){seq, seq};
    return true;
}

bool seq_set_contains(const struct seq_set *set, uint64_t seq)
{
    for (size_t i = 0; i < set->n; i++) {
        if (seq >= set->run[i].first && seq <= set->run[i].last)
            return true;
    }
    return false;
}

uint64_t seq_set_count(const struct seq_set *set)
{
    uint64_t count = 0;
    for (size_t i = 0; i < set->n; i++)
        count += set->run[i].last - set->run[i].first + 1;
    return count;
}

void seq_set_remove_oldest(struct seq_set *set)
{
    if (set->n == 0)
        return;
    set->n--;
    memmove(&set->run[0], &set->run[1], set->n * sizeof(set->run[0]));
}
