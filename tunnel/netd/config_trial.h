/*
 * What `firewall apply --confirm` leaves on disk, so that whatever ends netd or the machine
 * in the middle of a trial, the rules that were confirmed last come back: one file in the state
 * folder with the digest of the configuration that is on trial and the text of the confirmed one.
 * It stays after a rollback as well: rules that were not confirmed are not loaded by a restart,
 * until they are confirmed or the configuration has become another one. netd only, main thread.
 */
#ifndef SALLYPORT_TUNNEL_NETD_CONFIG_TRIAL_H
#define SALLYPORT_TUNNEL_NETD_CONFIG_TRIAL_H

#include "agent/base/strbuf.h"
#include "tunnel/config/netd_config.h"

/*
 * Before the rules of TRIED are loaded, where those of CONFIRMED are. On disk when it returns 0;
 * otherwise a negative errno, and nothing may be tried.
 */
int config_trial_begin(const struct netd_config *confirmed, const struct netd_config *tried);

/*
 * What is on trial is confirmed. On disk when it returns 0; otherwise a negative errno, and a
 * restart may bring back the previous rules.
 */
int config_trial_keep(const struct netd_config *confirmed);

/*
 * At the start, after CONFIG was loaded: 0 when it may be used as it is. 1 when it was on trial and
 * never confirmed: its firewall and its text are now those of the confirmed one. A negative errno
 * with the reason in PROBLEM when it was on trial and the confirmed one cannot be read.
 */
int config_trial_settle(struct netd_config *config, struct strbuf *problem);

#endif
