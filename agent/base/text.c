/* UTF-8 and control characters. */
#include "agent/base/text.h"

#include <stddef.h>
#include <stdint.h>

/* How many bytes the character at TEXT has; 0 when it is none. The NUL ends every sequence. */
static size_t character_length(const char *text)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    if (*at < 0x80)
        return 1;
    if (*at < 0xc2 || *at > 0xf4)
        return 0;
    size_t more = *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
    uint32_t code = *at & (0x3fU >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < smallest[more] || code > 0x10ffff || surrogate ? 0 : more + 1;
}

static bool is_control(char byte)
{
    return (unsigned char)byte < 0x20 || byte == 0x7f;
}

bool text_is_utf8(const char *text)
{
    while (*text) {
        size_t length = character_length(text);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

bool text_has_control(const char *text)
{
    for (; *text; text++) {
        if (is_control(*text))
            return true;
    }
    return false;
}

void text_make_printable(char *text)
{
    while (*text) {
        size_t length = character_length(text);
        if (length == 0 || is_control(*text))
            *text = '?';
        text += length ? length : 1;
    }
}
