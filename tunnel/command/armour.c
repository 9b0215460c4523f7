/*
 * What an armoured SSH signature claims. The armour is base64 between two marks, lines of any
 * length; inside: "SSHSIG", version 1, then five strings, each with its length before it.
 */
#include "tunnel/command/armour.h"

#include "agent/base/macros.h"
#include "tunnel/journal/sha256.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- Base64 ---- */

static int digit_value(char digit)
{
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Four digits of a group, of which PADS at the end are '='. Returns how many bytes they are, or 0.
 */
static size_t decode_group(const char group[4], unsigned char bytes[3])
{
    size_t pads = group[3] != '=' ? 0 : group[2] != '=' ? 1 : 2;
    uint32_t word = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - pads ? digit_value(group[i]) : 0;
        if (value < 0)
            return 0;
        word = word << 6 | (uint32_t)value;
    }
    if ((pads == 1 && (word & 0xff)) || (pads == 2 && (word & 0xffff)))
        return 0; /* bits that no encoder leaves: another text for the same bytes */
    bytes[0] = (unsigned char)(word >> 16);
    bytes[1] = (unsigned char)(word >> 8);
    bytes[2] = (unsigned char)word;
    return 3 - pads;
}

size_t armour_decode(const char *text, size_t length, unsigned char bytes[ARMOUR_BYTES])
{
    size_t done = 0, filled = 0;
    bool has_ended = false;
    char group[4];
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            continue;
        if (has_ended || done + 3 > ARMOUR_BYTES)
            return 0;
        group[filled++] = text[i];
        if (filled < sizeof(group))
            continue;
        size_t got = decode_group(group, bytes + done);
        if (got == 0)
            return 0;
        has_ended = got < 3;
        done += got;
        filled = 0;
    }
    return filled == 0 ? done : 0;
}

void armour_print(struct armour_part part, char text[ARMOUR_KEY_TEXT_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < part.length && at + 5 <= ARMOUR_KEY_TEXT_BYTES; i += 3) {
        size_t left = part.length - i;
        uint32_t word = (uint32_t)part.at[i] << 16;
        word |= left > 1 ? (uint32_t)part.at[i + 1] << 8 : 0;
        word |= left > 2 ? part.at[i + 2] : 0;
        text[at++] = digits[word >> 18];
        text[at++] = digits[word >> 12 & 63];
        text[at++] = left > 1 ? digits[word >> 6 & 63] : '=';
        text[at++] = left > 2 ? digits[word & 63] : '=';
    }
    text[at] = '\0';
}

bool armour_part_is(struct armour_part part, const char *text)
{
    return part.length == strlen(text) && memcmp(part.at, text, part.length) == 0;
}

void armour_fingerprint(struct armour_part key, char text[ARMOUR_PRINT_BYTES])
{
    char print[ARMOUR_KEY_TEXT_BYTES];
    unsigned char hash[SHA256_BYTES];
    sha256_bytes(key.at, key.length, hash);
    armour_print((struct armour_part){hash, sizeof(hash)}, print);
    print[strcspn(print, "=")] = '\0';
    (void)snprintf(text, ARMOUR_PRINT_BYTES, "SHA256:%.50s", print);
}

/* ---- What is inside ---- */

int armour_cut(struct armour_part *rest, struct armour_part *ret_part)
{
    if (rest->length < 4)
        return -EBADMSG;
    size_t length = (size_t)rest->at[0] << 24 | (size_t)rest->at[1] << 16 |
                    (size_t)rest->at[2] << 8 | (size_t)rest->at[3];
    if (length > rest->length - 4)
        return -EBADMSG;
    *ret_part = (struct armour_part){rest->at + 4, length};
    rest->at += 4 + length;
    rest->length -= 4 + length;
    return 0;
}

/* The base64 between the first and the last line. */
static bool find_inside(const char *text, size_t length, const char **ret_inside,
                        size_t *ret_length)
{
    const char *first = memchr(text, '\n', length);
    size_t end = length > 0 && text[length - 1] == '\n' ? length - 1 : length;
    while (end > 0 && text[end - 1] != '\n')
        end--;
    if (!first || (size_t)(first - text) + 1 >= end)
        return false;
    *ret_inside = first + 1;
    *ret_length = end - (size_t)(first - text) - 1;
    return true;
}

int armour_read(const char *text, size_t length, struct armour *ret_armour)
{
    static const unsigned char head[] = {'S', 'S', 'H', 'S', 'I', 'G', 0, 0, 0, VERSION};
    struct armour_part rest, reserved;
    struct armour_part *const parts[] = {&ret_armour->key, &ret_armour->name_space, &reserved,
                                         &ret_armour->hash, &ret_armour->signature};
    const char *inside;
    size_t inside_length;
    if (!find_inside(text, length, &inside, &inside_length))
        return -EBADMSG;
    rest.at = ret_armour->bytes;
    rest.length = armour_decode(inside, inside_length, ret_armour->bytes);
    if (rest.length < sizeof(head) || memcmp(rest.at, head, sizeof(head)) != 0)
        return -EBADMSG;
    rest.at += sizeof(head);
    rest.length -= sizeof(head);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
        if (armour_cut(&rest, parts[i]) < 0)
            return -EBADMSG;
    }
    return rest.length == 0 && reserved.length == 0 ? 0 : -EBADMSG;
}
