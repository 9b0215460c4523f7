/* The JSON writer. */
#include "agent/payload/json_text.h"

#include "agent/base/text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Whether each of eight bytes stands for itself: of those that do not, a subtraction borrows into
 * the highest bit. A borrow may carry on into a plain byte, too; then the answer is no, and the
 * bytes are looked at one by one.
 */
static bool are_plain(const unsigned char *text)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    uint64_t found = word | (word - each * 0x20) | ((word ^ each * '"') - each) |
                     ((word ^ each * '\\') - each) | ((word ^ each * 0x7f) - each);
    return (found & each * 0x80) == 0;
}

static bool json_text_is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* How many bytes from TEXT on stand for themselves. */
static size_t plain_length(const unsigned char *text, size_t length)
{
    size_t plain = 0;
    while (plain + 8 <= length && are_plain(text + plain))
        plain += 8;
    while (plain < length && json_text_is_plain(text[plain]))
        plain++;
    return plain;
}

/* Nearly every text, and every name of a tag: one piece, for these are on the sampling path. */
static void add_plain(struct strbuf *out, const void *text, size_t length, bool is_key)
{
    char *place = strbuf_reserve(out, length + 3);
    *place++ = '"';
    memcpy(place, text, length);
    place += length;
    *place++ = '"';
    if (is_key)
        *place++ = ':';
    *place = '\0';
    out->length = (size_t)(place - out->data);
}

static void add_escaped(struct strbuf *out, const void *text, size_t length, bool is_key)
{
    strbuf_add_char(out, '"');
    text_escape(out, text, length, TEXT_JSON);
    strbuf_append(out, "\":", is_key ? 2 : 1);
}

/* TEXT in quotes; a key is followed by a colon. */
static void add_quoted(struct strbuf *out, const void *text, size_t length, bool is_key)
{
    if (plain_length(text, length) == length)
        add_plain(out, text, length, is_key);
    else
        add_escaped(out, text, length, is_key);
}

/* What precedes a value: the comma, and the key where there is one. */
static void begin_value(struct json_text *json, const char *key)
{
    if (json->needs_comma)
        strbuf_add_char(json->out, ',');
    json->needs_comma = true;
    if (key)
        add_quoted(json->out, key, strlen(key), true);
}

static void open_level(struct json_text *json, const char *key, char bracket)
{
    begin_value(json, key);
    strbuf_add_char(json->out, bracket);
    json->needs_comma = false;
}

static void close_level(struct json_text *json, char bracket)
{
    strbuf_add_char(json->out, bracket);
    json->needs_comma = true;
}

void json_text_open_object(struct json_text *json, const char *key)
{
    open_level(json, key, '{');
}

void json_text_close_object(struct json_text *json)
{
    close_level(json, '}');
}

void json_text_open_array(struct json_text *json, const char *key)
{
    open_level(json, key, '[');
}

void json_text_close_array(struct json_text *json)
{
    close_level(json, ']');
}

void json_text_string(struct json_text *json, const char *key, const char *text)
{
    json_text_bytes(json, key, text, strlen(text));
}

void json_text_bytes(struct json_text *json, const char *key, const void *text, size_t length)
{
    begin_value(json, key);
    add_quoted(json->out, text, length, false);
}

void json_text_i64(struct json_text *json, const char *key, int64_t value)
{
    begin_value(json, key);
    strbuf_add_i64(json->out, value);
}

void json_text_u64(struct json_text *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    strbuf_add_u64(json->out, value);
}

/*
 * Decimals with few digits, which is nearly every plant value. VALUE x 10^k is rounded to a whole
 * number m; when m / 10^k gives VALUE back, "m / 10^k" is a decimal that reads back as VALUE,
 * because both operands are exact in a double (m < 2^53, k <= 9) and the division rounds
 * correctly, as strtod does. The smallest such k gives the shortest decimal.
 */
static bool add_short_decimal(struct strbuf *out, double value)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double magnitude = fabs(value);
    if (magnitude >= 1e15 || (magnitude < 1e-9 && magnitude > 0))
        return false;
    for (size_t k = 0; k < sizeof(power) / sizeof(power[0]); k++) {
        double whole = nearbyint(magnitude * power[k]);
        if (whole >= 9007199254740992.0)
            return false;
        if (whole / power[k] != magnitude)
            continue;
        uint64_t digits = (uint64_t)whole;
        uint64_t unit = (uint64_t)power[k];
        if (signbit(value))
            strbuf_add_char(out, '-');
        strbuf_add_u64(out, digits / unit);
        if (k > 0) {
            char fraction[9];
            uint64_t rest = digits % unit;
            for (size_t at = k; at > 0; at--, rest /= 10)
                fraction[at - 1] = (char)('0' + rest % 10);
            strbuf_add_char(out, '.');
            strbuf_append(out, fraction, k);
        }
        return true;
    }
    return false;
}

void json_text_double(struct json_text *json, const char *key, double value)
{
    assert(isfinite(value));
    begin_value(json, key);
    if (add_short_decimal(json->out, value))
        return;
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { /* 17 always reads back (IEEE 754) */
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) == value)
            break;
    }
    strbuf_add(json->out, text);
}

void json_text_fixed(struct json_text *json, const char *key, double value, int decimals)
{
    assert(isfinite(value));
    begin_value(json, key);
    strbuf_addf(json->out, "%.*f", decimals, value);
}

void json_text_bool(struct json_text *json, const char *key, bool value)
{
    begin_value(json, key);
    strbuf_add(json->out, value ? "true" : "false");
}

void json_text_null(struct json_text *json, const char *key)
{
    begin_value(json, key);
    strbuf_add(json->out, "null");
}

void json_text_sample(struct json_text *json, const char *key, const union slot *sample)
{
    switch ((enum sample_kind)sample->sample.kind) {
    case SAMPLE_BOOL:
        json_text_bool(json, key, sample->sample.value.truth);
        return;
    case SAMPLE_I64:
        json_text_i64(json, key, sample->sample.value.i64);
        return;
    case SAMPLE_U64:
        json_text_u64(json, key, sample->sample.value.u64);
        return;
    case SAMPLE_F64:
        json_text_double(json, key, sample->sample.value.f64);
        return;
    case SAMPLE_TEXT:
        json_text_bytes(json, key, sample_text(sample), sample->sample.length);
        return;
    case SAMPLE_NONE:
        break;
    }
    json_text_null(json, key);
}

void json_text_key(struct json_text *json, const char *key)
{
    begin_value(json, key);
    json->needs_comma = false;
}

void json_text_insert(struct json_text *json, const void *text, size_t length)
{
    begin_value(json, NULL);
    strbuf_append(json->out, text, length);
}
