/*
 * How subcommands ask netd: where its socket is, one connection, one question after another, and
 * the same messages for refusals everywhere.
 */
#ifndef SALLYPORT_AGENT_CLI_NETD_CALL_H
#define SALLYPORT_AGENT_CLI_NETD_CALL_H

#include "agent/cli/cli.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/wire/netd_client.h"

#include <jansson.h>

struct netd_call {
    const char *name;           /* of the subcommand, for messages */
    struct netd_config *config; /* NULL when the default file may not be read, or is not there */
    const char *config_file;
    char *path; /* of its socket */
    int socket;
    struct wire_hello hello;
    bool json;
};

/* Connects. Returns CLI_DONE, or an exit code after saying why on stderr. */
int netd_call_begin(const struct cli_context *context, const char *name,
                    struct netd_call *ret_netd);
void netd_call_end(struct netd_call *netd); /* fit for CLEANUP() */

/*
 * Sends MESSAGE (begun with wire_begin) and waits for its reply in place. Returns CLI_DONE, or an
 * exit code after saying on stderr that there was none. A refusal is a reply, too.
 */
int netd_call_ask(const struct netd_call *netd, struct wire_message *message, int timeout_ms);

/*
 * Reports the verdict of a reply whose body is a text. Without --json it prints nothing when the
 * request was accepted, else the reason on stderr; with --json it prints a JSON object in both
 * cases.
 */
int netd_call_report(const struct netd_call *netd, const struct wire_message *reply);

#endif
