/* Waiting for a descriptor: who comes first when several things are true at once. */
#include "drivers/wait.h"

#include "agent/base/clock.h"
#include "tests/support/test.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

static atomic_bool stop;
static int ends[2];

static void open_pipe(void)
{
    atomic_store(&stop, false);
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

static int64_t in_ms(int64_t ms)
{
    return clock_mono_ns() + ms * CLOCK_NS_PER_MS;
}

static void test_readable(void)
{
    open_pipe();
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    CU_ASSERT_EQUAL(wait_for(ends[0], POLLIN, in_ms(60000), &stop), POLLIN);
    close_pipe();
}

static void test_deadline_first(void)
{
    open_pipe();
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    CU_ASSERT_EQUAL(wait_for(ends[0], POLLIN, in_ms(0), &stop), 0); /* though there is something */
    close_pipe();
}

static void test_nothing_comes(void)
{
    open_pipe();
    int64_t deadline_ns = in_ms(150); /* more than one slice */
    CU_ASSERT_EQUAL(wait_for(ends[0], POLLIN, deadline_ns, &stop), 0);
    CU_ASSERT_TRUE(clock_mono_ns() >= deadline_ns);
    close_pipe();
}

static void test_stop_first(void)
{
    open_pipe();
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    atomic_store(&stop, true);
    CU_ASSERT_EQUAL(wait_for(ends[0], POLLIN, in_ms(60000), &stop), -ECANCELED);
    close_pipe();
}

TEST_MAIN("wait", {"what can be read ends the wait", test_readable},
          {"a deadline that has passed comes before what can be read", test_deadline_first},
          {"nothing comes: the wait ends at its deadline", test_nothing_comes},
          {"a line that is stopped waits for nothing", test_stop_first})
