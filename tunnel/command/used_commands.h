/*
 * Which commands have been used: the ids and challenges of the last USED_MAX that were acted on, in
 * one small file that is replaced and fsynced before anything is done, and read at the start. If
 * the file is damaged, the list is broken: no command can be known to be new, and nothing may be
 * opened. netd only, main thread only.
 */
#ifndef SALLYPORT_TUNNEL_COMMAND_USED_COMMANDS_H
#define SALLYPORT_TUNNEL_COMMAND_USED_COMMANDS_H

#include "agent/base/strbuf.h"

#include <stdbool.h>

#define USED_MAX 256 /* the oldest go; their challenges have long been replaced */

struct used_commands; /* opaque */

/* Reads PATH, which is copied; a missing file is an empty list. Never NULL. */
struct used_commands *used_commands_open(const char *path);
struct used_commands *used_commands_free(struct used_commands *used); /* NULL is fine; NULL */

/* What is wrong with the file, with what to do; NULL when it is sound. */
const char *used_commands_problem(const struct used_commands *used);

/* Whether ID or CHALLENGE has been used. */
bool used_commands_has(const struct used_commands *used, const char *id, const char *challenge);

/* Adds both, durably. Returns 0, or a negative errno (-EUCLEAN: broken): they are not added. */
int used_commands_add(struct used_commands *used, const char *id, const char *challenge);

#endif
