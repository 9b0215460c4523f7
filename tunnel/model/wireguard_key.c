/* A WireGuard key as text. */
#include "tunnel/model/wireguard_key.h"

#include <string.h>

/* 43 characters, the last of which carries four bits, and one '='. */
bool wireguard_key_is_valid(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t last = WIREGUARD_KEY_CHARACTERS - 1;
    return strlen(text) == WIREGUARD_KEY_CHARACTERS && strspn(text, digits) == last &&
           text[last] == '=' && strchr("AEIMQUYcgkosw048", text[last - 1]);
}
