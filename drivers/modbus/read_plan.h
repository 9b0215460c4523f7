/*
 * Tags to a minimal list of requests. Pure: no I/O, no allocation; any thread.
 *
 * An item is what one tag needs: a run of registers or bits of one table. A block is what one
 * request reads: it covers items that follow each other, with gaps of no more than `max_gap`
 * unused values, and is no longer than the limit of its table. An item is never divided.
 */
#ifndef SALLYPORT_DRIVERS_MODBUS_READ_PLAN_H
#define SALLYPORT_DRIVERS_MODBUS_READ_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct read_plan_item {
    uint16_t address, count; /* count: at least 1 */
    uint16_t tag;            /* the caller's; not looked at */
    uint8_t table;           /* enum modbus_table */
    bool apart; /* a block must begin here: the one before must not be merged with it */
};

struct read_plan_block {
    uint8_t table;
    uint16_t address, count;
    size_t first, n_items; /* in the array of items */
};

struct read_plan_limits {
    uint16_t max_gap;       /* registers, or bits */
    uint16_t max_registers; /* of one request of registers */
    uint16_t max_bits;      /* of one request of bits */
};

/* Orders items by table and address; the longer of two that begin alike comes first. */
void read_plan_sort(struct read_plan_item *items, size_t n_items);

/* The block that covers ITEMS[first..first+n_items-1], whatever the limits. Items are sorted. */
struct read_plan_block read_plan_cover(const struct read_plan_item *items, size_t first,
                                       size_t n_items);

/*
 * Puts the blocks for the sorted ITEMS into RET_BLOCKS, which has room for N_ITEMS of them, and
 * returns how many. There is no shorter list. An item that alone exceeds the limit gets a block
 * of its own.
 */
size_t read_plan_make(const struct read_plan_item *items, size_t n_items,
                      const struct read_plan_limits *limits, struct read_plan_block *ret_blocks);

#endif
