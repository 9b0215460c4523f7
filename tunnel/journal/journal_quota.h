/*
 * How many lines strangers may cause in the journal: JOURNAL_QUOTA_BURST at once, and then one in
 * JOURNAL_QUOTA_PAUSE_MS, so that persistent noise does not push older lines out. Lines that are
 * left out are counted. A value; pure; the time in ms, of any clock that never goes back,
 * is given by the caller.
 */
#ifndef SALLYPORT_TUNNEL_JOURNAL_JOURNAL_QUOTA_H
#define SALLYPORT_TUNNEL_JOURNAL_JOURNAL_QUOTA_H

#include "tunnel/model/event.h"

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_QUOTA_BURST 32
#define JOURNAL_QUOTA_PAUSE_MS 300000

struct journal_quota {
    unsigned room;
    int64_t since_ms; /* when the room was last made larger */
    uint64_t left_out;
};

void journal_quota_init(struct journal_quota *quota, int64_t now_ms);

/*
 * Whether EVENT may be written as one more line; if not, it is counted. A line that may be written
 * says how many were left out before it: `unrecorded`.
 */
bool journal_quota_take(struct journal_quota *quota, int64_t now_ms, struct event *event);

#endif
