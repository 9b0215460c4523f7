/* Topic texts as small numbers: an open hash table, at most half full. */
#include "agent/outbox/topic_ids.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void topic_ids_free(struct topic_ids *topics)
{
    for (uint32_t i = 0; i < topics->n; i++)
        free(topics->texts[i]);
    free(topics->texts);
    free(topics->buckets);
    *topics = (struct topic_ids){.texts = NULL};
}

static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return hash;
}

/* The bucket that holds the text, or the empty one where it belongs. */
static uint32_t *find(const struct topic_ids *topics, const char *text, size_t length)
{
    uint32_t at = hash_of(text, length) & (topics->n_buckets - 1);
    while (topics->buckets[at]) {
        const char *known = topics->texts[topics->buckets[at] - 1];
        if (strncmp(known, text, length) == 0 && known[length] == '\0')
            break;
        at = (at + 1) & (topics->n_buckets - 1);
    }
    return &topics->buckets[at];
}

static void grow(struct topic_ids *topics)
{
    topics->room = topics->room ? topics->room * 2 : 32;
    topics->texts = memory_resize(topics->texts, topics->room, sizeof(*topics->texts));
    free(topics->buckets);
    topics->n_buckets = topics->room * 2;
    topics->buckets = memory_zeroed(topics->n_buckets, sizeof(*topics->buckets));
    for (uint32_t i = 0; i < topics->n; i++)
        *find(topics, topics->texts[i], strlen(topics->texts[i])) = i + 1;
}

uint32_t topic_ids_number(struct topic_ids *topics, const char *text, size_t length)
{
    assert(length <= TOPIC_MAX_BYTES && memchr(text, '\0', length) == NULL);
    if (topics->n == topics->room)
        grow(topics);
    uint32_t *bucket = find(topics, text, length);
    if (*bucket == 0) {
        topics->texts[topics->n] = memory_text_n(text, length);
        *bucket = ++topics->n;
    }
    return *bucket - 1;
}

const char *topic_ids_text(const struct topic_ids *topics, uint32_t number)
{
    assert(number < topics->n);
    return topics->texts[number];
}
