/* The table of well-formed byte sequences: Unicode 15, table 3-7; the same as RFC 3629, section 4.
 */
#include "agent/base/utf8.h"

#include "agent/base/macros.h"

static const struct {
    unsigned char first_low, first_high, second_low, second_high;
    size_t size;
} forms[] = {
    {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* The size that the first byte announces; FORM says which values the second one may have. */
static size_t announced(unsigned char first, size_t *ret_form)
{
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        if (first >= forms[i].first_low && first <= forms[i].first_high) {
            *ret_form = i;
            return forms[i].size;
        }
    }
    return 0;
}

size_t utf8_size(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t form = 0, size = left ? announced(at[0], &form) : 0;
    if (size <= 1 || size > left)
        return size > left ? 0 : size;
    if (at[1] < forms[form].second_low || at[1] > forms[form].second_high)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    }
    return size;
}
