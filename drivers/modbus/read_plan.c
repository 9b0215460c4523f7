/* Tags to a minimal list of requests. Pure. */
#include "drivers/modbus/read_plan.h"

#include "drivers/modbus/modbus_request.h"

#include <assert.h>
#include <stdlib.h>

static uint32_t end_of(uint16_t address, uint16_t count)
{
    return (uint32_t)address + count; /* up to 65536 */
}

static int read_plan_compare(const void *a, const void *b)
{
    const struct read_plan_item *left = a, *right = b;
    if (left->table != right->table)
        return left->table < right->table ? -1 : 1;
    if (left->address != right->address)
        return left->address < right->address ? -1 : 1;
    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return (left->tag > right->tag) - (left->tag < right->tag);
}

void read_plan_sort(struct read_plan_item *items, size_t n_items)
{
    qsort(items, n_items, sizeof(*items), read_plan_compare);
}

static void read_plan_extend(struct read_plan_block *block, const struct read_plan_item *item)
{
    uint32_t end = end_of(block->address, block->count);
    if (end_of(item->address, item->count) > end)
        end = end_of(item->address, item->count);
    block->count = (uint16_t)(end - block->address);
    block->n_items++;
}

static struct read_plan_block read_plan_begin(const struct read_plan_item *items, size_t at)
{
    return (struct read_plan_block){.table = items[at].table,
                                    .address = items[at].address,
                                    .count = items[at].count,
                                    .first = at,
                                    .n_items = 1};
}

struct read_plan_block read_plan_cover(const struct read_plan_item *items, size_t first,
                                       size_t n_items)
{
    assert(n_items > 0);
    struct read_plan_block block = read_plan_begin(items, first);
    for (size_t i = first + 1; i < first + n_items; i++) {
        assert(items[i].table == block.table && items[i].address >= block.address);
        read_plan_extend(&block, &items[i]);
    }
    return block;
}

static bool fits(const struct read_plan_block *block, const struct read_plan_item *item,
                 const struct read_plan_limits *limits)
{
    if (item->apart || item->table != block->table)
        return false;
    if (item->address > end_of(block->address, block->count) + limits->max_gap)
        return false;
    uint16_t cap = modbus_table_is_bits(item->table) ? limits->max_bits : limits->max_registers;
    return end_of(item->address, item->count) - block->address <= cap;
}

/*
 * Taking each item into the open block whenever it fits gives the shortest list. A block has to
 * begin at the first item that is not covered yet. An item that does not fit for its gap ends
 * every block that begins there. One that does not fit for its length reaches beyond all that the
 * block covers, so that later items which would have fitted lie within it and cost nothing.
 */
size_t read_plan_make(const struct read_plan_item *items, size_t n_items,
                      const struct read_plan_limits *limits, struct read_plan_block *ret_blocks)
{
    size_t n_blocks = 0;
    for (size_t i = 0; i < n_items; i++) {
        if (n_blocks > 0 && fits(&ret_blocks[n_blocks - 1], &items[i], limits))
            read_plan_extend(&ret_blocks[n_blocks - 1], &items[i]);
        else
            ret_blocks[n_blocks++] = read_plan_begin(items, i);
    }
    return n_blocks;
}
