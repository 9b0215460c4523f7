/* netd's helper programs. */
#include "tunnel/os/privileged_child.h"

#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "tunnel/os/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_TIMEOUT_MS 10000 /* a small machine may have to load modules first */
#define HELPER_OUTPUT_BYTES 262144
#define STOP_MS 500

int privileged_child_run_within(const char *const *arguments, const void *input,
                                size_t input_length, int timeout_ms, struct strbuf *output)
{
    const struct child_job job = {
        .arguments = arguments,
        .input = input,
        .input_length = input_length,
        .output_max_bytes = HELPER_OUTPUT_BYTES,
        .timeout_ms = timeout_ms,
    };
    int problem = privilege_ambient(true);
    if (problem < 0)
        return problem;
    int status = child_run(&job, output);
    problem = privilege_ambient(false);
    return problem < 0 ? problem : status;
}

static int spawn(const char *const *arguments, int output, pid_t *ret_pid)
{
    static char *const nothing[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    int problem = posix_spawn(ret_pid, arguments[0], &actions, &attributes,
                              (char *const *)arguments, nothing);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -problem;
}

static int spawn_with(const char *const *arguments, bool is_privileged, int output, pid_t *ret_pid)
{
    if (!is_privileged)
        return spawn(arguments, output, ret_pid);
    int problem = privilege_ambient(true);
    if (problem < 0)
        return problem;
    problem = spawn(arguments, output, ret_pid);
    int lowered = privilege_ambient(false);
    return problem < 0 ? problem : lowered;
}

int privileged_child_start(const char *const *arguments, bool is_privileged, int *ret_output,
                           pid_t *ret_pid)
{
    int ends[2] = {-1, -1};
    if (ret_output && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    CLEANUP(descriptor_close) int ours = ends[0];
    CLEANUP(descriptor_close) int theirs = ends[1];
    pid_t pid;
    int problem = spawn_with(arguments, is_privileged, ret_output ? theirs : STDERR_FILENO, &pid);
    if (problem < 0)
        return problem;
    int watched = (int)syscall(SYS_pidfd_open, pid, 0);
    if (watched < 0) {
        problem = -errno;
        privileged_child_stop(pid);
        return problem;
    }
    if (ret_output) {
        *ret_output = ours;
        ours = -1;
    }
    *ret_pid = pid;
    return watched;
}

void privileged_child_stop(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    int64_t deadline_ns = clock_mono_ns() + STOP_MS * CLOCK_NS_PER_MS;
    for (;;) {
        pid_t got = waitpid(pid, NULL, WNOHANG);
        if (got == pid || (got < 0 && errno == ECHILD))
            return;
        if (clock_mono_ns() > deadline_ns)
            break;
        clock_sleep_until(clock_mono_ns() + 2 * CLOCK_NS_PER_MS);
    }
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int privileged_child_run(const char *const *arguments, const void *input, size_t input_length,
                         struct strbuf *output)
{
    return privileged_child_run_within(arguments, input, input_length, HELPER_TIMEOUT_MS, output);
}
