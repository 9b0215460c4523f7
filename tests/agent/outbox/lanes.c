/* What may be handed out, in which order, and for how long it may wait. The tiers are fakes. */
#include "agent/outbox/lanes.h"

#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
    struct numbers numbers;
    uint64_t dropped, dropped_below;
    uint64_t stored_first, stored_below; /* what a tier holds */
    size_t n_reads;
    int read_error; /* after what is stored */
} fake;

struct tiers_state tiers_state(const struct tiers *tiers)
{
    (void)tiers;
    return (struct tiers_state){
        .numbers = &fake.numbers, .dropped = fake.dropped, .dropped_below = fake.dropped_below};
}

static struct stored_message message_of(uint64_t seq)
{
    static char body[32];
    (void)snprintf(body, sizeof(body), "<%llu>", (unsigned long long)seq);
    return (struct stored_message){.seq = seq,
                                   .topic = "data/x",
                                   .topic_length = 6,
                                   .facts = {OUTBOX_DATA, "x", (int64_t)seq},
                                   .body = body,
                                   .body_length = strlen(body)};
}

int tiers_read(struct tiers *tiers, uint64_t from, uint64_t below, store_visit *visit,
               void *context)
{
    (void)tiers;
    fake.n_reads++;
    for (uint64_t seq = fake.stored_first; seq < fake.stored_below && seq < below; seq++) {
        struct stored_message message = message_of(seq);
        if (seq >= from && !visit(context, &message))
            return 0;
    }
    return fake.read_error;
}

uint64_t tiers_first_live(const struct tiers *tiers, uint64_t from, uint64_t limit)
{
    (void)tiers;
    uint64_t first = from > fake.stored_first ? from : fake.stored_first;
    return first < fake.stored_below && first < limit ? first : limit;
}

static struct lanes *begin(uint64_t next_seq)
{
    memset(&fake, 0, sizeof(fake));
    fake.numbers.next_seq = fake.numbers.committed_below = next_seq;
    fake.numbers.boundary = 1;
    fake.numbers.reserved_below = SEQ_LIMIT;
    return lanes_new(2000);
}

static void add(struct lanes *lanes, size_t n, int64_t now_ms)
{
    for (size_t i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(lanes_find_room(lanes, NULL, 10), LANES_ROOM_FREE);
        struct stored_message message = message_of(fake.numbers.next_seq++);
        lanes_add(lanes, &message, now_ms);
    }
}

static void commit(struct lanes *lanes)
{
    fake.numbers.committed_below = fake.stored_below = fake.numbers.next_seq;
    lanes_follow(lanes, NULL);
}

typedef bool lane(struct lanes *lanes, struct tiers *tiers, struct stored_message *ret_message);

static void expect(struct lanes *lanes, lane *next, uint64_t first, uint64_t last)
{
    struct stored_message message;
    for (uint64_t seq = first; seq <= last; seq++) {
        CU_ASSERT_TRUE_FATAL(next(lanes, NULL, &message));
        CU_ASSERT_EQUAL_FATAL(message.seq, seq);
        TEST_TEXT_EQUAL(message.topic, "data/x");
        TEST_TEXT_EQUAL(message.facts.owner, "x");
        CU_ASSERT_EQUAL(message.facts.timestamp_ms, (int64_t)seq);
        struct stored_message expected = message_of(seq);
        CU_ASSERT(message.body_length == expected.body_length &&
                  memcmp(message.body, expected.body, expected.body_length) == 0);
    }
    CU_ASSERT_FALSE(next(lanes, NULL, &message));
}

static void test_live_from_memory(void)
{
    struct lanes *lanes = begin(1);
    lanes_link_up(lanes, 1);
    add(lanes, 5, 1000);
    expect(lanes, lanes_next_live, 1, 0); /* not committed */
    commit(lanes);
    expect(lanes, lanes_next_live, 1, 5);
    CU_ASSERT_EQUAL(fake.n_reads, 0);
    CU_ASSERT_EQUAL(lanes_link_down(lanes), 6); /* all of them were handed out */
    lanes_free(lanes);
}

/* More than memory holds: what is committed is read back, in order. */
static void test_live_from_a_tier(void)
{
    struct lanes *lanes = begin(1);
    lanes_link_up(lanes, 1);
    fake.stored_first = 1;
    for (int i = 0; i < 10; i++) {
        add(lanes, 40, 1000);
        commit(lanes);
    }
    CU_ASSERT(message_queue_count(lanes_memory(lanes)) <= 128);
    expect(lanes, lanes_next_live, 1, 400);
    CU_ASSERT(fake.n_reads > 0);
    lanes_free(lanes);
}

static void test_backlog(void)
{
    struct lanes *lanes = begin(101);
    struct stored_message message;
    fake.stored_first = 1;
    fake.stored_below = 101;
    lanes_link_up(lanes, 101);
    expect(lanes, lanes_next_backlog, 1, 100);
    size_t reads = fake.n_reads;
    CU_ASSERT_FALSE(lanes_next_backlog(lanes, NULL, &message)); /* done: nothing is read again */
    CU_ASSERT_EQUAL(fake.n_reads, reads);
    (void)lanes_link_down(lanes);
    lanes_link_up(lanes, 101); /* all of it once more */
    expect(lanes, lanes_next_backlog, 1, 100);
    lanes_free(lanes);
}

/* What was dropped is not handed out, although it was read ahead. */
static void test_dropped(void)
{
    struct lanes *lanes = begin(101);
    struct stored_message message;
    fake.stored_first = 1;
    fake.stored_below = 101;
    lanes_link_up(lanes, 101);
    CU_ASSERT_TRUE(lanes_next_backlog(lanes, NULL, &message));
    fake.stored_first = fake.dropped_below = 31;
    fake.dropped = 30;
    lanes_follow(lanes, NULL);
    expect(lanes, lanes_next_backlog, 31, 100);
    lanes_free(lanes);
}

static void test_room(void)
{
    struct lanes *lanes = begin(1);
    size_t taken = 0;
    enum lanes_room room;
    while ((room = lanes_find_room(lanes, NULL, 10)) != LANES_ROOM_NONE) {
        CU_ASSERT_EQUAL(room, taken < 128 ? LANES_ROOM_FREE : LANES_ROOM_LITTLE);
        struct stored_message message = message_of(fake.numbers.next_seq++);
        lanes_add(lanes, &message, 1000);
        taken++;
    }
    CU_ASSERT_EQUAL(taken, 1024);
    commit(lanes);
    CU_ASSERT_EQUAL(lanes_find_room(lanes, NULL, 10), LANES_ROOM_FREE);
    CU_ASSERT_EQUAL(lanes_find_room(lanes, NULL, (size_t)5 << 20), LANES_ROOM_NONE);
    lanes_free(lanes);
}

/* Two seconds after it was taken, what is not acknowledged is due, and what is half as old too. */
static void test_spill(void)
{
    struct lanes *lanes = begin(1);
    lanes_link_up(lanes, 1);
    CU_ASSERT_EQUAL(lanes_spill_at_ms(lanes), INT64_MAX);
    fake.stored_first = 1;
    add(lanes, 3, 1000);
    commit(lanes);
    CU_ASSERT_EQUAL(lanes_spill_at_ms(lanes), 3000);
    add(lanes, 3, 1900);
    commit(lanes);
    add(lanes, 3, 2500);
    commit(lanes);
    CU_ASSERT_EQUAL(lanes_spill_below(lanes, NULL, 2999), 0);
    CU_ASSERT_EQUAL(lanes_spill_below(lanes, NULL, 3000), 7); /* 1 to 6 */
    fake.numbers.boundary = fake.stored_first = 7;            /* they are on disk */
    CU_ASSERT_EQUAL(lanes_spill_below(lanes, NULL, 3001), 0);
    CU_ASSERT_EQUAL(lanes_spill_at_ms(lanes), 4500);
    fake.stored_first = 10; /* the rest is acknowledged */
    CU_ASSERT_EQUAL(lanes_spill_below(lanes, NULL, 4500), 0);
    CU_ASSERT_EQUAL(lanes_spill_at_ms(lanes), INT64_MAX);
    lanes_free(lanes);
}

/* What was found at start has no age, and what went to disk at once waits for nothing. */
static void test_no_mark(void)
{
    struct lanes *lanes = begin(12);
    lanes_follow(lanes, NULL);
    CU_ASSERT_EQUAL(lanes_spill_at_ms(lanes), INT64_MAX);
    add(lanes, 3, 1000);
    fake.numbers.boundary = fake.numbers.next_seq;
    commit(lanes);
    CU_ASSERT_EQUAL(lanes_spill_at_ms(lanes), INT64_MAX);
    lanes_free(lanes);
}

/* Not handed out before its number is reserved on disk; nothing is skipped meanwhile. */
static void test_waits_for_reservation(void)
{
    struct stored_message message;
    struct lanes *lanes = begin(1);
    lanes_link_up(lanes, 3); /* 1 and 2 are backlog */
    fake.stored_first = 1;
    fake.stored_below = 3;
    fake.numbers.reserved_below = 2;
    add(lanes, 4, 1000);
    commit(lanes);
    CU_ASSERT_FALSE(lanes_next_live(lanes, NULL, &message));
    CU_ASSERT_TRUE(lanes_next_backlog(lanes, NULL, &message) && message.seq == 1);
    CU_ASSERT_FALSE(lanes_next_backlog(lanes, NULL, &message));
    fake.numbers.reserved_below = 4;
    CU_ASSERT_TRUE(lanes_next_backlog(lanes, NULL, &message) && message.seq == 2);
    CU_ASSERT_TRUE(lanes_next_live(lanes, NULL, &message) && message.seq == 3);
    CU_ASSERT_FALSE(lanes_next_live(lanes, NULL, &message));
    fake.numbers.reserved_below = SEQ_LIMIT;
    CU_ASSERT_TRUE(lanes_next_live(lanes, NULL, &message) && message.seq == 4);
    lanes_free(lanes);
}

/* A tier that cannot be read for a while: its messages come later, and in order. */
static void test_unreadable_for_a_while(void)
{
    struct stored_message message;
    struct lanes *lanes = begin(5);
    lanes_link_up(lanes, 5);
    fake.read_error = -EIO;
    CU_ASSERT_FALSE(lanes_next_backlog(lanes, NULL, &message));
    fake.read_error = 0;
    fake.stored_first = 1;
    fake.stored_below = 5;
    for (uint64_t seq = 1; seq < 5; seq++)
        CU_ASSERT_TRUE(lanes_next_backlog(lanes, NULL, &message) && message.seq == seq);
    CU_ASSERT_FALSE(lanes_next_backlog(lanes, NULL, &message));
    lanes_free(lanes);
}

TEST_MAIN("lanes", {"a message waits until its number is reserved", test_waits_for_reservation},
          {"a tier that cannot be read for a while", test_unreadable_for_a_while},
          {"the live lane, from memory", test_live_from_memory},
          {"the live lane, read back from a tier", test_live_from_a_tier},
          {"the backlog lane, once for each link", test_backlog},
          {"what was dropped is not handed out", test_dropped},
          {"memory is bounded, and what is committed makes room", test_room},
          {"what waits too long is due", test_spill},
          {"no mark for what is old or on disk already", test_no_mark})
