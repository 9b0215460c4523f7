/* The start: both tiers are opened, and brought together. */
#include "agent/outbox/start.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/outbox/disk_tier.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void start_new_stream(char ret_stream[STREAM_DIGITS + 1])
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
        abort(); /* cannot happen after boot, and anything predictable would repeat a stream */
    (void)snprintf(ret_stream, STREAM_DIGITS + 1, "%08x", bits);
}

static void start_warn(struct strbuf *warning, const char *text)
{
    if (warning->length)
        strbuf_add(warning, "; ");
    strbuf_add(warning, text);
}

/*
 * The state folder came from elsewhere, or could not be read the last time: its stream is
 * continued. What the live tier holds under another stream gets new numbers in this one; it may
 * arrive twice, but is not lost.
 */
static void adopt_live(struct custody *custody, const struct stored_state *disk,
                       struct strbuf *warning)
{
    struct tier *live = custody->live;
    struct tier_figures figures;
    uint64_t count = 0;
    int r = disk_tier_adopt(custody->disk, disk, &count);
    live->class->figures(live, &figures);
    CLEANUP(memory_free_pointer)
    char *text = r < 0 ? memory_printf("%s belonged to another stream; its messages could not get "
                                       "new numbers (%s), and it is set aside",
                                       figures.path, strerror(-r))
                       : memory_printf("%s belonged to another stream; its %" PRIu64
                                       " messages got new numbers in stream %s",
                                       figures.path, count, disk->stream);
    start_warn(warning, text);
    if (r == 0)
        return;
    run_list_reset(&live->held); /* its numbers mean something else: they are not ours */
    live->class->fail(live, -EBADMSG, 0);
}

/* What was settled and is there again must not go out again. */
static void release_stale(struct tier *disk, const struct run_list *stale)
{
    const struct run_list *held = &disk->held;
    for (size_t i = 0; i < stale->n; i++) {
        uint64_t seq = stale->runs[i].first, end = stale->runs[i].last + 1;
        while ((seq = run_list_first(held, seq, end)) < end) {
            (void)disk->class->release(disk, seq);
            run_list_remove(&disk->held, seq, seq);
        }
    }
}

static void reconcile(struct custody *custody, const struct tier_found *live,
                      struct tier_found *disk, struct strbuf *warning)
{
    struct numbers *numbers = &custody->numbers;
    bool foreign = recovery_reconcile(live, disk, custody->wall_ms, custody->ledger, numbers);
    if (numbers->stream[0] == '\0')
        start_new_stream(numbers->stream);
    if (foreign)
        adopt_live(custody, &disk->state, warning);
    else if (numbers->boundary > 1)
        run_list_remove(&custody->live->held, 1, numbers->boundary - 1);
    if (!disk->open) /* out of reach: what the live tier knows of it has to do */
        run_list_copy(&custody->disk->held, &live->on_disk);
    release_stale(custody->disk, &disk->stale);
}

static int open_both(struct custody *custody, const char *state_dir, const char *runtime_dir,
                     struct tier_found *live, struct tier_found *disk, struct strbuf *warning)
{
    int disk_r = custody->disk->class->recover(custody->disk, state_dir, warning, disk);
    if (disk_r == -EBUSY)
        return -EBUSY;
    int live_r = custody->live->class->recover(custody->live, runtime_dir, warning, live);
    return live_r == -EBUSY ? -EBUSY : disk_r < 0 && live_r < 0 ? disk_r : 0;
}

int start_open(struct custody *custody, const char *state_dir, const char *runtime_dir,
               struct strbuf *warning)
{
    struct tier_found live = {.open = false}, disk = {.open = false};
    int r = open_both(custody, state_dir, runtime_dir, &live, &disk, warning);
    if (r == 0)
        reconcile(custody, &live, &disk, warning);
    loss_ledger_free(&live.ledger);
    loss_ledger_free(&disk.ledger);
    run_list_free(&live.held);
    run_list_free(&live.on_disk);
    run_list_free(&disk.held);
    run_list_free(&disk.on_disk);
    run_list_free(&disk.stale);
    return r;
}
