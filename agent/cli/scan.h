/* Which units of a line answer: for `sallyport scan`, and for the test of `sallyport init`. */
#ifndef SALLYPORT_AGENT_CLI_SCAN_H
#define SALLYPORT_AGENT_CLI_SCAN_H

#include "agent/cli/plant_line.h"

#include <stdbool.h>

enum scan_verdict {
    SCAN_ANSWERS, /* any well-formed answer of the unit itself, refusals included */
    SCAN_SILENT,  /* no reply, or a Modbus gateway reports that the unit is silent (exception 10 or
                     11) */
    SCAN_GARBLED, /* a reply that is not valid */
    SCAN_NO_LINE, /* the line cannot be reached: ERROR says why */
};

/*
 * Asks UNIT for holding register 0. *RET_EXCEPTION: 0, or the exception code of its refusal. Blocks
 * as plant_ask() does.
 */
enum scan_verdict scan_unit(struct plant_line *line, unsigned unit, unsigned *ret_exception,
                            struct driver_error *error);

/* "A-B" or "A", 0 to 255, A not above B. */
bool scan_parse_units(const char *text, unsigned *ret_first, unsigned *ret_last);

#endif
