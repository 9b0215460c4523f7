/* Child processes with a fixed argument vector, bounded in time and in output. */
#include "agent/base/child.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* A backstop in case the caller cannot kill the child: later than the caller's own deadline. */
#define LATE_MS 1000
#define STOP_MS 500
#define START_MS 10000 /* a slow disk */

/* What becomes a program, and with which descriptors. */
struct beginning {
    const char *const *arguments, *const *environment;
    int input, output, errors;
    int timeout_ms; /* it ends with its caller, and soon after this time; 0: it is left to run */
    child_preparation *prepare;
    const void *context;
};

/* Both hold for the program as well, which gains no privilege by being executed. */
static int bind_to_caller(int timeout_ms, pid_t caller)
{
    const struct itimerval deadline = {
        .it_value = {.tv_sec = (timeout_ms + LATE_MS) / 1000, .tv_usec = timeout_ms % 1000 * 1000}};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setitimer(ITIMER_REAL, &deadline, NULL) < 0 ||
        setpgid(0, 0) < 0)
        return -1;
    if (getppid() != caller) /* which died before it could be waited for */
        _exit(127);
    return 0;
}

/* Runs in the child before exec; returns only on failure. */
static void prepare_and_execute(const struct beginning *beginning, pid_t caller)
{
    static char *const nothing[] = {NULL};
    sigset_t none;
    sigemptyset(&none);
    if ((beginning->timeout_ms > 0 && bind_to_caller(beginning->timeout_ms, caller) < 0) ||
        signal(SIGALRM, SIG_DFL) == SIG_ERR || signal(SIGPIPE, SIG_DFL) == SIG_ERR ||
        dup2(beginning->input, STDIN_FILENO) < 0 || dup2(beginning->output, STDOUT_FILENO) < 0 ||
        dup2(beginning->errors, STDERR_FILENO) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return;
    int problem = beginning->prepare ? beginning->prepare(beginning->context) : 0;
    errno = -problem;
    if (problem < 0)
        return;
    (void)execve(beginning->arguments[0], (char *const *)beginning->arguments,
                 beginning->environment ? (char *const *)beginning->environment : nothing);
}

/* Waits until the child has called exec; 0, the reason why it could not, or -ETIMEDOUT. */
static int await_execution(int report, int64_t deadline_ns)
{
    int problem = 0;
    struct pollfd wait = {.fd = report, .events = POLLIN};
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        int ready = poll(&wait, 1, (int)left_ms);
        if (ready > 0)
            return read(report, &problem, sizeof(problem)) == sizeof(problem) ? -problem : 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
    }
}

/*
 * fork() and not posix_spawn(), which has no way to say that the child ends with its caller. The
 * child calls only functions that are safe after a fork of a program with threads.
 */
static int start(const struct beginning *beginning, int *ret_report, pid_t *ret_pid)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    pid_t caller = getpid(), pid = fork();
    if (pid == 0) {
        prepare_and_execute(beginning, caller);
        int problem = errno;
        (void)!write(report[1], &problem, sizeof(problem));
        _exit(127);
    }
    int problem = pid < 0 ? -errno : 0;
    descriptor_close(&report[1]);
    if (problem) {
        descriptor_close(&report[0]);
        return problem;
    }
    if (beginning->timeout_ms > 0)
        (void)setpgid(pid, pid); /* so that its group can be killed from now on */
    *ret_report = report[0];
    *ret_pid = pid;
    return 0;
}

/* Reads what is there; returns 1 at the end of the output, 0 when more may follow, or an error. */
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

static int child_converse(const struct child_job *job, int end, int64_t deadline_ns,
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
                (void)shutdown(end, SHUT_WR); /* also when the child stopped reading */
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

static int child_exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int child_reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return child_exit_code(status);
}

void child_stop(pid_t pid)
{
    int status;
    (void)kill(pid, SIGTERM);
    if (reap(pid, clock_mono_ns() + STOP_MS * CLOCK_NS_PER_MS, &status) != -ETIMEDOUT)
        return;
    (void)kill(pid, SIGKILL);
    (void)child_reap(pid);
}

int child_run(const struct child_job *job, struct strbuf *output)
{
    assert(job->arguments[0][0] == '/' && job->timeout_ms > 0);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    CLEANUP(descriptor_close) int ours = ends[0];
    int theirs = ends[1];
    pid_t pid = 0;
    int report = -1, status = 0;
    const struct beginning beginning = {.arguments = job->arguments,
                                        .environment = job->environment,
                                        .input = theirs,
                                        .output = theirs,
                                        .errors = theirs,
                                        .timeout_ms = job->timeout_ms,
                                        .prepare = job->prepare,
                                        .context = job->context};
    int problem = start(&beginning, &report, &pid);
    descriptor_close(&theirs);
    if (problem)
        return problem;
    int64_t deadline_ns = clock_mono_ns() + job->timeout_ms * CLOCK_NS_PER_MS;
    problem = await_execution(report, deadline_ns);
    descriptor_close(&report);
    if (!problem)
        problem = child_converse(job, ours, deadline_ns, output);
    if (!problem)
        problem = reap(pid, deadline_ns, &status);
    if (problem) {
        (void)kill(-pid, SIGKILL);
        (void)child_reap(pid);
        return problem;
    }
    return child_exit_code(status);
}

/* The program has begun, or -errno and nothing of it is left. */
static int child_begin(const struct beginning *beginning, pid_t *ret_pid)
{
    int report = -1;
    int problem = start(beginning, &report, ret_pid);
    if (problem)
        return problem;
    problem = await_execution(report, clock_mono_ns() + START_MS * CLOCK_NS_PER_MS);
    descriptor_close(&report);
    if (problem)
        child_stop(*ret_pid);
    return problem;
}

int child_start_prepared(const struct child_start_job *job, int *ret_output, pid_t *ret_pid)
{
    int ends[2] = {-1, -1};
    if (ret_output && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    CLEANUP(descriptor_close) int ours = ends[0];
    CLEANUP(descriptor_close) int theirs = ends[1];
    CLEANUP(descriptor_close) int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int output = ret_output ? theirs : STDERR_FILENO;
    const int errors[] = {[CHILD_ERRORS_OURS] = STDERR_FILENO,
                          [CHILD_ERRORS_TO_OUTPUT] = output,
                          [CHILD_ERRORS_TO_NOTHING] = nothing};
    const struct beginning beginning = {.arguments = job->arguments,
                                        .input = job->input < 0 ? nothing : job->input,
                                        .output = output,
                                        .errors = errors[job->errors],
                                        .prepare = job->prepare,
                                        .context = job->context};
    pid_t pid = 0;
    int problem = nothing < 0 ? -errno : child_begin(&beginning, &pid);
    if (problem)
        return problem;
    int watched = (int)syscall(SYS_pidfd_open, pid, 0);
    if (watched < 0) {
        problem = -errno;
        child_stop(pid);
        return problem;
    }
    if (ret_output)
        *ret_output = descriptor_take(&ours);
    *ret_pid = pid;
    return watched;
}

int child_start(const char *const *arguments, int *ret_output, pid_t *ret_pid)
{
    const struct child_start_job job = {.arguments = arguments, .input = -1};
    return child_start_prepared(&job, ret_output, ret_pid);
}
