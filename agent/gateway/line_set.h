/*
 * The lines of a configuration, all at once: one for each bus that has devices. Owned by the
 * gateway; main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_LINE_SET_H
#define SALLYPORT_AGENT_GATEWAY_LINE_SET_H

#include "config/schema/config.h"
#include "drivers/line/line.h"

/* LINES has an entry for each bus of CONFIG, all NULL. 0 or a negative errno, logged. */
int line_set_make(const struct config *config, const struct line_callbacks *callbacks,
                  struct line **lines);

/* Starts the workers. 0 or a negative errno, logged. */
int line_set_start(const struct config *config, struct line *const *lines);

/* Stops and frees whatever was made, and waits for the workers. Leaves NULLs. */
void line_set_stop(const struct config *config, struct line **lines);

#endif
