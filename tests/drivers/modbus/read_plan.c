/* Tags to requests. */
#include "drivers/modbus/read_plan.h"

#include "drivers/modbus/modbus_request.h"

#include "drivers/driver.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS 200

static const struct read_plan_limits usual = {.max_gap = 8, .max_registers = 120, .max_bits = 1920};
static struct read_plan_block blocks[MAX_ITEMS];

static size_t plan(struct read_plan_item *items, size_t n_items,
                   const struct read_plan_limits *limits)
{
    read_plan_sort(items, n_items);
    return read_plan_make(items, n_items, limits, blocks);
}

static uint32_t end(const struct read_plan_item *item)
{
    return (uint32_t)item->address + item->count;
}

static uint16_t cap(const struct read_plan_limits *limits, uint8_t table)
{
    return table <= MODBUS_DISCRETE ? limits->max_bits : limits->max_registers;
}

/* Whether one request may read exactly the items of SET (bits), which are sorted. */
static bool may_share(const struct read_plan_item *items, size_t n_items, unsigned set,
                      const struct read_plan_limits *limits)
{
    const struct read_plan_item *first = NULL;
    uint32_t reach = 0;
    for (size_t i = 0; i < n_items; i++) {
        if (!(set >> i & 1))
            continue;
        if (first && (items[i].table != first->table || items[i].address > reach + limits->max_gap))
            return false;
        if (!first)
            first = &items[i];
        reach = end(&items[i]) > reach ? end(&items[i]) : reach;
    }
    return reach - first->address <= cap(limits, first->table) || (set & (set - 1)) == 0;
}

/* The least number of requests, by trying every way to group the items. */
static size_t least(const struct read_plan_item *items, size_t n_items, unsigned rest,
                    const struct read_plan_limits *limits)
{
    if (rest == 0)
        return 0;
    unsigned lowest = rest & -rest;
    size_t best = n_items;
    for (unsigned set = rest; set; set = (set - 1) & rest) {
        if (!(set & lowest) || !may_share(items, n_items, set, limits))
            continue;
        size_t others = least(items, n_items, rest & ~set, limits);
        if (others + 1 < best)
            best = others + 1;
    }
    return best;
}

static void random_items(struct read_plan_item *items, size_t n_items, unsigned *seed,
                         unsigned span, unsigned longest, unsigned tables)
{
    memset(items, 0, n_items * sizeof(*items));
    for (size_t i = 0; i < n_items; i++) {
        items[i].table = (uint8_t)(MODBUS_HOLDING - (unsigned)rand_r(seed) % tables);
        items[i].address = (uint16_t)((unsigned)rand_r(seed) % span);
        items[i].count = (uint16_t)(1 + (unsigned)rand_r(seed) % longest);
        items[i].tag = (uint16_t)i;
    }
}

static void test_minimal(void)
{
    unsigned seed = 7;
    for (int round = 0; round < 3000; round++) {
        struct read_plan_item items[7];
        struct read_plan_limits limits = {.max_gap = (uint16_t)(rand_r(&seed) % 6),
                                          .max_registers = (uint16_t)(6 + rand_r(&seed) % 20),
                                          .max_bits = (uint16_t)(6 + rand_r(&seed) % 40)};
        size_t n_items = 1 + (size_t)(rand_r(&seed) % 7);
        random_items(items, n_items, &seed, 60, 6, 3);
        size_t n_blocks = plan(items, n_items, &limits);
        CU_ASSERT_EQUAL(n_blocks, least(items, n_items, (1U << n_items) - 1, &limits));
    }
}

static void test_properties(void)
{
    unsigned seed = 11;
    for (int round = 0; round < 300; round++) {
        struct read_plan_item items[MAX_ITEMS];
        struct read_plan_limits limits = usual;
        limits.max_gap = (uint16_t)(rand_r(&seed) % 20);
        size_t n_items = 1 + (size_t)(rand_r(&seed) % MAX_ITEMS);
        random_items(items, n_items, &seed, 2000, round % 2 ? 4 : 120, 4);
        size_t n_blocks = plan(items, n_items, &limits), next = 0;
        for (size_t b = 0; b < n_blocks; b++) {
            CU_ASSERT_EQUAL(blocks[b].first, next); /* each item in exactly one block */
            CU_ASSERT_TRUE(blocks[b].count <= cap(&limits, blocks[b].table));
            uint32_t reach = blocks[b].address;
            for (size_t i = next; i < next + blocks[b].n_items; i++) {
                CU_ASSERT_EQUAL(items[i].table, blocks[b].table);
                CU_ASSERT_TRUE(items[i].address >= blocks[b].address);
                CU_ASSERT_TRUE(end(&items[i]) <= (uint32_t)blocks[b].address + blocks[b].count);
                CU_ASSERT_TRUE(items[i].address <= reach + limits.max_gap);
                reach = end(&items[i]) > reach ? end(&items[i]) : reach;
            }
            CU_ASSERT_EQUAL(reach, (uint32_t)blocks[b].address + blocks[b].count);
            next += blocks[b].n_items;
        }
        CU_ASSERT_EQUAL(next, n_items);
    }
}

static void test_edges(void)
{
    struct read_plan_item gap[] = {{.table = MODBUS_HOLDING, .address = 0, .count = 2},
                                   {.table = MODBUS_HOLDING, .address = 10, .count = 1}};
    CU_ASSERT_EQUAL(plan(gap, 2, &usual), 1); /* 8 unused ones between them */
    CU_ASSERT_EQUAL(blocks[0].count, 11);
    gap[1].address = 11;
    CU_ASSERT_EQUAL(plan(gap, 2, &usual), 2);
    struct read_plan_item last[] = {{.table = MODBUS_INPUT, .address = 65535, .count = 1},
                                    {.table = MODBUS_INPUT, .address = 65530, .count = 4}};
    CU_ASSERT_EQUAL(plan(last, 2, &usual), 1);
    CU_ASSERT_EQUAL(blocks[0].address, 65530);
    CU_ASSERT_EQUAL(blocks[0].count, 6);
    struct read_plan_item full[] = {{.table = MODBUS_INPUT, .address = 0, .count = 60},
                                    {.table = MODBUS_INPUT, .address = 60, .count = 60}};
    CU_ASSERT_EQUAL(plan(full, 2, &usual), 1);
    full[1].count = 61; /* a value is never divided */
    CU_ASSERT_EQUAL(plan(full, 2, &usual), 2);
    CU_ASSERT_EQUAL(blocks[1].count, 61);
}

static void test_apart(void)
{
    struct read_plan_item items[4];
    memset(items, 0, sizeof(items));
    for (uint16_t i = 0; i < 4; i++)
        items[i] = (struct read_plan_item){.table = MODBUS_HOLDING, .address = i, .count = 1};
    items[1].apart = items[2].apart = true;
    CU_ASSERT_EQUAL(plan(items, 4, &usual), 3);
    CU_ASSERT_EQUAL(blocks[1].n_items, 1);
    CU_ASSERT_EQUAL(blocks[2].n_items, 2);
}

static void test_thousand(void)
{
    static struct read_plan_item items[MAX_ITEMS];
    for (uint16_t i = 0; i < MAX_ITEMS; i++) /* float32 tags in a row, given backwards */
        items[i] = (struct read_plan_item){
            .table = MODBUS_HOLDING, .address = (uint16_t)(2 * (MAX_ITEMS - 1 - i)), .count = 2};
    CU_ASSERT_EQUAL(plan(items, MAX_ITEMS, &usual), 4); /* 400 registers, 120 at a time */
}

TEST_MAIN("plan", {"no grouping of the tags takes fewer requests", test_minimal},
          {"every tag is covered once, within gap and limit", test_properties},
          {"gaps and limits are met exactly", test_edges},
          {"what has to stay apart is never merged", test_apart},
          {"a long row of values takes as few requests as it can", test_thousand})
