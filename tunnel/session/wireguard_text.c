/* Texts of wg: keys, and the table of handshakes. */
#include "tunnel/session/wireguard_text.h"

#include "tunnel/model/wireguard_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool wireguard_text_is_key(struct strbuf *key)
{
    if (key->length != WIREGUARD_KEY_CHARACTERS + 1 || key->data[key->length - 1] != '\n')
        return false;
    key->data[--key->length] = '\0';
    return wireguard_key_is_valid(key->data);
}

/* Digits up to the end of the line; 18 of them fit. */
static int64_t read_seconds(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 18 || (text[digits] != '\n' && text[digits] != '\0'))
        return -EBADMSG;
    return strtoll(text, NULL, 10);
}

int64_t wireguard_text_handshake_s(const char *output, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = output; line && *line;) {
        if (strncmp(line, key, length) == 0 && line[length] == '\t')
            return read_seconds(line + length + 1);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return 0;
}
