/* A small set of sequence numbers, kept as runs. */
#include "agent/outbox/seq_set.h"

#include <string.h>

bool seq_set_add(struct seq_set *runs, uint64_t seq)
{
    for (size_t i = runs->n; i-- > 0;) { /* the newest run nearly always fits */
        struct run *run = &runs->run[i];
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
    if (runs->n == SEQ_SET_MAX)
        return false;
    runs->run[runs->n++] = (struct run){seq, seq};
    return true;
}

bool seq_set_contain(const struct seq_set *runs, uint64_t seq)
{
    for (size_t i = 0; i < runs->n; i++) {
        if (seq >= runs->run[i].first && seq <= runs->run[i].last)
            return true;
    }
    return false;
}

uint64_t seq_set_count(const struct seq_set *runs)
{
    uint64_t count = 0;
    for (size_t i = 0; i < runs->n; i++)
        count += runs->run[i].last - runs->run[i].first + 1;
    return count;
}

void seq_set_remove_oldest(struct seq_set *runs)
{
    if (runs->n == 0)
        return;
    runs->n--;
    memmove(&runs->run[0], &runs->run[1], runs->n * sizeof(runs->run[0]));
}
