/*
 * Custody of encoded messages from the moment they get a sequence number until the broker has
 * acknowledged them: the only store. Two tiers of the same code (store.c): `live`, an SQLite
 * database in the runtime folder (tmpfs: survives a kill of the process, costs no flash), and
 * `disk`, one in the state folder.
 *
 *   - Every message enters the live tier and is committed there before it may be published.
 *   - While the link is up, a message that stays unacknowledged for spill_after_ms moves to disk.
 *     While it is down, everything moves to disk every sync_ms. A clean stop moves everything.
 *   - So SIGKILL loses nothing in custody; a power cut loses at most spill_after_ms (link up) or
 *     sync_ms (link down), and the sequence numbers that may be affected are reported as a gap.
 *   - Whether a message is `historical` is decided once, before it is first handed out, so that
 *     the same sequence number never carries two contents: a message that had not been handed out
 *     when the link went down, or was taken while it was down, is historical.
 *   - Full: the oldest messages of the disk tier go, and a gap record takes their place.
 *
 * Main loop only. Time comes from the caller: NOW_MS is monotonic milliseconds, WALL_MS is UTC.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_H
#define SALLYPORT_AGENT_OUTBOX_H

#include "agent/base/strbuf.h"

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

/* One message on its way out. The pointers are valid until the next call on the outbox. */
struct outbox_message {
    uint64_t seq;
    uint32_t topic; /* what outbox_take() was given: see there */
    bool historical;
    int64_t wall_ms; /* when it was taken */
    const void *body;
    size_t body_length;
};

/* A run of messages that will never arrive. */
struct outbox_gap {
    uint64_t first, last;   /* sequence numbers, inclusive */
    int64_t from_ms, to_ms; /* wall time of custody; 0 when unknown */
    const char *reason;     /* "full", "power-loss", "damaged" */
};

/*
 * Opens, checks and repairs the store. A damaged file is renamed to NAME.damaged-TIME and reported
 * in WARNING (one line, "" for none), never a reason to fail. Fails only when no store can be made
 * at all: -EBUSY when another process holds it, or a negative errno with the reason in WARNING.
 */
int outbox_open(const struct outbox_settings *settings, int64_t wall_ms, struct strbuf *warning,
                struct outbox **ret_outbox);

/* Moves everything to disk, durably, and closes. Accepts NULL, returns NULL. */
struct outbox *outbox_close(struct outbox *outbox);

/* Eight hex digits; the same as long as either tier survives. Owned by the outbox. */
const char *outbox_stream(const struct outbox *outbox);

/*
 * Takes custody: numbers the message. It may be handed out only after outbox_commit(). TOPIC is
 * a text ("data/boiler", "event": what stands behind P/), at most 200 bytes. Returns the sequence
 * number, 0 when neither tier can take it (counted, and reported as a gap when one can again).
 */
uint64_t outbox_take(struct outbox *outbox, const char *topic, const void *body, size_t body_length,
                     int64_t now_ms, int64_t wall_ms);

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

/* The topic text of a message; valid as long as the outbox. */
const char *outbox_topic(const struct outbox *outbox, uint32_t topic);

/* The broker acknowledged SEQ: custody ends (durable with the next commit). Unknown: ignored. */
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
 * and calls outbox_gap_reported() before the next outbox_commit(); both become durable together.
 * None while the link is down, so that what is lost in one outage becomes one gap. A gap whose
 * report is lost itself is offered again.
 */
bool outbox_next_gap(const struct outbox *outbox, struct outbox_gap *ret_gap);
void outbox_gap_reported(struct outbox *outbox);

struct outbox_stats {
    uint64_t messages, bytes; /* in custody now, both tiers */
    uint64_t live_messages, disk_messages;
    uint64_t next_seq;
    uint64_t taken, released, dropped; /* since the start */
    uint64_t disk_bytes_written;       /* bodies written to the disk tier since the start */
    uint64_t max_bytes;
    int64_t oldest_wall_ms; /* of the oldest message in custody; 0 for none */
    double runway_h;        /* hours until full at the recent rate; -1: unknown */
    char problem[160];      /* of a tier: "disk full", "" for none */
};
void outbox_get_stats(struct outbox *outbox, int64_t now_ms, struct outbox_stats *ret_stats);

#endif
