/* The pieces without domain knowledge: buffers, files, child processes. */
#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/strbuf.h"
#include "tests/support/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_strbuf(void)
{
    CLEANUP(strbuf_free) struct strbuf buffer = STRBUF_EMPTY;
    TEST_TEXT_EQUAL(strbuf_text(&buffer), "");
    strbuf_add_i64(&buffer, INT64_MIN);
    strbuf_add_char(&buffer, ' ');
    strbuf_add_u64(&buffer, UINT64_MAX);
    strbuf_addf(&buffer, " %s", "end");
    TEST_TEXT_EQUAL(strbuf_text(&buffer), "-9223372036854775808 18446744073709551615 end");
    size_t capacity = buffer.capacity;
    strbuf_reset(&buffer);
    TEST_TEXT_EQUAL(strbuf_text(&buffer), "");
    CU_ASSERT_EQUAL(buffer.capacity, capacity);
}

static void test_file_read(void)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    const char *path = test_file("small", "twelve bytes");
    strbuf_add(&content, "kept ");
    CU_ASSERT_EQUAL(file_read(path, 11, &content), -EFBIG);
    CU_ASSERT_EQUAL(file_read(test_path("absent"), 100, &content), -ENOENT);
    CU_ASSERT_EQUAL(file_read(test_folder(), 100, &content), -EISDIR);
    CU_ASSERT_EQUAL(mkfifo(test_path("fifo"), 0600), 0);
    CU_ASSERT_EQUAL(file_read(test_path("fifo"), 100, &content), -EINVAL);
    TEST_TEXT_EQUAL(strbuf_text(&content), "kept ");
    CU_ASSERT_EQUAL(file_read(path, 12, &content), 0);
    TEST_TEXT_EQUAL(strbuf_text(&content), "kept twelve bytes");
}

static void test_file_replace(void)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    const char *path = test_file("replaced", "old");
    (void)test_file("replaced.new", "left by a kill");
    CU_ASSERT_EQUAL(file_replace(path, "new", 3, 0600), 0);
    CU_ASSERT_EQUAL(file_read(path, 100, &content), 0);
    TEST_TEXT_EQUAL(strbuf_text(&content), "new");
    CU_ASSERT_EQUAL(access(test_path("replaced.new"), F_OK), -1);
    CU_ASSERT_EQUAL(file_replace(test_path("no/such/folder"), "x", 1, 0600), -ENOENT);
}

static int run(const char *script, const char *input, int timeout_ms, struct strbuf *output)
{
    const char *const arguments[] = {"/bin/sh", "-c", script, NULL};
    const struct child_job job = {.arguments = arguments,
                                  .input = input,
                                  .input_length = input ? strlen(input) : 0,
                                  .output_max_bytes = 1000,
                                  .timeout_ms = timeout_ms};
    return child_run(&job, output);
}

static void test_child(void)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(run("tr a-z A-Z; echo err >&2; exit 3", "text", 10000, &output), 3);
    TEST_TEXT_EQUAL(strbuf_text(&output), "TEXTerr\n");
    strbuf_reset(&output);
    CU_ASSERT_EQUAL(run("echo ${HOME-unset}; kill -9 $$", NULL, 10000, &output), 128 + 9);
    TEST_TEXT_EQUAL(strbuf_text(&output), "unset\n"); /* the environment is empty */
    CU_ASSERT_EQUAL(run("while :; do echo 0123456789; done", NULL, 10000, &output), -E2BIG);
    int64_t before_ns = clock_mono_ns();
    CU_ASSERT_EQUAL(run("sleep 60 & sleep 60", NULL, 50, &output), -ETIMEDOUT);
    CU_ASSERT_TRUE(clock_mono_ns() - before_ns < 30 * CLOCK_NS_PER_S);
    CU_ASSERT_EQUAL(run("exec >&- 2>&- <&-; sleep 60", NULL, 50, &output), -ETIMEDOUT);
    const char *const absent[] = {"/no/such/program", NULL};
    const struct child_job job = {.arguments = absent, .output_max_bytes = 1, .timeout_ms = 1000};
    CU_ASSERT_EQUAL(child_run(&job, &output), -ENOENT);
}

static void test_started_child(void)
{
    static const char *const says[] = {"/bin/sh", "-c", "echo ${HOME-unset}; cat; exit 3", NULL};
    static const char *const stubborn[] = {"/bin/sh", "-c",
                                           "trap '' TERM; echo; while :; do sleep 1; done", NULL};
    static const char *const absent[] = {"/no/such/program", NULL};
    char bytes[64] = "";
    pid_t pid = 0;
    int output = -1, watched = child_start(says, &output, &pid);
    CU_ASSERT_TRUE_FATAL(watched >= 0);
    struct pollfd ended = {.fd = watched, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&ended, 1, 20000), 1);
    CU_ASSERT_EQUAL(child_reap(pid), 3);
    CU_ASSERT_EQUAL(child_reap(pid), -ECHILD);
    CU_ASSERT_EQUAL(read(output, bytes, sizeof(bytes) - 1), 6);
    TEST_TEXT_EQUAL(bytes, "unset\n"); /* an empty environment, and nothing to read */
    descriptor_close(&output);
    descriptor_close(&watched);
    CU_ASSERT_EQUAL(child_start(absent, NULL, &pid), -ENOENT);
    watched = child_start(stubborn, &output, &pid);
    CU_ASSERT_TRUE_FATAL(watched >= 0);
    struct pollfd begun = {.fd = output, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&begun, 1, 20000), 1);
    child_stop(pid); /* which does not heed SIGTERM */
    CU_ASSERT_EQUAL(kill(pid, 0), -1);
    descriptor_close(&output);
    descriptor_close(&watched);
}

/* The only child of PID, or 0. */
static pid_t child_of(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    int child = 0;
    if (file && fscanf(file, "%d", &child) != 1)
        child = 0;
    if (file)
        (void)fclose(file);
    return child;
}

/* What ended the process PID, which is or will be our child: its signal, or -1 for anything else.
 */
static int end_of(pid_t pid)
{
    int64_t deadline_ns = clock_mono_ns() + 20 * CLOCK_NS_PER_S;
    int status = 0;
    while (clock_mono_ns() < deadline_ns) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
    }
    (void)kill(pid, SIGKILL);
    return -1;
}

/* Whether PID has become the program: stopped before that, it could not know how to end. */
static bool is_program(pid_t pid)
{
    char path[64], name[32] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (pid > 0 && file_read(path, sizeof(name), &text) == 0)
        (void)snprintf(name, sizeof(name), "%s", strbuf_text(&text));
    return strcmp(name, "sh\n") == 0 || strcmp(name, "sleep\n") == 0;
}

/* Starts somebody who runs a child until it is told to go, and returns both. */
static pid_t start_caller(int timeout_ms, pid_t *ret_child)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    pid_t caller = fork();
    if (caller == 0)
        _exit(run("sleep 300", NULL, timeout_ms, &output) != 0);
    CU_ASSERT_TRUE_FATAL(caller > 0);
    int64_t deadline_ns = clock_mono_ns() + 20 * CLOCK_NS_PER_S;
    while (!is_program(*ret_child = child_of(caller)) && clock_mono_ns() < deadline_ns)
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
    CU_ASSERT_TRUE_FATAL(*ret_child > 0);
    return caller;
}

/* A stopped child must not go on, much later, with what its caller had wanted. */
static void test_child_without_caller(void)
{
    pid_t child;
    CU_ASSERT_EQUAL_FATAL(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* orphans become ours */
    pid_t caller = start_caller(300000, &child);
    CU_ASSERT_EQUAL(kill(child, SIGSTOP), 0);
    CU_ASSERT_EQUAL(kill(caller, SIGKILL), 0);
    CU_ASSERT_EQUAL(end_of(caller), SIGKILL);
    CU_ASSERT_EQUAL(end_of(child), SIGKILL);
}

/* Nor when its caller is stopped beside it, and cannot end it in time. */
static void test_child_of_stopped_caller(void)
{
    pid_t child;
    pid_t caller = start_caller(2000, &child);
    CU_ASSERT_EQUAL(kill(caller, SIGSTOP), 0);
    char state = '?';
    int64_t deadline_ns = clock_mono_ns() + 20 * CLOCK_NS_PER_S;
    while (state != 'Z' && clock_mono_ns() < deadline_ns) {
        CLEANUP(strbuf_free) struct strbuf about = STRBUF_EMPTY;
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
        CU_ASSERT_EQUAL_FATAL(file_read(path, 4096, &about), 0);
        const char *name_end = strrchr(strbuf_text(&about), ')');
        state = name_end ? name_end[2] : '?';
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
    }
    CU_ASSERT_EQUAL(state, 'Z');
    CU_ASSERT_EQUAL(kill(caller, SIGKILL), 0);
    CU_ASSERT_EQUAL(end_of(caller), SIGKILL);
}

TEST_MAIN("base", {"a buffer grows, formats whole numbers and is reused", test_strbuf},
          {"a file is read whole or not at all", test_file_read},
          {"a file is replaced in one step", test_file_replace},
          {"a child is bounded in time and output, and leaves nothing behind", test_child},
          {"a started child runs by itself until it is stopped", test_started_child},
          {"a stopped child ends with its caller", test_child_without_caller},
          {"a child of a stopped caller ends in time", test_child_of_stopped_caller})
