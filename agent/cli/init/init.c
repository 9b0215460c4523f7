/*
 * `sallyport init`: a first configuration from questions, options or an enrolment file; then the
 * tests of broker and plant, and the arming. Each of these can be run alone, and again.
 */

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_arm.h"
#include "agent/cli/init/init_broker.h"
#include "agent/cli/init/init_enrolment.h"
#include "agent/cli/init/init_files.h"
#include "agent/cli/init/init_guess.h"
#include "agent/cli/init/init_help.h"
#include "agent/cli/init/init_lockout.h"
#include "agent/cli/init/init_notation.h"
#include "agent/cli/init/init_plant.h"
#include "agent/cli/init/init_questions.h"
#include "agent/cli/init/init_report.h"
#include "agent/cli/init/init_ssh.h"
#include "agent/cli/init/init_trust.h"
#include "agent/cli/options.h"
#include "tunnel/model/wireguard_key.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "/etc/sallyport"
#define FILE_MAX_BYTES 65536
#define SECONDS_MIN 3
#define SECONDS_MAX 600

struct init_call {
    /* what the files are made of */
    const char *from, *fingerprint, *id, *site, *ca, *username, *password_file, *certificate, *key,
        *prefix;
    const char *signers, *tunnel_address, *hub_key, *hub_endpoint, *hub_address,
        *preshared_key_file;
    struct cli_texts servers, wan, plant, buses, tags, tunnel_sources;
    bool request, keep_ssh, accept_signers;
    /* what is done */
    const char *root;
    bool force, no_test, no_start, test, arm, yes, confirm, undo, guard;
    long long seconds;
};

/* ---- from options to answers ---- */

static void init_take_text(char **text, const char *given)
{
    if (given)
        init_set(text, given);
}

static void take_texts(struct text_list *list, const struct cli_texts *given)
{
    if (given->length > 0)
        init_list_free(list);
    for (size_t i = 0; i < given->length; i++)
        init_add(list, given->items[i]);
}

/* The content of the file PATH without an end of line at the very end, when SHORT. */
static bool take_file(char **text, const char *path, bool is_short)
{
    struct strbuf content = STRBUF_EMPTY;
    if (!path)
        return true;
    (void)strbuf_reserve(&content, FILE_MAX_BYTES + 65536); /* no copy is left of a secret */
    int problem = file_read(path, FILE_MAX_BYTES, &content);
    while (is_short && content.length > 0 && strchr("\r\n", content.data[content.length - 1]))
        content.data[--content.length] = '\0';
    if (problem == 0 && (content.length == 0 || memchr(content.data, '\0', content.length)))
        (void)cli_fail(CLI_FAILED, INIT, "%s: %s", path,
                       content.length == 0 ? "it is empty" : "it contains a NUL byte");
    else if (problem < 0)
        (void)cli_fail(CLI_FAILED, INIT, "%s: %s", path, strerror(-problem));
    else
        init_set(text, content.data);
    bool taken = problem == 0 && content.length > 0 && *text;
    strbuf_wipe(&content);
    return taken;
}

static bool take_ca(const struct init_call *call, struct init_answers *answers)
{
    answers->ca_is_system = call->ca && strcmp(call->ca, "system") == 0;
    return answers->ca_is_system || take_file(&answers->uplink.ca_pem, call->ca, false);
}

static void init_take_tunnel(const struct init_call *call, struct init_answers *answers)
{
    init_take_text(&answers->tunnel.address, call->tunnel_address);
    take_texts(&answers->tunnel.sources, &call->tunnel_sources);
    init_take_text(&answers->hub.public_key, call->hub_key);
    init_take_text(&answers->hub.endpoint, call->hub_endpoint);
    init_take_text(&answers->hub.address, call->hub_address);
    answers->has_tunnel |= call->tunnel_address || call->hub_key || call->hub_endpoint;
}

static bool take_enrolment(const struct init_call *call, struct init_answers *answers)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (!call->from)
        return true;
    bool taken = init_read_enrolment(call->from, &findings, answers) == 0;
    findings_sort(&findings);
    findings_print(&findings, &text);
    cli_print(stderr, "%s", strbuf_text(&text));
    if (!taken)
        (void)cli_fail(CLI_FAILED, INIT, "%s cannot be used; nothing was written", call->from);
    return taken;
}

static bool take_options(const struct init_call *call, struct init_answers *answers)
{
    init_take_text(&answers->gateway.id, call->id);
    init_take_text(&answers->gateway.site, call->site);
    init_take_text(&answers->uplink.username, call->username);
    init_take_text(&answers->uplink.prefix, call->prefix);
    take_texts(&answers->uplink.servers, &call->servers);
    take_texts(&answers->wan, &call->wan);
    take_texts(&answers->plant, &call->plant);
    take_texts(&answers->buses, &call->buses);
    take_texts(&answers->tags, &call->tags);
    init_take_tunnel(call, answers);
    answers->wants_request = call->request;
    return take_ca(call, answers) &&
           take_file(&answers->uplink.password, call->password_file, true) &&
           take_file(&answers->uplink.certificate_pem, call->certificate, false) &&
           take_file(&answers->uplink.key_pem, call->key, false) &&
           take_file(&answers->hub.preshared_key, call->preshared_key_file, true) &&
           take_file(&answers->signers.allowed_signers, call->signers, false);
}

/* The exception for the address that this SSH session comes from. */
static bool take_ssh(const struct init_call *call, struct init_answers *answers)
{
    char interface[16];
    struct init_ssh ssh;
    if (!call->keep_ssh)
        return true;
    if (!init_ssh_find(&ssh) || !init_interface_of(ssh.local, interface)) {
        (void)cli_fail(CLI_FAILED, INIT,
                       "--keep-ssh: this is not an SSH session (SSH_CONNECTION is set neither here "
                       "nor in a parent process)");
        return false;
    }
    answers->ssh_port = ssh.port;
    init_set(&answers->ssh_from, ssh.source);
    init_set(&answers->ssh_interface, interface);
    return true;
}

/* ---- whether the answers are complete and valid ---- */

static bool is_complete(const struct init_answers *answers)
{
    const struct init_uplink *uplink = &answers->uplink;
    const struct {
        bool is_there;
        const char *option;
    } needed[] = {
        {answers->gateway.id != NULL, "--id"},
        {answers->gateway.site != NULL, "--site"},
        {uplink->servers.length > 0, "--server"},
        {uplink->ca_pem || answers->ca_is_system, "--ca"},
        {uplink->password || uplink->certificate_pem || answers->wants_request,
         "--password-file (or --certificate and --key, or --request)"},
        {!uplink->password || uplink->username, "--username"},
        {!uplink->certificate_pem == !uplink->key_pem, "--certificate and --key, both"},
        {!answers->has_tunnel ||
             (answers->tunnel.address && answers->tunnel.sources.length > 0 &&
              answers->hub.public_key && answers->hub.endpoint && answers->hub.address),
         "--tunnel-address, --tunnel-source, --hub-key, --hub-endpoint and --hub-address, all"},
    };
    CLEANUP(strbuf_free) struct strbuf missing = STRBUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(needed); i++) {
        if (!needed[i].is_there)
            strbuf_addf(&missing, "%s%s", missing.length > 0 ? "; " : "", needed[i].option);
    }
    if (missing.length > 0)
        (void)cli_fail(CLI_USAGE, INIT, "there is no terminal to ask questions on; give %s",
                       missing.data);
    return missing.length == 0;
}

/* The loader's checks, for lines and tags that were given as options. */
static bool are_fit(const struct init_answers *answers)
{
    struct problem problem;
    struct init_bus bus;
    struct init_tag tag;
    const char *key = answers->hub.preshared_key;
    for (size_t i = 0; i < answers->buses.length; i++) {
        if (init_parse_bus(answers->buses.items[i], (unsigned)i, &bus, &problem) < 0)
            return cli_fail(false, INIT, "--bus: %s", problem.text);
    }
    for (size_t i = 0; i < answers->tags.length; i++) {
        if (init_parse_tag(answers->tags.items[i], &tag, &problem) < 0)
            return cli_fail(false, INIT, "--tag: %s", problem.text);
    }
    if (key && !wireguard_key_is_valid(key))
        return cli_fail(false, INIT,
                        "--preshared-key-file: the file does not hold a WireGuard key");
    return true;
}

/* ---- the parts ---- */

static bool is_on_terminal(const struct cli_context *context)
{
    return !context->json && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

static void show_interfaces(const struct init_answers *answers)
{
    const struct text_list *lists[] = {&answers->wan, &answers->plant};
    static const char *const names[] = {"WAN", "plant"};
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++) {
        cli_print(stderr, "%s: %s", names[i], lists[i]->length > 0 ? "" : "none");
        for (size_t j = 0; j < lists[i]->length; j++)
            cli_print(stderr, "%s%s", j > 0 ? ", " : "", lists[i]->items[j]);
        cli_print(stderr, i == 0 ? "; " : "\n");
    }
}

/* A gateway that publishes, and that nobody can open a session to. */
static void leave_closed(struct init_answers *answers)
{
    answers->has_tunnel = false;
    init_set(&answers->signers.allowed_signers, "# Nobody: whom the enrolment names was not "
                                                "confirmed. `sallyport init --help` says how.\n");
    if (answers->enrolment_key)
        init_set(&answers->enrolment_key, "");
}

/* What an enrolment makes the gateway trust is confirmed before anything is written. */
static enum init_trust_verdict confirm_trust(const struct cli_context *context,
                                             const struct init_call *call,
                                             const struct init_place *place,
                                             struct init_answers *answers)
{
    const struct init_consent consent = {.from = call->from,
                                         .fingerprint = call->fingerprint,
                                         .accepts_all = call->accept_signers,
                                         .has_signers = call->signers != NULL,
                                         .has_terminal = is_on_terminal(context)};
    if (!call->from)
        return INIT_TRUSTED;
    enum init_trust_verdict verdict = init_trust_confirm(&consent, place, answers);
    if (verdict == INIT_LEFT_CLOSED)
        leave_closed(answers);
    return verdict;
}

static int write_files(const struct cli_context *context, const struct init_call *call)
{
    CLEANUP(init_answers_free) struct init_answers answers = {.has_tunnel = false};
    const struct init_place place = {
        .root = call->root ? call->root : "", .folder = FOLDER, .force = call->force};
    if (!take_enrolment(call, &answers) || !take_options(call, &answers) ||
        !take_ssh(call, &answers))
        return CLI_FAILED;
    if (is_on_terminal(context)) {
        int code = init_ask(&answers);
        if (code != CLI_DONE)
            return code;
    }
    if (!is_complete(&answers) || !are_fit(&answers))
        return CLI_USAGE;
    enum init_trust_verdict verdict = confirm_trust(context, call, &place, &answers);
    if (verdict == INIT_REFUSED)
        return CLI_FAILED;
    init_guess_interfaces(&answers);
    show_interfaces(&answers);
    if (answers.ssh_from)
        cli_print(stderr,
                  "SSH stays open to %s on %s; this weakens the lockdown, and the status "
                  "reports it as \"excepted\"\n",
                  answers.ssh_from, answers.ssh_interface);
    int code = init_write(&place, &answers, context->json ? stderr : stdout);
    return verdict == INIT_LEFT_CLOSED ? CLI_FAILED : code;
}

static int print_steps(struct init_report *report)
{
    json_t *document = json_pack("{s:i,s:o}", "failed", (int)report->bad, "steps", report->steps);
    int code = cli_print_json(document);
    return report->bad > 0 ? CLI_FAILED : code;
}

static int run_tests(const struct cli_context *context)
{
    struct init_report report = {.steps = context->json ? json_array() : NULL};
    struct config *config = agent_load_config(context);
    if (!config)
        return CLI_FAILED;
    init_test_broker(config, &report);
    init_test_plant(config, &report);
    config_free(config);
    if (context->json)
        return print_steps(&report);
    if (report.bad > 0)
        return cli_fail(
            CLI_FAILED, INIT,
            "%u of the tests failed; correct what they report, then run: sallyport init --test",
            report.bad);
    return CLI_DONE;
}

static void print_next(const char *first)
{
    cli_print(stdout,
              "\n%sNext:\n"
              "  sallyport status          the state of the gateway\n"
              "  sallyport watch           values, live\n"
              "  sallyport scan LINE       which units answer on a line\n"
              "  sallyport firewall status what is open and what was dropped\n",
              first);
}

static int arm(const struct cli_context *context, const struct init_call *call)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    struct init_arming arming = {
        .seconds = (int)call->seconds, .yes = call->yes, .has_terminal = is_on_terminal(context)};
    if (netd_config_load(context->netd_file, &findings, &config) < 0) {
        findings_print(&findings, &text);
        cli_print(stderr, "%s", strbuf_text(&text));
        return cli_fail(CLI_FAILED, INIT, "nothing was armed: %s cannot be used",
                        context->netd_file);
    }
    arming.netd = config;
    int code = init_arm(&arming);
    netd_config_free(config);
    if (code == CLI_DONE)
        print_next("");
    return code;
}

/* Arming was requested, or there is a terminal to ask on. */
static int arm_or_tell(const struct cli_context *context, const struct init_call *call)
{
    bool may_arm = call->arm || call->yes || is_on_terminal(context);
    if (!call->root && !call->no_start && may_arm)
        return arm(context, call);
    if (!context->json)
        print_next("Nothing is armed or started yet: sallyport init --arm\n");
    return CLI_DONE;
}

/* ---- the call ---- */

static bool gives_answers(const struct init_call *call)
{
    return call->from || call->id || call->site || call->servers.length > 0;
}

static int run(const struct cli_context *context, const struct init_call *call)
{
    if (call->guard)
        return init_guard((int)call->seconds);
    if (call->confirm || call->undo)
        return init_confirm(call->confirm);
    bool writes = gives_answers(call) || (!call->test && !call->arm);
    bool tests = call->test || (writes && !call->no_test && !call->root);
    int code = writes ? write_files(context, call) : CLI_DONE;
    if (code == CLI_DONE && tests)
        code = run_tests(context);
    if (code == CLI_DONE && (writes || call->arm))
        code = arm_or_tell(context, call);
    return code;
}

static int run_init(const struct cli_context *context, int argc, char **argv)
{
    struct init_call call = {.seconds = INIT_UNDO_AFTER_S};
    const struct cli_option options[] = {
        {.name = "--from", .text = &call.from},
        {.name = "--fingerprint", .text = &call.fingerprint},
        {.name = "--accept-signers", .flag = &call.accept_signers},
        {.name = "--id", .text = &call.id},
        {.name = "--site", .text = &call.site},
        {.name = "--server", .texts = &call.servers},
        {.name = "--ca", .text = &call.ca},
        {.name = "--username", .text = &call.username},
        {.name = "--password-file", .text = &call.password_file},
        {.name = "--certificate", .text = &call.certificate},
        {.name = "--key", .text = &call.key},
        {.name = "--request", .flag = &call.request},
        {.name = "--prefix", .text = &call.prefix},
        {.name = "--wan", .texts = &call.wan},
        {.name = "--plant", .texts = &call.plant},
        {.name = "--bus", .texts = &call.buses},
        {.name = "--tag", .texts = &call.tags},
        {.name = "--tunnel-address", .text = &call.tunnel_address},
        {.name = "--tunnel-source", .texts = &call.tunnel_sources},
        {.name = "--hub-key", .text = &call.hub_key},
        {.name = "--hub-endpoint", .text = &call.hub_endpoint},
        {.name = "--hub-address", .text = &call.hub_address},
        {.name = "--preshared-key-file", .text = &call.preshared_key_file},
        {.name = "--signers", .text = &call.signers},
        {.name = "--keep-ssh", .flag = &call.keep_ssh},
        {.name = "--root", .text = &call.root},
        {.name = "--force", .flag = &call.force},
        {.name = "--no-test", .flag = &call.no_test},
        {.name = "--no-start", .flag = &call.no_start},
        {.name = "--test", .flag = &call.test},
        {.name = "--arm", .flag = &call.arm},
        {.name = "--yes", .flag = &call.yes},
        {.name = "--confirm", .flag = &call.confirm},
        {.name = "--undo", .flag = &call.undo},
        {.name = "--guard", .flag = &call.guard},
        {.name = "--seconds", .number = &call.seconds, .min = SECONDS_MIN, .max = SECONDS_MAX},
        {.name = NULL},
    };
    if (cli_options(argc, argv, options) != 1)
        return cli_usage(context);
    return run(context, &call);
}

const struct cli_command command_init = {
    .name = "init",
    .usage = "[--from FILE | --site NAME --id NAME --server URL --ca FILE ...] [--bus LINE] [--tag "
             "VALUE] "
             "| --test | --arm | --confirm | --undo",
    .help =
        "writes a first configuration from questions or options, tests it, and arms the firewall",
    .run = run_init,
    .print_more = init_print_options,
};
