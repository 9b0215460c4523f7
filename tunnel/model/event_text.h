/*
 * The text of an event: a line of netd's journal, and what its socket carries of it.
 *
 *   SEQ TIME NAME KEY=VALUE ...
 *
 * TIME is UTC with milliseconds. A value is a number, or a text: quoted when it has a space, a
 * quote, a backslash or a '=', is empty, or would be taken for a number. Writer and reader are
 * beside each other: what one writes, the other reads back. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_MODEL_EVENT_TEXT_H
#define SALLYPORT_TUNNEL_MODEL_EVENT_TEXT_H

#include "agent/base/strbuf.h"
#include "tunnel/model/event.h"

/* Appends the whole line, without a line feed. */
void event_text_write(const struct event *event, uint64_t seq, struct strbuf *out);

/* Appends the members alone, "KEY=VALUE KEY=VALUE"; nothing when there are none. */
void event_text_write_members(const struct event *event, struct strbuf *out);

/*
 * Reads LINE, of LENGTH bytes, which may come from another version: names that this version does
 * not have are kept as EVENT_OTHER and MEMBER_OTHER, members beyond EVENT_MAX_MEMBERS are left out
 * (`is_cut`). Returns 0, or -EBADMSG for anything else; *RET_SEQ and *EVENT are then undefined.
 */
int event_text_read(const char *line, size_t length, uint64_t *ret_seq, struct event *event);

#endif
