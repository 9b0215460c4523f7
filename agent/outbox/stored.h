/*
 * What a tier keeps: messages, and one state about them. Values; no functions.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_STORED_H
#define SALLYPORT_AGENT_OUTBOX_STORED_H

#include "agent/outbox/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_DIGITS 8
#define STORE_ON_DISK_MAX 256 /* runs of numbers that the live tier knows of the disk tier */

/* Above every number there will ever be. As a reservation: none is needed. */
#define SEQ_LIMIT (UINT64_C(1) << 62)

struct stored_message {
    uint64_t seq;
    int64_t wall_ms;   /* when it was taken */
    const char *topic; /* not NUL-terminated */
    size_t topic_length;
    struct outbox_facts facts;
    const void *body; /* NULL: unreadable, and only its number means anything */
    size_t body_length;
};

/* Written only when asked: a fresh tier has zeros and "". */
struct stored_state {
    char stream[STREAM_DIGITS + 1];
    char previous_stream[STREAM_DIGITS + 1]; /* what it replaced, until the disk knows; "" */
    uint64_t next_seq;       /* every number from here on is unused, as far as this tier knows */
    uint64_t reserved_below; /* disk: numbers below may be in use although this tier never saw them
                              */
    uint64_t settled_below;  /* disk: numbers below are acknowledged, stored here, or in a gap */
    uint64_t disk_first, disk_below; /* live: what the disk tier holds, [first, below) */
    uint64_t ledger_version;         /* of the ledger saved with it: the higher one is the newer */
    int64_t wall_ms;                 /* when it was written */
    bool clean;                      /* disk: closed in order; next_seq is exact */
    bool alone;                      /* disk: the live tier does not work; next_seq is exact but for
                                        a power cut */
};

#endif
