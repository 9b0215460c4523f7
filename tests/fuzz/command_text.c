/*
 * A message as it comes from the broker: it is split, and its text read. Whatever is read has one
 * text only, the one that was signed, and all of it is safe to use as it is.
 */
#include "tunnel/model/command_text.h"
#include "tunnel/wire/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct command *command, const char *text, size_t length)
{
    CLEANUP(strbuf_free) struct strbuf again = STRBUF_EMPTY;
    must(strlen(command->challenge) == 64 && strlen(command->id) > 0);
    must(strchr(command->gateway, '/') && !strpbrk(command->gateway, "+#\n "));
    must(command->n_services <= SESSION_MAX_SERVICES && command->ttl_s >= 0);
    must((command->n_services > 0) == command_has(command->action, COMMAND_SERVICE));
    for (size_t i = 0; i < command->n_services; i++)
        must(command->services[i][0] && !strpbrk(command->services[i], ", \n*/"));
    must((command->reason[0] != '\0') == command_has(command->action, COMMAND_REASON));
    must(!strpbrk(command->reason, "\n\r\x1b"));
    command_print(command, &again);
    if (command->ttl_s < COMMAND_MAX_TTL_S)
        must(again.length == length && memcmp(again.data, text, length) == 0);
}

static void try_text(const char *text, size_t length)
{
    struct command command;
    char *copy = malloc(length ? length : 1); /* exact size: an overrun is seen */
    if (!copy)
        return;
    memcpy(copy, text, length);
    if (command_parse(copy, length, &command) == 0)
        check(&command, copy, length);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *message = (const char *)data;
    struct command_parts parts;
    if (size > WIRE_SIGNED_BYTES)
        return 0;
    if (command_split(message, size, &parts) == 0) {
        must(parts.text == message && parts.text_length > 0 &&
             parts.text_length <= COMMAND_TEXT_BYTES);
        must(parts.armour == message + parts.text_length &&
             parts.text_length + parts.armour_length == size);
        must(message[parts.text_length - 1] == '\n');
        try_text(parts.text, parts.text_length);
    }
    try_text(message, size); /* the armour is hard to guess */
    return 0;
}
