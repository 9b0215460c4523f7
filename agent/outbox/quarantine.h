/*
 * Sets the file of a damaged tier aside, and keeps the newest two of those: enough to find out
 * what happened, and no more than twice the tier's own room. Main loop only.
 */
#ifndef SALLYPORT_AGENT_OUTBOX_QUARANTINE_H
#define SALLYPORT_AGENT_OUTBOX_QUARANTINE_H

#include <stdint.h>

/*
 * Renames the closed file at PATH to PATH.damaged-SECONDS (with its log, PATH-wal), and removes
 * all but the newest two of those. Returns 0 or a negative errno; *RET_NAME is owned by the caller.
 */
int quarantine_move(const char *path, int64_t wall_ms, char **ret_name);

/* Removes the closed file at PATH and its log, if they are there. */
void quarantine_remove(const char *path);

#endif
