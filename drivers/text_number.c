/* Numbers as values of tags. See number.h. */
#include "drivers/text_number.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 64 /* bytes of a number without its blanks */

/* What a type can hold; for 64 bits the upper limit is the first number that does not fit. */
static const struct {
    double min, max;
    bool is_whole, is_signed;
} limits[] = {
    [VALUE_BOOL] = {0, 1, true, false},
    [VALUE_INT16] = {INT16_MIN, INT16_MAX, true, true},
    [VALUE_UINT16] = {0, UINT16_MAX, true, false},
    [VALUE_INT32] = {INT32_MIN, INT32_MAX, true, true},
    [VALUE_UINT32] = {0, UINT32_MAX, true, false},
    [VALUE_INT64] = {-0x1p63, 0x1.fffffffffffffp62, true, true},
    [VALUE_UINT64] = {0, 0x1.fffffffffffffp63, true, false},
    [VALUE_FLOAT32] = {-FLT_MAX, FLT_MAX, false, true},
    [VALUE_FLOAT64] = {-DBL_MAX, DBL_MAX, false, true},
    [VALUE_STRING] = {0, 0, false, false},
};

static bool is_scaled(const struct config_tag *tag)
{
    return tag->scale != 1 || tag->offset != 0;
}

static double scale(const struct config_tag *tag, double raw)
{
    double value = raw * tag->scale + tag->offset;
    if (tag->decimals >= 0) {
        double power = pow(10, (double)tag->decimals);
        if (fabs(value * power) < 0x1p53) /* beyond, there are no decimals to drop */
            value = round(value * power) / power;
    }
    return value + 0.0; /* no negative zero */
}

void text_number_put(struct batch *batch, uint16_t index, const struct config_tag *tag, double raw)
{
    bool is_whole = limits[tag->type].is_whole;
    if (isnan(raw))
        batch_put_bad(batch, index, QUALITY_NOT_A_NUMBER, 0);
    else if (raw < limits[tag->type].min || raw > limits[tag->type].max ||
             (is_whole && raw != trunc(raw)))
        batch_put_bad(batch, index, QUALITY_OUT_OF_RANGE, 0);
    else if (tag->type == VALUE_BOOL)
        batch_put_bool(batch, index, raw != 0);
    else if (!is_whole || is_scaled(tag))
        batch_put_f64(batch, index, scale(tag, raw));
    else if (limits[tag->type].is_signed)
        batch_put_i64(batch, index, (int64_t)raw);
    else
        batch_put_u64(batch, index, (uint64_t)raw);
}

/* Copies TEXT without its blanks. Returns the length, 0 when it is too long for a number. */
static size_t squeeze(const char *text, size_t length, char squeezed[TEXT_MAX + 1])
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ' || text[i] == '\t')
            continue;
        if (used == TEXT_MAX)
            return 0;
        squeezed[used++] = text[i];
    }
    squeezed[used] = 0;
    return used;
}

static const char *text_number_skip_digits(const char *text)
{
    while (*text >= '0' && *text <= '9')
        text++;
    return text;
}

/* Whether TEXT is a number, and a whole one without point and exponent. */
static bool text_number_is_number(const char *text, bool *ret_whole)
{
    const char *start = text + (*text == '+' || *text == '-');
    const char *at = text_number_skip_digits(start);
    ptrdiff_t digits = at - start;
    bool whole = *at == 0;
    if (*at == '.') {
        const char *fraction = at + 1;
        at = text_number_skip_digits(fraction);
        digits += at - fraction;
    }
    if (digits == 0)
        return false;
    if (*at == 'e' || *at == 'E') {
        const char *exponent = at + 1;
        exponent += *exponent == '+' || *exponent == '-';
        at = text_number_skip_digits(exponent);
        if (at == exponent)
            return false;
    }
    if (*at != 0)
        return false;
    *ret_whole = whole;
    return true;
}

/*
 * The value of a checked number, correctly rounded. strtod() would take the locale's decimal
 * point, so the text is rewritten as digits and an exponent, which are the same everywhere.
 */
static double real_of(const char *text)
{
    char plain[2 * TEXT_MAX];
    size_t used = 0;
    long exponent = 0;
    bool is_fraction = false;
    for (; *text && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.')
            is_fraction = true;
        else {
            plain[used++] = *text;
            exponent -= is_fraction;
        }
    }
    if (*text) {
        long given = strtol(text + 1, NULL, 10);
        exponent += given > 100000 ? 100000 : given < -100000 ? -100000 : given;
    }
    (void)snprintf(plain + used, sizeof(plain) - used, "e%ld", exponent);
    return strtod(plain, NULL);
}

/* Whole numbers beyond what a double holds exactly. False: text_number_put() decides. */
static bool put_exactly(struct batch *batch, uint16_t index, const struct config_tag *tag,
                        const char *text)
{
    if (is_scaled(tag) || (tag->type != VALUE_INT64 && tag->type != VALUE_UINT64))
        return false;
    errno = 0;
    if (tag->type == VALUE_INT64) {
        long long value = strtoll(text, NULL, 10);
        if (errno == 0)
            batch_put_i64(batch, index, value);
    } else {
        unsigned long long value = strtoull(text, NULL, 10);
        if (*text == '-' && value != 0)
            return false;
        if (errno == 0)
            batch_put_u64(batch, index, value);
    }
    if (errno != 0)
        batch_put_bad(batch, index, QUALITY_OUT_OF_RANGE, 0);
    return true;
}

void text_number_put_text(struct batch *batch, uint16_t index, const struct config_tag *tag,
                          const char *text, size_t length)
{
    char number[TEXT_MAX + 1];
    bool whole;
    if (squeeze(text, length, number) == 0 || !text_number_is_number(number, &whole))
        batch_put_bad(batch, index, QUALITY_NOT_A_NUMBER, 0);
    else if (!whole || !put_exactly(batch, index, tag, number))
        text_number_put(batch, index, tag, real_of(number));
}
