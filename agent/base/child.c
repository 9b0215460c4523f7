/* Child processes with a fixed argument vector, bounded in time and in output. */
#include "agent/base/child.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(const struct child_job *job, int end, pid_t *ret_pid)
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
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_adddup2(&actions, end, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, end, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, end, STDERR_FILENO);
    int problem = posix_spawn(ret_pid, job->arguments[0], &actions, &attributes,
                              (char *const *)job->arguments,
                              job->environment ? (char *const *)job->environment : nothing);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -problem;
}

/* Takes what has come; returns 1 at the end of the output, 0 for more to come, or an error. */
static int take_output(int end, size_t max_bytes, size_t before, struct strbuf *output)
{
    char *place = strbuf_reserve(output, 4096);
    ssize_t got = recv(end, place, 4096, MSG_DONTWAIT);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : errno == ECONNRESET ? 1 : -errno;
    output->length += (size_t)got;
    output->data[output->length] = '\0';
    if (output->length - before > max_bytes)
        return -E2BIG;
    return got == 0;
}

static int give_input(int end, const struct child_job *job, size_t *given)
{
    const char *rest = (const char *)job->input + *given;
    ssize_t sent = send(end, rest, job->input_length - *given, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    *given += (size_t)sent;
    return 0;
}

static int converse(const struct child_job *job, int end, int64_t deadline_ns,
                    struct strbuf *output)
{
    size_t before = output->length, given = 0;
    int writing = job->input_length > 0;
    if (!writing)
        (void)shutdown(end, SHUT_WR);
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        struct pollfd wait = {.fd = end, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
        if (poll(&wait, 1, (int)left_ms) < 0 && errno != EINTR)
            return -errno;
        if (writing && (wait.revents & (POLLOUT | POLLERR))) {
            int problem = give_input(end, job, &given);
            writing = !problem && given < job->input_length;
            if (!writing)
                (void)shutdown(end, SHUT_WR); /* a child that stopped reading is its own affair */
        }
        if (wait.revents & (POLLIN | POLLHUP | POLLERR)) {
            int done = take_output(end, job->output_max_bytes, before, output);
            if (done)
                return done < 0 ? done : 0;
        }
    }
}

/* Waits for the end of the process until the deadline, then kills its group. */
static int reap(pid_t pid, int64_t deadline_ns, int *ret_status)
{
    int64_t pause_ns = 100 * CLOCK_NS_PER_US;
    for (;;) {
        pid_t got = waitpid(pid, ret_status, WNOHANG);
        if (got == pid)
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        int64_t now_ns = clock_mono_ns();
        if (now_ns >= deadline_ns)
            return -ETIMEDOUT;
        clock_sleep_until(now_ns + pause_ns);
        if (pause_ns < 10 * CLOCK_NS_PER_MS)
            pause_ns *= 2;
    }
}

int child_run(const struct child_job *job, struct strbuf *output)
{
    assert(job->arguments[0][0] == '/' && job->timeout_ms > 0);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    CLEANUP(descriptor_close) int ours = ends[0];
    int theirs = ends[1];
    pid_t pid;
    int problem = spawn(job, theirs, &pid);
    descriptor_close(&theirs);
    if (problem)
        return problem;
    int64_t deadline_ns = clock_mono_ns() + job->timeout_ms * CLOCK_NS_PER_MS;
    int status = 0;
    problem = converse(job, ours, deadline_ns, output);
    if (!problem)
        problem = reap(pid, deadline_ns, &status);
    if (problem) {
        (void)kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        return problem;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
