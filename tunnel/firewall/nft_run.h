/*
 * The nft program and the kernel's count of rule changes. netd only, main thread only;
 * privilege_reduce() must have been called (see helper.h).
 *
 * Every transaction of anybody, nft or not, raises the kernel's generation by one. Reading it
 * before and after our own transaction tells whether we were alone.
 */
#ifndef SALLYPORT_TUNNEL_FIREWALL_NFT_RUN_H
#define SALLYPORT_TUNNEL_FIREWALL_NFT_RUN_H

#include "agent/base/strbuf.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * `nft -f -` with TEXT: all of it or nothing. Returns 0, -EINVAL when nft refused it (its first
 * line of complaint goes to PROBLEM), or another negative errno.
 */
int nft_run_load(const char *text, struct strbuf *problem);
int nft_run_check(const char *text, struct strbuf *problem); /* `nft -c -f -`: changes nothing */

/* Appends the listing of `table inet NAME`. 0, -ENOENT when there is no such table, or another. */
int nft_run_list_table(const char *name, struct strbuf *listing, struct strbuf *problem);

/*
 * Appends one line for each hook at a device and each flowtable that nft knows of: what can carry
 * packets past every other hook. Deterministic order. 0 or a negative errno.
 */
int nft_run_list_device_hooks(struct strbuf *hooks, struct strbuf *problem);

/* The same from nft's listing of chains and flowtables (pure). */
void nft_run_pick_device_hooks(const char *listing, struct strbuf *hooks);

/* The kernel's generation, asked on SOCKET (NETLINK_NETFILTER). 0 or a negative errno. */
int nft_run_generation(int socket, uint32_t *ret_generation);

/* What an event of the group NFNLGRP_NFTABLES tells. */
struct nft_change {
    uint32_t generation;
    int32_t pid;      /* 0 when the kernel did not tell */
    char program[32]; /* "" when the kernel did not tell; printable */
    bool is_on_table; /* our table was among what the transaction touched */
};

/*
 * Reads one MESSAGE. Collects what is known of the running transaction in *CHANGE (zeroed before
 * the first); returns true when the message ended it, and *CHANGE is complete.
 */
bool nft_change_read(const struct nlmsghdr *message, const char *table, struct nft_change *change);

#endif
