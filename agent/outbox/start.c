/* The start: both tiers are opened, and brought together. */
#include "agent/outbox/start.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void start_new_stream(char ret_stream[STREAM_DIGITS + 1])
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        abort(); /* cannot happen after boot, and anything predictable would repeat a stream */
    (void)snprintf(ret_stream, STREAM_DIGITS + 1, "%08x", bits);
}

struct adoption {
    const struct stock *stock;
    struct stored_state state; /* of the disk tier, as it will be */
    uint64_t next;
    int r; /* of the last message */
};

static bool adopt_one(void *context, const struct stored_message *message)
{
    struct adoption *adoption = context;
    struct tier *disk = adoption->stock->disk.tier;
    struct stored_message adopted = *message;
    if (!message->body)
        return true;
    adopted.seq = adoption->next++;
    adoption->r = disk->class->append(disk, &adopted);
    return adoption->r == 0;
}

static int fill_adoption(void *context)
{
    struct adoption *adoption = context;
    struct tier *live = adoption->stock->live.tier, *disk = adoption->stock->disk.tier;
    struct stored_state *state = &adoption->state;
    int r = live->class->read(live, 0, SEQ_LIMIT, adopt_one, adoption);
    if (r == 0)
        r = adoption->r;
    if (r < 0)
        return r;
    state->next_seq = state->settled_below = state->disk_below = adoption->next;
    state->reserved_below = adoption->next + RESERVE_BLOCK;
    state->clean = false;
    return disk->class->save(disk, state, NULL);
}

/*
 * The state folder came from elsewhere, or could not be read the last time: its stream goes on.
 * What the live tier holds under another stream gets new numbers in this one; it may arrive twice,
 * but not get lost.
 */
static int adopt_live(struct stock *stock, const struct stored_state *disk, struct strbuf *warning)
{
    struct numbers *numbers = &stock->numbers;
    struct adoption adoption = {.stock = stock, .state = *disk, .next = numbers->next_seq};
    if (!stock->disk.tier)
        return -ENODEV;
    int r = place_change(&stock->disk, true, fill_adoption, &adoption);
    if (r < 0)
        return r;
    CLEANUP(memory_free_pointer)
    char *text = memory_printf("%s belonged to another stream; its %" PRIu64
                               " messages got new numbers in stream %s",
                               stock->live.path, adoption.next - numbers->next_seq, disk->stream);
    place_warn(warning, text);
    numbers->next_seq = numbers->boundary = numbers->committed_below = adoption.next;
    numbers->reserved_below = adoption.state.reserved_below;
    numbers->live_stale = true;
    return 0;
}

static void reconcile(struct stock *stock, const struct tier_found *live,
                      const struct tier_found *disk, struct strbuf *warning)
{
    struct numbers *numbers = &stock->numbers;
    bool foreign = recovery_reconcile(live, disk, stock->wall_ms, stock->ledger, numbers);
    if (numbers->stream[0] == '\0')
        start_new_stream(numbers->stream);
    if (!foreign || adopt_live(stock, &disk->state, warning) == 0)
        return;
    /* Its numbers mean something else: it must not be read as if they were ours. */
    int r = place_replace(&stock->live, stock->wall_ms, warning);
    if (r < 0)
        (void)place_failed(&stock->live, r, 0);
}

static int open_both(struct stock *stock, const char *state_dir, const char *runtime_dir,
                     struct tier_found *live, struct tier_found *disk, struct strbuf *warning)
{
    int disk_r = place_open(&stock->disk, state_dir, stock->wall_ms, warning, disk);
    if (disk_r == -EBUSY)
        return -EBUSY;
    int live_r = place_open(&stock->live, runtime_dir, stock->wall_ms, warning, live);
    return live_r == -EBUSY ? -EBUSY : disk_r < 0 && live_r < 0 ? disk_r : 0;
}

int start_open(struct stock *stock, const char *state_dir, const char *runtime_dir,
               struct strbuf *warning)
{
    struct tier_found live = {.open = false}, disk = {.open = false};
    int r = open_both(stock, state_dir, runtime_dir, &live, &disk, warning);
    if (r == 0)
        reconcile(stock, &live, &disk, warning);
    loss_ledger_free(&live.ledger);
    loss_ledger_free(&disk.ledger);
    return r;
}
