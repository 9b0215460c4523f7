/* The test of the plant: each line, and the units on it. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_PLANT_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_PLANT_H

#include "agent/cli/init/init_report.h"
#include "config/schema/config.h"

/* Tests each line of CONFIG; through the running agent where it owns the line. */
void init_test_plant(const struct config *config, struct init_report *report);

#endif
