/*
 * One set of settings of the uplink: its copy of the configuration, the servers taken apart, and
 * the secrets, which are read from their files for each use and wiped after it. One owner, the
 * uplink; immutable after it is made. Main loop only.
 */
#ifndef SALLYPORT_AGENT_UPLINK_UPLINK_SETTINGS_H
#define SALLYPORT_AGENT_UPLINK_UPLINK_SETTINGS_H

#include "agent/tls/probe.h"
#include "agent/uplink/mqtt_client.h"
#include "config/schema/config.h"

struct uplink_settings {
    struct config_uplink config; /* its texts and lists are ours */
    struct broker_url *servers;  /* as many as config.servers, in the same order */
    uint16_t proxy_port;         /* 0: no proxy */
};

/*
 * Copies and checks: the bounds are those of config_uplink_table. Returns 0, or -EINVAL after
 * logging what is wrong; settings empty then.
 */
int uplink_settings_init(struct uplink_settings *settings, const struct config_uplink *config);
void uplink_settings_free(struct uplink_settings *settings); /* accepts empty ones */

/* The contents of the password files, "" where none is configured; the revocation lists, NULL where
 * none are; and what is wrong. */
struct uplink_secrets {
    struct strbuf password, key_password, problem;
    struct strbuf proxy; /* the address, with the password in it */
    STACK_OF(X509_CRL) * lists;
};
void uplink_secrets_wipe(struct uplink_secrets *secrets); /* fit for CLEANUP() */

/*
 * Reads the secrets, and checks that all files of ours can be used together. Returns 0, or -EINVAL
 * with secrets->problem saying which file, why, and what to do.
 */
int uplink_secrets_read(const struct uplink_settings *settings, struct uplink_secrets *secrets);

/*
 * What is needed to connect to a server (without will and generation), or to probe it; valid as
 * long as both arguments.
 */
struct mqtt_attempt uplink_settings_attempt(const struct uplink_settings *settings, size_t server,
                                            const struct uplink_secrets *secrets);
struct probe_target uplink_settings_probe(const struct uplink_settings *settings, size_t server,
                                          const struct uplink_secrets *secrets);

#endif
