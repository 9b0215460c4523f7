/*
 * How many lines strangers may cause in the journal: JOURNAL_QUOTA_BURST at once, and then one in
 * JOURNAL_QUOTA_PAUSE_MS, so that nobody pushes out what others did by going on for long enough.
 * What was left out is counted. A value; pure; the time in ms, of any clock that never goes back,
 * is given by the caller.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_JOURNAL_QUOTA_H
#define SALLYPORT_TUNNEL_COMMAND_JOURNAL_QUOTA_H

#include "agent/base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_QUOTA_BURST 32
#define JOURNAL_QUOTA_PAUSE_MS 300000

struct journal_quota {
    unsigned room;
    int64_t since_ms; /* when the room was last made larger */
    uint64_t left_out;
};

void journal_quota_init(struct journal_quota *allowance, int64_t now_ms);

/*
 * Whether one more line may be written; if not, it is counted. A line that may be is told in DETAIL
 * how many were left out before it: "unrecorded=N".
 */
bool journal_quota_take(struct journal_quota *allowance, int64_t now_ms, struct strbuf *detail);

#endif
