/* What a text consists of. Pure. */
#ifndef SALLYPORT_AGENT_BASE_TEXT_H
#define SALLYPORT_AGENT_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether TEXT is well-formed UTF-8 (RFC 3629): payloads, topics and JSON must be. */
bool text_is_utf8(const char *text);

bool text_has_control(const char *text);

/*
 * The size in bytes of the printable character at TEXT: well-formed UTF-8, no control character
 * (C0, DEL, C1), none that breaks a line or turns the direction of what follows (U+2028 to U+202E,
 * U+2066 to U+2069). 0 for everything else, the NUL too.
 */
size_t text_printable(const char *text);

/*
 * Copies TEXT into FIELD, of SIZE bytes: cut between characters, each byte that is not printable
 * replaced by '?', always terminated, and zero from there to the end of the field.
 */
void text_put(char *field, size_t size, const char *text);

/* Replaces control characters and whatever is not UTF-8 by '?', so that TEXT stays on its line. */
void text_make_printable(char *text);

#endif
