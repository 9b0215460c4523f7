/* The test of the brokers: reachable, verified, and the login has the rights that it needs and no
 * others. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_BROKER_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_BROKER_H

#include "agent/cli/init/init_report.h"
#include "config/schema/config.h"

/* Tests each server of CONFIG in turn; may take some tens of seconds. */
void init_test_broker(const struct config *config, struct init_report *report);

#endif
