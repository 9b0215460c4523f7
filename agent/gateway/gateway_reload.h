/*
 * The configuration of a running gateway changes: a changed device restarts its own line, a changed
 * uplink reconnects, and nothing else is touched. Main loop only.
 */
#ifndef SALLYPORT_AGENT_GATEWAY_GATEWAY_RELOAD_H
#define SALLYPORT_AGENT_GATEWAY_GATEWAY_RELOAD_H

#include "agent/base/strbuf.h"
#include "agent/payload/json_text.h"

#include <stdbool.h>

struct gateway; /* see gateway.h */

/* What a reload has done. Texts of several lines have one entry a line. */
struct reload_report {
    bool is_applied;
    struct strbuf reason;  /* not applied: why, in one line */
    struct strbuf changes; /* "key: old -> new" of each change; secrets redacted */
    struct strbuf started; /* names of the lines that were started, again or for the first time */
    struct strbuf ended;   /* names of the lines that are gone */
    bool reconnects;       /* the uplink connects with other settings */
};

#define RELOAD_REPORT_EMPTY                                                                        \
    {                                                                                              \
        .is_applied = false                                                                        \
    }

void reload_report_free(struct reload_report *report); /* fit for CLEANUP() */

/* Writes the members "changes", "started", "ended" and "reconnects" into the object that is open.
 */
void reload_report_write(const struct reload_report *report, struct json_text *json);

/*
 * Reads the files again and puts them in force, all or nothing: files with errors, settings that
 * cannot work, and changes that need a restart of the process are refused, and the running
 * configuration stays. Both outcomes are published as events. When a line cannot be started, which
 * takes a machine without memory, the loop ends and the supervisor restarts the process.
 */
void gateway_reload(struct gateway *gateway, struct reload_report *report);

#endif
