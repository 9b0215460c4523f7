/*
 * What is known of the names of egress = "strict" and of the agent: which one is to be asked for
 * when, and which addresses may be reached by whom for how long. Pure: its caller gives it the time
 * (CLOCK_MONOTONIC). egress_resolver.c owns the only one; main thread only.
 *
 * An address of a name's last good answer stays good until a newer one comes, however long that
 * takes: a name server that is away must not cut the gateway off. What a newer answer does not hold
 * any more stays good for the lease time and a fifth more, counted from when the name had it last.
 */
#ifndef SALLYPORT_TUNNEL_EGRESS_EGRESS_NAMES_H
#define SALLYPORT_TUNNEL_EGRESS_EGRESS_NAMES_H

#include "tunnel/config/netd_config.h"
#include "tunnel/model/lease.h"

#define EGRESS_NAMES_ADDRESSES                                                                     \
    16 /* of one name; beyond that the one that was seen longest ago goes */

struct egress_names; /* opaque */

struct egress_names *egress_names_new(void);
struct egress_names *egress_names_free(struct egress_names *names); /* accepts NULL, returns NULL */

/*
 * Takes over the names that CONFIG has; those that it has a use for are due now. What was there
 * before keeps its answer. Numbers of names given out before are void. CONFIG is not needed
 * afterwards.
 */
void egress_names_follow(struct egress_names *names, const struct firewall_config *config,
                         int64_t now_ns);

/* The number of a name that is due and not being asked for, or -ENOENT. It is being asked then. */
int egress_names_next(struct egress_names *names, int64_t now_ns);

/* What is known of one. */
struct egress_name {
    const char *host; /* until egress_names_follow() */
    uint16_t port;
    int side;          /* enum netd_side: where its addresses must be */
    bool is_known;     /* has an answer at all */
    unsigned failures; /* how often it had none since the last */
};
struct egress_name egress_names_get(const struct egress_names *names, int name);

/* When egress_names_next() may have one; INT64_MAX: none is waiting. */
int64_t egress_names_due_ns(const struct egress_names *names);

/* All that could not be resolved become due: something has changed. */
void egress_names_hurry(struct egress_names *names, int64_t now_ns);

/* NAME has these addresses, N of at least 1. Returns whether they differ from the last answer. */
bool egress_names_answered(struct egress_names *names, int name, const struct ip_network *addresses,
                           size_t n, int64_t now_ns);

/* There was no answer: it is due again soon, then less and less often. How often that was so. */
unsigned egress_names_failed(struct egress_names *names, int name, int64_t now_ns);

/* Notes that ADDRESS was refused for NAME (or EGRESS_NAMES_DNS); returns whether that is news. */
#define EGRESS_NAMES_DNS (-1)
bool egress_names_refused(struct egress_names *names, int name, const struct ip_network *address);

/*
 * The name servers elsewhere, as egress_names_answered(): from a file, so that they are not asked
 * for. And those at addresses of this machine itself, which only the agent needs leave for.
 */
bool egress_names_have_dns(struct egress_names *names, const struct ip_network *servers, size_t n,
                           int64_t now_ns);
bool egress_names_have_local_dns(struct egress_names *names, const struct ip_network *servers,
                                 size_t n, int64_t now_ns);

/* What may be reached now; returns how many. They always fit beside the hub's. */
#define EGRESS_NAMES_MAX_LEASES                                                                    \
    ((2 * NETD_MAX_NAMES + NETD_MAX_REACH_NAMES + 6) * EGRESS_NAMES_ADDRESSES)
size_t egress_names_leases(const struct egress_names *names, int64_t now_ns,
                           struct egress_lease leases[EGRESS_NAMES_MAX_LEASES]);

#endif
