/* Whether every line still moves. */
#include "agent/gateway/liveness.h"

#include "agent/base/memory.h"

#include <stdlib.h>

struct beat {
    uint64_t count;
    int64_t seen_ms; /* when the count last rose; 0: not looked at yet */
};

struct liveness {
    size_t n_lines;
    struct beat beats[];
};

struct liveness *liveness_new(size_t n_lines)
{
    struct liveness *liveness =
        memory_zeroed(1, sizeof(*liveness) + n_lines * sizeof(liveness->beats[0]));
    liveness->n_lines = n_lines;
    return liveness;
}

struct liveness *liveness_free(struct liveness *liveness)
{
    free(liveness);
    return NULL;
}

bool liveness_ok(struct liveness *liveness, struct line *const *lines, int64_t now_ms,
                 int64_t stuck_ms, size_t *ret_stuck)
{
    for (size_t i = 0; i < liveness->n_lines; i++) {
        struct beat *beat = &liveness->beats[i];
        struct line_health health;
        if (!lines[i])
            continue;
        line_get_health(lines[i], &health);
        if (health.heartbeat != beat->count || beat->seen_ms == 0) {
            beat->count = health.heartbeat;
            beat->seen_ms = now_ms;
        } else if (now_ms - beat->seen_ms > stuck_ms) {
            *ret_stuck = i;
            return false;
        }
    }
    return true;
}
