/*
 * The ways out to the terminal, beside cli_fail(): nothing else in agent/cli prints (tests/lint
 * banned). What comes from outside (the agent, netd, a broker, a certificate, a file name) is
 * escaped on each of them, see agent/base/text.h.
 */
#ifndef SALLYPORT_AGENT_CLI_CLI_PRINT_H
#define SALLYPORT_AGENT_CLI_CLI_PRINT_H

#include <jansson.h>
#include <stdio.h>

/* Writes to stdout or stderr, escaped as TEXT_LINES: line feeds stay. */
void cli_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Writes DOCUMENT, any JSON value, indented and with a line end, to stdout, and frees it. Returns
 * CLI_DONE or CLI_FAILED.
 */
int cli_print_json(json_t *document);

/* Writes TEXT as it is: what moves the cursor, and what we have signed. Nothing from outside. */
void cli_put(FILE *out, const char *text);

#endif
