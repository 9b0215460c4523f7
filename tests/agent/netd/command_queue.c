/* In which order commands that wait are taken, and how many may wait. */
#include "agent/netd/command_queue.h"

#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

/* SIGNER and TEXT are a letter each; the digest is the text's. */
static bool add(struct command_queue *queue, enum command_lane lane, char signer, char text)
{
    struct command_label label = {.lane = lane, .signer = {(uint8_t)signer}};
    label.digest[0] = (uint8_t)text;
    return command_queue_add(queue, &label, &text, 1, false);
}

/* The texts in the order in which they are taken, up to the lane LAST. */
static const char *drain(struct command_queue *queue, enum command_lane last)
{
    static char seen[64];
    struct command_waiting *taken;
    size_t n = 0;
    while ((taken = command_queue_take(queue, last)) && n < sizeof(seen) - 1) {
        seen[n++] = taken->text[0];
        free(taken);
    }
    seen[n] = '\0';
    return seen;
}

static void test_lanes(void)
{
    struct command_queue *queue = command_queue_new();
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_DOUBTFUL, 0, 'd'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SHAPED, 'a', 'c'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'a', 'b'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_FIRST, 'a', 'a'));
    CU_ASSERT_EQUAL(command_queue_length(queue, COMMAND_LANE_SHAPED), 3);
    CU_ASSERT_EQUAL(command_queue_length(queue, COMMAND_LANE_DOUBTFUL), 4);
    TEST_TEXT_EQUAL(drain(queue, COMMAND_LANE_SHAPED), "abc");
    TEST_TEXT_EQUAL(drain(queue, COMMAND_LANE_DOUBTFUL), "d");
    CU_ASSERT_PTR_NULL(command_queue_take(queue, COMMAND_LANE_DOUBTFUL));
    CU_ASSERT_PTR_NULL(command_queue_free(queue));
    CU_ASSERT_PTR_NULL(command_queue_free(NULL));
}

/* Who has sent many is served as often as who has sent one. */
static void test_turns(void)
{
    struct command_queue *queue = command_queue_new();
    for (char text = '1'; text <= '3'; text++)
        CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'a', text));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'b', 'x'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'c', 'y'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'b', 'z'));
    TEST_TEXT_EQUAL(drain(queue, COMMAND_LANE_SIGNED), "1xy2z3");
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'a', '4')); /* what was served does not count */
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'c', 'w'));
    TEST_TEXT_EQUAL(drain(queue, COMMAND_LANE_SIGNED), "4w");
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'a', '5'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'a', '6'));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'b', 'x'));
    for (unsigned i = 0; i < 2; i++)
        free(command_queue_take(queue, COMMAND_LANE_SIGNED));
    CU_ASSERT_TRUE(add(queue, COMMAND_LANE_SIGNED, 'b', 'y')); /* who comes again and again */
    TEST_TEXT_EQUAL(drain(queue, COMMAND_LANE_SIGNED), "6y");  /* does not pass those who wait */
    command_queue_free(queue);
}

/* Nobody takes all places of a lane, and no lane those of another. */
static void test_places(void)
{
    for (enum command_lane lane = 0; lane < COMMAND_LANE_COUNT; lane++) {
        const struct command_share *share = &command_shares[lane];
        struct command_queue *queue = command_queue_new();
        size_t of_one = 0, in_all = 0;
        for (char text = 0; text < 100; text++)
            of_one += add(queue, lane, 'a', text);
        CU_ASSERT_EQUAL(of_one, share->of_one);
        for (char signer = 1; signer < 100; signer++)
            in_all += add(queue, lane, signer, 'x');
        CU_ASSERT_EQUAL(of_one + in_all, share->places);
        for (enum command_lane other = 0; other < COMMAND_LANE_COUNT; other++)
            CU_ASSERT_EQUAL(add(queue, other, 'z', 'z'), other != lane);
        command_queue_free(queue);
    }
    CU_ASSERT_TRUE(command_shares[COMMAND_LANE_FIRST].of_one <
                   command_shares[COMMAND_LANE_FIRST].places);
    CU_ASSERT_TRUE(command_shares[COMMAND_LANE_SIGNED].of_one <
                   command_shares[COMMAND_LANE_SIGNED].places);
}

static void test_content(void)
{
    static const char odd[] = "a\0b\xff";
    struct command_label label = {.lane = COMMAND_LANE_FIRST, .digest = {7, 8}};
    struct command_queue *queue = command_queue_new();
    CU_ASSERT_FALSE(command_queue_has(queue, label.digest));
    CU_ASSERT_TRUE(command_queue_add(queue, &label, odd, sizeof(odd), true));
    CU_ASSERT_TRUE(command_queue_has(queue, label.digest));
    struct command_waiting *taken = command_queue_take(queue, COMMAND_LANE_FIRST);
    CU_ASSERT_PTR_NOT_NULL_FATAL(taken);
    CU_ASSERT_TRUE(taken->is_retained && taken->length == sizeof(odd));
    CU_ASSERT_EQUAL(memcmp(taken->text, odd, sizeof(odd)), 0);
    CU_ASSERT_EQUAL(memcmp(&taken->label, &label, sizeof(label)), 0);
    CU_ASSERT_FALSE(command_queue_has(queue, label.digest));
    free(taken);
    CU_ASSERT_TRUE(command_queue_add(queue, &label, "", 0, false));
    command_queue_free(queue); /* with what waits */
}

TEST_MAIN("command_queue", {"each lane before the next", test_lanes},
          {"signers take turns", test_turns}, {"a share for each", test_places},
          {"what comes out is what went in", test_content})
