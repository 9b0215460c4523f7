/* `sallyport tunnel`: opens, extends, closes, approves and shows the maintenance session. */
#include "agent/cli/cli.h"
#include "agent/cli/netd_call.h"
#include "agent/cli/options.h"

#include "agent/base/macros.h"
#include "agent/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME "tunnel"
#define ANSWER_MS 10000
#define OPENING_MS 30000 /* the hub has 20 s to answer */

struct tunnel_options {
    const struct cli_context *context;
    const char *ttl, *reason;
    char **words; /* what is left: the services */
    size_t n_words;
};

static const char *clock_text(int64_t wall_ms, char text[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local;
    if (!localtime_r(&seconds, &local) || strftime(text, 32, "%F %T", &local) == 0)
        text[0] = '\0';
    return text;
}

static const char *left_text(int64_t left_ms, char text[32])
{
    int64_t seconds = (left_ms + 500) / 1000;
    if (seconds < 120)
        (void)snprintf(text, 32, "%lld s", (long long)seconds);
    else
        (void)snprintf(text, 32, "%lld min", (long long)(seconds + 30) / 60);
    return text;
}

/* The address at which an operator reaches an open service through the hub. */
static void print_services(const struct netd_call *netd, const struct wire_status *status)
{
    for (uint32_t i = 0; i < status->n_services; i++) {
        const struct tunnel_service *service =
            netd->config ? netd_config_service(netd->config, status->services[i]) : NULL;
        char address[IP_NETWORK_TEXT_BYTES];
        if (!service)
            cli_print(stdout, "          %s\n", status->services[i]);
        else
            cli_print(stdout, "          %-16s %s port %u/%s\n", service->name,
                      service->is_behind ? ip_network_format(&service->target, address)
                                         : status->gateway_address,
                      service->port, service->protocol == IPPROTO_UDP ? "udp" : "tcp");
    }
}

static void tunnel_print_status(const struct netd_call *netd, const struct wire_status *status)
{
    char text[32];
    cli_print(stdout, "tunnel    %s", session_state_names[status->session_state]);
    if (status->session_state == SESSION_CLOSED) {
        if (status->session_end != SESSION_END_NONE)
            cli_print(stdout, "; the last session ended: %s",
                      session_end_names[status->session_end]);
        cli_print(stdout, "\n%s%s%s", status->detail[0] ? "          " : "", status->detail,
                  status->detail[0] ? "\n" : "");
        return;
    }
    cli_print(stdout, ", %s left", left_text(status->remaining_ms, text));
    if (status->session_state == SESSION_OPEN) {
        cli_print(stdout, ", closes when idle for another %s",
                  left_text(status->idle_left_ms, text));
        cli_print(stdout, "\n          open since %s, %llu bytes so far",
                  clock_text(status->opened_wall_ms, text), (unsigned long long)status->bytes);
    }
    cli_print(stdout, "\n          by %s: %s\n", status->opener, status->reason);
    if (status->hub[0])
        cli_print(stdout, "          hub %s, this gateway is %s\n", status->hub,
                  status->gateway_address);
    print_services(netd, status);
}

static json_t *tunnel_status_json(const struct wire_status *status)
{
    json_t *services = json_array();
    for (uint32_t i = 0; i < status->n_services; i++)
        json_array_append_new(services, json_string(status->services[i]));
    json_t *document =
        json_pack("{s:s, s:o, s:s, s:s}", "state", session_state_names[status->session_state],
                  "services", services, "address", status->gateway_address, "last_end",
                  session_end_names[status->session_end]);
    if (status->detail[0])
        json_object_set_new(document, "detail", json_string(status->detail));
    if (status->session_state == SESSION_CLOSED)
        return document;
    json_object_set_new(document, "by", json_string(status->opener));
    json_object_set_new(document, "reason", json_string(status->reason));
    json_object_set_new(document, "hub", json_string(status->hub));
    json_object_set_new(document, "remaining_ms", json_integer(status->remaining_ms));
    if (status->session_state != SESSION_OPEN)
        return document;
    json_object_set_new(document, "opened", json_integer(status->opened_wall_ms));
    json_object_set_new(document, "idle_left_ms", json_integer(status->idle_left_ms));
    json_object_set_new(document, "limit_left_ms", json_integer(status->limit_left_ms));
    json_object_set_new(document, "bytes", json_integer((json_int_t)status->bytes));
    return document;
}

static int tunnel_show_status(const struct netd_call *netd)
{
    struct wire_message message;
    wire_begin(&message, WIRE_STATUS, 3);
    int code = netd_call_ask(netd, &message, ANSWER_MS);
    if (code != CLI_DONE)
        return code;
    if (netd->json)
        return cli_print_json(tunnel_status_json(&message.body.status));
    tunnel_print_status(netd, &message.body.status);
    return CLI_DONE;
}

/* After an opening a person wants to know how to connect; a program asks for the status. */
static int report_opening(const struct netd_call *netd, const struct wire_message *reply)
{
    int code = netd_call_report(netd, reply);
    if (code != CLI_DONE || netd->json || reply->body.text.text[0])
        return code;
    return tunnel_show_status(netd);
}

static int tunnel_open_session(const struct netd_call *netd, const struct tunnel_options *options)
{
    struct wire_message message;
    wire_begin(&message, WIRE_OPEN_LOCAL, 2);
    struct wire_open *body = &message.body.open;
    if (options->n_words == 0 || options->n_words > SESSION_MAX_SERVICES || !options->ttl ||
        !options->reason)
        return cli_usage(options->context);
    if (!cli_parse_duration(options->ttl, &body->ttl_s))
        return cli_fail(CLI_USAGE, NAME, "\"%s\" is not a time; write 45s, 90m, 1h or 1h30m",
                        options->ttl);
    body->n_services = (uint32_t)options->n_words;
    for (size_t i = 0; i < options->n_words; i++)
        text_put(body->services[i], sizeof(body->services[i]), options->words[i]);
    text_put(body->reason, sizeof(body->reason), options->reason);
    if (wire_check_request(&message, wire_request_size(WIRE_OPEN_LOCAL)) < 0)
        return cli_fail(CLI_USAGE, NAME,
                        "the names of services are 1 to 64 of A-Z a-z 0-9 _ . -, "
                        "the reason 1 to 200 printable characters");
    int code = netd_call_ask(netd, &message, OPENING_MS);
    return code == CLI_DONE ? report_opening(netd, &message) : code;
}

static int extend_session(const struct netd_call *netd, const struct tunnel_options *options)
{
    struct wire_message message;
    wire_begin(&message, WIRE_EXTEND, 2);
    if (options->n_words > 0 || !options->ttl)
        return cli_usage(options->context);
    if (!cli_parse_duration(options->ttl, &message.body.extend.ttl_s))
        return cli_fail(CLI_USAGE, NAME, "\"%s\" is not a time; write 45s, 90m, 1h or 1h30m",
                        options->ttl);
    text_put(message.body.extend.reason, sizeof(message.body.extend.reason),
             options->reason ? options->reason : "extended on site");
    if (wire_check_request(&message, wire_request_size(WIRE_EXTEND)) < 0)
        return cli_fail(CLI_USAGE, NAME, "the reason must be 1 to 200 printable characters");
    int code = netd_call_ask(netd, &message, ANSWER_MS);
    return code == CLI_DONE ? report_opening(netd, &message) : code;
}

static int tunnel_close_session(const struct netd_call *netd, const struct tunnel_options *options)
{
    struct wire_message message;
    (void)options;
    wire_begin(&message, WIRE_CLOSE, 2);
    int code = netd_call_ask(netd, &message, ANSWER_MS);
    return code == CLI_DONE ? netd_call_report(netd, &message) : code;
}

/* On a terminal it shows the request that waits, and approves exactly that one. */
static bool agrees(const struct netd_call *netd, const struct wire_status *status)
{
    char line[16];
    if (status->session_state != SESSION_WAIT_APPROVAL || netd->json || !isatty(STDIN_FILENO))
        return true;
    tunnel_print_status(netd, status);
    cli_print(stdout, "Approve it? [y/N] ");
    (void)fflush(stdout);
    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int approve_session(const struct netd_call *netd, const struct tunnel_options *options)
{
    struct wire_message message;
    (void)options;
    wire_begin(&message, WIRE_STATUS, 2);
    int code = netd_call_ask(netd, &message, ANSWER_MS);
    if (code != CLI_DONE)
        return code;
    if (!agrees(netd, &message.body.status))
        return cli_fail(CLI_FAILED, NAME,
                        "not approved; `sallyport tunnel close` ends the request");
    uint64_t asked = message.body.status.asked;
    wire_begin(&message, WIRE_APPROVE, 4);
    message.body.approve.asked = asked;
    code = netd_call_ask(netd, &message, OPENING_MS);
    return code == CLI_DONE ? report_opening(netd, &message) : code;
}

static int session_status(const struct netd_call *netd, const struct tunnel_options *options)
{
    (void)options;
    return tunnel_show_status(netd);
}

static const struct {
    const char *name;
    bool takes_options;
    int (*run)(const struct netd_call *netd, const struct tunnel_options *options);
} actions[] = {
    {"open", true, tunnel_open_session},    {"extend", true, extend_session},
    {"close", false, tunnel_close_session}, {"approve", false, approve_session},
    {"status", false, session_status},
};

static int run_tunnel(const struct cli_context *context, int argc, char **argv)
{
    struct tunnel_options options = {.context = context, .words = argv + 2};
    const struct cli_option accepted[] = {{.name = "--ttl", .text = &options.ttl},
                                          {.name = "--reason", .text = &options.reason},
                                          {0}};
    int words = cli_options(argc, argv, accepted);
    for (size_t i = 0; words > 1 && i < ARRAY_LENGTH(actions); i++) {
        if (strcmp(argv[1], actions[i].name) != 0)
            continue;
        options.n_words = (size_t)words - 2;
        if (!actions[i].takes_options && (words > 2 || options.ttl || options.reason))
            return cli_usage(context);
        CLEANUP(netd_call_end) struct netd_call netd = {.socket = -1};
        int code = netd_call_begin(context, NAME, &netd);
        return code == CLI_DONE ? actions[i].run(&netd, &options) : code;
    }
    return cli_usage(context);
}

const struct cli_command command_tunnel = {
    .name = "tunnel",
    .usage = "open SERVICE... --ttl 1h --reason TEXT | close | extend --ttl 1h [--reason TEXT] | "
             "approve | "
             "status",
    .help = "opens, extends, approves and closes the maintenance session, and shows it",
    .run = run_tunnel,
};
