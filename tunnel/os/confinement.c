/*
 * The confinement of a helper. What needs memory or files is done by netd before the fork: a
 * Landlock ruleset as a descriptor, and the filter as a program for the kernel.
 */
#include "tunnel/os/confinement.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/* Sanitizers reserve terabytes of addresses, and start a thread. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

#define ADDRESS_SPACE_BYTES (UINT64_C(256) * 1024 * 1024)
#define CPU_SECONDS 10
#define OPEN_FILES 64
#define DNS_PORT 53

/* ---- Landlock ---- */

/*
 * The header of an older kernel does not have these; the kernel that runs may. Names and numbers
 * are those of the kernel's include/uapi/linux/landlock.h.
 */
#define ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)  /* ABI 3 */
#define ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */
#define ACCESS_NET_BIND_TCP (UINT64_C(1) << 0)  /* ABI 4 */
#define ACCESS_NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL (UINT64_C(1) << 1)
#define RULE_NET_PORT 2

/* The kernel takes a longer one than it knows, as long as what it does not know is 0. */
struct ruleset_attributes {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

struct net_port_attributes {
    uint64_t allowed_access, port;
};

#define READ LANDLOCK_ACCESS_FS_READ_FILE
#define READ_BELOW (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define READ_AND_WRITE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define EXECUTE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)
#define FOR_ALL (1U << CONFINED_SSH_KEYGEN | 1U << CONFINED_RESOLVER)
#define FOR_KEYGEN (1U << CONFINED_SSH_KEYGEN)
#define FOR_RESOLVER (1U << CONFINED_RESOLVER)

static const struct {
    const char *path; /* what is not there is left out */
    uint64_t access;
    unsigned kinds;
} readable[] = {
    {"/usr/lib", READ_BELOW, FOR_ALL},
    {"/usr/lib64", READ_BELOW, FOR_ALL},
    {"/lib", READ_BELOW, FOR_ALL},
    {"/lib64", READ_BELOW, FOR_ALL},
    {"/usr/local/lib", READ_BELOW, FOR_ALL},
    {"/etc/ld.so.cache", READ, FOR_ALL},
    {"/etc/nsswitch.conf", READ, FOR_ALL},
    {"/dev/null", READ_AND_WRITE, FOR_ALL},
    {"/etc/passwd", READ, FOR_KEYGEN},
    {"/etc/localtime", READ, FOR_KEYGEN},
    {"/etc/ssl/openssl.cnf", READ, FOR_KEYGEN},
    {"/usr/share/zoneinfo", READ_BELOW, FOR_KEYGEN},
    {"/etc/resolv.conf", READ, FOR_RESOLVER},
    {"/run/systemd/resolve", READ_BELOW, FOR_RESOLVER}, /* where resolv.conf may be a link to */
    {"/etc/hosts", READ, FOR_RESOLVER},
    {"/etc/host.conf", READ, FOR_RESOLVER},
    {"/etc/gai.conf", READ, FOR_RESOLVER},
};

int confinement_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? -errno : (int)abi;
}

static int make_ruleset(int abi, enum confined_kind kind)
{
    struct ruleset_attributes attributes = {
        .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1}; /* all that ABI 1 has */
    if (abi >= 2)
        attributes.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        attributes.handled_access_fs |= ACCESS_FS_TRUNCATE;
    if (abi >= 4)
        attributes.handled_access_net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP;
    if (abi >= 5)
        attributes.handled_access_fs |= ACCESS_FS_IOCTL_DEV;
    if (abi >= 6)
        attributes.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (ruleset < 0)
        return -errno;
    const struct net_port_attributes dns = {ACCESS_NET_CONNECT_TCP, DNS_PORT};
    if (kind != CONFINED_RESOLVER || abi < 4 ||
        syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &dns, 0) == 0)
        return ruleset;
    int problem = -errno;
    descriptor_close(&ruleset);
    return problem;
}

static int add_path(int ruleset, const char *path, uint64_t access)
{
    CLEANUP(descriptor_close) int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0) /* a helper with less than it needs fails, and says so */
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
    struct stat about;
    if (fstat(place, &about) < 0)
        return -errno;
    if (!S_ISDIR(about.st_mode))
        access &= ~(uint64_t)LANDLOCK_ACCESS_FS_READ_DIR;
    const struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = place};
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
               ? -errno
               : 0;
}

/* The loader that this program names, which is that of the helpers: the kernel executes it, too. */
static int add_loader(struct dl_phdr_info *object, size_t size, void *context)
{
    const int *ruleset = context;
    (void)size;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type == PT_INTERP) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): dl_iterate_phdr() tells it so */
            const char *loader = (const char *)object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
            int problem = add_path(*ruleset, loader, EXECUTE);
            return problem < 0 ? problem : 1;
        }
    }
    return 1; /* only the first, which is the program */
}

static int fill_ruleset(int ruleset, enum confined_kind kind, const char *program)
{
    int problem = add_path(ruleset, program, EXECUTE);
    for (size_t i = 0; !problem && i < ARRAY_LENGTH(readable); i++) {
        if (readable[i].kinds & 1U << kind)
            problem = add_path(ruleset, readable[i].path, readable[i].access);
    }
    if (!problem)
        problem = dl_iterate_phdr(add_loader, &ruleset);
    return problem < 0 ? problem : 0;
}

/* A ruleset, -1 where there is no Landlock, or a negative errno below -1. */
static int prepare_landlock(enum confined_kind kind, const char *program, int *ret_ruleset)
{
    int abi = confinement_landlock_abi();
    *ret_ruleset = -1;
    if (abi == -ENOSYS || abi == -EOPNOTSUPP)
        return 0;
    CLEANUP(descriptor_close) int ruleset = abi < 0 ? abi : make_ruleset(abi, kind);
    if (ruleset < 0)
        return ruleset;
    int problem = fill_ruleset(ruleset, kind, program);
    if (!problem)
        *ret_ruleset = descriptor_take(&ruleset);
    return problem;
}

/* ---- System calls ---- */

/*
 * What a program needs to be loaded, to read files, to compute and to print. Nothing that makes a
 * process or signals one, that changes a file's name, owner, mode or time, or that opens one for
 * writing (below). A call that is not listed does not exist (ENOSYS), so that the C library takes
 * an older one.
 */
static const int allowed[] = {
    SCMP_SYS(access),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(arm_fadvise64_64),
    SCMP_SYS(brk),
    SCMP_SYS(cacheflush),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_getres_time64),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(execve), /* the helper itself; Landlock knows no other program */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fadvise64_64),
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(fstatat64),
    SCMP_SYS(fstatfs),
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents),
    SCMP_SYS(getdents64),
    SCMP_SYS(getegid),
    SCMP_SYS(getegid32),
    SCMP_SYS(geteuid),
    SCMP_SYS(geteuid32),
    SCMP_SYS(getgid),
    SCMP_SYS(getgid32),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrlimit),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(getuid32),
    SCMP_SYS(_llseek),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(lstat64),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    SCMP_SYS(mprotect), /* mmap() gives memory to execute anyhow, for libraries */
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(nanosleep),
    SCMP_SYS(newfstatat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(pread64),
    SCMP_SYS(read),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(readv),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(set_tls),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sigreturn),
    SCMP_SYS(stat),
    SCMP_SYS(stat64),
    SCMP_SYS(statfs),
    SCMP_SYS(statfs64),
    SCMP_SYS(statx),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(ugetrlimit),
    SCMP_SYS(uname),
    SCMP_SYS(write),
    SCMP_SYS(writev),
};

/* The resolver's, on sockets that it may make. Neither listen() nor accept(). */
static const int allowed_sockets[] = {
    SCMP_SYS(bind),        SCMP_SYS(connect),
    SCMP_SYS(getpeername), SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),  SCMP_SYS(recv),
    SCMP_SYS(recvfrom),    SCMP_SYS(recvmmsg),
    SCMP_SYS(recvmsg),     SCMP_SYS(recvmmsg_time64),
    SCMP_SYS(send),        SCMP_SYS(sendmmsg),
    SCMP_SYS(sendmsg),     SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
};

/* No way to have a signal sent to another process (F_SETOWN), and no locks. */
static const unsigned allowed_fcntl[] = {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD,
                                         F_SETFD, F_GETFL,         F_SETFL};
static const unsigned long allowed_ioctl[] = {TCGETS, FIONREAD};

static int allow_list(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int problem = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (problem < 0 && problem != -EDOM) /* -EDOM: this machine's kernel never had it */
            return problem;
    }
    return 0;
}

static int allow_if(scmp_filter_ctx filter, int call, const struct scmp_arg_cmp *conditions,
                    unsigned count)
{
    int problem = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, conditions);
    return problem == -EDOM ? 0 : problem;
}

static int allow_equal(scmp_filter_ctx filter, int call, unsigned argument, scmp_datum_t value)
{
    const struct scmp_arg_cmp condition = {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
    return allow_if(filter, call, &condition, 1);
}

/* CALL when the bits MASK of an argument are VALUE. */
static int allow_bits(scmp_filter_ctx filter, int call, unsigned argument, scmp_datum_t mask,
                      scmp_datum_t value)
{
    const struct scmp_arg_cmp condition = {
        .arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    return allow_if(filter, call, &condition, 1);
}

/*
 * Files are opened for reading. ssh-keygen opens /dev/null for both before it does anything: what
 * else it could open so, Landlock denies, and where there is none, RLIMIT_FSIZE and private
 * mappings keep it from changing what is in it.
 */
static int allow_files(scmp_filter_ctx filter, enum confined_kind kind)
{
    scmp_datum_t denied = O_WRONLY | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    if (kind != CONFINED_SSH_KEYGEN)
        denied |= O_RDWR;
    int problem = allow_bits(filter, SCMP_SYS(open), 1, denied, 0);
    if (!problem)
        problem = allow_bits(filter, SCMP_SYS(openat), 2, denied, 0);
    if (!problem)
        problem = allow_bits(filter, SCMP_SYS(mmap), 3, MAP_SHARED | MAP_PRIVATE, MAP_PRIVATE);
    if (!problem)
        problem = allow_bits(filter, SCMP_SYS(mmap2), 3, MAP_SHARED | MAP_PRIVATE, MAP_PRIVATE);
    for (size_t i = 0; !problem && i < ARRAY_LENGTH(allowed_fcntl); i++) {
        problem = allow_equal(filter, SCMP_SYS(fcntl), 1, allowed_fcntl[i]);
        if (!problem)
            problem = allow_equal(filter, SCMP_SYS(fcntl64), 1, allowed_fcntl[i]);
    }
    for (size_t i = 0; !problem && i < ARRAY_LENGTH(allowed_ioctl); i++)
        problem = allow_equal(filter, SCMP_SYS(ioctl), 1, allowed_ioctl[i]);
    return problem;
}

/*
 * No Unix socket: neither netd's own, nor the bus, nor a name service daemon's. Where names come
 * from such a daemon, the C library goes on to the next source in nsswitch.conf.
 */
static int allow_sockets(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp rtnetlink[] = {{.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK},
                                             {.arg = 2, .op = SCMP_CMP_EQ, .datum_a = 0}};
    int problem = allow_list(filter, allowed_sockets, ARRAY_LENGTH(allowed_sockets));
    if (!problem)
        problem = allow_equal(filter, SCMP_SYS(socket), 0, AF_INET);
    if (!problem)
        problem = allow_equal(filter, SCMP_SYS(socket), 0, AF_INET6);
    if (!problem)
        problem = allow_if(filter, SCMP_SYS(socket), rtnetlink, ARRAY_LENGTH(rtnetlink));
    return problem;
}

static int fill_filter(scmp_filter_ctx filter, enum confined_kind kind)
{
    int problem = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!problem)
        problem = allow_list(filter, allowed, ARRAY_LENGTH(allowed));
    if (!problem)
        problem = allow_files(filter, kind);
    if (!problem) /* its own limits, which it cannot raise */
        problem = allow_equal(filter, SCMP_SYS(prlimit64), 0, 0);
    if (!problem && kind == CONFINED_RESOLVER)
        problem = allow_sockets(filter);
    if (!problem && IS_SANITIZED)
        problem = allow_bits(filter, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
    return problem;
}

/* The filter as the kernel takes it: seccomp_load() is not safe after a fork. */
static int export_filter(scmp_filter_ctx filter, struct sock_fprog *ret_filter)
{
    CLEANUP(descriptor_close) int file = memfd_create("sallyport", MFD_CLOEXEC);
    if (file < 0)
        return -errno;
    int problem = seccomp_export_bpf(filter, file);
    if (problem < 0)
        return problem;
    off_t length = lseek(file, 0, SEEK_END);
    if (length <= 0 || length % (off_t)sizeof(struct sock_filter) != 0 ||
        length / (off_t)sizeof(struct sock_filter) > BPF_MAXINSNS)
        return -EBADMSG;
    struct sock_filter *program = memory_zeroed(1, (size_t)length);
    if (pread(file, program, (size_t)length, 0) != length) {
        free(program);
        return -EIO;
    }
    ret_filter->filter = program;
    ret_filter->len = (unsigned short)((size_t)length / sizeof(*program));
    return 0;
}

static int prepare_filter(enum confined_kind kind, struct sock_fprog *ret_filter)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return -ENOMEM;
    int problem = fill_filter(filter, kind);
    if (!problem)
        problem = export_filter(filter, ret_filter);
    seccomp_release(filter);
    return problem;
}

int confinement_make(enum confined_kind kind, const char *program, struct confinement *ret)
{
    struct confinement made = {.ruleset = -1};
    int problem = prepare_landlock(kind, program, &made.ruleset);
    if (!problem)
        problem = prepare_filter(kind, &made.filter);
    if (problem < 0)
        confinement_free(&made);
    else
        *ret = made;
    return problem;
}

void confinement_free(struct confinement *confinement)
{
    descriptor_close(&confinement->ruleset);
    free(confinement->filter.filter);
    confinement->filter = (struct sock_fprog){0};
}

/* ---- In the child ---- */

/* Everything above 2 is closed by exec, but INHERITED. */
static int close_descriptors(const int *inherited)
{
    if (syscall(SYS_close_range, 3, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0) {
        struct rlimit limit; /* before Linux 5.11 */
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return -errno;
        for (int at = 3; (rlim_t)at < limit.rlim_cur; at++)
            (void)fcntl(at, F_SETFD, FD_CLOEXEC);
    }
    for (; inherited && *inherited >= 0; inherited++) {
        if (fcntl(*inherited, F_SETFD, 0) < 0)
            return -errno;
    }
    return 0;
}

static int limit_resources(void)
{
    static const struct {
        int resource;
        rlim_t value;
    } limits[] = {{RLIMIT_AS, IS_SANITIZED ? RLIM_INFINITY : ADDRESS_SPACE_BYTES},
                  {RLIMIT_CPU, CPU_SECONDS},
                  {RLIMIT_FSIZE, 0}, /* what it prints goes to a pipe or a socket */
                  {RLIMIT_NOFILE, OPEN_FILES},
                  {RLIMIT_CORE, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        struct rlimit limit;
        if (getrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
            return -errno;
        if (limit.rlim_max > limits[i].value)
            limit.rlim_max = limits[i].value;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
            return -errno;
    }
    return 0;
}

/*
 * The bounding set and root's meaning need CAP_SETPCAP, and the unit's filter has no capset():
 * there exec leaves an ordinary user none, for none is ambient.
 */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}};
    for (unsigned long capability = 0; capability <= CAP_LAST_CAP; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    (void)prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    (void)syscall(SYS_capset, &header, none);
}

int confinement_enter(const struct confinement *confinement, const int *inherited)
{
    int problem = close_descriptors(inherited);
    if (!problem)
        problem = limit_resources();
    if (problem < 0)
        return problem;
    drop_capabilities();
    if (chdir("/") < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (confinement->ruleset >= 0 &&
        syscall(SYS_landlock_restrict_self, confinement->ruleset, 0) < 0)
        return -errno;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &confinement->filter) < 0)
        return -errno;
    return 0;
}
