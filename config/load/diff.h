/* What changed between two generations of the configuration. Pure; any thread. */
#ifndef SALLYPORT_CONFIG_LOAD_DIFF_H
#define SALLYPORT_CONFIG_LOAD_DIFF_H

#include "agent/base/strbuf.h"
#include "config/schema/config.h"

#include <stdbool.h>

struct config_diff {
    bool changes[RELOAD_CLASSES]; /* whether a key of that class changed; lines: or was added */
    bool *lines;        /* for each bus of the fresh generation: whether its line must restart */
    struct strbuf text; /* "key: old -> new\n" for each change; secrets redacted */
};

/*
 * Compares OLD and FRESH. Lines, devices and tags are identified by name. A line must restart when
 * a key of it changed or was added, or a device on it, or a tag of that device; the place of a line
 * or device in its list does not matter, that of a tag among the tags of its device does. The
 * caller frees the result.
 */
void config_diff(const struct config *old, const struct config *fresh,
                 struct config_diff *ret_diff);
void config_diff_free(struct config_diff *diff); /* fit for CLEANUP() */

#endif
