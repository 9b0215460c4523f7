/* What a program in the place of wg prints: a number is one, and a key is 44 characters. */
#include "tunnel/session/wireguard_text.h"

#include "tunnel/model/wireguard_key.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char key[] = "w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE=";
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    strbuf_append(&text, data, size);
    int64_t handshake_s = wireguard_text_handshake_s(strbuf_text(&text), key);
    if (handshake_s != 0)
        assert(strstr(text.data, key));
    if (wireguard_text_is_key(&text))
        assert(text.length == WIREGUARD_KEY_CHARACTERS && wireguard_key_is_valid(text.data));
    return 0;
}
