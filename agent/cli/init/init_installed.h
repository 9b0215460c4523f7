/* What is installed already, as answers, so that a renewal can be compared with it. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_INSTALLED_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_INSTALLED_H

#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_files.h"

/*
 * Reads the configurations, authorities, signers and the remembered enrolment key at PLACE; what is
 * not there, or cannot be read, is left empty. Returns whether anything is installed. RET_ANSWERS
 * must be empty before; no secret is read.
 */
bool init_installed_read(const struct init_place *place, struct init_answers *ret_answers);

#endif
