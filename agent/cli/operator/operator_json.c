/* JSON of gateways. */
#include "agent/cli/operator/operator_json.h"

#include "agent/base/memory.h"

#include <stdbool.h>
#include <string.h>

#define LONG_DIGITS 19 /* digits of 2^63 - 1; no shorter number is too large */

/* Bytes of the token at TEXT: a whole string, a number, or one byte of anything else. */
static size_t token_length(const char *text, size_t length)
{
    size_t used = 1;
    if (*text == '"') {
        while (used < length && text[used] != '"')
            used += text[used] == '\\' ? 2 : 1;
        return used < length ? used + 1 : length;
    }
    if (*text == '-' || (*text >= '0' && *text <= '9')) {
        while (used < length && text[used] && strchr("0123456789+-.eE", text[used]))
            used++;
    }
    return used;
}

static bool is_long_number(const char *token, size_t length)
{
    size_t sign = token[0] == '-';
    for (size_t i = sign; i < length; i++) {
        if (token[i] < '0' || token[i] > '9')
            return false;
    }
    return length - sign >= LONG_DIGITS;
}

json_t *operator_json_parse(const char *text, size_t length)
{
    CLEANUP(strbuf_free) struct strbuf quoted = STRBUF_EMPTY;
    json_t *value = json_loadb(text, length, 0, NULL);
    for (size_t at = 0, used; !value && at < length; at += used) {
        used = token_length(text + at, length - at);
        const char *quote = is_long_number(text + at, used) ? "\"" : "";
        strbuf_add(&quoted, quote);
        strbuf_append(&quoted, text + at, used);
        strbuf_add(&quoted, quote);
    }
    return value ? value : json_loadb(strbuf_text(&quoted), quoted.length, 0, NULL);
}

/* Appends a string token with everything escaped that is not printable ASCII. */
static void add_string(const char *token, size_t length, struct strbuf *out)
{
    json_t *text = json_loadb(token, length, JSON_DECODE_ANY, NULL);
    CLEANUP(memory_free_pointer)
    char *escaped = text ? json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    json_decref(text);
    for (const char *at = escaped ? escaped : "\"\""; *at; at++) {
        if (*at == 0x7f) /* which the library considers printable */
            strbuf_add(out, "\\u007F");
        else
            strbuf_add_char(out, *at);
    }
}

void operator_json_add(const char *text, size_t length, struct strbuf *out)
{
    for (size_t at = 0, used; at < length; at += used) {
        used = token_length(text + at, length - at);
        if (text[at] == '"')
            add_string(text + at, used, out);
        else if (!strchr(" \t\r\n", text[at]))
            strbuf_append(out, text + at, used);
    }
}
