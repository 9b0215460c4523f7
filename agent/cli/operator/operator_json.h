/*
 * JSON of gateways, which has whole numbers up to 2^64 - 1 with all their digits, while the JSON
 * library reads them up to 2^63 - 1. Pure; any thread.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_JSON_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_JSON_H

#include "agent/base/strbuf.h"

#include <jansson.h>

/* Numbers that the library cannot hold come as texts of their digits. NULL when it is not JSON. */
json_t *operator_json_parse(const char *text, size_t length);

/*
 * Appends TEXT, which operator_json_parse() has accepted, on one line and in ASCII, with every
 * number as it was written.
 */
void operator_json_add(const char *text, size_t length, struct strbuf *out);

#endif
