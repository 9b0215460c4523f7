/*
 * What netd gives up. The capability stays permitted, effective and inheritable, but not
 * ambient: a child gets it only when its start is bracketed by privilege_ambient().
 */
#include "tunnel/os/privilege.h"

#include "agent/base/macros.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NET_ADMIN_BIT (UINT32_C(1) << CAP_NET_ADMIN)

/*
 * Started as root (in a test, or by an administrator), root's uid alone must give nothing back.
 * Without CAP_SETPCAP there is nothing to take away: the unit did it, unless it is root who runs.
 */
static int forget_root(void)
{
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                               SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED;
    if (prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) != 1)
        return 0;
    for (unsigned long capability = 0; capability <= CAP_LAST_CAP; capability++) {
        if (capability != CAP_NET_ADMIN && capability != CAP_SETPCAP &&
            prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return errno == EPERM ? 0 : -errno;
    }
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_CAPBSET_DROP, CAP_SETPCAP, 0, 0, 0) < 0 ? -errno : 0;
}

/* Whether every program that this process executes gets root's capabilities, as far as it can. */
static bool is_still_root(void)
{
    uid_t real, effective, saved;
    if (getresuid(&real, &effective, &saved) < 0)
        return true;
    int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    const int needed = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
    return (real == 0 || effective == 0 || saved == 0) && (bits < 0 || (bits & needed) != needed);
}

/* The unit starts it with exactly these sets, and without the right to call capset(). */
static int keep_only_net_admin(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct only[2] = {
        {.effective = NET_ADMIN_BIT, .permitted = NET_ADMIN_BIT, .inheritable = NET_ADMIN_BIT}};
    struct __user_cap_data_struct now[2];
    if (syscall(SYS_capget, &header, now) == 0 && memcmp(now, only, sizeof(only)) == 0)
        return 0;
    return syscall(SYS_capset, &header, only) < 0 ? -errno : 0;
}

int privilege_reduce(void)
{
    int problem = forget_root();
    if (!problem)
        problem = keep_only_net_admin();
    if (problem < 0)
        return problem;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return is_still_root() ? -EACCES : 0;
}

int privilege_ambient(bool raised)
{
    unsigned long operation = raised ? PR_CAP_AMBIENT_RAISE : PR_CAP_AMBIENT_LOWER;
    return prctl(PR_CAP_AMBIENT, operation, CAP_NET_ADMIN, 0, 0) < 0 ? -errno : 0;
}

/*
 * What neither netd nor nft, ip, wg, wireguard-go, ssh-keygen or the resolver ever calls, and
 * what an attacker who has taken one of them over would want. A list of what is denied, because the
 * filter is inherited by wireguard-go, whose run time may use other calls on each release; the unit
 * adds systemd's own list of what is allowed.
 */
static const int denied[] = {
    SCMP_SYS(acct),
    SCMP_SYS(add_key),
    SCMP_SYS(adjtimex),
    SCMP_SYS(bpf),
    SCMP_SYS(chroot),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(clock_settime),
    SCMP_SYS(create_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(finit_module),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fspick),
    SCMP_SYS(init_module),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(ioperm),
    SCMP_SYS(iopl),
    SCMP_SYS(kcmp),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(mount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(move_mount),
    SCMP_SYS(move_pages),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(nfsservctl),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(open_tree),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(personality),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pivot_root),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(ptrace),
    SCMP_SYS(quotactl),
    SCMP_SYS(reboot),
    SCMP_SYS(request_key),
    SCMP_SYS(setdomainname),
    SCMP_SYS(sethostname),
    SCMP_SYS(setns),
    SCMP_SYS(settimeofday),
    SCMP_SYS(stime),
    SCMP_SYS(swapoff),
    SCMP_SYS(swapon),
    SCMP_SYS(syslog),
    SCMP_SYS(umount),
    SCMP_SYS(umount2),
    SCMP_SYS(unshare),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(vhangup),
};

/* Denies CALL with ERROR_CODE when its first argument compares so. */
static int deny_if(scmp_filter_ctx filter, uint32_t error_code, int call, enum scmp_compare compare,
                   scmp_datum_t value, scmp_datum_t masked)
{
    const struct scmp_arg_cmp condition = {
        .arg = 0, .op = compare, .datum_a = value, .datum_b = masked};
    return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(error_code), call, 1, &condition);
}

/* Families of sockets: our own and the helpers'. No packet sockets, no Bluetooth, no vsock. */
static int limit_sockets(scmp_filter_ctx filter)
{
    int problem = deny_if(filter, EAFNOSUPPORT, SCMP_SYS(socket), SCMP_CMP_GT, AF_NETLINK, 0);
    for (unsigned family = 0; !problem && family < AF_NETLINK; family++) {
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
            problem = deny_if(filter, EAFNOSUPPORT, SCMP_SYS(socket), SCMP_CMP_EQ, family, 0);
    }
    return problem;
}

int privilege_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    int problem = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; !problem && i < ARRAY_LENGTH(denied); i++) {
        problem = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
        if (problem == -EDOM) /* a call that this machine's kernel never had */
            problem = 0;
    }
    /* New namespaces by clone(); clone3() hides its flags behind a pointer, so it is not there. */
    if (!problem)
        problem = deny_if(filter, EPERM, SCMP_SYS(clone), SCMP_CMP_MASKED_EQ, CLONE_NEWUSER,
                          CLONE_NEWUSER);
    if (!problem)
        problem = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (!problem)
        problem = limit_sockets(filter);
    if (!problem)
        problem = seccomp_load(filter);
    seccomp_release(filter);
    return problem;
}
