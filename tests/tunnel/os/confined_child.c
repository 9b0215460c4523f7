/*
 * What a confined helper can still do. This program is the helper, too: it tries all that a helper
 * which was taken over would want, and prints what it could do. Each case runs in a process of its
 * own that has reduced its privileges as netd does, as an ordinary user when root runs the test.
 */
#include "tunnel/os/confined_child.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/confined_attempts.h"
#include "tests/support/test.h"
#include "tunnel/os/privilege.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NETD_UID 64999
#define NONE "0000000000000000"
#define SELF "/proc/self/exe"

/* ---- netd ---- */

static int expect(bool holds, const char *what)
{
    if (!holds)
        (void)fprintf(stderr, "\nnot so: %s (errno %d)\n", what, errno);
    return holds ? 0 : 1;
}

/* Runs CHECK in a child; its result is how many of its expectations failed. */
static int in_child(int (*check)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(check());
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* As the unit starts netd, when that is possible; otherwise as the user who runs the test. */
static int become_netd(void)
{
    if (geteuid() != 0)
        return 0;
    int failed = expect(chown(test_folder(), NETD_UID, NETD_UID) == 0, "a folder of netd's");
    failed +=
        expect(prctl(PR_SET_KEEPCAPS, 1) == 0 && setresgid(NETD_UID, NETD_UID, NETD_UID) == 0 &&
                   setresuid(NETD_UID, NETD_UID, NETD_UID) == 0,
               "netd's user");
    return failed + expect(privilege_reduce() == 0 && privilege_filter() == 0, "reduced");
}

static int listen_at(int family, const void *address, socklen_t length)
{
    int made = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return made >= 0 && bind(made, address, length) == 0 && listen(made, 8) == 0 ? made : -1;
}

/* Files and sockets like netd's; returns the TCP port, or 0. */
static uint16_t make_targets(void)
{
    struct sockaddr_un named = {.sun_family = AF_UNIX}, unnamed = named;
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(port);
    (void)test_file("key", "secret\n");
    (void)test_file("lockdown.nft", "table inet sallyport\n");
    (void)test_file("journal", "1\n");
    (void)snprintf(named.sun_path, sizeof(named.sun_path), "%s", test_path("netd.sock"));
    (void)snprintf(unnamed.sun_path + 1, sizeof(unnamed.sun_path) - 1, CONFINED_ATTEMPTS_SOCKET);
    int tcp = listen_at(AF_INET, &port, sizeof(port));
    if (listen_at(AF_UNIX, &named, sizeof(named)) < 0 ||
        listen_at(AF_UNIX, &unnamed, sizeof(unnamed)) < 0 || tcp < 0 ||
        getsockname(tcp, (struct sockaddr *)&port, &length) < 0)
        return 0;
    return ntohs(port.sin_port);
}

/* Runs all attempts; WANTED: what the helper prints. */
static int check_attempts_saying(enum confined_kind kind, const char *wanted)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    char netd[16], port[8];
    uint16_t listening = make_targets();
    int failed = 0;
    failed += expect(listening > 0, "netd's files and sockets");
    (void)snprintf(netd, sizeof(netd), "%d", (int)getpid());
    (void)snprintf(port, sizeof(port), "%u", listening);
    const char *const arguments[] = {
        SELF, "--try", kind == CONFINED_SSH_KEYGEN ? "ssh-keygen" : "resolver", test_folder(), netd,
        port, NULL};
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 8192, .timeout_ms = 20000};
    CLEANUP(descriptor_close) int leaked = file_in_memory("netd's", 6);
    failed += expect(leaked >= 3, "a descriptor that exec would hand on");
    int status = confined_child_run(&(struct confined){.kind = kind}, &job, &output);
    failed += expect(status == 0, "the helper runs to its end");
    failed += expect(strcmp(strbuf_text(&output), wanted) == 0, strbuf_text(&output));
    return failed;
}

static int check_attempts(enum confined_kind kind)
{
    CLEANUP(strbuf_free) struct strbuf wanted = STRBUF_EMPTY;
    if (confinement_landlock_abi() < 4 && kind == CONFINED_RESOLVER)
        strbuf_add(&wanted, "allowed: reach a TCP port\n");
    strbuf_addf(&wanted, "tried %u\n", confined_attempts_count(kind));
    return become_netd() + check_attempts_saying(kind, strbuf_text(&wanted));
}

static int check_keygen(void)
{
    return check_attempts(CONFINED_SSH_KEYGEN);
}

static int check_resolver(void)
{
    return check_attempts(CONFINED_RESOLVER);
}

static int expect_line(const char *text, const char *line)
{
    return expect(strstr(text, line) != NULL, line);
}

/* What the kernel says about a helper that is still running. */
static int check_status(void)
{
    static const char *const arguments[] = {SELF, "--wait", NULL};
    char path[32];
    pid_t pid = 0;
    int output = -1, ends[2], failed = become_netd();
    failed += expect(pipe2(ends, O_CLOEXEC) == 0, "a pipe");
    CLEANUP(descriptor_close)
    int watched = confined_child_start(&(struct confined){.kind = CONFINED_SSH_KEYGEN}, arguments,
                                       ends[0], false, &output, &pid);
    failed += expect(watched >= 0, "it starts");
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    CLEANUP(strbuf_free) struct strbuf status = STRBUF_EMPTY;
    failed += expect(file_read(path, 65536, &status) == 0, "its status");
    failed += expect_line(strbuf_text(&status), "\nCapPrm:\t" NONE "\n");
    failed += expect_line(strbuf_text(&status), "\nCapEff:\t" NONE "\n");
    failed += expect_line(strbuf_text(&status), "\nCapAmb:\t" NONE "\n");
    failed += expect_line(strbuf_text(&status), "\nCapInh:\t" NONE "\n");
    failed += expect_line(strbuf_text(&status), "\nNoNewPrivs:\t1\n");
    failed += expect_line(strbuf_text(&status), "\nSeccomp:\t2\n");
    close(ends[1]);
    failed += expect(child_reap(pid) == 0, "it ends when its input does");
    return failed;
}

/* As root, and without what netd does first, there is nothing left either. */
static int check_root(void)
{
    static const char *const arguments[] = {SELF, "--wait", NULL};
    char path[32];
    pid_t pid = 0;
    int output = -1, ends[2];
    int failed = expect(pipe2(ends, O_CLOEXEC) == 0, "a pipe");
    CLEANUP(descriptor_close)
    int watched = confined_child_start(&(struct confined){.kind = CONFINED_RESOLVER}, arguments,
                                       ends[0], true, &output, &pid);
    failed += expect(watched >= 0, "it starts");
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    CLEANUP(strbuf_free) struct strbuf status = STRBUF_EMPTY;
    failed += expect(file_read(path, 65536, &status) == 0, "its status");
    failed += expect_line(strbuf_text(&status), "\nCapPrm:\t" NONE "\n");
    failed += expect_line(strbuf_text(&status), "\nCapEff:\t" NONE "\n");
    failed += expect_line(strbuf_text(&status), "\nCapBnd:\t" NONE "\n");
    close(ends[1]);
    return failed + expect(child_reap(pid) == 0, "it ends when its input does");
}

/* It is given a memory file and a text, and prints both. */
static int check_inherited(void)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    char name[32];
    int failed = become_netd();
    CLEANUP(descriptor_close) int file = file_in_memory("from a file;", 12);
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
    const char *const arguments[] = {SELF, "--print", name, NULL};
    const int inherited[] = {file, -1};
    const struct child_job job = {.arguments = arguments,
                                  .input = "from its input",
                                  .input_length = 14,
                                  .output_max_bytes = 8192,
                                  .timeout_ms = 20000};
    const struct confined confined = {.kind = CONFINED_SSH_KEYGEN, .inherited = inherited};
    failed += expect(confined_child_run(&confined, &job, &output) == 0, "it runs");
    failed += expect(strcmp(strbuf_text(&output), "from a file;from its input") == 0,
                     strbuf_text(&output));
    return failed;
}

/* abort() sends itself a signal, which is not allowed; it must end all the same. */
static int check_abort(void)
{
    static const char *const arguments[] = {SELF, "--abort", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 8192, .timeout_ms = 20000};
    int failed = become_netd();
    int status = confined_child_run(&(struct confined){.kind = CONFINED_RESOLVER}, &job, &output);
    return failed + expect(status > 0, "it ends with an error");
}

/* As on a kernel that has none. */
static int take_landlock_away(void)
{
    int failed = become_netd();
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
    failed += expect(seccomp_load(filter) == 0, "Landlock is gone");
    seccomp_release(filter);
    return failed + expect(confinement_landlock_abi() == -ENOSYS, "and said to be");
}

/* The filter alone: it may read what its user may, and still changes and signals nothing. */
static int check_keygen_without_landlock(void)
{
    static const char allowed[] =
        "allowed: read the tunnel's key\n"
        "allowed: list the state folder\n"
        "allowed: overwrite the boot rules\n" /* opened; see RLIMIT_FSIZE */
        "allowed: read files that it does not need\n"
        "allowed: a shell\n";
    return take_landlock_away() + check_attempts_saying(CONFINED_SSH_KEYGEN, allowed);
}

static int check_resolver_without_landlock(void)
{
    static const char allowed[] = "allowed: read the tunnel's key\n"
                                  "allowed: list the state folder\n"
                                  "allowed: reach a TCP port\n"
                                  "allowed: read files that it does not need\n"
                                  "allowed: a shell\n";
    return take_landlock_away() + check_attempts_saying(CONFINED_RESOLVER, allowed);
}

/* A kernel without Landlock: it still runs, and writes nothing. */
static int check_without_landlock(void)
{
    static const char *const arguments[] = {SELF, "--print", "/proc/self/status", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 8192, .timeout_ms = 20000};
    int failed = take_landlock_away();
    int status = confined_child_run(&(struct confined){.kind = CONFINED_RESOLVER}, &job, &output);
    failed += expect(status == 0, "the helper runs");
    return failed + expect_line(strbuf_text(&output), "\nSeccomp:\t2\n");
}

/* netd, killed while its helper waits: the helper ends, though nobody closes its input. */
static void abandon(int input, int tell)
{
    static const char *const arguments[] = {SELF, "--wait", NULL};
    pid_t pid = 0;
    int output = -1;
    (void)confined_child_start(&(struct confined){.kind = CONFINED_SSH_KEYGEN}, arguments, input,
                               false, &output, &pid);
    _exit(write(tell, &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
}

static int check_abandoned(void)
{
    int input[2], tell[2], status = 0;
    pid_t helper = 0;
    int failed = expect(pipe2(input, O_CLOEXEC) == 0 && pipe2(tell, O_CLOEXEC) == 0 &&
                            prctl(PR_SET_CHILD_SUBREAPER, 1) == 0,
                        "pipes, and to hear of the helper's end");
    pid_t netd = fork();
    if (netd == 0)
        abandon(input[0], tell[1]);
    failed +=
        expect(read(tell[0], &helper, sizeof(helper)) == sizeof(helper) && helper > 0, "it starts");
    failed += expect(waitpid(netd, &status, 0) == netd, "netd ends");
    (void)alarm(20);
    failed += expect(waitpid(helper, &status, 0) == helper && WIFSIGNALED(status) &&
                         WTERMSIG(status) == SIGKILL,
                     "the helper ends with it");
    return failed;
}

static void test_abandoned(void)
{
    CU_ASSERT_EQUAL(in_child(check_abandoned), 0);
}

/* Questions over TCP: to port 53 the resolver may connect, whether somebody listens or not. */
static int check_dns(void)
{
    static const char *const arguments[] = {SELF, "--dns", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 8192, .timeout_ms = 20000};
    int failed = become_netd();
    int status = confined_child_run(&(struct confined){.kind = CONFINED_RESOLVER}, &job, &output);
    return failed + expect(status == 0, "port 53 is not denied");
}

static void test_dns(void)
{
    CU_ASSERT_EQUAL(in_child(check_dns), 0);
}

static void test_attempts(void)
{
    CU_ASSERT_EQUAL(in_child(check_keygen), 0);
    CU_ASSERT_EQUAL(in_child(check_resolver), 0);
}

static void test_status(void)
{
    CU_ASSERT_EQUAL(in_child(check_status), 0);
    if (geteuid() == 0)
        CU_ASSERT_EQUAL(in_child(check_root), 0);
}

static void test_inherited(void)
{
    CU_ASSERT_EQUAL(in_child(check_inherited), 0);
}

static void test_abort(void)
{
    CU_ASSERT_EQUAL(in_child(check_abort), 0);
}

static void test_without_landlock(void)
{
    CU_ASSERT_EQUAL(in_child(check_without_landlock), 0);
    CU_ASSERT_EQUAL(in_child(check_keygen_without_landlock), 0);
    CU_ASSERT_EQUAL(in_child(check_resolver_without_landlock), 0);
}

/* ---- The helper's other errands ---- */

static int print(const char *path)
{
    char bytes[4096];
    CLEANUP(descriptor_close) int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(file, bytes, sizeof(bytes));
    if (got < 0 || write(STDOUT_FILENO, bytes, (size_t)got) != got)
        return 1;
    while ((got = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
        if (write(STDOUT_FILENO, bytes, (size_t)got) != got)
            return 1;
    }
    return 0;
}

static int wait_for_end(void)
{
    char byte;
    return read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"whatever a helper tries, it changes, reads and reaches nothing of netd's", test_attempts},
        {"a helper has no capability, also one of root's", test_status},
        {"a helper gets the files and the text that it is handed", test_inherited},
        {"a helper that aborts ends", test_abort},
        {"a helper ends with netd", test_abandoned},
        {"the resolver may ask over TCP", test_dns},
        {"without Landlock a helper still runs, filtered", test_without_landlock},
    };
    if (argc == 6 && strcmp(argv[1], "--try") == 0)
        return confined_attempts_run(argv + 2);
    if (argc == 3 && strcmp(argv[1], "--print") == 0)
        return print(argv[2]);
    if (argc == 2 && strcmp(argv[1], "--wait") == 0)
        return wait_for_end();
    if (argc == 2 && strcmp(argv[1], "--dns") == 0)
        return confined_attempts_ask_by_tcp();
    if (argc == 2 && strcmp(argv[1], "--abort") == 0)
        abort();
    return test_main("confined_child", cases, ARRAY_LENGTH(cases));
}
