/*
 * Numbers that are kept: under which number a running line reports itself and its devices, while
 * the configurations change, and with them the indexes. Pure; main loop only.
 */
#ifndef SALLYPORT_AGENT_FLOW_NUMBERING_H
#define SALLYPORT_AGENT_FLOW_NUMBERING_H

#include <stddef.h>
#include <stdint.h>

#define NUMBERING_NONE UINT16_MAX

struct numbering {
    uint16_t *numbers; /* of each index of the configuration in force */
    size_t n_numbers;
    uint16_t *indexes; /* of each number; NUMBERING_NONE: it is not used */
    size_t n_indexes;
};

/* The first configuration: each of LENGTH indexes is its own number. */
void numbering_begin(struct numbering *ret_numbering, size_t length);

/*
 * The next one, of LENGTH indexes. KEPT has for each of them the index that it had in OLD, or
 * NUMBERING_NONE when it is new. What is kept keeps its number; what is new gets one that is not
 * used in OLD, so that a late report of something removed is never taken for it.
 */
void numbering_next(const struct numbering *old, const uint16_t *kept, size_t length,
                    struct numbering *ret_numbering);

/* The index that NUMBER stands for now, or NUMBERING_NONE when it is gone. */
uint16_t numbering_index(const struct numbering *numbering, uint16_t number);

void numbering_free(struct numbering *numbering); /* leaves it empty */

#endif
