/* Numbers that are kept while configurations change. */
#include "agent/flow/numbering.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

static void allocate(struct numbering *numbering, size_t n_numbers, size_t n_indexes)
{
    assert(n_indexes < NUMBERING_NONE);
    numbering->n_numbers = n_numbers;
    numbering->n_indexes = n_indexes;
    numbering->numbers = memory_zeroed(n_numbers, sizeof(*numbering->numbers));
    numbering->indexes = memory_zeroed(n_indexes, sizeof(*numbering->indexes));
    for (size_t i = 0; i < n_indexes; i++)
        numbering->indexes[i] = NUMBERING_NONE;
}

static void assign(struct numbering *numbering, size_t index, size_t number)
{
    numbering->numbers[index] = (uint16_t)number;
    numbering->indexes[number] = (uint16_t)index;
}

void numbering_begin(struct numbering *ret_numbering, size_t length)
{
    allocate(ret_numbering, length, length);
    for (size_t i = 0; i < length; i++)
        assign(ret_numbering, i, i);
}

static bool is_used(const struct numbering *numbering, size_t number)
{
    return number < numbering->n_indexes && numbering->indexes[number] != NUMBERING_NONE;
}

void numbering_next(const struct numbering *old, const uint16_t *kept, size_t length,
                    struct numbering *ret_numbering)
{
    size_t number = 0;
    /* Enough for every number in OLD and a new one for each index. */
    allocate(ret_numbering, length, old->n_numbers + length + old->n_indexes);
    for (size_t i = 0; i < length; i++) {
        if (kept[i] != NUMBERING_NONE)
            assign(ret_numbering, i, old->numbers[kept[i]]);
    }
    for (size_t i = 0; i < length; i++) {
        if (kept[i] != NUMBERING_NONE)
            continue;
        while (is_used(old, number))
            number++;
        assign(ret_numbering, i, number++);
    }
    size_t used = 0;
    for (size_t i = 0; i < ret_numbering->n_indexes; i++)
        used = is_used(ret_numbering, i) ? i + 1 : used;
    ret_numbering->n_indexes = used; /* so that it does not grow from one to the next */
}

uint16_t numbering_index(const struct numbering *numbering, uint16_t number)
{
    return number < numbering->n_indexes ? numbering->indexes[number] : NUMBERING_NONE;
}

void numbering_free(struct numbering *numbering)
{
    free(numbering->numbers);
    free(numbering->indexes);
    *numbering = (struct numbering){NULL, 0, NULL, 0};
}
