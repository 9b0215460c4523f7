/*
 * What a text consists of, and how a text from outside is shown. Everything that a device, a
 * broker, a certificate, another process, a file name or a helper program says goes through the
 * functions of this file on its way to a terminal, a log or JSON. Pure; any thread.
 */
#ifndef SALLYPORT_AGENT_BASE_TEXT_H
#define SALLYPORT_AGENT_BASE_TEXT_H

#include "agent/base/strbuf.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether TEXT is well-formed UTF-8 (RFC 3629): payloads, topics and JSON must be. */
bool text_is_utf8(const char *text);

bool text_has_control(const char *text);

/*
 * The size in bytes of the printable character at TEXT: well-formed UTF-8, no control character
 * (C0, DEL, C1), none that breaks a line or turns the direction of what follows (U+2028 to U+202E,
 * U+2066 to U+2069). 0 for everything else, the NUL too. What a signed command, netd's protocol and
 * the journal accept.
 */
size_t text_printable(const char *text);

/*
 * What a text is escaped for. A control character or a byte that is not UTF-8 becomes "\x1b", any
 * other character that is not shown "\u202e"; in JSON each becomes "\u001b", and a byte that is not
 * UTF-8 U+FFFD. Everything else stays as it is.
 */
enum text_form {
    TEXT_FIELD,    /* netd's protocol and journal: what text_printable() accepts stays */
    TEXT_SHOWN,    /* one line for a person: nor does a character that cannot be seen, or that turns
                      the direction: U+00AD, U+061C, U+200B to U+200F, U+2060 to U+206F, U+FEFF, ... */
    TEXT_LINES,    /* the same for several lines: line feeds stay */
    TEXT_JSON,     /* the inside of a JSON string: the same characters, and quotes */
    TEXT_DOCUMENT, /* a JSON document that a library has written: its quotes and line feeds stay */
};

/* Appends TEXT, LENGTH bytes, which may have NULs in it, escaped for FORM. */
void text_escape(struct strbuf *out, const void *text, size_t length, enum text_form form);

/*
 * Copies TEXT into FIELD, of SIZE bytes, escaped for TEXT_FIELD: cut between characters, always
 * terminated, and zero from there to the end of the field.
 */
void text_put(char *field, size_t size, const char *text);

/* The same for a person: TEXT_SHOWN. */
void text_show(char *field, size_t size, const char *text);

#endif
