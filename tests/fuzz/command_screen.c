/*
 * The agent's screen of signed commands, with what it reads of a signature: the first byte says
 * whether the broker had kept the message, and whether the keys that may sign are known; the rest
 * is the message. Nobody can sign for the one key that is listed here, so what is taken for signed
 * is one of the texts that its owner has signed, in the corpus, and nothing else.
 */
#include "agent/netd/command_screen.h"
#include "agent/netd/sshsig.h"
#include "tunnel/model/command_text.h"

#include <stdlib.h>
#include <string.h>

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"
#define TEXT(challenge, rest)                                                                      \
    "sallyport-command: 1\ngateway: s/g\nchallenge: " challenge "\nid: id-1\naction: " rest

#define RETAINED 1
#define UNKNOWN 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* What the key of the corpus has signed, and where that belongs while ONE is in force. */
static const struct {
    const char *text;
    enum command_lane lane;
} rows[] = {
    {TEXT(ONE, "close\n"), COMMAND_LANE_FIRST},
    {TEXT(ONE, "open\nservice: ssh\nttl: 60\nreason: a test\n"), COMMAND_LANE_SIGNED},
    {TEXT(ONE, "extend\nttl: 60\nreason: a test\n"), COMMAND_LANE_SIGNED},
    {TEXT(TWO, "close\n"), COMMAND_LANE_SHAPED},
};

static struct command_screen *make_screen(bool knows_keys)
{
    static const struct wire_signers signers = {
        .n_keys = 1, .keys = {{0x39, 0x57, 0xc2, 0xd5, 0xfd, 0x1f, 0x08, 0x81, 0xf4, 0x6f, 0xb8,
                               0x85, 0xf8, 0xe0, 0xbf, 0x43, 0x34, 0x4d, 0x59, 0x93, 0xfa, 0x7e,
                               0x61, 0x83, 0xbd, 0xde, 0x1b, 0xa6, 0x5d, 0x25, 0x2a, 0xff}}};
    struct command_screen *screen = command_screen_new("s/g");
    command_screen_challenge(screen, ONE, 1);
    command_screen_signers(screen, knows_keys ? &signers : NULL);
    return screen;
}

static bool is_zero(const uint8_t bytes[WIRE_KEY_BYTES])
{
    for (size_t i = 0; i < WIRE_KEY_BYTES; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

static void check_signed(const struct command_label *label, const struct command_parts *parts)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strlen(rows[i].text) == parts->text_length &&
            memcmp(rows[i].text, parts->text, parts->text_length) == 0) {
            must(label->lane == rows[i].lane && !is_zero(label->signer));
            return;
        }
    }
    abort();
}

static void check_parts(const struct command_parts *parts)
{
    struct armour armour;
    if (sshsig_read(parts->armour, parts->armour_length, &armour) < 0)
        return;
    must(armour.signature.at >= armour.bytes &&
         armour.signature.at + armour.signature.length <= armour.bytes + sizeof(armour.bytes));
    (void)sshsig_is_over(&armour, parts->text, parts->text_length);
}

static void look(struct command_screen *screen, const char *text, size_t length, unsigned flags)
{
    struct command_label label, again;
    struct command_parts parts;
    bool has_parts = command_split(text, length, &parts) == 0;
    if (has_parts)
        check_parts(&parts);
    command_screen_look(screen, text, length, flags & RETAINED, 2, &label);
    if (label.lane == COMMAND_LANE_DOUBTFUL) {
        must(is_zero(label.signer));
        return;
    }
    must(has_parts && length <= WIRE_SIGNED_BYTES && !(flags & RETAINED));
    if (flags & UNKNOWN)
        must(label.lane == COMMAND_LANE_SHAPED && is_zero(label.signer));
    else
        check_signed(&label, &parts);
    command_screen_judged(screen, label.digest);
    command_screen_look(screen, text, length, flags & RETAINED, 2, &again);
    must(again.lane == COMMAND_LANE_DOUBTFUL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t length = size - 1;
    char *text = malloc(length ? length : 1); /* exact size: an overrun is seen */
    if (!text)
        return 0;
    memcpy(text, data + 1, length);
    struct command_screen *screen = make_screen(!(data[0] & UNKNOWN));
    look(screen, text, length, data[0]);
    command_screen_free(screen);
    free(text);
    return 0;
}
