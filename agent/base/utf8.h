/* UTF-8 (RFC 3629), one character at a time. Pure; any thread. */
#ifndef SALLYPORT_AGENT_BASE_UTF8_H
#define SALLYPORT_AGENT_BASE_UTF8_H

#include <stddef.h>

/*
 * The size in bytes, 1 to 4, of the character at TEXT, of which LEFT bytes may be read; 0 when no
 * well-formed character begins there. Control characters count as characters. It never reads beyond
 * the NUL that ends a text, so that a whole text may be given with LEFT = 4.
 */
size_t utf8_size(const char *text, size_t left);

#endif
