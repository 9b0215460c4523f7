/*
 * A set of sequence numbers of any size, kept as runs: which numbers a tier holds, and which are on
 * their way to the broker. Numbers come and go nearly in order, so there are few runs. Main loop
 * only, owned by whoever it belongs to.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_RUN_LIST_H
#define SALLYPORT_AGENT_OUTBOX_RUN_LIST_H

#include "agent/outbox/seq_set.h"

/* Beyond so many runs two neighbours are joined: the set then holds numbers that were not added. */
#define RUN_LIST_MAX 65536

struct run_list {
    struct run *runs; /* ascending, disjoint, not adjoining */
    size_t n, room;
    uint64_t version; /* rises with every change */
};

void run_list_free(struct run_list *list); /* leaves an empty list */
void run_list_reset(struct run_list *list);
void run_list_copy(struct run_list *to, const struct run_list *from);

/* FIRST..LAST, inclusive; whether some of them are in it already does not matter. */
void run_list_add(struct run_list *list, uint64_t first, uint64_t last);
void run_list_remove(struct run_list *list, uint64_t first, uint64_t last);

/* What is in LIST and not in OTHER is added to RET_REST. */
void run_list_minus(const struct run_list *list, const struct run_list *other,
                    struct run_list *ret_rest);

/* The lowest number in it that is at least FROM; LIMIT when none is below that. */
uint64_t run_list_first(const struct run_list *list, uint64_t from, uint64_t limit);

#endif
