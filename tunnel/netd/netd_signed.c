/* Signed commands in the running netd. */
#include "tunnel/netd/netd_signed.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/command/armour.h"
#include "tunnel/command/command_gate.h"
#include "tunnel/journal/sha256.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define USED_FILE "used-commands"
_Static_assert(WIRE_SIGNERS_MAX == SIGNERS_MAX && WIRE_KEY_BYTES == SHA256_BYTES, "every key");

struct netd_signed {
    struct netd_signed_settings settings;
    struct command_gate *gate;
    sd_event *loop;
    sd_event_source *timer;      /* of the gate */
    struct signature *signature; /* the verification that runs; NULL: none */
    bool awaits_hub;             /* the command that was accepted opens a session */
};

/* ---- What passed the gate ---- */

static enum refusal netd_signed_act(void *context, const struct command *command,
                                    const char *signer)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY; /* for people on site; not sent */
    struct netd_signed *commands = context;
    struct session_control *session = commands->settings.session_control;
    const struct session_control_asker asker = {.who = signer, .id = command->id};
    const struct session_control_request request = {.services = command->services,
                                                    .n_services = command->n_services,
                                                    .ttl_s = command->ttl_s,
                                                    .opener = signer,
                                                    .reason = command->reason,
                                                    .id = command->id};
    switch (command->action) {
    case COMMAND_OPEN:
        commands->awaits_hub = true;
        return session_control_open(session, &request, &text);
    case COMMAND_EXTEND:
        return session_control_extend(session, command->ttl_s, &asker, command->reason, &text);
    case COMMAND_CLOSE:
        return session_control_close(session, SESSION_END_CLOSED_BY_OPERATOR, &asker, &text);
    }
    return REFUSAL_FAILED;
}

static void netd_signed_on_changed(void *context)
{
    const struct netd_signed *commands = context;
    commands->settings.changed(commands->settings.context);
}

/* ---- Answers ---- */

/* "NAME PROTOCOL ADDRESS:PORT": where a technician finds the service. */
static void add_connection(const struct tunnel_config *tunnel, const struct tunnel_service *service,
                           struct strbuf *lines)
{
    char address[IP_NETWORK_TEXT_BYTES];
    const struct ip_network *host = service->is_behind ? &service->target : &tunnel->address;
    strbuf_addf(lines, "%s %s %s:%u\n", service->name,
                service->protocol == IPPROTO_TCP ? "tcp" : "udp", ip_network_format(host, address),
                service->port);
}

void netd_signed_complete(const struct netd_signed *commands, const char *id,
                          struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf lines = STRBUF_EMPTY;
    const struct netd_config *config = commands->settings.config;
    struct wire_signed_reply *body = &reply->body.signed_reply;
    struct session_status status;
    session_control_get_status(commands->settings.session_control, &status);
    body->session_state = status.state;
    text_put(body->id, sizeof(body->id), id);
    if (reply->header.result != REFUSAL_NONE || status.state == SESSION_CLOSING)
        return;
    for (size_t i = 0; i < status.n_services; i++) /* none when it is closed */
        add_connection(&config->tunnel, netd_config_service(config, status.services[i]), &lines);
    memcpy(body->text, strbuf_text(&lines), lines.length + 1);
}

static void netd_signed_on_answer(void *context, uint64_t ticket,
                                  const struct command_gate_answer *answer)
{
    struct netd_signed *commands = context;
    bool is_opening = answer->refusal == REFUSAL_NONE && commands->awaits_hub &&
                      !session_control_is_waiting(commands->settings.session_control);
    commands->awaits_hub = false;
    commands->settings.decided(commands->settings.context, ticket, answer->refusal, answer->id,
                               is_opening);
}

/* ---- The gate's clock ---- */

static void netd_signed_arm(struct netd_signed *commands)
{
    (void)sd_event_source_set_time(commands->timer,
                                   (uint64_t)command_gate_next_tick_ms(commands->gate) * 1000);
    (void)sd_event_source_set_enabled(commands->timer, SD_EVENT_ONESHOT);
}

static int netd_signed_on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct netd_signed *commands = context;
    (void)source, (void)usec;
    command_gate_tick(commands->gate, clock_boot_ms());
    netd_signed_arm(commands);
    return 0;
}

/* ---- Verification ---- */

static void netd_signed_on_verified(void *context, const struct signature_result *result)
{
    struct netd_signed *commands = context;
    const struct signature_result copy = *result;
    commands->signature = signature_free(commands->signature);
    command_gate_verified(commands->gate, &copy, clock_boot_ms());
    netd_signed_arm(commands);
}

static int netd_signed_verify(void *context, const struct command_parts *parts)
{
    struct netd_signed *commands = context;
    const struct netd_access *access = &commands->settings.config->access;
    const struct signature_settings settings = {.allowed_signers = access->allowed_signers,
                                                .revoked_keys = access->revoked_keys,
                                                .program = SIGNATURE_PROGRAM,
                                                .timeout_ms = SIGNATURE_TIMEOUT_MS};
    return signature_begin(&settings, parts, commands->loop, netd_signed_on_verified, commands,
                           &commands->signature);
}

static void netd_signed_end_verification(void *context)
{
    struct netd_signed *commands = context;
    commands->signature = signature_free(commands->signature);
}

/* ---- The verbs ---- */

const char *netd_signed_challenge(const struct netd_signed *commands)
{
    return commands ? command_gate_challenge(commands->gate) : "";
}

const struct signers *netd_signed_signers(struct netd_signed *commands)
{
    static const struct signers nobody = {0};
    return commands ? command_gate_signers(commands->gate) : &nobody;
}

void netd_signed_put_keys(struct netd_signed *commands, struct wire_signers *body)
{
    const struct signers *signers = netd_signed_signers(commands);
    for (size_t i = 0; i < signers->length; i++) {
        const char *key = signers->list[i].key;
        unsigned char bytes[ARMOUR_BYTES];
        size_t length = armour_decode(key, strlen(key), bytes);
        if (length > 0)
            sha256_bytes(bytes, length, body->keys[body->n_keys++]);
    }
}

enum netd_server_answer netd_signed_command(struct netd_signed *commands, uint64_t ticket,
                                            const struct wire_signed *body,
                                            struct wire_message *reply)
{
    struct command_gate_answer verdict;
    const struct command_message message = {.text = body->text,
                                            .length = body->length,
                                            .is_retained = body->is_retained,
                                            .is_cut = body->is_cut};
    if (!commands) { /* a gateway without a tunnel has no service */
        reply->header.result = REFUSAL_UNKNOWN_SERVICE;
        return NETD_SERVER_ANSWER_NOW;
    }
    bool is_answered =
        command_gate_command(commands->gate, ticket, &message, clock_boot_ms(), &verdict);
    netd_signed_arm(commands);
    if (!is_answered)
        return NETD_SERVER_ANSWER_LATER;
    reply->header.result = (int32_t)verdict.refusal;
    netd_signed_complete(commands, verdict.id, reply);
    return NETD_SERVER_ANSWER_NOW;
}

void netd_signed_forget(struct netd_signed *commands, uint64_t ticket)
{
    if (!commands)
        return;
    command_gate_forget(commands->gate, ticket);
    netd_signed_arm(commands);
}

/* ---- Life ---- */

static struct command_gate *make_gate(struct netd_signed *commands)
{
    const struct netd_config *config = commands->settings.config;
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/" USED_FILE, config->paths.state_dir);
    const struct command_gate_settings settings = {
        .config = config,
        .used_path = path,
        .allowed_signers = config->access.allowed_signers,
        .journal = commands->settings.journal,
        .verify = netd_signed_verify,
        .forget = netd_signed_end_verification,
        .act = netd_signed_act,
        .answer = netd_signed_on_answer,
        .changed = netd_signed_on_changed,
        .context = commands,
    };
    return command_gate_new(&settings, clock_boot_ms());
}

int netd_signed_new(const struct netd_signed_settings *settings, sd_event *loop,
                    struct netd_signed **ret_signed)
{
    *ret_signed = NULL;
    if (!settings->config->tunnel.is_configured)
        return 0;
    struct netd_signed *commands = memory_zeroed(1, sizeof(*commands));
    commands->settings = *settings;
    commands->loop = loop;
    commands->gate = make_gate(commands);
    int problem = sd_event_add_time(loop, &commands->timer, CLOCK_BOOTTIME, 0, 1000,
                                    netd_signed_on_timer, commands);
    if (problem < 0) {
        netd_signed_free(commands);
        return problem;
    }
    netd_signed_arm(commands);
    *ret_signed = commands;
    return 0;
}

struct netd_signed *netd_signed_free(struct netd_signed *commands)
{
    if (!commands)
        return NULL;
    sd_event_source_disable_unref(commands->timer);
    signature_free(commands->signature);
    command_gate_free(commands->gate);
    free(commands);
    return NULL;
}
