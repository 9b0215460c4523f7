/*
 * Rules on trial: those of the changed netd.conf are loaded for some seconds, and unless somebody
 * keeps them the previous ones come back. What a restart in the middle of it loads is on disk
 * before anything is tried (config_trial.h). netd only; main loop only. Time is CLOCK_MONOTONIC in
 * ms.
 */
#ifndef SALLYPORT_TUNNEL_NETD_RULES_TRIAL_H
#define SALLYPORT_TUNNEL_NETD_RULES_TRIAL_H

#include "tunnel/config/netd_config.h"
#include "tunnel/firewall/firewall.h"

#include <systemd/sd-event.h>

struct rules_trial; /* opaque */

struct rules_trial_hooks {
    /* The firewall uses RULES now; they live until the next call of this, or the end. */
    void (*loaded)(void *context, const struct netd_config *rules);
    /* They were not confirmed: the previous rules are loaded again. */
    void (*rolled_back)(void *context);
    void *context;
};

/*
 * CONFIG is what netd was started with, CONFIG_PATH its file; both, and FIREWALL, which has its
 * rules loaded, must outlive the result. IS_UNCONFIRMED: the file has rules that were tried before
 * the start and not kept.
 */
struct rules_trial *rules_trial_new(const char *config_path, const struct netd_config *config,
                                    bool is_unconfirmed, struct firewall *firewall,
                                    const struct rules_trial_hooks *hooks, sd_event *loop);

/* Loads the previous rules if some are on trial. Accepts NULL, returns NULL. */
struct rules_trial *rules_trial_free(struct rules_trial *trial);

/* Begins one. 0, or a negative errno with the reason in TEXT: then the rules are as before. */
int rules_trial_begin(struct rules_trial *trial, uint32_t confirm_s, struct strbuf *text);

/*
 * Keeps the rules on trial: 0. -ETIME when there are none, or it is too late; another negative
 * errno when that cannot be recorded. TEXT gets the reason.
 */
int rules_trial_keep(struct rules_trial *trial, int64_t now_ms, struct strbuf *text);

bool rules_trial_is_running(const struct rules_trial *trial);
/* Seconds until the rules are undone, at least 1; 0 when none are on trial. */
uint32_t rules_trial_left_s(const struct rules_trial *trial, int64_t now_ms);
/* Whether netd.conf has rules that were tried and not kept. */
bool rules_trial_is_unconfirmed(const struct rules_trial *trial);
/* The rules that are confirmed: those of the next boot. */
const struct netd_config *rules_trial_confirmed(const struct rules_trial *trial);

#endif
