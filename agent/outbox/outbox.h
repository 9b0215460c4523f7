/*
 * Custody of encoded messages from the moment they get a sequence number until the broker has
 * acknowledged them: the only store. Two tiers: `live` in the runtime folder (tmpfs: survives a
 * kill of the process, costs no flash), and `disk` in the state folder.
 *
 *   - Every message enters the live tier and is committed there before it may be published.
 *   - While the link is up, a message that stays unacknowledged for spill_after_ms moves to disk.
 *     While it is down, everything moves to disk every sync_ms. A clean stop moves everything.
 *   - So SIGKILL loses nothing in custody; a power cut loses at most spill_after_ms (link up) or
 *     sync_ms (link down), and the sequence numbers that may be affected are reported as a gap.
 *   - Whether a message is `historical` is decided once, before it is first handed out, so that
 *     the same sequence number never carries two contents: a message that had not been handed out
 *     when the link went down, or was taken while it was down, is historical.
 *   - Full: the oldest messages of the disk tier are dropped, and a gap record takes their place.
 *   - A tier that is full, read-only or broken is worked around: without the disk tier messages
 *     wait in the live tier (up to 16 MiB or max_bytes), without the live tier they go to disk at
 *     once. What failed is tried again, at least every ten seconds. While what is due on disk
 * cannot be written there, a power cut may cost more: `unsafe_since_ms` says so.
 *   - A message is handed out only after the disk tier has reserved its number, so a power cut
 *     cannot make it be used twice. What is reserved lasts for about spill_after_ms + sync_ms at
 *     the present rate (a small write for most of it), since all of it is in the gap that a power
 *     cut leaves. When nothing can be reserved, messages wait in custody; after a minute the rest
 *     goes out under a new stream.
 *
 * Main loop only. Time comes from the caller: NOW_MS is monotonic milliseconds, WALL_MS is UTC.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_OUTBOX_H
#define SALLYPORT_AGENT_OUTBOX_OUTBOX_H

#include "agent/base/strbuf.h"
#include "agent/outbox/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct outbox; /* opaque */

/* The longest body that is taken. */
#define OUTBOX_BODY_MAX_BYTES ((size_t)1 << 20)

struct outbox_settings {
    const char *state_dir, *runtime_dir; /* made when missing */
    uint64_t max_bytes;                  /* of both tiers, bodies and their overhead */
    int64_t spill_after_ms, sync_ms;
};

/* One message on its way out. */
struct outbox_message {
    uint64_t seq;
    const char *topic;         /* as outbox_take() was given it; valid as long as the outbox */
    struct outbox_facts facts; /* so is this, and the owner's name in it */
    bool historical;
    int64_t wall_ms;  /* when it was taken */
    const void *body; /* valid until the next call on the outbox */
    size_t body_length;
};

/*
 * A run of numbers that are in custody no more and were not acknowledged: those of them that have
 * not arrived by now never will. After a power cut, or when a file was damaged and nothing else
 * knows what was in it, these are all numbers that may have been there: many have arrived, or were
 * never used. Each number is in one gap at most.
 */
struct outbox_gap {
    uint64_t first, last;   /* sequence numbers, inclusive */
    int64_t from_ms, to_ms; /* wall time of custody, or a time before and after; 0 when unknown */
    const char *reason;     /* "full", "power-loss", "damaged", "too-large" */
};

/*
 * Opens, checks and repairs the store. A damaged file is renamed to NAME.damaged-TIME and reported
 * in WARNING (one line, "" for none), never a reason to fail; the newest two of those are kept. A
 * live tier that belongs to another stream than the disk tier is taken over under new numbers.
 * Fails only when no store can be made at all: -EBUSY when another process holds it, or a negative
 * errno with the reason in WARNING.
 */
int outbox_open(const struct outbox_settings *settings, int64_t wall_ms, struct strbuf *warning,
                struct outbox **ret_outbox);

/* Moves everything to disk, durably, and closes. Accepts NULL, returns NULL. */
struct outbox *outbox_close(struct outbox *outbox);

/*
 * Eight hex digits; the same as long as either tier survives. Ask again for each message: it may
 * change (see above). Owned by the outbox.
 */
const char *outbox_stream(const struct outbox *outbox);

/*
 * Takes custody: numbers the message. It may be handed out only after outbox_commit(). TOPIC is
 * a text ("data/boiler", "event": what follows P/), at most 200 bytes, and so is the owner in
 * FACTS; all is copied. Returns the sequence number, 0 when neither tier can take it (counted, and
 * reported as a gap when one can again).
 */
uint64_t outbox_take(struct outbox *outbox, const char *topic, const struct outbox_facts *facts,
                     const void *body, size_t body_length, int64_t now_ms, int64_t wall_ms);

/* Commits what was taken and released since the last commit. 0, or a negative errno: tried again.
 */
int outbox_commit(struct outbox *outbox, int64_t now_ms);

/*
 * The next message to publish, committed and not yet handed out on this link. `live` lane: taken
 * since the link came up, oldest first. `backlog` lane: everything older, oldest first. Each is
 * handed out once for each outbox_link(true). False when the lane is empty.
 */
bool outbox_next_live(struct outbox *outbox, struct outbox_message *ret_message);
bool outbox_next_backlog(struct outbox *outbox, struct outbox_message *ret_message);

/*
 * The broker acknowledged SEQ: custody ends, in the live tier with the next commit, in the disk
 * tier up to sync_ms later (after a kill in between it is handed out again). Unknown: ignored.
 */
void outbox_release(struct outbox *outbox, uint64_t seq);

/* The link came up or went down. Down: what was handed out will be handed out again. */
void outbox_link(struct outbox *outbox, bool up, int64_t now_ms);

/*
 * Does what is due (spill, sync, drop, try again what failed); returns NOW_MS of the next time to
 * call it, at most a second later, whatever is taken in between.
 */
int64_t outbox_tick(struct outbox *outbox, int64_t now_ms);

/*
 * The oldest gap that has not been reported yet. The caller takes an event about it into custody
 * and calls outbox_gap_reported() before the next outbox_commit(); both become durable together,
 * on disk where that works. None while the link is down, so that what is lost in one outage becomes
 * one gap, and none of numbers that the broker may still acknowledge. A gap whose report is lost
 * itself is offered again.
 */
bool outbox_next_gap(const struct outbox *outbox, struct outbox_gap *ret_gap);
void outbox_gap_reported(struct outbox *outbox);

struct outbox_stats {
    uint64_t messages, bytes; /* in custody now, both tiers; bytes in whole pages of 4 KiB */
    uint64_t live_messages, disk_messages;
    uint64_t next_seq;
    uint64_t taken, released, dropped; /* since the start */
    uint64_t disk_bytes_written;       /* bodies written to the disk tier since the start */
    uint64_t max_bytes;
    int64_t oldest_wall_ms;  /* of the oldest message in custody; 0 for none */
    double runway_h;         /* hours until full if nothing were acknowledged from now on, at the
                                rate of the last ten minutes; -1: unknown */
    char problem[160];       /* "FILE: what is wrong; what happens meanwhile", "" for none */
    int64_t unsafe_since_ms; /* UTC: since when a power cut may cost more than spill_after_ms or
                                sync_ms, because what was due on disk is not there; 0: no more */
    char unsafe_reason[160]; /* what was wrong at that time, as `problem` */
};
void outbox_get_stats(struct outbox *outbox, int64_t now_ms, struct outbox_stats *ret_stats);

#endif
