/*
 * What `firewall apply --confirm` leaves on disk, so that whatever ends netd or the machine
 * in the middle of a trial, the rules that were confirmed last come back. Two files:
 *
 * - `trial.conf` in the state folder, netd's own: the digests of the configuration that is on trial
 *   and of the confirmed one. It stays after a rollback as well: rules that were not confirmed
 *   are not loaded by a restart, until they are confirmed or the configuration has become another
 *   one.
 * - `netd.conf.confirmed` beside netd.conf, root's own: a copy of the confirmed one. Root makes it
 *   before each start and at a confirmation; netd cannot write it, and opens nothing that is not in
 *   a file of root's. Without it netd leaves out the exceptions of the unconfirmed one.
 *
 * Main thread only.
 */
#ifndef SALLYPORT_TUNNEL_NETD_CONFIG_TRIAL_H
#define SALLYPORT_TUNNEL_NETD_CONFIG_TRIAL_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"

/*
 * netd: before the rules of TRIED are loaded, where those of CONFIRMED are. On disk when it returns
 * 0; otherwise a negative errno, and nothing may be tried.
 */
int config_trial_begin(const struct netd_config *confirmed, const struct netd_config *tried);

/*
 * netd: what is on trial is confirmed, or there is nothing on trial. On disk when it returns 0;
 * otherwise a negative errno, and a restart may bring back the previous rules.
 */
int config_trial_keep(const struct netd_config *confirmed);

enum config_trial_start {
    CONFIG_TRIAL_NONE,      /* the configuration may be used as it is */
    CONFIG_TRIAL_CONFIRMED, /* its firewall and text are now those of the confirmed one */
    CONFIG_TRIAL_NARROWED,  /* its exceptions are gone, and its text is empty */
};

/*
 * At the start, after CONFIG was loaded from CONFIG_PATH: whether it was on trial and never
 * confirmed, and what is used then. PROBLEM gets a sentence if it was narrowed.
 */
enum config_trial_start config_trial_settle(struct netd_config *config, const char *config_path,
                                            struct strbuf *problem);

/*
 * Root: keeps a copy of CONFIG_PATH as the confirmed one, unless it is on trial. 0 when the copy is
 * there, 1 when it is on trial, or a negative errno with the reason in PROBLEM.
 */
int config_trial_record(const char *config_path, struct strbuf *problem);

#endif
