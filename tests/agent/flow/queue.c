/* The ring between the line workers and the main loop. */
#include "agent/flow/queue.h"

#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#define WRITERS 4
#define BATCHES 5000

static size_t make_batch(union slot *slots, uint16_t owner, size_t n_samples, uint64_t number)
{
    struct batch batch = {.slots = slots, .capacity = 64, .used = 0};
    batch_begin(&batch, owner);
    for (size_t i = 0; i < n_samples; i++)
        batch_put_u64(&batch, (uint16_t)i, number);
    batch_end(&batch, 0);
    return batch.used;
}

static bool readable(const struct queue *queue)
{
    struct pollfd wait = {.fd = queue_descriptor(queue), .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void test_whole_or_not(void)
{
    struct queue *queue = queue_new(1);
    union slot slots[64], got[1024];
    size_t taken = 0;
    while (queue_push(queue, slots, make_batch(slots, 1, 9, taken)))
        taken++;
    CU_ASSERT_EQUAL(taken, 102); /* 102 x 10 slots of 1024 */
    CU_ASSERT_EQUAL(queue_refused(queue), 1);
    CU_ASSERT_TRUE(queue_push(queue, slots, make_batch(slots, 1, 3, 7))); /* 4 slots still fit */
    for (size_t i = 0; i < taken; i++) {
        CU_ASSERT_EQUAL_FATAL(queue_pop(queue, got, 1024), 10);
        CU_ASSERT_EQUAL(got[9].sample.value.u64, i);
    }
    CU_ASSERT_EQUAL(queue_pop(queue, got, 1024), 4);
    CU_ASSERT_EQUAL(queue_pop(queue, got, 1024), 0);
    queue_free(queue);
}

static void test_descriptor(void)
{
    struct queue *queue = queue_new(1);
    union slot slots[64], got[1024];
    CU_ASSERT_FALSE(readable(queue));
    queue_push(queue, slots, make_batch(slots, 1, 1, 1));
    CU_ASSERT_TRUE(readable(queue));
    queue_acknowledge(queue);
    CU_ASSERT_FALSE(readable(queue));
    queue_push(queue, slots, make_batch(slots, 1, 1, 2)); /* one more, although one still waits */
    CU_ASSERT_TRUE(readable(queue));
    CU_ASSERT_EQUAL(queue_pop(queue, got, 1024), 2);
    CU_ASSERT_EQUAL(queue_pop(queue, got, 1024), 2);
    queue_free(queue);
}

struct writer {
    struct queue *queue;
    uint16_t owner;
};

static void *write_all(void *argument)
{
    const struct writer *writer = argument;
    union slot slots[64];
    for (uint64_t i = 0; i < BATCHES; i++) {
        size_t n_slots = make_batch(slots, writer->owner, 1 + i % 40, i);
        while (!queue_push(writer->queue, slots, n_slots))
            sched_yield();
    }
    return NULL;
}

static void test_many_writers(void)
{
    struct queue *queue = queue_new(1);
    union slot *got = memory_zeroed(queue_capacity(queue), sizeof(*got));
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint64_t next[WRITERS] = {0};
    for (uint16_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){queue, i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    size_t total = 0;
    while (total < WRITERS * BATCHES) {
        struct pollfd wait = {.fd = queue_descriptor(queue), .events = POLLIN};
        CU_ASSERT_EQUAL_FATAL(poll(&wait, 1, 10000), 1); /* a lost wake-up ends here */
        queue_acknowledge(queue);
        size_t n_slots;
        while ((n_slots = queue_pop(queue, got, queue_capacity(queue))) > 0) {
            uint16_t owner = got[0].header.owner;
            CU_ASSERT_EQUAL_FATAL(got[1].sample.value.u64, next[owner]);
            CU_ASSERT_EQUAL_FATAL(got[n_slots - 1].sample.value.u64, next[owner]);
            next[owner]++;
            total++;
        }
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    free(got);
    queue_free(queue);
}

/* Grows while it is wrapped around its end: nothing is lost, the order stays. */
static void test_grow(void)
{
    struct queue *queue = queue_new(1);
    union slot slots[64], got[4096];
    uint64_t in = 0, out = 0;
    while (queue_push(queue, slots, make_batch(slots, 1, 9, in)))
        in++;
    for (; out < 60; out++)
        CU_ASSERT_EQUAL_FATAL(queue_pop(queue, got, 4096), 10);
    for (int i = 0; i < 50; i++)
        CU_ASSERT_TRUE(queue_push(queue, slots, make_batch(slots, 1, 9, in++)));
    queue_grow(queue, 3000);
    CU_ASSERT_EQUAL(queue_capacity(queue), 4096);
    queue_grow(queue, 10); /* never smaller */
    CU_ASSERT_EQUAL(queue_capacity(queue), 4096);
    while (queue_push(queue, slots, make_batch(slots, 1, 9, in)))
        in++;
    CU_ASSERT_TRUE(in - out > 400);
    for (; out < in; out++) {
        CU_ASSERT_EQUAL_FATAL(queue_pop(queue, got, 4096), 10);
        CU_ASSERT_EQUAL(got[9].sample.value.u64, out);
    }
    CU_ASSERT_EQUAL(queue_pop(queue, got, 4096), 0);
    queue_free(queue);
}

TEST_MAIN("queue",
          {"a batch goes in whole or not at all, and refusals are counted", test_whole_or_not},
          {"the descriptor is readable exactly while there is news", test_descriptor},
          {"four writers: nothing lost, nothing mixed, each in order", test_many_writers},
          {"it grows with what waits in it", test_grow})
