/* Messages in memory: a queue and its bodies. */
#include "agent/outbox/message_queue.h"
#include "tests/support/test.h"

#include <string.h>

static const char *const topics[] = {"data/boiler", "data/pump", "event"};

static void add(struct message_queue *queue, uint64_t seq, size_t length)
{
    char body[5000];
    memset(body, (int)('a' + seq % 26), length);
    const struct stored_message message = {
        .seq = seq,
        .wall_ms = (int64_t)seq * 10,
        .topic = topics[seq % 3],
        .topic_length = strlen(topics[seq % 3]),
        .facts = {seq % 2 ? OUTBOX_DATA : OUTBOX_EVENT, topics[seq % 3], (int64_t)seq * 11},
        .body = body,
        .body_length = length};
    message_queue_add(queue, &message);
}

static void check_first(const struct message_queue *queue, uint64_t seq, size_t length)
{
    struct stored_message message = message_queue_at(queue, 0);
    CU_ASSERT_EQUAL_FATAL(message.seq, seq);
    CU_ASSERT_EQUAL(message_queue_seq(queue, 0, UINT64_MAX), seq);
    CU_ASSERT_EQUAL(message.wall_ms, (int64_t)seq * 10);
    CU_ASSERT_EQUAL(message.facts.timestamp_ms, (int64_t)seq * 11);
    CU_ASSERT_EQUAL(message.facts.kind, seq % 2 ? OUTBOX_DATA : OUTBOX_EVENT);
    CU_ASSERT_PTR_EQUAL(message.facts.owner, topics[seq % 3]);
    CU_ASSERT_PTR_EQUAL(message.topic, topics[seq % 3]); /* the same text, not a copy */
    CU_ASSERT_EQUAL(message.topic_length, strlen(topics[seq % 3]));
    CU_ASSERT_EQUAL_FATAL(message.body_length, length);
    CU_ASSERT_PTR_NOT_NULL_FATAL(message.body);
    for (size_t i = 0; i < length; i++)
        CU_ASSERT_EQUAL(((const char *)message.body)[i], (char)('a' + seq % 26));
}

static void test_queue(void)
{
    struct message_queue queue = {.entries = NULL};
    uint64_t in = 1, out = 1;
    for (int i = 0; i < 2000; i++) {
        for (int n = 0; n < 1 + i % 5; n++, in++)
            add(&queue, in, in * 37 % 3000);
        for (int n = 0; n < 1 + i % 7 && out < in; n++, out++) {
            check_first(&queue, out, out * 37 % 3000);
            message_queue_drop(&queue, 1);
        }
        CU_ASSERT_EQUAL(message_queue_count(&queue), in - out);
    }
    CU_ASSERT(queue.room <= 64); /* room is used again */
    CU_ASSERT(queue.bodies.capacity <= 1 << 18);
    message_queue_free(&queue);
}

static void test_drop_below(void)
{
    struct message_queue queue = {.entries = NULL};
    for (uint64_t seq = 10; seq < 20; seq++)
        add(&queue, seq, 10);
    message_queue_drop_below(&queue, 5);
    CU_ASSERT_EQUAL(message_queue_count(&queue), 10);
    message_queue_drop_below(&queue, 15);
    check_first(&queue, 15, 10);
    CU_ASSERT_EQUAL(message_queue_count(&queue), 5);
    message_queue_drop_below(&queue, 100);
    CU_ASSERT_EQUAL(message_queue_count(&queue), 0);
    CU_ASSERT_EQUAL(message_queue_bytes(&queue), 0);
    CU_ASSERT_EQUAL(message_queue_seq(&queue, 0, 77), 77); /* no message: the limit */
    add(&queue, 20, 0);                                    /* an empty body is one, too */
    check_first(&queue, 20, 0);
    message_queue_reset(&queue);
    CU_ASSERT_EQUAL(message_queue_count(&queue), 0);
    message_queue_free(&queue);
}

TEST_MAIN("message_queue", {"first in, first out, in room that is used again", test_queue},
          {"what is below a number is dropped", test_drop_below})
