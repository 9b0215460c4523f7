/* What a text consists of. Pure. */
#ifndef SALLYPORT_AGENT_BASE_TEXT_H
#define SALLYPORT_AGENT_BASE_TEXT_H

#include <stdbool.h>

/* Whether TEXT is well-formed UTF-8 (RFC 3629): payloads, topics and JSON must be. */
bool text_is_utf8(const char *text);

bool text_has_control(const char *text);

/* Replaces control characters and whatever is no UTF-8 by '?', so that TEXT stays on its line. */
void text_make_printable(char *text);

#endif
