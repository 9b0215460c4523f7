/* UTF-8 and control characters. */
#include "agent/base/text.h"

#include "agent/base/utf8.h"

#include <string.h>

#define UTF8_MAX 4 /* the NUL ends every sequence */

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

void text_make_printable(char *text)
{
    while (*text) {
        size_t length = utf8_size(text, UTF8_MAX);
        if (length == 0 || text_is_control(*text))
            *text = '?';
        text += length ? length : 1;
    }
}

/*
 * U+2028 to U+202E and U+2066 to U+2069 break a line or turn the order of what follows: a text must
 * not look like something else to the person who reads it.
 */
static bool is_deceptive(const unsigned char *character)
{
    return character[0] == 0xe2 &&
           ((character[1] == 0x80 && character[2] >= 0xa8 && character[2] <= 0xae) ||
            (character[1] == 0x81 && character[2] >= 0xa6 && character[2] <= 0xa9));
}

size_t text_printable(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t size = utf8_size(text, UTF8_MAX);
    bool is_c1 = at[0] == 0xc2 && at[1] < 0xa0;
    return text_is_control(*text) || (size == 2 && is_c1) || (size == 3 && is_deceptive(at)) ? 0
                                                                                             : size;
}

void text_put(char *field, size_t size, const char *text)
{
    size_t used = 0;
    while (text[used]) {
        size_t step = text_printable(text + used);
        size_t take = step ? step : 1;
        if (used + take >= size)
            break;
        if (step)
            memcpy(field + used, text + used, step);
        else
            field[used] = '?';
        used += take;
    }
    memset(field + used, 0, size - used);
}
