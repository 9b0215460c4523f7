/*
 * What netd has given up, and what its children get. Each case runs in a child process, for
 * none of it can be taken back.
 */
#include "tunnel/os/privilege.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"
#include "tunnel/os/privileged_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NET_ADMIN "0000000000001000"
#define NONE "0000000000000000"

/* Runs CHECK in a child; its result is how many of its expectations failed. */
static int in_child(int (*check)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(check()); /* at once: what the sanitizers do at exit needs more than is left */
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int expect(bool holds, const char *what)
{
    if (!holds)
        (void)fprintf(stderr, "\nnot so: %s (errno %d)\n", what, errno);
    return holds ? 0 : 1;
}

/* Whether STATUS, a /proc/PID/status, has "NAME:\tVALUE". */
static int expect_field(const char *status, const char *name, const char *value)
{
    char line[64];
    (void)snprintf(line, sizeof(line), "\n%s:\t%s\n", name, value);
    return expect(strstr(status, line) != NULL, line + 1);
}

static int check_sets(void)
{
    char bytes[8192];
    int failed = expect(privilege_reduce() == 0, "the privileges can be reduced");
    CLEANUP(descriptor_close) int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = read(file, bytes, sizeof(bytes) - 1);
    bytes[got > 0 ? got : 0] = '\0';
    failed += expect_field(bytes, "CapPrm", NET_ADMIN);
    failed += expect_field(bytes, "CapEff", NET_ADMIN);
    failed += expect_field(bytes, "CapBnd", NET_ADMIN);
    failed += expect_field(bytes, "CapAmb", NONE);
    failed += expect_field(bytes, "NoNewPrivs", "1");
    return failed;
}

/* The unit gives exactly these sets, and its own filter denies capset(). */
static int check_without_capset(void)
{
    int failed = expect(privilege_reduce() == 0, "the privileges can be reduced");
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(capset), 0);
    failed += expect(seccomp_load(filter) == 0, "capset() is denied");
    seccomp_release(filter);
    return failed + expect(privilege_reduce() == 0, "reduced is reduced enough");
}

/* uid 0 on purpose: even there a child gets nothing by itself. */
static int check_children(void)
{
    static const char *const status[] = {"/usr/bin/cat", "/proc/self/status", NULL};
    CLEANUP(strbuf_free)
    struct strbuf bare = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf helper = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf after = STRBUF_EMPTY;
    const struct child_job job = {
        .arguments = status, .output_max_bytes = 8192, .timeout_ms = 10000};
    int failed = expect(privilege_reduce() == 0 && privilege_filter() == 0, "reduced");
    failed += expect(child_run(&job, &bare) == 0, "a child starts");
    failed += expect_field(strbuf_text(&bare), "CapEff", NONE);
    failed += expect_field(strbuf_text(&bare), "CapPrm", NONE);
    failed += expect(privileged_child_run(status, NULL, 0, &helper) == 0, "a helper starts");
    failed += expect_field(strbuf_text(&helper), "CapEff", NET_ADMIN);
    failed += expect_field(strbuf_text(&helper), "CapBnd", NET_ADMIN);
    failed += expect_field(strbuf_text(&helper), "Seccomp", "2");
    failed += expect(child_run(&job, &after) == 0, "another child starts");
    failed += expect_field(strbuf_text(&after), "CapEff", NONE);
    return failed;
}

static int check_background(void)
{
    static const char *const status[] = {"/usr/bin/cat", "/proc/self/status", NULL};
    int failed = expect(privilege_reduce() == 0, "reduced");
    for (int privileged = 0; privileged < 2; privileged++) {
        char bytes[8192];
        pid_t pid;
        int output = -1;
        CLEANUP(descriptor_close)
        int watched = privileged ? privileged_child_start(status, &output, &pid)
                                 : child_start(status, &output, &pid);
        failed += expect(watched >= 0, "a background child starts");
        failed += expect(waitpid(pid, NULL, 0) == pid, "and ends");
        ssize_t got = read(output, bytes, sizeof(bytes) - 1);
        bytes[got > 0 ? got : 0] = '\0';
        failed += expect_field(bytes, "CapEff", privileged ? NET_ADMIN : NONE);
        descriptor_close(&output);
    }
    return failed;
}

/* Executing a program with a capability must not make the kernel forget that it ends with its
 * caller: also not for an ordinary user, who has gained something that way. */
static int check_end(void)
{
    static const char *const dump[] = {"/usr/bin/setpriv", "--dump", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    int failed = expect(prctl(PR_SET_KEEPCAPS, 1) == 0, "capabilities are kept");
    failed += expect(setresgid(64999, 64999, 64999) == 0 && setresuid(64999, 64999, 64999) == 0,
                     "somebody else");
    failed += expect(privilege_reduce() == 0 && privilege_filter() == 0, "reduced");
    failed += expect(privileged_child_run(dump, NULL, 0, &output) == 0, "a helper starts");
    failed += expect(strstr(strbuf_text(&output), "uid: 64999") != NULL, "as somebody else");
    failed += expect(strstr(strbuf_text(&output), "Ambient capabilities: net_admin") != NULL,
                     "with the capability");
    failed += expect(strstr(strbuf_text(&output), "Parent death signal: KILL") != NULL,
                     "and ends with its caller");
    return failed;
}

static int check_filter(void)
{
    static const int allowed[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    static const int refused[] = {AF_PACKET, AF_BLUETOOTH, AF_VSOCK, AF_KEY, AF_ALG};
    int failed = expect(privilege_reduce() == 0 && privilege_filter() == 0, "filtered");
    failed += expect(ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM, "no ptrace");
    failed += expect(mount("none", "/", "tmpfs", 0, "") < 0 && errno == EPERM, "no mount");
    failed += expect(unshare(CLONE_NEWUSER) < 0 && errno == EPERM, "no namespaces");
    failed += expect(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM, "no bpf");
    failed += expect(syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0) < 0 && errno == EPERM,
                     "no namespaces by clone");
    for (size_t i = 0; i < ARRAY_LENGTH(allowed); i++) {
        CLEANUP(descriptor_close) int made = socket(allowed[i], SOCK_DGRAM, 0);
        failed += expect(made >= 0, "a socket that somebody needs");
    }
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
        failed += expect(socket(refused[i], SOCK_DGRAM, 0) < 0 && errno == EAFNOSUPPORT,
                         "no other sockets");
    return failed;
}

/* Root whose capabilities somebody has cut down, but who is still root for each program. */
static int check_half_root(void)
{
    static const unsigned gone[] = {CAP_SETPCAP, CAP_SYS_ADMIN};
    int failed = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(gone); i++)
        failed += expect(prctl(PR_CAPBSET_DROP, gone[i]) == 0, "cut down");
    failed += expect(privilege_reduce() == -EACCES, "refused");
    return failed;
}

static void test_half_root(void)
{
    if (geteuid() == 0)
        CU_ASSERT_EQUAL(in_child(check_half_root), 0);
}

static void test_sets(void)
{
    CU_ASSERT_EQUAL(in_child(check_sets), 0);
    CU_ASSERT_EQUAL(in_child(check_without_capset), 0);
}

static void test_children(void)
{
    CU_ASSERT_EQUAL(in_child(check_children), 0);
    CU_ASSERT_EQUAL(in_child(check_background), 0);
    CU_ASSERT_EQUAL(in_child(check_end), 0);
}

static void test_filter(void)
{
    CU_ASSERT_EQUAL(in_child(check_filter), 0);
}

TEST_MAIN("privilege", {"CAP_NET_ADMIN is all that is left, also of root", test_sets},
          {"root that cannot be given up is refused", test_half_root},
          {"a child has no capability unless it is a helper", test_children},
          {"the filter denies what nobody needs", test_filter})
