/*
 * Texts that are used again and again (topics, names of devices), each stored once: a message in
 * memory carries a pointer to it. Main loop only, owned by the lanes.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_TEXT_SET_H
#define SALLYPORT_AGENT_OUTBOX_TEXT_SET_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX_BYTES 200

struct text_set {
    char **texts; /* in the order in which they came */
    uint32_t n, room;
    uint32_t *buckets; /* hash table of places in `texts` + 1; 0: empty */
    uint32_t n_buckets;
};

void text_set_free(struct text_set *set); /* leaves an empty set */

/*
 * The copy of TEXT in the set; the same text has the same one as long as the set lives. At most
 * TEXT_MAX_BYTES, without a NUL (asserted).
 */
const char *text_set_keep(struct text_set *set, const char *text, size_t length);

#endif
