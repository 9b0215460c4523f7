/* What the tests of a first configuration found. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_REPORT_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_REPORT_H

#include "agent/base/macros.h"

#include <jansson.h>

enum init_verdict { INIT_GOOD, INIT_NOTE, INIT_BAD };

/* What the tests found: printed as it comes, or collected for --json. */
struct init_report {
    json_t *steps; /* NULL: print */
    unsigned bad;
};

void init_say(struct init_report *report, enum init_verdict verdict, const char *step,
              const char *format, ...) PRINTF_LIKE(4, 5);

#endif
