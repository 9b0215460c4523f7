/* UTF-8, control characters, and the one function that escapes them. */
#include "agent/base/text.h"

#include "agent/base/macros.h"
#include "agent/base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define UTF8_MAX 4     /* the NUL ends every sequence */
#define PIECE_BYTES 16 /* "\udb40\udc01" and its NUL, or a character */

static bool text_is_control(char byte)
{
    return (unsigned char)byte < 0x20 || byte == 0x7f;
}

bool text_is_utf8(const char *text)
{
    while (*text) {
        size_t length = utf8_size(text, UTF8_MAX);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

bool text_has_control(const char *text)
{
    for (; *text; text++) {
        if (text_is_control(*text))
            return true;
    }
    return false;
}

/* The number of the well-formed character of SIZE bytes at TEXT. */
static uint32_t text_decode(const char *text, size_t size)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)text[0] & first_bits[size];
    for (size_t i = 1; i < size; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    return code;
}

/*
 * The characters of Unicode's category Cf that cannot be seen or turn the order of what follows,
 * and the two separators of lines: a text must not look like something else to the person who reads
 * it. Some belong to ordinary texts (U+200C and U+200D in Persian and in emoji), so that a command
 * or a journal may hold them; whoever shows a text escapes them as well.
 */
static const struct {
    uint32_t first, last;
    bool is_refused; /* text_printable() refuses it */
} hidden[] = {{0x80, 0x9f, true},       {0xad, 0xad, false},     {0x61c, 0x61c, false},
              {0x180e, 0x180e, false},  {0x200b, 0x200f, false}, {0x2028, 0x202e, true},
              {0x2060, 0x2065, false},  {0x2066, 0x2069, true},  {0x206a, 0x206f, false},
              {0xfeff, 0xfeff, false},  {0xfff9, 0xfffb, false}, {0x1d173, 0x1d17a, false},
              {0xe0000, 0xe0fff, false}};

static bool is_hidden(uint32_t code, bool from_all)
{
    if (code < 0x20 || code == 0x7f)
        return true;
    for (size_t i = 0; i < ARRAY_LENGTH(hidden); i++) {
        if (code >= hidden[i].first && code <= hidden[i].last)
            return hidden[i].is_refused || !from_all;
    }
    return false;
}

size_t text_printable(const char *text)
{
    size_t size = utf8_size(text, UTF8_MAX);
    return size && is_hidden(text_decode(text, size), true) ? 0 : size;
}

static const struct {
    bool is_field, keeps_lines, escapes_quotes, is_json;
} forms[] = {
    [TEXT_FIELD] = {.is_field = true},
    [TEXT_SHOWN] = {.is_json = false},
    [TEXT_LINES] = {.keeps_lines = true},
    [TEXT_JSON] = {.is_json = true, .escapes_quotes = true},
    [TEXT_DOCUMENT] = {.is_json = true, .keeps_lines = true},
};

/* The bytes of the character at TEXT when it stays as it is, else 0. */
static size_t kept(const char *text, size_t left, enum text_form form)
{
    size_t size = utf8_size(text, left);
    if (size == 1 && (*text == '"' || *text == '\\'))
        return forms[form].escapes_quotes ? 0 : 1;
    if (size == 1 && *text == '\n')
        return forms[form].keeps_lines ? 1 : 0;
    return size && is_hidden(text_decode(text, size), forms[form].is_field) ? 0 : size;
}

/* Puts the escape for what is at TEXT into PIECE; returns how many bytes of TEXT it stands for. */
static size_t escape_one(const char *text, size_t left, enum text_form form,
                         char piece[PIECE_BYTES])
{
    size_t size = utf8_size(text, left);
    uint32_t code = size ? text_decode(text, size) : (unsigned char)*text;
    if (code == '"' || code == '\\')
        (void)snprintf(piece, PIECE_BYTES, "\\%c", (char)code);
    else if (size == 0 && forms[form].is_json)
        (void)snprintf(piece, PIECE_BYTES, "\xef\xbf\xbd"); /* U+FFFD, one for each bad byte */
    else if (size <= 1 && !forms[form].is_json)
        (void)snprintf(piece, PIECE_BYTES, "\\x%02x", code);
    else if (code > 0xffff) /* RFC 8259, section 7: a surrogate pair */
        (void)snprintf(piece, PIECE_BYTES, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10),
                       0xdc00 + (code & 0x3ff));
    else
        (void)snprintf(piece, PIECE_BYTES, "\\u%04x", code);
    return size ? size : 1;
}

void text_escape(struct strbuf *out, const void *text, size_t length, enum text_form form)
{
    const char *at = text, *end = at + length;
    while (at < end) {
        const char *start = at;
        char piece[PIECE_BYTES];
        for (size_t step; at < end && (step = kept(at, (size_t)(end - at), form)) > 0;)
            at += step;
        strbuf_append(out, start, (size_t)(at - start));
        if (at < end) {
            at += escape_one(at, (size_t)(end - at), form, piece);
            strbuf_add(out, piece);
        }
    }
}

static void put(char *field, size_t size, const char *text, enum text_form form)
{
    size_t used = 0;
    while (*text) {
        char piece[PIECE_BYTES];
        size_t taken = kept(text, UTF8_MAX, form), length = taken;
        if (taken)
            memcpy(piece, text, taken);
        else {
            taken = escape_one(text, UTF8_MAX, form, piece);
            length = strlen(piece);
        }
        if (used + length >= size)
            break;
        memcpy(field + used, piece, length);
        used += length;
        text += taken;
    }
    memset(field + used, 0, size - used);
}

void text_put(char *field, size_t size, const char *text)
{
    put(field, size, text, TEXT_FIELD);
}

void text_show(char *field, size_t size, const char *text)
{
    put(field, size, text, TEXT_SHOWN);
}
