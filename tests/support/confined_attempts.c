/* What a helper that was taken over would try. */
#include "tests/support/confined_attempts.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define SELF "/proc/self/exe"

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

/* The filter itself refuses the call, whatever else would. */
static bool is_answered(long result)
{
    return result >= 0 || errno != ENOSYS;
}

static bool enter_netd(void)
{
    char byte;
    struct iovec ours = {&byte, 1}, theirs = {&target, 1};
    return opens(of_netd("mem"), O_RDONLY) || opens(of_netd("environ"), O_RDONLY) ||
           opens(of_netd("maps"), O_RDONLY) ||
           is_answered(ptrace(PTRACE_SEIZE, target.netd, 0, 0)) ||
           is_answered(process_vm_readv(target.netd, &ours, 1, &theirs, 1, 0));
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
    (void)snprintf(unnamed.sun_path + 1, sizeof(unnamed.sun_path) - 1, CONFINED_ATTEMPTS_SOCKET);
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

static bool take_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false; /* they take terabytes */
#else
    return mmap(NULL, (size_t)512 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) != MAP_FAILED;
#endif
}

static bool open_many_files(void)
{
    int last = 0;
    for (int i = 0; i < 100 && last >= 0; i++)
        last = dup(STDOUT_FILENO);
    for (int at = 3; at < 200; at++)
        (void)close(at);
    return last >= 0;
}

static bool has_more_than_its_own(void)
{
    char folder[16];
    for (int at = 3; at < 200; at++) {
        if (fcntl(at, F_GETFD) >= 0)
            return true;
    }
    return getenv("PATH") || !getcwd(folder, sizeof(folder)) || strcmp(folder, "/") != 0;
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
    {"take much memory", take_memory, 3},
    {"open many files", open_many_files, 3},
    {"read files that it does not need", read_other_files, 3},
    {"execute a shell", execute_shell, 3},
};

int confined_attempts_run(char **arguments)
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

unsigned confined_attempts_count(enum confined_kind kind)
{
    unsigned count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(attempts); i++)
        count += attempts[i].kinds >> kind & 1;
    return count;
}

int confined_attempts_ask_by_tcp(void)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return reach(AF_INET, &to, sizeof(to)) || errno == ECONNREFUSED ? 0 : 1;
}
