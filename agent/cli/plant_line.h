/*
 * One request after another to the units of a line, for subcommands: through the running agent
 * where it owns the line, so that two programs never send on one wire; directly otherwise.
 */
#ifndef SALLYPORT_AGENT_CLI_PLANT_LINE_H
#define SALLYPORT_AGENT_CLI_PLANT_LINE_H

#include "config/schema/config.h"
#include "drivers/driver.h"
#include "drivers/modbus/modbus_request.h"

struct plant_line {
    const char *name; /* of the subcommand, for messages */
    const struct config_bus *bus;
    int agent; /* the socket of the agent that owns the line; -1: we use the line directly */
    const struct driver *driver;
    struct driver_host host;
    atomic_bool stop;
    void *instance; /* of the driver; NULL when the agent uses the line */
    bool connected;
};

/*
 * Prepares LINE for the entry BUS of CONFIG; nothing is sent yet. Both must outlive it. Returns
 * CLI_DONE, or an exit code after saying why on stderr.
 */
int plant_open(const char *name, const struct config *config, const struct config_bus *bus,
               struct plant_line *line);
void plant_close(struct plant_line *line); /* fit for CLEANUP(); LINE was opened, or is zeroed */

/*
 * Performs the read in CALL, and connects first if necessary. Blocks for about the timeout of the
 * line; through the agent also until the line is free, 70 s at most. An exception is OUTCOME_OK
 * with CALL->reply.exception. ERROR is filled unless the outcome is OUTCOME_OK.
 */
enum outcome plant_ask(struct plant_line *line, struct modbus_call *call,
                       struct driver_error *error);

/* Whether the agent polls on this line too. */
bool plant_is_shared(const struct plant_line *line);

#endif
