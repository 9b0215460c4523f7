/* What changed between two generations of the configuration. Pure; any thread. */
#ifndef SALLYPORT_CONFIG_LOAD_DIFF_H
#define SALLYPORT_CONFIG_LOAD_DIFF_H

#include "config/schema/config.h"

/*
 * What a change from OLD to FRESH asks for: the highest reload_class of the changed keys, and a
 * line "key: old -> new" per change appended to OUT (secrets redacted). Buses, devices and tags are
 * told apart by name. LINES, when not NULL, is an array of FRESH->n_buses flags: set where the
 * line's worker has to be made anew, because a key of the line changed, or the index of the bus, of
 * a device on it, or of a tag, by which running lines and their samples go.
 */
enum reload_class config_diff(const struct config *old, const struct config *fresh, bool *lines,
                              struct strbuf *out);

#endif
