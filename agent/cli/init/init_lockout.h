/*
 * The guardian of an arming: undoes it unless it is confirmed in time, so that nobody is locked out
 * permanently.
 */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_LOCKOUT_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_LOCKOUT_H

#include "agent/base/strbuf.h"

#include <stdbool.h>

int init_guard(int seconds);       /* `init --guard`: the guardian itself; see init_lockout.c */
int init_guard_start(int seconds); /* starts it, out of reach of this session; 0 or errno */

/* Connects to the guardian. Returns a socket or a negative errno. */
int init_guard_connect(void);

bool init_is_guarded(void); /* whether an arming is under way */

/* Appends the outcome of the last arming since the start of the machine; nothing if there was none.
 */
void init_guard_last(struct strbuf *verdict);

#define INIT_KEEP 'k'
#define INIT_UNDO 'u'
#define INIT_UNDO_AFTER_S 60

#endif
