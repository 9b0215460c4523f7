/*
 * Topic texts as small numbers, so that a message in memory carries four bytes instead of a text.
 * The numbers mean nothing outside this process. Main loop only, owned by the outbox.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_TOPIC_IDS_H
#define SALLYPORT_AGENT_OUTBOX_TOPIC_IDS_H

#include <stddef.h>
#include <stdint.h>

#define TOPIC_MAX_BYTES 200

struct topic_ids {
    char **texts; /* by number */
    uint32_t n, room;
    uint32_t *buckets; /* hash table of numbers + 1; 0: empty */
    uint32_t n_buckets;
};

void topic_ids_free(struct topic_ids *topics); /* leaves an empty set */

/* The number of the text; the same text has the same number as long as the set lives. */
uint32_t topic_ids_number(struct topic_ids *topics, const char *text, size_t length);
const char *topic_ids_text(const struct topic_ids *topics,
                           uint32_t number); /* asserts that it exists */

#endif
