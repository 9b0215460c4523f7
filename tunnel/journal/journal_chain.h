/*
 * The chain that holds the lines of the journal together. Each line ends with " hash=HEX", the
 * SHA-256 of the previous line's HEX, a line feed, and the line up to there. The first line of a
 * file is the event `chain` with previous=HEX, so that a file can be checked alone after older
 * ones were dropped. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_JOURNAL_JOURNAL_CHAIN_H
#define SALLYPORT_TUNNEL_JOURNAL_JOURNAL_CHAIN_H

#include "agent/base/strbuf.h"
#include "tunnel/journal/sha256.h"

#include <stddef.h>
#include <stdint.h>

struct journal_chain {
    char hash[SHA256_HEX_BYTES]; /* of the last line; "" before the first */
    uint64_t seq;                /* of the last line */
    uint64_t lines;
};

void journal_chain_init(struct journal_chain *chain);

/* Appends its hash to LINE, which is to follow the last one, and returns it in RET_HEX. */
void journal_chain_seal(const struct journal_chain *chain, struct strbuf *line,
                        char ret_hex[SHA256_HEX_BYTES]);

/* A line with the hash HEX has followed. */
void journal_chain_advance(struct journal_chain *chain, const char hex[SHA256_HEX_BYTES]);

/* Checks LINE, of LENGTH bytes. Returns NULL when it follows, else what is wrong with it. */
const char *journal_chain_check(struct journal_chain *chain, const char *line, size_t length);

#endif
