/* The registers of one simulated unit. */
#include "tests/plant/image.h"

#include "agent/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SPECIALS 8
#define MAX_HOLES 8

struct special {
    enum special_kind kind;
    enum table table;
    uint16_t address;
    uint32_t reads;
};

struct hole {
    enum table table;
    uint16_t first, last;
};

struct image {
    uint8_t unit;
    size_t n_specials, n_holes;
    struct special specials[MAX_SPECIALS];
    struct hole holes[MAX_HOLES];
    uint16_t *written[N_TABLES]; /* all 65536 of a table, made on the first write to it */
};

static const char *const table_names[N_TABLES] = {"coil", "discrete", "input", "holding"};
static const unsigned special_words[] = {[SPECIAL_TIME] = 4, [SPECIAL_POLLS] = 2};

int image_table(const char *name)
{
    for (int i = 0; i < N_TABLES; i++) {
        if (strcmp(name, table_names[i]) == 0)
            return i;
    }
    return -1;
}

struct image *image_new(uint8_t unit)
{
    struct image *image = memory_zeroed(1, sizeof(*image));
    image->unit = unit;
    return image;
}

struct image *image_free(struct image *image)
{
    if (!image)
        return NULL;
    for (size_t i = 0; i < N_TABLES; i++)
        free(image->written[i]);
    free(image);
    return NULL;
}

int image_add_special(struct image *image, enum special_kind kind, enum table table,
                      uint16_t address)
{
    if (image->n_specials == MAX_SPECIALS)
        return -ENOSPC;
    image->specials[image->n_specials++] =
        (struct special){.kind = kind, .table = table, .address = address, .reads = 0};
    return 0;
}

int image_add_hole(struct image *image, enum table table, uint16_t first, uint16_t last)
{
    if (image->n_holes == MAX_HOLES)
        return -ENOSPC;
    image->holes[image->n_holes++] = (struct hole){.table = table, .first = first, .last = last};
    return 0;
}

bool image_has_hole(const struct image *image, enum table table, uint16_t first, uint16_t count)
{
    uint32_t end = (uint32_t)first + count;
    for (size_t i = 0; i < image->n_holes; i++) {
        const struct hole *hole = &image->holes[i];
        if (hole->table == table && hole->first < end && hole->last >= first)
            return true;
    }
    return false;
}

static uint16_t from_place(uint8_t unit, enum table table, uint16_t address)
{
    uint16_t value = (uint16_t)(address * IMAGE_STEP_ADDRESS + unit * IMAGE_STEP_UNIT +
                                (unsigned)table * IMAGE_STEP_TABLE);
    return table == TABLE_COIL || table == TABLE_DISCRETE ? (value >> 3) & 1 : value;
}

uint16_t image_peek(const struct image *image, enum table table, uint16_t address)
{
    if (image->written[table])
        return image->written[table][address];
    return from_place(image->unit, table, address);
}

void image_write(struct image *image, enum table table, uint16_t address, uint16_t value)
{
    if (!image->written[table]) {
        uint16_t *all = memory_zeroed(65536, sizeof(*all));
        for (uint32_t i = 0; i < 65536; i++)
            all[i] = from_place(image->unit, table, (uint16_t)i);
        image->written[table] = all;
    }
    image->written[table][address] = value;
}

static void overlay(const struct special *special, uint16_t first, uint16_t count, uint64_t value,
                    uint16_t *values)
{
    unsigned words = special_words[special->kind];
    for (unsigned i = 0; i < words; i++) {
        uint32_t address = (uint32_t)special->address + i;
        if (address >= first && address < (uint32_t)first + count)
            values[address - first] = (uint16_t)(value >> (16 * (words - 1 - i)));
    }
}

void image_read(struct image *image, enum table table, uint16_t first, uint16_t count,
                int64_t wall_us, uint16_t *ret_values)
{
    for (uint16_t i = 0; i < count; i++)
        ret_values[i] = image_peek(image, table, (uint16_t)(first + i));
    for (size_t i = 0; i < image->n_specials; i++) {
        struct special *special = &image->specials[i];
        if (special->table != table)
            continue;
        if (special->address >= first && special->address < (uint32_t)first + count)
            special->reads++;
        uint64_t value = special->kind == SPECIAL_TIME ? (uint64_t)wall_us : special->reads;
        overlay(special, first, count, value, ret_values);
    }
}
