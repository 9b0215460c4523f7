/* Derives the state after a start from what was found in the two tiers. */
#include "agent/outbox/recovery.h"

#include "agent/base/min_max.h"

#include <string.h>

static void go_on_with(struct numbers *numbers, const struct tier_found *found)
{
    memcpy(numbers->stream, found->state.stream, sizeof(numbers->stream));
    numbers->next_seq = max_u64(max_u64(found->state.next_seq, found->last + 1), 1);
    numbers->boundary = max_u64(found->first, 1);
    if (found->first == 0)
        numbers->boundary = numbers->next_seq;
}

static void take_ledger(struct loss_ledger *ledger, const struct tier_found *found)
{
    if (found->known)
        loss_ledger_copy(ledger, &found->ledger);
    ledger->version = found->state.ledger_version;
}

/*
 * The disk tier knows of numbers that the live tier has not seen: it was the only one that worked
 * at the end, or the runtime folder held an older copy.
 */
static void catch_up(struct numbers *numbers, const struct stored_state *disk, int64_t wall_ms,
                     struct loss_ledger *ledger)
{
    uint64_t known_below = numbers->next_seq;
    numbers->next_seq = disk->next_seq;
    if (disk->clean || disk->alone)
        return;
    uint64_t lost_from = max_u64(disk->settled_below, known_below);
    numbers->next_seq = max_u64(numbers->next_seq, disk->reserved_below);
    if (lost_from < numbers->next_seq)
        loss_ledger_add_gap(ledger, SPAN_POWER_LOSS, lost_from, numbers->next_seq - 1,
                            disk->wall_ms, wall_ms);
}

/* What of the live tier has moved to disk, and perhaps been dropped there, just before the end. */
static void find_boundary(struct numbers *numbers, const struct tier_found *live,
                          const struct tier_found *disk)
{
    uint64_t moved_below = disk->known ? max_u64(disk->state.disk_below, disk->last + 1) : 0;
    if (moved_below > numbers->boundary) {
        numbers->boundary = moved_below;
        numbers->live_stale = live->first > 0;
    }
    bool out_of_reach = !disk->open && live->state.disk_first;
    numbers->disk_first = out_of_reach  ? live->state.disk_first
                          : disk->first ? disk->first
                                        : numbers->boundary;
}

/* The disk tier is new, although it should hold something. */
static void write_off_lost_disk(const struct tier_found *live, struct loss_ledger *ledger)
{
    const struct stored_state *state = &live->state;
    for (size_t i = 0; i < live->on_disk.n; i++)
        loss_ledger_add_gap(ledger, SPAN_DAMAGED, live->on_disk.runs[i].first,
                            live->on_disk.runs[i].last, 0, 0);
    if (live->on_disk.n == 0 && state->disk_first < state->disk_below) /* it knows no more */
        loss_ledger_add_gap(ledger, SPAN_DAMAGED, state->disk_first, state->disk_below - 1, 0, 0);
}

/* Whether the live tier knows exactly what the disk tier held at the end. */
static bool knows_disk(const struct tier_found *live, const struct tier_found *disk)
{
    const struct stored_state *state = &live->state;
    bool says = live->on_disk.n > 0 || state->disk_first >= state->disk_below;
    uint64_t next_seq = max_u64(state->next_seq, live->last + 1);
    bool newer = disk->state.next_seq > next_seq ||
                 (disk->state.next_seq == next_seq && disk->state.alone); /* it did not work */
    return says && !newer && live->on_disk.n < STORE_ON_DISK_MAX;
}

/*
 * Of a damaged log SQLite takes what comes before the damage, silently: what had moved to disk may
 * be missing, and what had left it may be there again. What a transaction dropped that the live
 * tier has not seen is in the ledger.
 */
static void compare_disk(const struct tier_found *live, struct tier_found *disk,
                         struct loss_ledger *ledger)
{
    struct run_list lost = {.version = 0};
    if (!knows_disk(live, disk))
        return;
    run_list_minus(&live->on_disk, &disk->held, &lost);
    for (size_t i = 0; i < lost.n; i++)
        loss_ledger_add_gap(ledger, SPAN_DAMAGED, lost.runs[i].first, lost.runs[i].last, 0, 0);
    run_list_free(&lost);
    run_list_minus(&disk->held, &live->on_disk, &disk->stale);
    if (live->state.disk_below > 0) /* the rest may have moved just before the end */
        run_list_remove(&disk->stale, live->state.disk_below, SEQ_LIMIT);
}

/*
 * Below which number messages may be handed out. While the disk tier cannot be opened it counts
 * what it had reserved; a fresh one cannot know of another use of the numbers.
 */
static uint64_t find_reserved(const struct tier_found *live, const struct tier_found *disk,
                              const struct numbers *numbers)
{
    bool same = disk->known && strcmp(disk->state.stream, numbers->stream) == 0;
    if (same)
        return disk->state.clean ? numbers->next_seq : disk->state.reserved_below;
    if (disk->open)
        return SEQ_LIMIT;
    return live->state.reserved_below ? live->state.reserved_below : numbers->next_seq;
}

/* The live tier survived: its numbers are exact. */
static void from_live(const struct tier_found *live, struct tier_found *disk, int64_t wall_ms,
                      struct loss_ledger *ledger, struct numbers *numbers)
{
    bool newer = disk->known && disk->state.ledger_version > live->state.ledger_version;
    go_on_with(numbers, live);
    memcpy(numbers->previous_stream, live->state.previous_stream, sizeof(numbers->previous_stream));
    take_ledger(ledger, newer ? disk : live);
    if (disk->known && disk->state.next_seq > numbers->next_seq)
        catch_up(numbers, &disk->state, wall_ms, ledger);
    find_boundary(numbers, live, disk);
    numbers->disk_misses_history =
        disk->last > 0 && live->state.ledger_version != disk->state.ledger_version;
    if (!disk->known && disk->open)
        write_off_lost_disk(live, ledger);
    else if (disk->known)
        compare_disk(live, disk, ledger);
    numbers->reserved_below = find_reserved(live, disk, numbers);
}

/*
 * Only the disk tier is left. After a clean stop it has everything; else the numbers up to its
 * reservation may have been used, and the messages of the live tier are lost.
 */
static void from_disk(const struct tier_found *live, const struct tier_found *disk, int64_t wall_ms,
                      struct loss_ledger *ledger, struct numbers *numbers)
{
    const struct stored_state *state = &disk->state;
    go_on_with(numbers, disk);
    take_ledger(ledger, disk);
    uint64_t lost_from = max_u64(state->settled_below, 1);
    if (disk->damaged) {
        lost_from = state->disk_first ? state->disk_first : 1;
        numbers->next_seq = max_u64(numbers->next_seq, state->disk_below);
    }
    if (!state->clean)
        numbers->next_seq = max_u64(numbers->next_seq, state->reserved_below);
    numbers->boundary = numbers->next_seq;
    numbers->disk_first = disk->first ? disk->first : numbers->boundary;
    numbers->reserved_below = numbers->next_seq;
    if (lost_from < numbers->next_seq && !(state->clean && !disk->damaged))
        loss_ledger_add_gap(ledger, disk->damaged || live->damaged ? SPAN_DAMAGED : SPAN_POWER_LOSS,
                            lost_from, numbers->next_seq - 1, state->wall_ms, wall_ms);
}

static void from_nothing(struct numbers *numbers)
{
    numbers->next_seq = numbers->boundary = numbers->disk_first = 1;
    numbers->reserved_below = SEQ_LIMIT;
}

bool recovery_reconcile(const struct tier_found *live, struct tier_found *disk, int64_t wall_ms,
                        struct loss_ledger *ret_ledger, struct numbers *ret_numbers)
{
    struct numbers numbers = {.next_seq = 0};
    bool same =
        live->known && (!disk->known || strcmp(live->state.stream, disk->state.stream) == 0 ||
                        strcmp(live->state.previous_stream, disk->state.stream) == 0);
    bool foreign = false;
    if (same) {
        from_live(live, disk, wall_ms, ret_ledger, &numbers);
    } else if (disk->state.stream[0] == '\0') {
        from_nothing(&numbers);
    } else {
        from_disk(live, disk, wall_ms, ret_ledger, &numbers);
        foreign = live->known;
    }
    numbers.committed_below = numbers.next_seq;
    numbers.live_state_stale = true;
    *ret_numbers = numbers;
    return foreign;
}
