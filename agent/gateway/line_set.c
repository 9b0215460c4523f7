/* The lines of a configuration: made, started and stopped together. */
#include "agent/gateway/line_set.h"

#include "agent/base/log.h"

#include <string.h>

int line_set_make(const struct config *config, const struct line_callbacks *callbacks,
                  struct line **lines)
{
    size_t total = 0, phase = 0;
    for (size_t bus = 0; bus < config->n_buses; bus++)
        total += line_group_count(config, bus);
    for (size_t bus = 0; bus < config->n_buses; bus++) {
        size_t groups = line_group_count(config, bus);
        if (groups == 0)
            continue; /* nothing to poll */
        int problem = line_new(config, bus, callbacks, phase, total, &lines[bus]);
        if (problem < 0) {
            log_error("line", "line=%s: cannot be set up: %s", config->buses[bus].name,
                      strerror(-problem));
            return problem;
        }
        phase += groups;
    }
    return 0;
}

int line_set_start(const struct config *config, struct line *const *lines)
{
    for (size_t bus = 0; bus < config->n_buses; bus++) {
        int problem = lines[bus] ? line_start(lines[bus]) : 0;
        if (problem < 0) {
            log_error("line", "line=%s: cannot start its worker: %s", config->buses[bus].name,
                      strerror(-problem));
            return problem;
        }
    }
    return 0;
}

void line_set_stop(const struct config *config, struct line **lines)
{
    for (size_t bus = 0; bus < config->n_buses; bus++) {
        if (lines[bus])
            line_stop(lines[bus]); /* all at once: each may be in a timeout */
    }
    for (size_t bus = 0; bus < config->n_buses; bus++)
        lines[bus] = line_free(lines[bus]);
}
