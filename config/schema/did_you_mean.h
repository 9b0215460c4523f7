/* "Did you mean ...?": the candidate that a mistyped word most likely means. Pure. */
#ifndef SALLYPORT_CONFIG_SCHEMA_DID_YOU_MEAN_H
#define SALLYPORT_CONFIG_SCHEMA_DID_YOU_MEAN_H

#include <stddef.h>

/* Begin with {.word = WORD}, offer every candidate, then read `best`. */
struct did_you_mean {
    const char *word;
    const char *best; /* NULL while no candidate is close enough */
    size_t distance;
};

void did_you_mean_offer(struct did_you_mean *nearest, const char *candidate);

#endif
