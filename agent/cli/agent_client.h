/*
 * How subcommands ask the running agent, over its local socket (agent/local/local_socket.h).
 */
#ifndef SALLYPORT_AGENT_CLI_AGENT_CLIENT_H
#define SALLYPORT_AGENT_CLI_AGENT_CLIENT_H

#include "agent/cli/cli.h"
#include "config/schema/config.h"

#include <jansson.h>

/*
 * Loads the agent's file for a subcommand. Prints the findings on stderr when it cannot be used.
 * Returns the owned configuration or NULL.
 */
struct config *agent_load_config(const struct cli_context *context);

/*
 * The same for a subcommand that only talks to the agent. A member of the group sallyport-admin may
 * not read the default file, in which a proxy's password may stand; then all that is needed is
 * known without it: where the agent's socket is by default.
 */
struct config *agent_find_config(const struct cli_context *context);

/* Connects to the agent that runs with CONFIG. Returns a socket, or a negative errno. */
int agent_connect(const struct config *config);

/*
 * Sends REQUEST (taken over) and waits for at most TIMEOUT_MS for the answer. Returns it, owned,
 * or NULL after a message on stderr. Whatever the agent says, every text and key in the answer is
 * one line that can be shown to a person (TEXT_SHOWN) and at most some 16 KiB long.
 */
json_t *agent_ask(int socket, const char *name, json_t *request, int timeout_ms);

/* True when the answer says ok; else prints its reason on stderr. */
bool agent_is_ok(const json_t *answer, const char *name);

/* Prints on stderr why agent_connect() failed; returns CLI_UNREACHABLE. */
int agent_unreachable(const char *name, const struct config *config, int problem);

/* Members of an answer with a default, so that an older or newer agent breaks nothing. */
const char *agent_ask_text(const json_t *object, const char *key, const char *otherwise);
long long agent_ask_number(const json_t *object, const char *key);

#endif
