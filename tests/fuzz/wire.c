/*
 * netd's protocol: whatever is accepted must be safe to use as it is. The first byte chooses
 * between a request and a reply, the rest is the message.
 */
#include "tunnel/wire/wire.h"
#include "tunnel/model/posture.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_request(const struct wire_message *message)
{
    const struct wire_open *open = &message->body.open;
    switch (message->header.verb) {
    case WIRE_OPEN_LOCAL:
        must(open->n_services >= 1 && open->n_services <= SESSION_MAX_SERVICES);
        for (uint32_t i = 0; i < SESSION_MAX_SERVICES; i++)
            must(strlen(open->services[i]) < SESSION_NAME_BYTES);
        must(strlen(open->reason) > 0 && strlen(open->reason) < SESSION_REASON_BYTES);
        must(!strpbrk(open->reason, "\n\r\x1b"));
        break;
    case WIRE_EXTEND:
        must(strlen(message->body.extend.reason) < SESSION_REASON_BYTES);
        break;
    case WIRE_SIGNED:
        must(message->body.signed_text.length <= WIRE_SIGNED_BYTES);
        must(!message->body.signed_text.is_cut ||
             message->body.signed_text.length == WIRE_SIGNED_BYTES);
        break;
    default:
        break;
    }
    must(wire_is_allowed(WIRE_ROLE_ADMIN, (enum wire_verb)message->header.verb) ||
         wire_is_allowed(WIRE_ROLE_AGENT, (enum wire_verb)message->header.verb));
}

static void check_reply(const struct wire_message *message)
{
    must(message->header.result >= 0 && message->header.result < REFUSAL_COUNT);
    (void)strlen(refusal_names[message->header.result]);
    if (message->header.verb == WIRE_STATUS) {
        const struct wire_status *status = &message->body.status;
        must(strlen(session_state_names[status->session_state]) > 0);
        must(strlen(session_end_names[status->session_end]) > 0);
        must(strlen(firewall_state_names[status->firewall_state]) > 0);
        must(strlen(status->opener) < sizeof(status->opener));
        must(status->n_services <= SESSION_MAX_SERVICES);
    }
    if (message->header.verb == WIRE_VERIFY_FIREWALL)
        must(strlen(firewall_state_names[message->body.verdict.firewall_state]) > 0);
    if (message->header.verb == WIRE_SIGNED) {
        const struct wire_signed_reply *reply = &message->body.signed_reply;
        must(strlen(session_state_names[reply->session_state]) > 0);
        must(strlen(reply->id) < sizeof(reply->id) && strlen(reply->text) < sizeof(reply->text));
    }
    if (message->header.verb == WIRE_SIGNERS)
        must(message->body.signers.n_keys <= WIRE_SIGNERS_MAX);
    if (message->header.verb == WIRE_JOURNAL_READ)
        must(strlen(message->body.line.line) == message->body.line.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message message;
    if (size < 1 || size - 1 > sizeof(message))
        return 0;
    memset(&message, 0xa5, sizeof(message)); /* what a buffer may hold from before */
    memcpy(&message, data + 1, size - 1);
    if (data[0] & 1) {
        if (wire_check_request(&message, size - 1) == 0)
            check_request(&message);
    } else if (wire_check_reply(&message, size - 1) == 0) {
        check_reply(&message);
    }
    return 0;
}
