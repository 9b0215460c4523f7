/* What the operator's side writes and reads, without a network. */
#include "agent/cli/operator/operator_text.h"

#include "agent/base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define CHALLENGE_DIGITS 64
#define REPLY_MAX_BYTES 8192 /* 16 places of 91 bytes, escaped, are well below */

/* Whether LENGTH bytes at TEXT are all in SET; a NUL never is. */
static bool consists_of(const char *text, size_t length, const char *set)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\0' || !strchr(set, text[i]))
            return false;
    }
    return true;
}

bool operator_level_parse(const char *text, size_t length, char ret_level[OPERATOR_LEVEL_BYTES])
{
    if (length < 1 || length >= OPERATOR_LEVEL_BYTES || !consists_of(text, length, LETTERS "_-"))
        return false;
    memcpy(ret_level, text, length);
    ret_level[length] = '\0';
    return true;
}

bool operator_gateway_parse(const char *text, struct operator_gateway *ret_gateway)
{
    struct operator_gateway gateway;
    const char *slash = strchr(text, '/');
    if (!slash || !operator_level_parse(text, (size_t)(slash - text), gateway.site) ||
        !operator_level_parse(slash + 1, strlen(slash + 1), gateway.id))
        return false;
    *ret_gateway = gateway;
    return true;
}

/* ---- The command ---- */

bool operator_challenge_parse(const char *payload, size_t length,
                              char ret_challenge[OPERATOR_CHALLENGE_BYTES])
{
    if (length != CHALLENGE_DIGITS || !consists_of(payload, length, "0123456789abcdef"))
        return false;
    memcpy(ret_challenge, payload, length);
    ret_challenge[length] = '\0';
    return true;
}

static bool is_fit(const struct command *command)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct command whole = *command, read;
    memset(whole.challenge, '0', CHALLENGE_DIGITS); /* neither is known yet */
    memset(whole.id, '0', 1);
    command_print(&whole, &text);
    return command_parse(text.data, text.length, &read) == 0;
}

/* Splits a list at its commas; the names are checked later. */
static bool split_services(const char *text, struct command *command)
{
    for (;;) {
        size_t length = strcspn(text, ",");
        if (length < 1 || length >= SESSION_NAME_BYTES ||
            command->n_services == SESSION_MAX_SERVICES)
            return false;
        memcpy(command->services[command->n_services++], text, length);
        if (!text[length])
            return true;
        text += length + 1;
    }
}

const char *operator_command_fill(struct command *command, const char *services, const char *reason)
{
    if (command_has(command->action, COMMAND_TTL) && command->ttl_s < 1)
        return "--ttl must be at least one second";
    if (reason)
        command->reason[0] = '-';
    if ((services && !split_services(services, command)) || !is_fit(command))
        return "--service needs 1 to 16 names of 1 to 64 of A-Z a-z 0-9 _ . -, with commas between";
    if (reason && strlen(reason) < sizeof(command->reason))
        memcpy(command->reason, reason, strlen(reason) + 1);
    else if (reason)
        command->reason[0] = '\0';
    return is_fit(command) ? NULL : "--reason must be 1 to 200 printable characters";
}

/* ---- The reply ---- */

/* Copies the member KEY, when it is a text without a NUL, made printable; "" otherwise. */
static void operator_text_copy_text(const json_t *object, const char *key, char *field, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    text_show(field, size, text ? text : "");
}

static long long copy_number(const json_t *object, const char *key, long long otherwise)
{
    const json_t *number = json_object_get(object, key);
    return json_is_integer(number) ? json_integer_value(number) : otherwise;
}

/* NAME PROTOCOL ADDRESS:PORT; all of it may be pasted into a shell, so nothing else passes. */
static bool operator_text_parse_place(const char *text, struct operator_place *ret_place)
{
    struct operator_place place = {.service = ""};
    struct in_addr address;
    size_t length = strcspn(text, " ");
    if (length < 1 || length >= sizeof(place.service) || !consists_of(text, length, LETTERS "_.-"))
        return false;
    memcpy(place.service, text, length);
    text += length;
    place.is_udp = strncmp(text, " udp ", 5) == 0;
    if (!place.is_udp && strncmp(text, " tcp ", 5) != 0)
        return false;
    text += 5;
    length = strcspn(text, ":");
    if (!text[length] || length >= sizeof(place.address))
        return false;
    memcpy(place.address, text, length);
    text += length + 1;
    size_t digits = strspn(text, "0123456789");
    unsigned long port = digits >= 1 && digits <= 5 ? strtoul(text, NULL, 10) : 0;
    if (inet_pton(AF_INET, place.address, &address) != 1 || text[digits] || port < 1 ||
        port > 65535)
        return false;
    place.port = (uint16_t)port;
    *ret_place = place;
    return true;
}

static void parse_places(const json_t *connect, struct operator_reply *reply)
{
    const json_t *line;
    size_t i;
    json_array_foreach(connect, i, line)
    {
        const char *text = json_string_value(line);
        if (text && reply->n_places < SESSION_MAX_SERVICES &&
            operator_text_parse_place(text, &reply->places[reply->n_places]))
            reply->n_places++;
    }
}

int operator_reply_parse(const char *payload, size_t length, struct operator_reply *ret_reply)
{
    struct operator_reply reply = {.id = ""};
    json_t *object = length <= REPLY_MAX_BYTES ? json_loadb(payload, length, 0, NULL) : NULL;
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *result = json_string_value(json_object_get(object, "result"));
    reply.is_accepted = result && strcmp(result, "accepted") == 0;
    bool is_fit = id && result && strlen(id) < sizeof(reply.id) &&
                  consists_of(id, strlen(id), LETTERS "-") &&
                  (reply.is_accepted || strcmp(result, "refused") == 0);
    if (is_fit) {
        memcpy(reply.id, id, strlen(id) + 1);
        operator_text_copy_text(object, "reason", reply.reason, sizeof(reply.reason));
        operator_text_copy_text(object, "state", reply.state, sizeof(reply.state));
        parse_places(json_object_get(object, "connect"), &reply);
    }
    json_decref(object);
    if (!is_fit)
        return -EPROTO;
    *ret_reply = reply;
    return 0;
}

const char *operator_refusal_advice(const char *reason)
{
    static const struct {
        const char *reason, *advice;
    } rows[] = {
        {"already-open", "one session at a time: extend it, or close it first"},
        {"bad-challenge", "the gateway has changed its challenge; run the command again"},
        {"bad-signature",
         "it was altered on the way, or the key is of a kind that is not accepted"},
        {"bad-ttl", "the time is longer than this site allows (max_ttl_s in its netd.conf)"},
        {"failed", "the gateway could not do it; its journal and log say why"},
        {"hub-unreachable", "the hub does not answer the gateway; check that it is up and that UDP "
                            "can leave the site"},
        {"malformed",
         "it was altered on the way, or this program and the gateway differ in version"},
        {"not-approved", "it was not approved on site in time"},
        {"not-open", "there is no session"},
        {"not-permitted", "the gateway does not accept commands by this path"},
        {"journal-failed", "the gateway cannot write its journal, and opens nothing without it"},
        {"rate-limited", "too many failures within a minute; wait, then run the command again"},
        {"replayed", "a command with this id was received before"},
        {"retained", "the broker delivered it as a retained message"},
        {"tampered", "another program changed the gateway's packet rules; run `sallyport firewall "
                     "verify` on site"},
        {"too-large", "it is longer than a command may be"},
        {"unknown-service", "a service is not in this site's netd.conf"},
        {"unknown-signer", "your key is not in this site's allowed_signers, or not valid now"},
        {"wrong-gateway", "it reached a gateway with another name"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strcmp(reason, rows[i].reason) == 0)
            return rows[i].advice;
    }
    return "";
}

void operator_place_write(const struct operator_place *place, struct strbuf *out)
{
    if (!place->is_udp && place->port == 22)
        strbuf_addf(out, "ssh USER@%s", place->address);
    else if (!place->is_udp && strcmp(place->service, "ssh") == 0)
        strbuf_addf(out, "ssh -p %u USER@%s", place->port, place->address);
    else
        strbuf_addf(out, "%s:%u", place->address, place->port);
}

/* ---- The status ---- */

static void join_services(const json_t *services, char *field, size_t size)
{
    CLEANUP(strbuf_free) struct strbuf joined = STRBUF_EMPTY;
    const json_t *name;
    size_t i;
    json_array_foreach(services, i, name)
    {
        if (json_is_string(name) && joined.length < size)
            strbuf_addf(&joined, "%s%s", i > 0 ? "," : "", json_string_value(name));
    }
    text_show(field, size, strbuf_text(&joined));
}

void operator_status_parse(const char *payload, size_t length, struct operator_status *ret_status)
{
    struct operator_status status = {.remaining_s = -1, .backlog = -1};
    json_t *object = json_loadb(payload, length, 0, NULL);
    const json_t *tunnel = json_object_get(object, "tunnel");
    operator_text_copy_text(object, "state", status.state, sizeof(status.state));
    operator_text_copy_text(object, "version", status.version, sizeof(status.version));
    operator_text_copy_text(json_object_get(object, "firewall"), "state", status.firewall,
                            sizeof(status.firewall));
    operator_text_copy_text(tunnel, "state", status.tunnel, sizeof(status.tunnel));
    operator_text_copy_text(tunnel, "opener", status.opener, sizeof(status.opener));
    join_services(json_object_get(tunnel, "services"), status.services, sizeof(status.services));
    status.remaining_s = copy_number(tunnel, "remaining_s", -1);
    status.backlog = copy_number(json_object_get(object, "outbox"), "messages", -1);
    status.timestamp_ms = copy_number(object, "timestamp", 0);
    if (!status.state[0])
        (void)snprintf(status.state, sizeof(status.state), "unreadable");
    json_decref(object);
    *ret_status = status;
}
