/* The ring between the threads of the MQTT client and the main loop. */
#include "agent/uplink/uplink_ring.h"

#include "agent/base/memory.h"
#include "tests/support/test.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static bool readable(const struct uplink_ring *ring)
{
    struct pollfd wait = {.fd = uplink_ring_descriptor(ring), .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

/* A timer that is due fires soon, not at once. */
static bool becomes_readable(const struct uplink_ring *ring)
{
    struct pollfd wait = {.fd = uplink_ring_descriptor(ring), .events = POLLIN};
    return poll(&wait, 1, 10000) == 1;
}

static void push(struct uplink_ring *ring, enum uplink_event_kind kind, int code)
{
    struct uplink_event event = {.kind = kind, .code = code};
    if (kind == UPLINK_EVENT_MESSAGE)
        event.topic = memory_text("topic"); /* the ring owns it, taken or dropped */
    uplink_ring_push(ring, &event);
}

static void flood(size_t max_messages)
{
    struct uplink_ring *ring = uplink_ring_new(10, max_messages, 1);
    struct uplink_event event;
    for (int i = 0; i < 1000; i++)
        push(ring, UPLINK_EVENT_MESSAGE, i);
    for (int i = 0; i < 10; i++)
        push(ring, UPLINK_EVENT_DELIVERED, i);
    push(ring, UPLINK_EVENT_LOST, 0);
    uint64_t dropped = uplink_ring_take_dropped(ring);
    CU_ASSERT_EQUAL(dropped, 1000 - max_messages);
    CU_ASSERT_EQUAL(uplink_ring_take_dropped(ring), 0);
    uint64_t messages = 0, delivered = 0, lost = 0;
    while (uplink_ring_pop(ring, &event)) {
        messages += event.kind == UPLINK_EVENT_MESSAGE;
        delivered += event.kind == UPLINK_EVENT_DELIVERED;
        lost += event.kind == UPLINK_EVENT_LOST;
        free(event.topic);
    }
    CU_ASSERT_EQUAL(messages + dropped, 1000);
    CU_ASSERT_EQUAL(delivered, 10); /* a whole window of acknowledgements fits beside a flood */
    CU_ASSERT_EQUAL(lost, 1);
    uplink_ring_free(ring);
}

static void test_flood(void)
{
    flood(32);
    flood(900);
}

static void test_reserve(void)
{
    struct uplink_ring *ring = uplink_ring_new(4, 32, 1);
    struct uplink_event event, last = {0};
    for (int i = 0; i < 1000; i++) /* acknowledgements of what we never sent */
        push(ring, UPLINK_EVENT_DELIVERED, i);
    push(ring, UPLINK_EVENT_LOST, 7);
    while (uplink_ring_pop(ring, &event))
        last = event;
    CU_ASSERT_EQUAL(last.kind, UPLINK_EVENT_LOST); /* and in order */
    CU_ASSERT_EQUAL(last.code, 7);
    push(ring, UPLINK_EVENT_MESSAGE, 0);
    uplink_ring_free(ring); /* with what is still in it */
}

static void test_descriptor(void)
{
    struct uplink_ring *ring = uplink_ring_new(4, 32, 1);
    struct uplink_event event;
    CU_ASSERT_FALSE(readable(ring));
    CU_ASSERT_FALSE(uplink_ring_pop(ring, &event));
    push(ring, UPLINK_EVENT_LOGIN, 0);
    push(ring, UPLINK_EVENT_LOGIN, 0);
    CU_ASSERT_TRUE(becomes_readable(ring));
    uplink_ring_acknowledge(ring);
    CU_ASSERT_FALSE(readable(ring));
    push(ring, UPLINK_EVENT_LOGIN, 0);
    CU_ASSERT_TRUE(becomes_readable(ring));
    uplink_ring_free(ring);
}

static void test_patience(void)
{
    struct uplink_ring *ring = uplink_ring_new(100, 32, 3);
    struct uplink_event event;
    CU_ASSERT_TRUE(uplink_ring_is_empty(ring));
    push(ring, UPLINK_EVENT_DELIVERED, 1);
    CU_ASSERT_FALSE(uplink_ring_is_empty(ring)); /* for a reader that passes by */
    CU_ASSERT_TRUE(becomes_readable(ring));      /* but nobody has to */
    uplink_ring_acknowledge(ring);
    CU_ASSERT_TRUE(uplink_ring_pop(ring, &event));
    push(ring, UPLINK_EVENT_DELIVERED, 2);
    uplink_ring_hurry(ring);
    CU_ASSERT_TRUE(becomes_readable(ring));
    uplink_ring_acknowledge(ring);
    CU_ASSERT_TRUE(uplink_ring_pop(ring, &event));
    uplink_ring_wake(uplink_ring_descriptor(ring));
    CU_ASSERT_TRUE(becomes_readable(ring));
    uplink_ring_free(ring);
}

#define WRITERS 3
#define EVENTS 4000

static void *write_all(void *context)
{
    struct uplink_ring *ring = context;
    for (int i = 0; i < EVENTS; i++) {
        push(ring, UPLINK_EVENT_DELIVERED, i);
        sched_yield();
    }
    return NULL;
}

static void test_threads(void)
{
    struct uplink_ring *ring = uplink_ring_new((size_t)WRITERS * EVENTS, 32, 50);
    struct uplink_event event;
    pthread_t threads[WRITERS];
    for (size_t i = 0; i < WRITERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, write_all, ring), 0);
    int got = 0;
    while (got < WRITERS * EVENTS) {
        struct pollfd wait = {.fd = uplink_ring_descriptor(ring), .events = POLLIN};
        CU_ASSERT_EQUAL_FATAL(poll(&wait, 1, 30000), 1); /* a lost wake-up ends here */
        uplink_ring_acknowledge(ring);
        while (uplink_ring_pop(ring, &event))
            got++;
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(uplink_ring_take_dropped(ring), 0);
    uplink_ring_free(ring);
}

/* Other settings: what was in the ring is of no use any more, and must not leak. */
static void test_resize(void)
{
    struct uplink_ring *ring = uplink_ring_new(2, 1, 1);
    struct uplink_event event = {.kind = UPLINK_EVENT_MESSAGE, .topic = memory_text("t")};
    int descriptor = uplink_ring_descriptor(ring);
    uplink_ring_push(ring, &event);
    push(ring, UPLINK_EVENT_DELIVERED, 1);
    uplink_ring_resize(ring, 100, 3, 1);
    CU_ASSERT_TRUE(uplink_ring_is_empty(ring));
    CU_ASSERT_EQUAL(uplink_ring_descriptor(ring), descriptor);
    for (int i = 0; i < 100; i++)
        push(ring, UPLINK_EVENT_DELIVERED, i);
    for (int i = 0; i < 4; i++) {
        event.topic = memory_text("t");
        uplink_ring_push(ring, &event);
    }
    CU_ASSERT_EQUAL(uplink_ring_take_dropped(ring), 1); /* the fourth message */
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_TRUE(uplink_ring_pop(ring, &event));
        CU_ASSERT_EQUAL(event.code, i);
    }
    uplink_ring_free(ring); /* with three messages in it */
}

static void push_on(struct uplink_ring *ring, const char *topic, size_t length, int code)
{
    const struct uplink_event event = {
        .kind = UPLINK_EVENT_MESSAGE, .code = code, .length = length, .topic = memory_text(topic)};
    uplink_ring_push(ring, &event);
}

/* Pops all, of the crowd or of the rest; returns how many, with the code of the last. */
static size_t drain(struct uplink_ring *ring,
                    bool (*pop)(struct uplink_ring *ring, struct uplink_event *ret_event),
                    int *ret_last)
{
    struct uplink_event event;
    size_t n = 0;
    for (; pop(ring, &event); n++) {
        *ret_last = event.code;
        free(event.topic);
    }
    return n;
}

/* Neither pushes the other out, and what one of them has is bounded by number and by length. */
static void test_crowd(void)
{
    struct uplink_ring *ring = uplink_ring_new(10, 3, 1);
    int last = -1;
    CU_ASSERT_EQUAL(uplink_ring_longest(ring, "crowd", 100), 100);
    uplink_ring_set_crowd(ring, "crowd", 10);
    CU_ASSERT_EQUAL(uplink_ring_longest(ring, "crowd", 100), 10);
    CU_ASSERT_EQUAL(uplink_ring_longest(ring, "crowds", 100), 100);
    for (int i = 0; i < 2 * UPLINK_RING_CROWD; i++)
        push_on(ring, "crowd", 10, i);
    for (int i = 0; i < 5; i++)
        push_on(ring, "else", 10, i);
    push(ring, UPLINK_EVENT_DELIVERED, 7);
    CU_ASSERT_EQUAL(uplink_ring_take_dropped(ring), UPLINK_RING_CROWD + 2);
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop, &last), 4);
    CU_ASSERT_EQUAL(last, 7);
    CU_ASSERT_FALSE(uplink_ring_is_empty(ring));
    push_on(ring, "else", 10, 8); /* a crowd that waits takes no place of others */
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop, &last), 1);
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop_crowd, &last), UPLINK_RING_CROWD);
    CU_ASSERT_EQUAL(last, UPLINK_RING_CROWD - 1);
    CU_ASSERT_TRUE(uplink_ring_is_empty(ring));
    for (int i = 0; i < 3; i++)
        push_on(ring, "else", 10, i);
    push_on(ring, "crowd", 10, 9); /* nor they one of the crowd's */
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop_crowd, &last), 1);
    CU_ASSERT_EQUAL(uplink_ring_take_dropped(ring), 0);
    uplink_ring_free(ring);
}

static void test_crowd_bytes(void)
{
    struct uplink_ring *ring = uplink_ring_new(10, 3, 1);
    int last = -1;
    uplink_ring_set_crowd(ring, "crowd", 100000);
    for (size_t round = 0; round < 2; round++) { /* what has gone does not count */
        push_on(ring, "crowd", UPLINK_RING_CROWD_BYTES - 100, 1);
        push_on(ring, "crowd", 101, 2);
        push_on(ring, "crowd", 100, 3);
        push_on(ring, "crowd", 1, 4);
        CU_ASSERT_EQUAL(uplink_ring_take_dropped(ring), 2);
        CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop_crowd, &last), 2);
        CU_ASSERT_EQUAL(last, 3);
    }
    push_on(ring, "crowd", 1, 1);
    uplink_ring_set_crowd(ring, "other", 10); /* what waits is still there */
    push_on(ring, "crowd", 1, 2);
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop, &last), 1);
    CU_ASSERT_EQUAL(last, 2);
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop_crowd, &last), 1);
    push_on(ring, "other", 1, 3);
    uplink_ring_resize(ring, 20, 5, 1);
    CU_ASSERT_TRUE(uplink_ring_is_empty(ring));
    uplink_ring_set_crowd(ring, NULL, 0);
    push_on(ring, "other", 1, 4);
    CU_ASSERT_FALSE(uplink_ring_pop_crowd(ring, &(struct uplink_event){.code = 0}));
    CU_ASSERT_EQUAL(drain(ring, uplink_ring_pop, &last), 1);
    uplink_ring_set_crowd(ring, "other", 10);
    push_on(ring, "other", 1, 5);
    CU_ASSERT_TRUE(becomes_readable(ring));
    uplink_ring_free(ring); /* with what waits */
}

TEST_MAIN("uplink_ring", {"a crowd has a lane of its own", test_crowd},
          {"with bounds of its own", test_crowd_bytes},
          {"a flood of messages leaves room for what matters", test_flood},
          {"the end of a session always finds room", test_reserve},
          {"the descriptor is readable exactly while there is news", test_descriptor},
          {"acknowledgements may wait a little, and are never forgotten", test_patience},
          {"other sizes", test_resize}, {"three writers: nothing is lost", test_threads})
