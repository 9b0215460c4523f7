/* Notices what others do to this machine's packet rules. */
#include "tunnel/tamper.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/journal.h"
#include "tunnel/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Must not go from 0 to something else behind our back. Paths below /proc/sys. */
static const char *const switches[] = {
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/route_localnet",
};

struct tamper {
    int events;
    char *proc_folder;
    bool was_on[ARRAY_LENGTH(switches)];
    struct strbuf hooks;
    struct nft_change transaction; /* being read */
    struct nft_change culprit;
    bool has_culprit;
};

static void switch_path(const struct tamper *tamper, size_t i, char path[256])
{
    (void)snprintf(path, 256, "%.200s/%s", tamper->proc_folder, switches[i]);
}

/* Off when it cannot be read: this kernel has no such switch. */
static bool is_on(const struct tamper *tamper, size_t i)
{
    char path[256], digit = '0';
    switch_path(tamper, i, path);
    CLEANUP(descriptor_close) int file = open(path, O_RDONLY | O_CLOEXEC);
    return file >= 0 && read(file, &digit, 1) == 1 && digit != '0';
}

static int turn_off(const struct tamper *tamper, size_t i)
{
    char path[256];
    switch_path(tamper, i, path);
    CLEANUP(descriptor_close) int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    return write(file, "0\n", 2) == 2 ? 0 : -EIO;
}

void tamper_accept(struct tamper *tamper)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(switches); i++)
        tamper->was_on[i] = is_on(tamper, i);
    strbuf_reset(&tamper->hooks);
    (void)nft_list_device_hooks(&tamper->hooks, &problem); /* seen as new at the next look */
}

int tamper_new(const char *proc_folder, struct tamper **ret_tamper)
{
    int events = netlink_open(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
    if (events < 0)
        return events;
    const int buffer_bytes = 1 << 20; /* a container host changes a lot at once */
    (void)setsockopt(events, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes));
    struct tamper *tamper = memory_zeroed(1, sizeof(*tamper));
    tamper->events = events;
    tamper->proc_folder = memory_text(proc_folder);
    tamper_accept(tamper);
    *ret_tamper = tamper;
    return 0;
}

struct tamper *tamper_free(struct tamper *tamper)
{
    if (!tamper)
        return NULL;
    descriptor_close(&tamper->events);
    strbuf_free(&tamper->hooks);
    free(tamper->proc_folder);
    free(tamper);
    return NULL;
}

int tamper_descriptor(const struct tamper *tamper)
{
    return tamper->events;
}

/* ---- Events ---- */

struct events {
    struct tamper *tamper;
    const struct rules *rules;
    bool others;
};

static void take_event(const struct nlmsghdr *message, void *context)
{
    struct events *events = context;
    struct tamper *tamper = events->tamper;
    if (!nft_change_read(message, FIREWALL_TABLE, &tamper->transaction))
        return;
    struct nft_change change = tamper->transaction;
    tamper->transaction = (struct nft_change){0};
    if (rules_is_own(events->rules, change.generation))
        return;
    events->others = true;
    if (tamper->has_culprit && tamper->culprit.is_on_table && !change.is_on_table)
        return;
    tamper->culprit = change;
    tamper->has_culprit = true;
}

bool tamper_take_events(struct tamper *tamper, const struct rules *rules)
{
    struct events events = {.tamper = tamper, .rules = rules};
    int result = netlink_drain(tamper->events, take_event, &events);
    if (result == -ENOBUFS)
        tamper->transaction = (struct nft_change){0};
    return events.others || result < 0;
}

const struct nft_change *tamper_culprit(const struct tamper *tamper)
{
    return tamper->has_culprit ? &tamper->culprit : NULL;
}

void tamper_forget(struct tamper *tamper)
{
    tamper->has_culprit = false;
}

/* ---- Switches and hooks ---- */

size_t tamper_look_at_switches(struct tamper *tamper, struct strbuf *detail)
{
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(switches); i++) {
        if (tamper->was_on[i] || !is_on(tamper, i))
            continue;
        found++;
        journal_add(detail, "switched_on", switches[i]);
        int problem = turn_off(tamper, i);
        journal_add(detail, "switched_off_again", problem ? strerror(-problem) : "yes");
        tamper->was_on[i] = problem != 0; /* told once; the forward chain drops all the same */
    }
    return found;
}

static bool has_line(const char *text, const char *line, size_t length)
{
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
        if (strncmp(at, line, length) == 0 && at[length] == '\n')
            return true;
    }
    return false;
}

int tamper_look_at_hooks(struct tamper *tamper, struct strbuf *detail, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf now = STRBUF_EMPTY;
    int result = nft_list_device_hooks(&now, problem);
    if (result < 0)
        return result;
    int found = 0;
    for (const char *at = strbuf_text(&now); *at; at += strcspn(at, "\n") + 1) {
        size_t length = strcspn(at, "\n");
        if (has_line(strbuf_text(&tamper->hooks), at, length))
            continue;
        if (found++ == 0) { /* a flood of them must not make an endless line */
            CLEANUP(memory_free_pointer) char *line = memory_text_n(at, length);
            journal_add(detail, "new_hook", line);
        }
    }
    strbuf_reset(&tamper->hooks);
    strbuf_append(&tamper->hooks, now.data, now.length);
    return found;
}
