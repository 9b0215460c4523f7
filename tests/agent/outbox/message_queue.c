/* Messages in memory: a queue, its bodies, and the small sets beside it. */
#include "agent/outbox/message_queue.h"
#include "agent/outbox/seq_set.h"
#include "agent/outbox/topic_ids.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static void add(struct message_queue *queue, uint64_t seq, size_t length)
{
    char body[5000];
    memset(body, (int)('a' + seq % 26), length);
    const struct queued_message message = {.seq = seq,
                                           .wall_ms = (int64_t)seq * 10,
                                           .timestamp_ms = (int64_t)seq * 11,
                                           .kind = seq % 2 ? OUTBOX_DATA : OUTBOX_EVENT,
                                           .topic = (uint32_t)seq % 3,
                                           .owner = (uint32_t)seq % 5,
                                           .body_length = (uint32_t)length};
    message_queue_add(queue, &message, body);
}

static void check_first(const struct message_queue *queue, uint64_t seq, size_t length)
{
    const struct queued_message *queued_message = message_queue_at(queue, 0);
    CU_ASSERT_EQUAL_FATAL(queued_message->seq, seq);
    CU_ASSERT_EQUAL(queued_message->wall_ms, (int64_t)seq * 10);
    CU_ASSERT_EQUAL(queued_message->timestamp_ms, (int64_t)seq * 11);
    CU_ASSERT_EQUAL(queued_message->kind, seq % 2 ? OUTBOX_DATA : OUTBOX_EVENT);
    CU_ASSERT_EQUAL(queued_message->topic, seq % 3);
    CU_ASSERT_EQUAL(queued_message->owner, seq % 5);
    CU_ASSERT_EQUAL_FATAL(queued_message->body_length, length);
    const char *body = message_queue_body(queue, queued_message);
    for (size_t i = 0; i < length; i++)
        CU_ASSERT_EQUAL(body[i], (char)('a' + seq % 26));
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
    add(&queue, 20, 0); /* an empty body is one, too */
    check_first(&queue, 20, 0);
    message_queue_reset(&queue);
    CU_ASSERT_EQUAL(message_queue_count(&queue), 0);
    message_queue_free(&queue);
}

static void test_topics(void)
{
    struct topic_ids topics = {.texts = NULL};
    char text[32];
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "data/device-%u", i);
        CU_ASSERT_EQUAL(topic_ids_number(&topics, text, strlen(text)), i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "data/device-%u", i);
        CU_ASSERT_EQUAL(topic_ids_number(&topics, text, strlen(text)), i);
        TEST_TEXT_EQUAL(topic_ids_text(&topics, i), text);
    }
    uint32_t part = topic_ids_number(&topics, "data/device-12", 13); /* "data/device-1" */
    CU_ASSERT_EQUAL(part, 1);
    CU_ASSERT_EQUAL(topic_ids_number(&topics, "", 0), 1000);
    TEST_TEXT_EQUAL(topic_ids_text(&topics, 1000), "");
    topic_ids_free(&topics);
}

static void test_runs(void)
{
    static struct seq_set runs;
    for (uint64_t seq = 100; seq < 200; seq++)
        CU_ASSERT_TRUE(seq_set_add(&runs, seq));
    CU_ASSERT_EQUAL(runs.n, 1);
    CU_ASSERT_TRUE(seq_set_add(&runs, 99));  /* before */
    CU_ASSERT_TRUE(seq_set_add(&runs, 150)); /* within */
    CU_ASSERT_EQUAL(runs.n, 1);
    CU_ASSERT_EQUAL(seq_set_count(&runs), 101);
    CU_ASSERT_FALSE(seq_set_contains(&runs, 98));
    CU_ASSERT_TRUE(seq_set_contains(&runs, 99));
    CU_ASSERT_TRUE(seq_set_contains(&runs, 199));
    CU_ASSERT_FALSE(seq_set_contains(&runs, 200));
    for (uint64_t i = 1; i < SEQ_SET_MAX; i++)
        CU_ASSERT_TRUE(seq_set_add(&runs, i * 1000));
    CU_ASSERT_FALSE(seq_set_add(&runs, 5)); /* full: but what adjoins still fits */
    CU_ASSERT_TRUE(seq_set_add(&runs, 1001));
    seq_set_remove_oldest(&runs);
    CU_ASSERT_FALSE(seq_set_contains(&runs, 150));
    CU_ASSERT_TRUE(seq_set_add(&runs, 5));
    seq_set_reset(&runs);
    CU_ASSERT_EQUAL(seq_set_count(&runs), 0);
    seq_set_remove_oldest(&runs); /* nothing to remove */
    CU_ASSERT_EQUAL(runs.n, 0);
}

TEST_MAIN("queue", {"first in, first out, in room that is used again", test_queue},
          {"what is below a number is dropped", test_drop_below},
          {"topics keep their numbers", test_topics}, {"sets of numbers are runs", test_runs})
