/*
 * Whether every line still moves, for the watchdog: their workers bump a heartbeat, and one that
 * has not risen for long means that a worker is stuck. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_LIVENESS_H
#define SALLYPORT_AGENT_GATEWAY_LIVENESS_H

#include "drivers/line/line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct liveness; /* opaque */

struct liveness *liveness_new(size_t n_lines);
struct liveness *liveness_free(struct liveness *liveness); /* accepts NULL, returns NULL */

/*
 * True while each of LINES, as many as liveness_new() was given, NULL for none, has moved within
 * the last STUCK_MS. *RET_STUCK is the index of the first that has not, untouched otherwise. To be
 * called more often than STUCK_MS; NOW_MS is monotonic milliseconds, not 0.
 */
bool liveness_ok(struct liveness *liveness, struct line *const *lines, int64_t now_ms,
                 int64_t stuck_ms, size_t *ret_stuck);

#endif
