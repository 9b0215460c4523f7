/* Sysctls of the kernel that must not become looser. */
#include "tunnel/firewall/sysctl_watch.h"

#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 128 /* below PROC_FOLDER */
#define FORWARD "net/ipv4/ip_forward"

enum kind {
    KIND_OFF,   /* 0 is tight */
    KIND_FILTER /* rp_filter */
};

static const struct {
    const char *path; /* below PROC_FOLDER */
    enum kind kind;
} table[] = {
    {FORWARD, KIND_OFF},
    {"net/ipv6/conf/all/forwarding", KIND_OFF},
    {"net/ipv4/conf/all/route_localnet", KIND_OFF},
    {"net/ipv4/conf/all/rp_filter", KIND_FILTER},
    {"net/netfilter/nf_conntrack_helper", KIND_OFF},
    {"net/netfilter/nf_conntrack_tcp_be_liberal", KIND_OFF},
};

/* Of net/FAMILY/conf/WHERE, each interface, "all" and "default". Not ours to judge by what was. */
static const struct {
    const char *family, *name;
    const char *tight; /* the digits that are; the first is what we set */
} required[] = {
    {"ipv4", "accept_redirects", "0"},    {"ipv4", "secure_redirects", "1"},
    {"ipv4", "shared_media", "0"},        {"ipv4", "send_redirects", "0"},
    {"ipv4", "accept_source_route", "0"}, {"ipv4", "proxy_arp", "0"},
    {"ipv4", "arp_ignore", "128"},        {"ipv4", "arp_announce", "21"},
    {"ipv6", "accept_redirects", "0"},    {"ipv6", "accept_source_route", "0-"}, /* -1 */
    {"ipv6", "proxy_ndp", "0"},
};

/* One place of the required sysctls. */
struct conf {
    uint32_t stuck; /* a bit for each row: cannot be set, which was told */
};

struct interface {
    unsigned index;
    char name[IFNAMSIZ];
    char filter; /* rp_filter when it was right */
    struct conf conf;
    bool is_seen;
};

struct sysctl_watch {
    char *proc_folder;
    char right[ARRAY_LENGTH(table)];
    char forward; /* ip_forward at the last look */
    struct conf all, fallback;
    bool is_stuck_told;
    struct interface *interfaces;
    size_t n_interfaces, room;
};

/* The first character at PATH, a digit or '-'; OTHERWISE when this kernel has no such sysctl. */
static char read_or(const struct sysctl_watch *sysctls, const char *path, char otherwise)
{
    char whole[256 + PATH_BYTES], digit;
    (void)snprintf(whole, sizeof(whole), "%.255s/%s", sysctls->proc_folder, path);
    CLEANUP(descriptor_close) int file = open(whole, O_RDONLY | O_CLOEXEC);
    return file >= 0 && read(file, &digit, 1) == 1 ? digit : otherwise;
}

static char read_sysctl(const struct sysctl_watch *sysctls, const char *path)
{
    return read_or(sysctls, path, '0');
}

static int write_sysctl(const struct sysctl_watch *sysctls, const char *path, char digit)
{
    char whole[256 + PATH_BYTES];
    const char text[2] = {digit, '\n'};
    (void)snprintf(whole, sizeof(whole), "%.255s/%s", sysctls->proc_folder, path);
    CLEANUP(descriptor_close) int file = open(whole, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t written = write(file, text, sizeof(text));
    return written == sizeof(text) ? 0 : written < 0 ? -errno : -EIO;
}

/* The higher, the looser. */
static int looseness(enum kind kind, char digit)
{
    switch (kind) {
    case KIND_OFF:
        return digit != '0';
    case KIND_FILTER:
        return digit == '1' ? 0 : digit == '2' ? 1 : 2;
    }
    return 0;
}

static void tell_loosened(struct event *event, const char *path, char now, int problem)
{
    if (event->n_members >= EVENT_MANY) /* many at once must not make an endless line */
        return;
    event_add_text(event, MEMBER_LOOSENED, path);
    event_add_number(event, MEMBER_TO, now - '0');
    event_add_text(event, MEMBER_SET_BACK, problem ? strerror(-problem) : "yes");
}

/* Looks at one sysctl that was *RIGHT; returns whether it was looser. */
static bool look(const struct sysctl_watch *sysctls, const char *path, enum kind kind, char *right,
                 struct event *event)
{
    char now = read_sysctl(sysctls, path);
    int before = looseness(kind, *right), after = looseness(kind, now);
    if (after <= before) {
        *right = now; /* tighter is right from now on */
        return false;
    }
    int problem = write_sysctl(sysctls, path, *right);
    tell_loosened(event, path, now, problem);
    if (problem)
        *right = now; /* told once; our rules do not depend on it */
    return true;
}

/* ---- What is required, whatever was set before ---- */

static void tell_stuck(struct sysctl_watch *sysctls, const char *path, char wanted, int problem)
{
    if (sysctls->is_stuck_told)
        return;
    sysctls->is_stuck_told = true;
    log_warning(
        "firewall",
        "sysctl=%s cannot be set to %c: %s; the rules refuse redirects and source routes all "
        "the same, but addresses of one interface may be told at another: make /proc/sys/net "
        "writable for netd, or set it in /etc/sysctl.d",
        path, wanted, strerror(-problem));
}

/*
 * Sets what is not tight below conf/WHERE. EVENT gets it as members; without one it is what was
 * found, not what somebody did, and is only set. Returns how many were loosened.
 */
static size_t require(struct sysctl_watch *sysctls, const char *where, struct conf *conf,
                      struct event *event)
{
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(required); i++) {
        const uint32_t bit = UINT32_C(1) << i;
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof(path), "net/%s/conf/%s/%s", required[i].family, where,
                       required[i].name);
        char now = read_or(sysctls, path, required[i].tight[0]);
        if (strchr(required[i].tight, now)) {
            conf->stuck &= ~bit;
            continue;
        }
        int problem = write_sysctl(sysctls, path, required[i].tight[0]);
        if (event && !(conf->stuck & bit)) {
            tell_loosened(event, path, now, problem);
            found++;
        }
        if (problem && !event)
            tell_stuck(sysctls, path, required[i].tight[0], problem);
        conf->stuck = problem ? conf->stuck | bit : conf->stuck & ~bit;
    }
    return found;
}

static void require_of_machine(struct sysctl_watch *sysctls)
{
    (void)require(sysctls, "default", &sysctls->fallback, NULL);
    (void)require(sysctls, "all", &sysctls->all, NULL);
    sysctls->forward = read_sysctl(sysctls, FORWARD);
}

static size_t look_at_machine(struct sysctl_watch *sysctls, struct event *event)
{
    /* With ip_forward the kernel itself changes all/accept_redirects. */
    if (read_sysctl(sysctls, FORWARD) != sysctls->forward)
        require_of_machine(sysctls);
    return require(sysctls, "all", &sysctls->all, event) +
           require(sysctls, "default", &sysctls->fallback, event);
}

/* ---- The machine ---- */

void sysctl_watch_accept(struct sysctl_watch *sysctls)
{
    require_of_machine(sysctls);
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
        sysctls->right[i] = read_sysctl(sysctls, table[i].path);
    sysctls->n_interfaces = 0; /* right as they are when they are seen next */
}

struct sysctl_watch *sysctl_watch_new(const char *proc_folder)
{
    struct sysctl_watch *sysctls = memory_zeroed(1, sizeof(*sysctls));
    sysctls->proc_folder = memory_text(proc_folder);
    sysctl_watch_accept(sysctls);
    return sysctls;
}

struct sysctl_watch *sysctl_watch_free(struct sysctl_watch *sysctls)
{
    if (!sysctls)
        return NULL;
    free(sysctls->proc_folder);
    free(sysctls->interfaces);
    free(sysctls);
    return NULL;
}

size_t sysctl_watch_look(struct sysctl_watch *sysctls, struct event *event)
{
    size_t found = look_at_machine(sysctls, event);
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
        found += look(sysctls, table[i].path, table[i].kind, &sysctls->right[i], event);
    if (found)
        require_of_machine(sysctls); /* ip_forward may have been set back */
    return found;
}

/* ---- Interfaces ---- */

static struct interface *sysctl_watch_find(const struct sysctl_watch *sysctls,
                                           const struct rtnl_link_info *link)
{
    for (size_t i = 0; i < sysctls->n_interfaces; i++) {
        struct interface *interface = &sysctls->interfaces[i];
        if (interface->index == link->index && strcmp(interface->name, link->name) == 0)
            return interface;
    }
    return NULL;
}

static struct interface *sysctl_watch_remember(struct sysctl_watch *sysctls,
                                               const struct rtnl_link_info *link, char filter)
{
    if (sysctls->n_interfaces == sysctls->room) {
        sysctls->room = sysctls->room ? 2 * sysctls->room : 16;
        sysctls->interfaces =
            memory_resize(sysctls->interfaces, sysctls->room, sizeof(*sysctls->interfaces));
    }
    struct interface *interface = &sysctls->interfaces[sysctls->n_interfaces++];
    *interface = (struct interface){.index = link->index, .filter = filter, .is_seen = true};
    memcpy(interface->name, link->name, sizeof(interface->name));
    return interface;
}

size_t sysctl_watch_look_at(struct sysctl_watch *sysctls, const struct rtnl_link_info *link,
                            struct event *event)
{
    char path[PATH_BYTES];
    if (strchr(link->name, '/'))
        return 0;
    (void)snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", link->name);
    struct interface *interface = sysctl_watch_find(sysctls, link);
    if (!interface) {
        interface = sysctl_watch_remember(sysctls, link, read_sysctl(sysctls, path));
        (void)require(sysctls, link->name, &interface->conf, NULL);
        return 0;
    }
    interface->is_seen = true;
    size_t found = require(sysctls, link->name, &interface->conf, event);
    if (strcmp(link->name, "lo") != 0 &&
        look(sysctls, path, KIND_FILTER, &interface->filter, event))
        found++;
    return found;
}

void sysctl_watch_end_look(struct sysctl_watch *sysctls)
{
    size_t kept = 0;
    for (size_t i = 0; i < sysctls->n_interfaces; i++) {
        if (!sysctls->interfaces[i].is_seen)
            continue;
        sysctls->interfaces[kept] = sysctls->interfaces[i];
        sysctls->interfaces[kept++].is_seen = false;
    }
    sysctls->n_interfaces = kept;
}
