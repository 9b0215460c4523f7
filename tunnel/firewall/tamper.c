/* Notices what others do to this machine's packet rules, sysctls and tunnels. */
#include "tunnel/firewall/tamper.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/firewall/sysctl_watch.h"
#include "tunnel/os/netlink.h"
#include "tunnel/os/rtnl_links.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tamper {
    int events, routes;
    struct sysctl_watch *sysctls;
    char *tunnel_kind;
    struct strbuf hooks;
    struct rtnl_link_list links;
    struct strbuf foreign;         /* tunnels of others, "INDEX NAME\n" each, as at the last look */
    struct nft_change transaction; /* being read */
    struct nft_change culprit;
    bool has_culprit;
};

struct tamper *tamper_free(struct tamper *tamper)
{
    if (!tamper)
        return NULL;
    descriptor_close(&tamper->events);
    descriptor_close(&tamper->routes);
    sysctl_watch_free(tamper->sysctls);
    strbuf_free(&tamper->hooks);
    strbuf_free(&tamper->foreign);
    rtnl_link_list_free(&tamper->links);
    free(tamper->tunnel_kind);
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
    const struct nft_state *rules;
    bool others;
};

static void tamper_take_event(const struct nlmsghdr *message, void *context)
{
    struct events *events = context;
    struct tamper *tamper = events->tamper;
    if (!nft_change_read(message, FIREWALL_TABLE, &tamper->transaction))
        return;
    struct nft_change change = tamper->transaction;
    tamper->transaction = (struct nft_change){0};
    if (nft_state_is_own(events->rules, change.generation))
        return;
    events->others = true;
    if (tamper->has_culprit && tamper->culprit.is_on_table && !change.is_on_table)
        return;
    tamper->culprit = change;
    tamper->has_culprit = true;
}

bool tamper_take_events(struct tamper *tamper, const struct nft_state *rules)
{
    struct events events = {.tamper = tamper, .rules = rules};
    int result = netlink_drain(tamper->events, tamper_take_event, &events);
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

/* ---- Sysctls and hooks ---- */

static bool has_line(const char *text, const char *line, size_t length)
{
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
        if (strncmp(at, line, length) == 0 && at[length] == '\n')
            return true;
    }
    return false;
}

int tamper_look_at_hooks(struct tamper *tamper, struct event *event, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf now = STRBUF_EMPTY;
    int result = nft_run_list_device_hooks(&now, problem);
    if (result < 0)
        return result;
    int found = 0;
    for (const char *at = strbuf_text(&now); *at; at += strcspn(at, "\n") + 1) {
        size_t length = strcspn(at, "\n");
        if (has_line(strbuf_text(&tamper->hooks), at, length))
            continue;
        if (found++ == 0) { /* a flood of them must not make an endless line */
            CLEANUP(memory_free_pointer) char *line = memory_text_n(at, length);
            event_add_text(event, MEMBER_NEW_HOOK, line);
        }
    }
    strbuf_reset(&tamper->hooks);
    strbuf_append(&tamper->hooks, now.data, now.length);
    return found;
}

/* ---- Sysctls and interfaces ---- */

static bool is_pretender(const struct rtnl_link_info *link)
{
    return strncmp(link->name, "spt", 3) == 0;
}

static bool is_tunnel(const struct tamper *tamper, const struct rtnl_link_info *link)
{
    return is_pretender(link) || strcmp(link->kind, tamper->tunnel_kind) == 0;
}

/* What is there at the start. Only we may have made a name of ours, so those are never right.
 */
static void note_present(struct tamper *tamper)
{
    struct event ignored;
    event_init(&ignored, EVENT_FIREWALL_TAMPERED, 0);
    if (rtnl_links_list(tamper->routes, &tamper->links) < 0)
        return; /* all of them are new at the next look */
    for (size_t i = 0; i < tamper->links.length; i++) {
        const struct rtnl_link_info *link = &tamper->links.items[i];
        (void)sysctl_watch_look_at(tamper->sysctls, link, &ignored);
        if (is_tunnel(tamper, link) && !is_pretender(link))
            strbuf_addf(&tamper->foreign, "%u %s\n", link->index, link->name);
    }
}

/* Adds a tunnel that is not ours to NOW; returns 1 when it was not there at the last look. */
static size_t look_at_tunnel(struct tamper *tamper, const struct rtnl_link_info *link,
                             struct strbuf *now, struct event *event)
{
    size_t before = now->length;
    strbuf_addf(now, "%u %s\n", link->index, link->name);
    if (has_line(strbuf_text(&tamper->foreign), now->data + before, now->length - before - 1))
        return 0;
    int removed = is_pretender(link) ? rtnl_link_delete(tamper->routes, link->index) : 1;
    if (event->n_members < EVENT_MANY) { /* many at once must not make an endless line */
        event_add_text(event, MEMBER_FOREIGN_TUNNEL_NAME, link->name);
        event_add_text(event, MEMBER_LINK_KIND, link->kind);
        if (removed <= 0)
            event_add_text(event, MEMBER_REMOVED, removed ? strerror(-removed) : "yes");
    }
    return 1;
}

size_t tamper_look_at_machine(struct tamper *tamper, unsigned own_index, struct event *event)
{
    size_t found = sysctl_watch_look(tamper->sysctls, event);
    struct strbuf now = STRBUF_EMPTY;
    if (rtnl_links_list(tamper->routes, &tamper->links) < 0)
        return found; /* looked at again in a second */
    for (size_t i = 0; i < tamper->links.length; i++) {
        const struct rtnl_link_info *link = &tamper->links.items[i];
        found += sysctl_watch_look_at(tamper->sysctls, link, event);
        if (is_tunnel(tamper, link) && link->index != own_index)
            found += look_at_tunnel(tamper, link, &now, event);
    }
    sysctl_watch_end_look(tamper->sysctls);
    strbuf_free(&tamper->foreign);
    tamper->foreign = now;
    return found;
}

const struct rtnl_link_list *tamper_links(const struct tamper *tamper)
{
    return &tamper->links;
}

void tamper_foreign_tunnels(const struct tamper *tamper, struct strbuf *names)
{
    for (const char *at = strbuf_text(&tamper->foreign); *at; at += strcspn(at, "\n") + 1) {
        const char *name = strchr(at, ' ') + 1;
        strbuf_addf(names, "%s%.*s", names->length ? "," : "", (int)strcspn(name, "\n"), name);
    }
}

/* ---- Start ---- */

void tamper_accept(struct tamper *tamper)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    sysctl_watch_accept(tamper->sysctls);
    strbuf_reset(&tamper->hooks);
    (void)nft_run_list_device_hooks(&tamper->hooks, &problem); /* seen as new at the next look */
}

int tamper_new(const char *proc_folder, const char *tunnel_kind, struct tamper **ret_tamper)
{
    CLEANUP(descriptor_close) int routes = netlink_open(NETLINK_ROUTE, 0);
    int events = netlink_open(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
    if (events < 0 || routes < 0) {
        descriptor_close(&events);
        return -EPROTONOSUPPORT;
    }
    const int buffer_bytes = 1 << 20; /* a container host changes a lot at once */
    (void)setsockopt(events, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes));
    struct tamper *tamper = memory_zeroed(1, sizeof(*tamper));
    tamper->events = events;
    tamper->routes = routes;
    routes = -1;
    tamper->sysctls = sysctl_watch_new(proc_folder);
    tamper->tunnel_kind = memory_text(tunnel_kind);
    tamper_accept(tamper);
    note_present(tamper);
    *ret_tamper = tamper;
    return 0;
}
