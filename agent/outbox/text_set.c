/* An open hash table, at most half full. */
#include "agent/outbox/text_set.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void text_set_free(struct text_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        free(set->texts[i]);
    free(set->texts);
    free(set->buckets);
    *set = (struct text_set){.texts = NULL};
}

static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return hash;
}

/* The bucket that holds the text, or the empty one where it belongs. */
static uint32_t *text_set_find(const struct text_set *set, const char *text, size_t length)
{
    uint32_t at = hash_of(text, length) & (set->n_buckets - 1);
    while (set->buckets[at]) {
        const char *known = set->texts[set->buckets[at] - 1];
        if (strncmp(known, text, length) == 0 && known[length] == '\0')
            break;
        at = (at + 1) & (set->n_buckets - 1);
    }
    return &set->buckets[at];
}

static void grow(struct text_set *set)
{
    set->room = set->room ? set->room * 2 : 32;
    set->texts = memory_resize(set->texts, set->room, sizeof(*set->texts));
    free(set->buckets);
    set->n_buckets = set->room * 2;
    set->buckets = memory_zeroed(set->n_buckets, sizeof(*set->buckets));
    for (uint32_t i = 0; i < set->n; i++)
        *text_set_find(set, set->texts[i], strlen(set->texts[i])) = i + 1;
}

const char *text_set_keep(struct text_set *set, const char *text, size_t length)
{
    assert(length <= TEXT_MAX_BYTES && memchr(text, '\0', length) == NULL);
    if (set->n == set->room)
        grow(set);
    uint32_t *bucket = text_set_find(set, text, length);
    if (*bucket == 0) {
        set->texts[set->n] = memory_text_n(text, length);
        *bucket = ++set->n;
    }
    return set->texts[*bucket - 1];
}
