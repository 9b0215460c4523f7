/*
 * Looks through the text of a configuration file before libconfig 1.5 does, for what that parser
 * reports badly or not at all: numbers that it would silently cut to 32 bits, nesting and groups
 * big enough to exhaust it, keys given twice, quotes and brackets that are never closed, words
 * without quotes, @include, and files that are not text. Pure.
 */
#ifndef SALLYPORT_CONFIG_LOAD_LEXER_H
#define SALLYPORT_CONFIG_LOAD_LEXER_H

#include "agent/base/strbuf.h"
#include "config/schema/finding.h"

#include <stdbool.h>
#include <stddef.h>

#define LEXER_MAX_KEYS 256 /* of one group: looking for duplicates is quadratic */
#define LEXER_DOUBLE "**"  /* marks a key that was given before; no table has such a key */

/*
 * Appends TEXT to OUT in a form that libconfig reads right, line by line the same: large numbers
 * marked as 64 bit, repeated keys renamed (LEXER_DOUBLE). All problems go to FINDINGS with FILE
 * and line. Returns 0 when OUT is worth parsing, -EINVAL when its structure is broken.
 */
int lexer_scan(const char *text, size_t length, const char *file, struct findings *findings,
               struct strbuf *out);

#endif
