/* A set of sequence numbers of any size, kept as runs. */
#include "agent/outbox/run_list.h"

#include "agent/base/memory.h"
#include "agent/base/min_max.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void run_list_free(struct run_list *list)
{
    free(list->runs);
    *list = (struct run_list){.version = 0};
}

void run_list_reset(struct run_list *list)
{
    list->n = 0;
    list->version++;
}

/* The first run that ends at SEQ or later; `n` when there is none. */
static size_t run_list_find(const struct run_list *list, uint64_t seq)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->runs[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(struct run_list *list)
{
    if (list->n < list->room)
        return;
    list->room = list->room ? list->room * 2 : 8;
    list->runs = memory_resize(list->runs, list->room, sizeof(*list->runs));
}

static void insert(struct run_list *list, size_t at, uint64_t first, uint64_t last)
{
    make_room(list);
    assert(list->runs && at <= list->n);
    memmove(&list->runs[at + 1], &list->runs[at], (list->n - at) * sizeof(*list->runs));
    list->runs[at] = (struct run){first, last};
    list->n++;
}

static void erase(struct run_list *list, size_t at, size_t count)
{
    list->n -= count;
    memmove(&list->runs[at], &list->runs[at + count], (list->n - at) * sizeof(*list->runs));
}

void run_list_copy(struct run_list *to, const struct run_list *from)
{
    to->n = 0;
    for (size_t i = 0; i < from->n; i++)
        insert(to, i, from->runs[i].first, from->runs[i].last);
    to->version = from->version;
}

void run_list_add(struct run_list *list, uint64_t first, uint64_t last)
{
    assert(first > 0 && first <= last);
    list->version++;
    size_t at = run_list_find(list, first - 1), end = at; /* those that it adjoins or overlaps */
    while (end < list->n && list->runs[end].first <= last + 1)
        end++;
    if (end == at && list->n == RUN_LIST_MAX) {
        at -= at == list->n; /* no room for one more: joined to a neighbour */
        end = at + 1;
    }
    if (end == at) {
        insert(list, at, first, last);
        return;
    }
    list->runs[at].first = min_u64(list->runs[at].first, first);
    list->runs[at].last = max_u64(list->runs[end - 1].last, last);
    erase(list, at + 1, end - at - 1);
}

void run_list_remove(struct run_list *list, uint64_t first, uint64_t last)
{
    size_t at = run_list_find(list, first);
    if (first > last || at == list->n || list->runs[at].first > last)
        return;
    list->version++;
    struct run *run = &list->runs[at];
    if (run->first < first) { /* its beginning stays */
        uint64_t end = run->last;
        run->last = first - 1;
        at++;
        if (end > last && list->n < RUN_LIST_MAX)
            insert(list, at, last + 1, end);
        if (end > last)
            return;
    }
    size_t gone = at;
    while (gone < list->n && list->runs[gone].last <= last)
        gone++;
    erase(list, at, gone - at);
    if (at < list->n && list->runs[at].first <= last)
        list->runs[at].first = last + 1;
}

uint64_t run_list_first(const struct run_list *list, uint64_t from, uint64_t limit)
{
    size_t at = run_list_find(list, from);
    return at < list->n ? min_u64(max_u64(list->runs[at].first, from), limit) : limit;
}

void run_list_minus(const struct run_list *list, const struct run_list *other,
                    struct run_list *ret_rest)
{
    for (size_t i = 0; i < list->n; i++) {
        uint64_t first = list->runs[i].first, last = list->runs[i].last;
        for (size_t at = run_list_find(other, first);
             first <= last && at < other->n && other->runs[at].first <= last; at++) {
            if (other->runs[at].first > first)
                run_list_add(ret_rest, first, other->runs[at].first - 1);
            first = other->runs[at].last + 1;
        }
        if (first <= last)
            run_list_add(ret_rest, first, last);
    }
}
