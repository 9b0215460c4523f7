/*
 * What the outbox says about itself: how much is in custody, how long the room lasts, what is
 * wrong with a tier. Part of the outbox.
 */
#include "agent/outbox/outbox_private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RATE_SECONDS 600.0 /* how fast the rate of taking forgets */
#define RATE_KNOWN_SECONDS 10.0

void figures_fold_rate(struct rate *rate, int64_t now_ms)
{
    if (!rate->started)
        *rate = (struct rate){.started = true, .last_ms = now_ms};
    double seconds = (double)(now_ms - rate->last_ms) / 1000.0;
    if (seconds < 1.0)
        return;
    double keep = exp(-seconds / RATE_SECONDS);
    rate->bytes = rate->bytes * keep + (double)rate->since;
    rate->seconds = rate->seconds * keep + seconds;
    rate->since = 0;
    rate->last_ms = now_ms;
}

static const char *problem_of(int error)
{
    switch (error) {
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return "disk full";
    case -EROFS:
        return "read-only";
    case -EACCES:
    case -EPERM:
        return "no permission";
    case -ESTALE:
        return "holds another stream, restart to take it over";
    case -EBUSY:
        return "held by another process";
    case -EIO:
        return "input/output error";
    }
    return strerror(-error);
}

static void describe_problem(const struct outbox *outbox, char *text, size_t size)
{
    text[0] = '\0';
    if (outbox->disk.error)
        (void)snprintf(text, size, "%s: %s; messages are kept in memory", outbox->disk.path,
                       problem_of(outbox->disk.error));
    else if (outbox->live.error)
        (void)snprintf(text, size, "%s: %s; messages are written to disk at once",
                       outbox->live.path, problem_of(outbox->live.error));
    else if (outbox->damage[0])
        (void)snprintf(text, size, "%s", outbox->damage);
}

static double runway_h(const struct outbox *outbox, uint64_t bytes)
{
    const struct rate *rate = &outbox->rate;
    if (rate->seconds < RATE_KNOWN_SECONDS || rate->bytes < 1.0)
        return -1.0;
    double room = bytes < outbox->max_bytes ? (double)(outbox->max_bytes - bytes) : 0.0;
    return room * rate->seconds / rate->bytes / 3600.0;
}

static bool note_wall(void *context, const struct store_message *message)
{
    *(int64_t *)context = message->wall_ms;
    return false;
}

static int64_t oldest_wall_ms(struct outbox *outbox)
{
    int64_t wall_ms = 0;
    if (outbox->disk.store)
        (void)store_read(outbox->disk.store, 0, outbox->boundary, note_wall, &wall_ms);
    if (wall_ms == 0 && outbox->live.store)
        (void)store_read(outbox->live.store, outbox->boundary, SEQ_LIMIT, note_wall, &wall_ms);
    if (wall_ms == 0 && message_queue_count(&outbox->recent))
        wall_ms = message_queue_at(&outbox->recent, 0)->wall_ms;
    return wall_ms;
}

static uint64_t pending_count(const struct outbox *outbox)
{
    uint64_t count = 0;
    for (size_t i = message_queue_count(&outbox->recent); i-- > 0;) {
        if (message_queue_at(&outbox->recent, i)->seq < outbox->committed_below)
            break;
        count++;
    }
    return count;
}

/* Messages in a tier that are not acknowledged. */
static uint64_t kept(const struct store *store, const struct seq_set *released)
{
    uint64_t stored = store_messages(store), gone = seq_set_count(released);
    return stored > gone ? stored - gone : 0;
}

void outbox_get_stats(struct outbox *outbox, int64_t now_ms, struct outbox_stats *ret_stats)
{
    outbox->now_ms = now_ms;
    (void)tiers_commit(outbox, now_ms); /* may open a tier anew */
    struct store *live = outbox->live.store, *disk = outbox->disk.store;
    struct outbox_stats stats = {.next_seq = outbox->next_seq,
                                 .taken = outbox->taken,
                                 .released = outbox->released,
                                 .dropped = outbox->dropped,
                                 .disk_bytes_written = outbox->disk_bytes_written,
                                 .max_bytes = outbox->max_bytes};
    figures_fold_rate(&outbox->rate, now_ms);
    stats.live_messages = live ? kept(live, &outbox->live.released) : 0;
    stats.live_messages += pending_count(outbox);
    stats.disk_messages = disk ? kept(disk, &outbox->disk.released) : 0;
    stats.released += seq_set_count(&outbox->live.released) + seq_set_count(&outbox->disk.released);
    stats.messages = stats.live_messages + stats.disk_messages;
    stats.bytes = (live ? store_bytes(live) : 0) + (disk ? store_bytes(disk) : 0);
    stats.oldest_wall_ms = oldest_wall_ms(outbox);
    stats.runway_h = runway_h(outbox, stats.bytes);
    describe_problem(outbox, stats.problem, sizeof(stats.problem));
    *ret_stats = stats;
}
