/* How the firewall is: its state, and what it dropped. Values; any thread. */
#ifndef SALLYPORT_TUNNEL_MODEL_POSTURE_H
#define SALLYPORT_TUNNEL_MODEL_POSTURE_H

#include <stdint.h>

enum firewall_state {
    FIREWALL_OFF,    /* nothing of ours is loaded: only before the first apply, or if that fails */
    FIREWALL_LOCKED, /* loaded, verified, no exception; leases are counted beside it */
    FIREWALL_EXCEPTED, /* loaded and verified; configured exceptions keep ports open */
    FIREWALL_TAMPERED, /* another program changed it; ours is loaded again; latched */
    FIREWALL_FIGHTING, /* three repairs within a minute: each is made, few are reported; latched */
    FIREWALL_EXPOSED,  /* loaded and verified, but a bridge or the like joins WAN and plant, or an
                          interface is on neither side */
};
#define FIREWALL_STATE_COUNT (FIREWALL_EXPOSED + 1)
extern const char *const firewall_state_names[FIREWALL_STATE_COUNT]; /* "off", "locked", ... */

/* What the rules do about the agent's user. */
enum agent_reach {
    AGENT_UNKNOWN, /* they name none: access.agent_user does not exist, or is root */
    AGENT_LOCAL,   /* it is kept from services of this gateway itself, and from nothing else */
    AGENT_BOUND,   /* it reaches nothing but what netd.conf names */
};
#define AGENT_REACH_COUNT (AGENT_BOUND + 1)
extern const char *const agent_reach_names[AGENT_REACH_COUNT]; /* "unknown", "local", "bound" */

struct firewall_posture {
    enum firewall_state state;
    uint32_t exceptions, leases;
    enum agent_reach agent;
    uint32_t agent_destinations; /* AGENT_BOUND: how many netd.conf names */
    uint32_t reloads;            /* how often ours had to be loaded again since the start */
    int32_t changed_by_pid;      /* who changed it last, 0 when unknown */
    char changed_by[32];         /* the name of that program, "" when unknown */
    char hash[65];               /* SHA-256 of the canonical form of what is loaded, hex */
    char problem[160];           /* one line for a person, "" for none */
};

/* Named counters; they never go down while netd runs, reloads included. */
struct firewall_counters {
    uint64_t dropped_in, dropped_forward, dropped_out, spoofed; /* packets */
};

#endif
