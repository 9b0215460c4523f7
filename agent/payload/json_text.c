/*
 * JSON pieces (RFC 8259): strings and numbers, without allocation of their own. Pure.
 */
#include "agent/payload/encode.h"

#include "agent/base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_add_string(struct strbuf *out, const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    strbuf_add_char(out, '"');
    for (size_t at = 0; at < length;) {
        size_t size = utf8_size(text + at, length - at);
        if (size == 0) {
            strbuf_add(out, "\xef\xbf\xbd"); /* U+FFFD, one for each bad byte */
            at++;
        } else if (bytes[at] == '"' || bytes[at] == '\\') {
            strbuf_add_char(out, '\\');
            strbuf_add_char(out, text[at++]);
        } else if (bytes[at] < 0x20 || bytes[at] == 0x7f) {
            strbuf_addf(out, "\\u%04x", bytes[at++]);
        } else {
            strbuf_append(out, text + at, size);
            at += size;
        }
    }
    strbuf_add_char(out, '"');
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

void json_add_double(struct strbuf *out, double value)
{
    assert(isfinite(value));
    if (add_short_decimal(out, value))
        return;
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { /* 17 always reads back (IEEE 754) */
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) == value)
            break;
    }
    strbuf_add(out, text);
}

void json_add_sample(struct strbuf *out, const union slot *sample)
{
    switch ((enum sample_kind)sample->sample.kind) {
    case SAMPLE_BOOL:
        strbuf_add(out, sample->sample.value.truth ? "true" : "false");
        return;
    case SAMPLE_I64:
        strbuf_add_i64(out, sample->sample.value.i64);
        return;
    case SAMPLE_U64:
        strbuf_add_u64(out, sample->sample.value.u64);
        return;
    case SAMPLE_F64:
        json_add_double(out, sample->sample.value.f64);
        return;
    case SAMPLE_TEXT:
        json_add_string(out, sample_text(sample), sample->sample.length);
        return;
    case SAMPLE_NONE:
        break;
    }
    strbuf_add(out, "null");
}
