/*
 * The one writer of JSON (RFC 8259): appends to a buffer, sets the commas, escapes. It allocates
 * nothing but the buffer's growth. Pure; one writer for each document, on the stack:
 *
 *   struct json_text json = JSON_TEXT(&out);
 *   json_text_open_object(&json, NULL);
 *   json_text_string(&json, "state", "online");
 *   json_text_close_object(&json);
 *
 * KEY is the name of the member; NULL for the elements of an array and for the document itself.
 * The caller keeps the nesting right: it is not checked.
 */
#ifndef SALLYPORT_AGENT_PAYLOAD_JSON_TEXT_H
#define SALLYPORT_AGENT_PAYLOAD_JSON_TEXT_H

#include "agent/base/strbuf.h"
#include "drivers/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_text {
    struct strbuf *out;
    bool needs_comma; /* a value precedes at the present level */
};

#define JSON_TEXT(buffer)                                                                          \
    {                                                                                              \
        (buffer), false                                                                            \
    }

void json_text_open_object(struct json_text *json, const char *key);
void json_text_close_object(struct json_text *json);
void json_text_open_array(struct json_text *json, const char *key);
void json_text_close_array(struct json_text *json);

/*
 * Each byte that is not part of well-formed UTF-8 becomes U+FFFD. Control characters and those that
 * cannot be seen or turn the direction are written as \uXXXX, which stands for the same text.
 */
void json_text_string(struct json_text *json, const char *key, const char *text);
void json_text_bytes(struct json_text *json, const char *key, const void *text, size_t length);

void json_text_i64(struct json_text *json, const char *key, int64_t value);
void json_text_u64(struct json_text *json, const char *key, uint64_t value);
/* The shortest decimal that reads back as VALUE, which is finite (asserted). */
void json_text_double(struct json_text *json, const char *key, double value);
/* VALUE, finite, with DECIMALS digits after the point. */
void json_text_fixed(struct json_text *json, const char *key, double value, int decimals);
void json_text_bool(struct json_text *json, const char *key, bool value);
void json_text_null(struct json_text *json, const char *key);
/* The value of a good sample. */
void json_text_sample(struct json_text *json, const char *key, const union slot *sample);

/* Only the key: the value, a whole document, is written next, with KEY NULL. */
void json_text_key(struct json_text *json, const char *key);

/* What another writer has made: members of the open object or elements of the open array. */
void json_text_insert(struct json_text *json, const void *text, size_t length);

#endif
