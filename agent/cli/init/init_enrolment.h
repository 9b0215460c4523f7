/* The enrolment file that the central site wrote for one gateway. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_ENROLMENT_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_ENROLMENT_H

#include "agent/cli/init/init_answers.h"
#include "config/schema/finding.h"

/*
 * Reads the enrolment file at PATH, which is not trusted. All problems go to FINDINGS. Returns
 * 0, or -EINVAL and ANSWERS untouched. ANSWERS must be empty before.
 */
int init_read_enrolment(const char *path, struct findings *findings, struct init_answers *answers);

#endif
