/*
 * Runs of sequence numbers: stored through an outage, or lost. Both lists are short (one entry for
 * each outage or loss that is not yet settled), so plain arrays will do.
 */
#include "agent/outbox/loss_ledger.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [SPAN_HISTORICAL] = "historical", [SPAN_FULL] = "full",
    [SPAN_POWER_LOSS] = "power-loss", [SPAN_DAMAGED] = "damaged",
    [SPAN_TOO_LARGE] = "too-large",   [SPAN_ON_DISK] = "on-disk",
};
_Static_assert(ARRAY_LENGTH(kind_names) == SPAN_KINDS, "every kind has a name");

const char *span_kind_name(enum span_kind kind)
{
    assert((size_t)kind < ARRAY_LENGTH(kind_names));
    return kind_names[kind];
}

static void list_append(struct span_list *list, const struct span *span)
{
    if (list->n == list->room) {
        list->room = list->room ? list->room * 2 : 8;
        list->spans = memory_resize(list->spans, list->room, sizeof(*list->spans));
    }
    assert(list->spans);
    list->spans[list->n++] = *span;
}

static void list_remove(struct span_list *list, size_t at, size_t count)
{
    memmove(&list->spans[at], &list->spans[at + count],
            (list->n - at - count) * sizeof(*list->spans));
    list->n -= count;
}

static void list_copy(struct span_list *to, const struct span_list *from)
{
    to->n = 0;
    for (size_t i = 0; i < from->n; i++)
        list_append(to, &from->spans[i]);
}

void loss_ledger_free(struct loss_ledger *ledger)
{
    free(ledger->historical.spans);
    free(ledger->gaps.spans);
    *ledger = (struct loss_ledger){.version = 0};
}

void loss_ledger_copy(struct loss_ledger *to, const struct loss_ledger *from)
{
    list_copy(&to->historical, &from->historical);
    list_copy(&to->gaps, &from->gaps);
    to->version = from->version;
    to->historical_version = from->historical_version;
}

void loss_ledger_add(struct loss_ledger *ledger, const struct span *span)
{
    list_append(span->kind == SPAN_HISTORICAL ? &ledger->historical : &ledger->gaps, span);
}

void loss_ledger_outage_begins(struct loss_ledger *ledger, uint64_t first)
{
    struct span_list *list = &ledger->historical;
    struct span *newest = list->n ? &list->spans[list->n - 1] : NULL;
    if (newest && newest->last >= first)
        return; /* the outage began before the last start */
    if (newest && newest->last == first - 1)
        newest->last = SPAN_OPEN;
    else if (list->n <
             LOSS_LEDGER_MAX_SPANS) /* beyond that: not marked, which breaks no guarantee */
        list_append(list, &(struct span){SPAN_HISTORICAL, first, SPAN_OPEN, 0, 0, 0});
    ledger->historical_version = ++ledger->version;
}

void loss_ledger_outage_ends(struct loss_ledger *ledger, uint64_t below)
{
    struct span_list *list = &ledger->historical;
    struct span *newest = list->n ? &list->spans[list->n - 1] : NULL;
    if (!newest || newest->last != SPAN_OPEN)
        return;
    if (newest->first >= below)
        list->n--;
    else
        newest->last = below - 1;
    ledger->historical_version = ++ledger->version;
}

bool loss_ledger_is_historical(const struct loss_ledger *ledger, uint64_t seq)
{
    const struct span_list *list = &ledger->historical;
    size_t low = 0, high = list->n;
    while (low < high) { /* the first span that ends at SEQ or later */
        size_t middle = low + (high - low) / 2;
        if (list->spans[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->n && list->spans[low].first <= seq;
}

void loss_ledger_forget_below(struct loss_ledger *ledger, uint64_t oldest)
{
    struct span_list *list = &ledger->historical;
    size_t gone = 0;
    while (gone < list->n && list->spans[gone].last < oldest)
        gone++;
    if (gone == 0)
        return;
    list_remove(list, 0, gone);
    ledger->version++;
}

/* The longer of two custody times; 0 is "unknown" and is kept. */
static int64_t wider(int64_t known, int64_t more, bool earlier)
{
    if (known == 0 || more == 0)
        return known ? known : more;
    return (more < known) == earlier ? more : known;
}

void loss_ledger_reports_lost(struct loss_ledger *ledger, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < ledger->gaps.n; i++) {
        struct span *gap = &ledger->gaps.spans[i];
        if (gap->event_seq == 0 || gap->event_seq < first || gap->event_seq > last)
            continue;
        gap->event_seq = 0;
        ledger->version++;
    }
}

static bool gap_joins(const struct span *gap, enum span_kind kind, uint64_t first, bool crowded)
{
    return gap->kind == kind && gap->event_seq == 0 && gap->last < first &&
           (crowded || gap->last + 1 == first);
}

/* FIRST..LAST are in no gap. */
static void add_part(struct loss_ledger *ledger, enum span_kind kind, uint64_t first, uint64_t last,
                     int64_t from_ms, int64_t to_ms)
{
    struct span_list *list = &ledger->gaps;
    bool crowded = list->n >= LOSS_LEDGER_MAX_SPANS;
    ledger->version++;
    for (size_t i = list->n; i-- > 0;) {
        struct span *gap = &list->spans[i];
        if (!gap_joins(gap, kind, first, crowded))
            continue;
        gap->last = last;
        gap->from_ms = wider(gap->from_ms, from_ms, true);
        gap->to_ms = wider(gap->to_ms, to_ms, false);
        return;
    }
    if (crowded)
        list_remove(list, 0, 1);
    list_append(list, &(struct span){kind, first, last, from_ms, to_ms, 0});
}

/* The gap that ends first of those with a number from FIRST to LAST; NULL for none. */
static const struct span *find_overlap(const struct loss_ledger *ledger, uint64_t first,
                                       uint64_t last)
{
    const struct span *found = NULL;
    for (size_t i = 0; i < ledger->gaps.n; i++) {
        const struct span *gap = &ledger->gaps.spans[i];
        if (gap->last >= first && gap->first <= last && (!found || gap->last < found->last))
            found = gap;
    }
    return found;
}

void loss_ledger_add_gap(struct loss_ledger *ledger, enum span_kind kind, uint64_t first,
                         uint64_t last, int64_t from_ms, int64_t to_ms)
{
    assert(kind != SPAN_HISTORICAL && kind != SPAN_ON_DISK && first <= last);
    const struct span *known;
    while (first <= last && (known = find_overlap(ledger, first, last))) {
        uint64_t goes_on = known->last + 1;
        if (known->first > first)
            add_part(ledger, kind, first, known->first - 1, from_ms, to_ms);
        first = goes_on;
    }
    if (first <= last)
        add_part(ledger, kind, first, last, from_ms, to_ms);
}

static struct span *find_unreported(const struct loss_ledger *ledger,
                                    const struct run_list *in_flight)
{
    for (size_t i = 0; i < ledger->gaps.n; i++) {
        struct span *gap = &ledger->gaps.spans[i];
        if (gap->event_seq == 0 && run_list_first(in_flight, gap->first, gap->last + 1) > gap->last)
            return gap;
    }
    return NULL;
}

const struct span *loss_ledger_next_gap(const struct loss_ledger *ledger,
                                        const struct run_list *in_flight)
{
    return find_unreported(ledger, in_flight);
}

void loss_ledger_gap_reported(struct loss_ledger *ledger, const struct run_list *in_flight,
                              uint64_t event_seq)
{
    struct span *gap = find_unreported(ledger, in_flight);
    if (!gap)
        return;
    gap->event_seq = event_seq;
    ledger->version++;
    loss_ledger_reports_lost(ledger, gap->first, gap->last);
}

/* Takes SEQ out of the gap AT. */
static void split_gap(struct loss_ledger *ledger, size_t at, uint64_t seq)
{
    struct span_list *list = &ledger->gaps;
    struct span *gap = &list->spans[at];
    struct span rest = *gap;
    ledger->version++;
    rest.first = seq + 1;
    gap->last = seq - 1;
    bool before = gap->first <= gap->last, after = rest.first <= rest.last;
    if (before && after)
        list_append(list, &rest);
    else if (after)
        *gap = rest;
    else if (!before)
        list_remove(list, at, 1);
}

void loss_ledger_arrived(struct loss_ledger *ledger, uint64_t seq)
{
    struct span_list *list = &ledger->gaps;
    for (size_t i = list->n; i-- > 0;) {
        const struct span *gap = &list->spans[i];
        if (gap->event_seq == seq) {
            list_remove(list, i, 1);
            ledger->version++;
        } else if (gap->event_seq == 0 && gap->first <= seq && seq <= gap->last) {
            split_gap(ledger, i, seq);
        }
    }
}
