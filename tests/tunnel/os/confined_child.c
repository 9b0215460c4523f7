/*
 * What a confined helper can still do. This program is the helper, too: it tries all that a helper
 * which was taken over would want, and prints what it could do. Each case runs in a process of its
 * own that has reduced its privileges as netd does, as an ordinary user when root runs the test.
 */
#include "tunnel/os/confined_child.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
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
#define ABSTRACT_NAME "sallyport-confined-test"

/* ---- The helper: arguments are the folder, netd's process and a TCP port of netd's machine ----
 */

static struct {
    const char *folder;
    pid_t netd;
    uint16_t port;
} target;

static const char *in_folder(const char *name)
{
    static char path[100];
    (void)snprintf(path, sizeof(path), "%s/%s", target.folder, name);
    return path;
}

static const char *of_netd(const char *name)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)target.netd, name);
    return path;
}

static bool opens(const char *path, int flags)
{
    CLEANUP(descriptor_close) int file = open(path, flags | O_CLOEXEC, 0600);
    return file >= 0;
}

static bool read_key(void)
{
    return opens(in_folder("key"), O_RDONLY);
}

static bool list_state(void)
{
    return opens(in_folder("."), O_RDONLY | O_DIRECTORY);
}

static bool write_trial(void)
{
    return opens(in_folder("trial.conf"), O_WRONLY | O_CREAT);
}

static bool overwrite_rules(void)
{
    return opens(in_folder("lockdown.nft"), O_WRONLY) || opens(in_folder("lockdown.nft"), O_RDWR);
}

static bool empty_rules(void)
{
    return opens(in_folder("lockdown.nft"), O_RDONLY | O_TRUNC) ||
           truncate(in_folder("lockdown.nft"), 0) == 0;
}

static bool remove_journal(void)
{
    return unlink(in_folder("journal")) == 0;
}

static bool rename_journal(void)
{
    char other[100];
    (void)snprintf(other, sizeof(other), "%s", in_folder("elsewhere"));
    return rename(in_folder("journal"), other) == 0 || link(in_folder("journal"), other) == 0;
}

static bool make_things(void)
{
    return mkdir(in_folder("made"), 0700) == 0 || symlink("/", in_folder("made")) == 0 ||
           mkfifo(in_folder("made"), 0600) == 0 || memfd_create("made", 0) >= 0;
}

static bool give_key_away(void)
{
    return chmod(in_folder("key"), 0666) == 0 || chown(in_folder("key"), (uid_t)-1, getgid()) == 0;
}

static bool change_time(void)
{
    return utimensat(AT_FDCWD, in_folder("journal"), NULL, 0) == 0;
}

static bool signal_netd(void)
{
    return kill(target.netd, 0) == 0 || syscall(SYS_tgkill, target.netd, target.netd, 0) == 0 ||
           syscall(SYS_tkill, target.netd, 0) == 0 || kill(-1, 0) == 0 ||
           syscall(SYS_pidfd_open, target.netd, 0) >= 0;
}

/* The kernel would send the signal, when the pipe is read. */
static bool signal_netd_by_descriptor(void)
{
    return fcntl(STDIN_FILENO, F_SETOWN, target.netd) == 0 ||
           fcntl(STDIN_FILENO, F_SETSIG, SIGKILL) == 0;
}

static bool enter_netd(void)
{
    char byte;
    struct iovec ours = {&byte, 1}, theirs = {&target, 1};
    return opens(of_netd("mem"), O_RDONLY) || opens(of_netd("environ"), O_RDONLY) ||
           opens(of_netd("maps"), O_RDONLY) || ptrace(PTRACE_SEIZE, target.netd, 0, 0) == 0 ||
           process_vm_readv(target.netd, &ours, 1, &theirs, 1, 0) >= 0;
}

static bool limit_netd(void)
{
    const struct rlimit none = {0, 0};
    return prlimit(target.netd, RLIMIT_NOFILE, &none, NULL) == 0 ||
           setpriority(PRIO_PROCESS, (id_t)target.netd, 19) == 0;
}

static bool reach(int family, const void *address, socklen_t length)
{
    CLEANUP(descriptor_close) int made = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return made >= 0 && connect(made, address, length) == 0;
}

static bool reach_netd_socket(void)
{
    struct sockaddr_un named = {.sun_family = AF_UNIX}, unnamed = named;
    (void)snprintf(named.sun_path, sizeof(named.sun_path), "%s", in_folder("netd.sock"));
    (void)snprintf(unnamed.sun_path + 1, sizeof(unnamed.sun_path) - 1, ABSTRACT_NAME);
    int pair[2];
    return reach(AF_UNIX, &named, sizeof(named)) || reach(AF_UNIX, &unnamed, sizeof(unnamed)) ||
           socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
}

static bool reach_by_tcp(void)
{
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons(target.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return reach(AF_INET, &to, sizeof(to));
}

static bool make_socket(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
    for (size_t i = 0; i < ARRAY_LENGTH(families); i++) {
        CLEANUP(descriptor_close) int made = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (made >= 0)
            return true;
    }
    return false;
}

static bool make_odd_socket(void)
{
    CLEANUP(descriptor_close) int netfilter = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    CLEANUP(descriptor_close) int packets = socket(AF_PACKET, SOCK_RAW, 0);
    return netfilter >= 0 || packets >= 0;
}

static bool listen_for_strangers(void)
{
    CLEANUP(descriptor_close) int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return made >= 0 && listen(made, 1) == 0;
}

static bool make_process(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool map_file_for_writing(void)
{
    CLEANUP(descriptor_close) int file = open(SELF, O_RDONLY | O_CLOEXEC);
    return file >= 0 && mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) != MAP_FAILED;
}

static bool raise_limits(void)
{
    const struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(RLIMIT_FSIZE, &more) == 0 || setrlimit(RLIMIT_CORE, &more) == 0 ||
           setrlimit(RLIMIT_CPU, &more) == 0;
}

static bool has_more_than_its_own(void)
{
    char folder[16];
    return opens("/proc/self/fd/3", O_RDONLY) || fcntl(3, F_GETFD) >= 0 || getenv("PATH") ||
           !getcwd(folder, sizeof(folder)) || strcmp(folder, "/") != 0;
}

static bool read_other_files(void)
{
    return opens("/etc/shadow", O_RDONLY) || opens("/etc/sallyport", O_RDONLY | O_DIRECTORY) ||
           opens("/var", O_RDONLY | O_DIRECTORY) || opens("/bin/sh", O_RDONLY);
}

/* It would print "allowed" in place of this program. */
static bool execute_shell(void)
{
    char *const arguments[] = {"sh", "-c", "echo allowed: a shell", NULL}, *const nothing[] = {
                                                                               NULL};
    (void)fflush(stdout);
    (void)execve("/bin/sh", arguments, nothing);
    return false;
}

static const struct attempt {
    const char *name;
    bool (*succeeds)(void);
    unsigned kinds;
} attempts[] = {
    {"read the tunnel's key", read_key, 3},
    {"list the state folder", list_state, 3},
    {"write trial.conf", write_trial, 3},
    {"overwrite the boot rules", overwrite_rules, 3},
    {"empty the boot rules", empty_rules, 3},
    {"remove the journal", remove_journal, 3},
    {"rename the journal", rename_journal, 3},
    {"make a folder, a link, a fifo, a memory file", make_things, 3},
    {"change a mode or an owner", give_key_away, 3},
    {"change a file's time", change_time, 3},
    {"signal netd", signal_netd, 3},
    {"signal netd through a descriptor", signal_netd_by_descriptor, 3},
    {"read netd's memory", enter_netd, 3},
    {"limit netd", limit_netd, 3},
    {"reach netd's socket", reach_netd_socket, 3},
    {"reach a TCP port", reach_by_tcp, 3},
    {"make a socket", make_socket, 1U << CONFINED_SSH_KEYGEN},
    {"make a socket of another family", make_odd_socket, 3},
    {"listen", listen_for_strangers, 3},
    {"make a process", make_process, 3},
    {"map a file so that it can be written", map_file_for_writing, 3},
    {"raise its limits", raise_limits, 3},
    {"find a descriptor, an environment or another folder", has_more_than_its_own, 3},
    {"read files that it does not need", read_other_files, 3},
    {"execute a shell", execute_shell, 3},
};

static int try_all(char **arguments)
{
    unsigned tried = 0;
    enum confined_kind kind =
        strcmp(arguments[0], "ssh-keygen") == 0 ? CONFINED_SSH_KEYGEN : CONFINED_RESOLVER;
    target.folder = arguments[1];
    target.netd = (pid_t)strtol(arguments[2], NULL, 10);
    target.port = (uint16_t)strtol(arguments[3], NULL, 10);
    for (size_t i = 0; i < ARRAY_LENGTH(attempts); i++) {
        if (!(attempts[i].kinds & 1U << kind))
            continue;
        tried++;
        if (attempts[i].succeeds())
            printf("allowed: %s\n", attempts[i].name);
    }
    printf("tried %u\n", tried);
    return 0;
}

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
    (void)snprintf(unnamed.sun_path + 1, sizeof(unnamed.sun_path) - 1, ABSTRACT_NAME);
    int tcp = listen_at(AF_INET, &port, sizeof(port));
    if (listen_at(AF_UNIX, &named, sizeof(named)) < 0 ||
        listen_at(AF_UNIX, &unnamed, sizeof(unnamed)) < 0 || tcp < 0 ||
        getsockname(tcp, (struct sockaddr *)&port, &length) < 0)
        return 0;
    return ntohs(port.sin_port);
}

static unsigned count_attempts(enum confined_kind kind)
{
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(attempts); i++)
        count += attempts[i].kinds >> kind & 1;
    return count;
}

static int check_attempts(enum confined_kind kind)
{
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY, wanted = STRBUF_EMPTY;
    char netd[16], port[8];
    int failed = become_netd();
    uint16_t listening = make_targets();
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
    if (confinement_landlock_abi() < 4 && kind == CONFINED_RESOLVER)
        strbuf_add(&wanted, "allowed: reach a TCP port\n");
    strbuf_addf(&wanted, "tried %u\n", count_attempts(kind));
    failed += expect(strcmp(strbuf_text(&output), strbuf_text(&wanted)) == 0, strbuf_text(&output));
    return failed;
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

/* A kernel without Landlock: it still runs, and writes nothing. */
static int check_without_landlock(void)
{
    static const char *const arguments[] = {SELF, "--print", "/proc/self/status", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    const struct child_job job = {
        .arguments = arguments, .output_max_bytes = 8192, .timeout_ms = 20000};
    int failed = become_netd();
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
    failed += expect(seccomp_load(filter) == 0, "Landlock is gone");
    seccomp_release(filter);
    failed += expect(confinement_landlock_abi() == -ENOSYS, "and said to be");
    int status = confined_child_run(&(struct confined){.kind = CONFINED_RESOLVER}, &job, &output);
    failed += expect(status == 0, "the helper runs");
    return failed + expect_line(strbuf_text(&output), "\nSeccomp:\t2\n");
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
        {"without Landlock a helper still runs, filtered", test_without_landlock},
    };
    if (argc == 6 && strcmp(argv[1], "--try") == 0)
        return try_all(argv + 2);
    if (argc == 3 && strcmp(argv[1], "--print") == 0)
        return print(argv[2]);
    if (argc == 2 && strcmp(argv[1], "--wait") == 0)
        return wait_for_end();
    if (argc == 2 && strcmp(argv[1], "--abort") == 0)
        abort();
    return test_main("confined_child", cases, ARRAY_LENGTH(cases));
}
