/*
 * Signed commands in the running netd: the two verbs, the clock of the gate, and what the gate
 * lets through to the session_control.
 */
#include "tunnel/netd/netd.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define USED_FILE "used-commands"

/* ---- What passed the gate ---- */

static enum refusal act(void *context, const struct command *command, const char *signer)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY; /* for people on site; not sent */
    struct netd *netd = context;
    const struct session_control_asker asker = {.who = signer, .id = command->id};
    const struct session_control_request request = {.services = command->services,
                                                    .n_services = command->n_services,
                                                    .ttl_s = command->ttl_s,
                                                    .opener = signer,
                                                    .reason = command->reason,
                                                    .id = command->id};
    switch (command->action) {
    case COMMAND_OPEN:
        netd->awaits_hub = true;
        return session_control_open(netd->session_control, &request, &text);
    case COMMAND_EXTEND:
        return session_control_extend(netd->session_control, command->ttl_s, &asker,
                                      command->reason, &text);
    case COMMAND_CLOSE:
        return session_control_close(netd->session_control, SESSION_END_CLOSED_BY_OPERATOR, &asker,
                                     &text);
    }
    return REFUSAL_FAILED;
}

/* ---- Answers ---- */

/* "NAME PROTOCOL ADDRESS:PORT": where a technician finds the service. */
static void add_connection(const struct netd *netd, const struct tunnel_service *service,
                           struct strbuf *lines)
{
    char address[IP_NETWORK_TEXT_BYTES];
    const struct ip_network *host =
        service->is_behind ? &service->target : &netd->config->tunnel.address;
    strbuf_addf(lines, "%s %s %s:%u\n", service->name,
                service->protocol == IPPROTO_TCP ? "tcp" : "udp", ip_network_format(host, address),
                service->port);
}

void netd_answer_signed(struct netd *netd, const char *id, struct wire_message *reply)
{
    CLEANUP(strbuf_free) struct strbuf lines = STRBUF_EMPTY;
    struct wire_signed_reply *body = &reply->body.signed_reply;
    struct wire_status status = {0};
    session_control_get_status(netd->session_control, &status);
    body->session_state = status.session_state;
    memcpy(body->id, id, strlen(id) + 1);
    if (reply->header.result != REFUSAL_NONE || status.session_state == SESSION_CLOSING)
        return;
    for (uint32_t i = 0; i < status.n_services; i++) /* none when it is closed */
        add_connection(netd, netd_config_service(netd->config, status.services[i]), &lines);
    memcpy(body->text, strbuf_text(&lines), lines.length + 1);
}

/* ---- The gate's clock ---- */

static void arm(struct netd *netd)
{
    (void)sd_event_source_set_time(netd->gate_timer,
                                   (uint64_t)command_gate_next_tick_ms(netd->gate) * 1000);
    (void)sd_event_source_set_enabled(netd->gate_timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct netd *netd = context;
    (void)source, (void)usec;
    command_gate_tick(netd->gate, clock_boot_ms());
    arm(netd);
    return 0;
}

static void on_changed(void *context)
{
    struct netd *netd = context;
    if (netd->server)
        netd_server_notify(netd->server);
}

/* ---- The verbs ---- */

enum netd_server_answer netd_challenge(struct netd *netd, const struct netd_server_peer *peer,
                                       const struct wire_message *request,
                                       struct wire_message *reply)
{
    (void)peer, (void)request;
    struct wire_challenge *body = &reply->body.challenge;
    if (netd->gate && command_gate_challenge(netd->gate)[0])
        text_put(body->challenge, sizeof(body->challenge), command_gate_challenge(netd->gate));
    else
        reply->header.result = REFUSAL_NOT_PERMITTED;
    return NETD_SERVER_ANSWER_NOW;
}

enum netd_server_answer netd_signed(struct netd *netd, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply)
{
    struct command_gate_answer answer;
    const struct wire_signed *body = &request->body.signed_text;
    const struct command_message message = {.text = body->text,
                                            .length = body->length,
                                            .is_retained = body->is_retained,
                                            .is_cut = body->is_cut};
    (void)peer;
    netd->awaits_hub = false;
    if (!netd->gate) { /* a gateway without a tunnel has no service */
        reply->header.result = REFUSAL_UNKNOWN_SERVICE;
        return NETD_SERVER_ANSWER_NOW;
    }
    command_gate_command(netd->gate, &message, clock_boot_ms(), &answer);
    arm(netd);
    reply->header.result = (int32_t)answer.refusal;
    netd_answer_signed(netd, answer.id, reply);
    if (answer.refusal != REFUSAL_NONE || !netd->awaits_hub ||
        session_control_is_waiting(netd->session_control))
        return NETD_SERVER_ANSWER_NOW;
    memcpy(netd->signed_id, answer.id, sizeof(answer.id));
    return NETD_SERVER_ANSWER_LATER;
}

/* ---- Life ---- */

int netd_open_gate(struct netd *netd)
{
    if (!netd->config->tunnel.is_configured)
        return 0;
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/" USED_FILE, netd->config->paths.state_dir);
    const struct command_gate_settings settings = {
        .config = netd->config,
        .used_path = path,
        .signature = {.allowed_signers = netd->config->access.allowed_signers,
                      .revoked_keys = netd->config->access.revoked_keys,
                      .program = SIGNATURE_PROGRAM,
                      .timeout_ms = SIGNATURE_TIMEOUT_MS},
        .journal = netd->journal,
        .act = act,
        .changed = on_changed,
        .context = netd,
    };
    netd->gate = command_gate_new(&settings, clock_boot_ms());
    int problem =
        sd_event_add_time(netd->loop, &netd->gate_timer, CLOCK_BOOTTIME, 0, 1000, on_timer, netd);
    if (problem >= 0)
        arm(netd);
    return problem < 0 ? problem : 0;
}

void netd_close_gate(struct netd *netd)
{
    netd->gate_timer = sd_event_source_disable_unref(netd->gate_timer);
    netd->gate = command_gate_free(netd->gate);
}
