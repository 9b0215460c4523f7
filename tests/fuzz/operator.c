/*
 * Whatever a broker sends to an operator's computer: challenges, replies, states and the JSON that
 * is passed on must be read without harm, and what is kept of it must be printable.
 */
#include "agent/cli/operator/operator_json.h"
#include "agent/cli/operator/operator_text.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
    for (; *text; text++)
        assert((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void try_reply(const char *text, size_t size)
{
    struct operator_reply reply;
    if (operator_reply_parse(text, size, &reply) < 0)
        return;
    check_printable(reply.id);
    check_printable(reply.state);
    check_printable(reply.reason);
    for (size_t i = 0; i < reply.n_places; i++) {
        CLEANUP(strbuf_free) struct strbuf place = STRBUF_EMPTY;
        operator_place_write(&reply.places[i], &place);
        assert(reply.places[i].port > 0 && !strpbrk(strbuf_text(&place), ";&|$`\"'\\<>(){}*?!#~"));
        check_printable(strbuf_text(&place));
    }
}

static void try_status(const char *text, size_t size)
{
    struct operator_status status;
    operator_status_parse(text, size, &status);
    const char *texts[] = {status.state,  status.version,  status.firewall,
                           status.tunnel, status.services, status.opener};
    assert(status.state[0]);
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        check_printable(texts[i]);
}

static void try_json(const char *text, size_t size)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    json_t *value = operator_json_parse(text, size);
    if (!value)
        return;
    operator_json_add(text, size, &line);
    check_printable(strbuf_text(&line));
    json_t *again = operator_json_parse(line.data, line.length);
    assert(again && json_equal(value, again));
    json_decref(again);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char challenge[OPERATOR_CHALLENGE_BYTES];
    const char *text = (const char *)data;
    if (operator_challenge_parse(text, size, challenge))
        assert(strlen(challenge) == 64);
    try_reply(text, size);
    try_status(text, size);
    try_json(text, size);
    return 0;
}
