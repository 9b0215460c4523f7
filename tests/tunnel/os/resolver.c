/*
 * A question to the resolver's process, which is this program itself, called as netd would be. What
 * the name is decides how it answers.
 */
#include "tunnel/os/resolver.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BROKEN (-1) /* any signal, or the sanitizer's own exit code */

static struct {
    sd_event *loop;
    unsigned answers;
    int code;
    char answer[RESOLVE_ANSWER_BYTES];
} world;

static void on_answer(void *context, int code, const char *answer)
{
    CU_ASSERT_PTR_EQUAL(context, &world);
    world.answers++;
    world.code = code;
    (void)snprintf(world.answer, sizeof(world.answer), "%s", answer);
}

static struct resolver *start(void)
{
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&world.loop), 0);
    world.answers = 0;
    return resolver_new(world.loop, on_answer, &world);
}

static void stop(struct resolver *resolver)
{
    resolver_free(resolver);
    world.loop = sd_event_unref(world.loop);
}

static void run(unsigned answers, int limit_ms)
{
    int64_t deadline_ns = clock_mono_ns() + limit_ms * CLOCK_NS_PER_MS;
    while (world.answers < answers && clock_mono_ns() < deadline_ns)
        CU_ASSERT_TRUE_FATAL(sd_event_run(world.loop, 20000) >= 0);
}

static void test_answers(void)
{
    static const struct {
        const char *host;
        int code;
        const char *answer;
    } cases[] = {{"two.test", RESOLVE_DONE, "192.0.2.1\n192.0.2.2\n"},
                 {"none.test", RESOLVE_NO_NAME, ""},
                 {"broken.test", BROKEN, ""},
                 {"two.test", RESOLVE_DONE, "192.0.2.1\n192.0.2.2\n"}};
    struct resolver *resolver = start();
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        CU_ASSERT_FALSE(resolver_is_busy(resolver));
        CU_ASSERT_EQUAL(resolver_ask(resolver, cases[i].host, 443), 0);
        CU_ASSERT_TRUE(resolver_is_busy(resolver));
        run(i + 1, 20000);
        CU_ASSERT_EQUAL(world.answers, i + 1);
        bool is_broken = world.code > 0 && world.code != RESOLVE_NO_NAME;
        CU_ASSERT_EQUAL(is_broken ? BROKEN : world.code, cases[i].code);
        TEST_TEXT_EQUAL(world.answer, cases[i].answer);
    }
    stop(resolver);
}

/* More than the pipe is read of: the rest is cut, and nothing waits for it. */
static void test_flood(void)
{
    struct resolver *resolver = start();
    CU_ASSERT_EQUAL(resolver_ask(resolver, "flood.test", 443), 0);
    run(1, 20000);
    CU_ASSERT_EQUAL(world.answers, 1);
    CU_ASSERT_EQUAL(strlen(world.answer), RESOLVE_ANSWER_BYTES - 1);
    stop(resolver);
}

static void test_forget(void)
{
    struct resolver *resolver = start();
    CU_ASSERT_EQUAL(resolver_ask(resolver, "silent.test", 443), 0);
    run(1, 100);
    int64_t before_ns = clock_mono_ns();
    resolver_forget(resolver);
    CU_ASSERT_TRUE(clock_mono_ns() - before_ns < 5 * CLOCK_NS_PER_S);
    CU_ASSERT_FALSE(resolver_is_busy(resolver));
    resolver_forget(resolver);
    resolver_forget(NULL);
    run(1, 100);
    CU_ASSERT_EQUAL(world.answers, 0);
    CU_ASSERT_EQUAL(resolver_ask(resolver, "two.test", 443), 0);
    run(1, 20000);
    CU_ASSERT_EQUAL(world.code, RESOLVE_DONE);
    CU_ASSERT_EQUAL(resolver_ask(resolver, "silent.test", 443), 0);
    stop(resolver); /* with a question open */
}

/* The resolver's process. */
static int resolve(const char *host)
{
    if (strcmp(host, "none.test") == 0)
        return RESOLVE_NO_NAME;
    if (strcmp(host, "broken.test") == 0)
        abort();
    if (strcmp(host, "silent.test") == 0)
        (void)sleep(600);
    for (int i = 0; strcmp(host, "flood.test") == 0 && i < 1000; i++)
        puts("192.0.2.1");
    puts("192.0.2.1\n192.0.2.2");
    return RESOLVE_DONE;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"each end of the process is an answer", test_answers},
        {"too long an answer is cut", test_flood},
        {"a question can be given up", test_forget},
    };
    if (argc == 4 && strcmp(argv[1], "--resolve") == 0)
        return resolve(argv[2]);
    return test_main("resolver", cases, ARRAY_LENGTH(cases));
}
