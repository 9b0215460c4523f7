/*
 * sallyport-netd, netd: owns the firewall and the tunnel. Starts in order, runs, stops in
 * reverse; the rules stay loaded when it leaves. Keeps CAP_NET_ADMIN and nothing else, parses no
 * JSON, no TLS and no DNS, opens no internet socket, and starts no shell.
 */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "tunnel/config/overlap.h"
#include "tunnel/firewall/firewall_boot.h"
#include "tunnel/model/event_text.h"
#include "tunnel/netd/config_trial.h"
#include "tunnel/netd/netd.h"
#include "tunnel/netd/netd_requests.h"
#include "tunnel/os/confined_child.h"
#include "tunnel/os/privilege.h"
#include "tunnel/os/resolve.h"
#include "tunnel/os/user.h"
#include "tunnel/session/wireguard.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define JOURNAL_FILE_BYTES (1024 * 1024)
#define JOURNAL_FILES 16
#define RENEWAL_RETRY_US 500000

enum mode { MODE_RUN, MODE_CHECK, MODE_LOCKDOWN, MODE_RULES, MODE_RECORD };

struct netd_main_call {
    enum mode mode;
    const char *config_path;
};

/* ---- The command line ---- */

static void netd_main_print_help(void)
{
    puts("usage: sallyport-netd [-c FILE] [-t]\n"
         "       sallyport-netd --lockdown | --rules | --record [-c FILE]\n\n"
         "  -c FILE      configuration (default " NETD_CONFIG_DEFAULT_PATH ")\n"
         "  -t           check the configuration and exit\n"
         "  --lockdown   load the built-in rules, then those of FILE if root alone may\n"
         "               write it and it is right, and exit\n"
         "  --rules      print the rules that --lockdown loads, for nft, and exit\n"
         "  --record     as root, before each start: keep a copy of FILE, FILE.confirmed,\n"
         "               unless its rules are on trial, and exit\n"
         "  -h, -V       this help; the version");
}

/* Returns 0 to go on, or 1 + the exit code. */
static int read_call(int argc, char **argv, struct netd_main_call *call)
{
    static const struct option options[] = {
        {"lockdown", no_argument, NULL, 'L'}, {"rules", no_argument, NULL, 'R'},
        {"record", no_argument, NULL, 'K'},   {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},  {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "c:thV", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            call->config_path = optarg;
            break;
        case 't':
            call->mode = MODE_CHECK;
            break;
        case 'L':
            call->mode = MODE_LOCKDOWN;
            break;
        case 'R':
            call->mode = MODE_RULES;
            break;
        case 'K':
            call->mode = MODE_RECORD;
            break;
        case 'h':
            netd_main_print_help();
            return 1;
        case 'V':
            puts("sallyport-netd " SALLYPORT_VERSION);
            return 1;
        default:
            return 1 + 2;
        }
    }
    if (call->mode == MODE_LOCKDOWN && optind < argc)
        optind++; /* a file of rules, which earlier versions loaded */
    if (optind == argc)
        return 0;
    (void)fprintf(stderr, "sallyport-netd: unexpected argument \"%s\"\n", argv[optind]);
    return 1 + 2;
}

/* ---- The things it can be asked to do ---- */

static struct netd_config *netd_main_load(const char *path)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    (void)netd_config_load(path, &findings, &config);
    findings_sort(&findings);
    findings_print(&findings, &text);
    (void)fputs(strbuf_text(&text), stderr);
    return config;
}

static int netd_main_check(const struct netd_main_call *call)
{
    struct netd_config *config = netd_main_load(call->config_path);
    if (!config)
        return EXIT_FAILURE;
    netd_config_free(config);
    printf("%s: no errors\n", call->config_path);
    return EXIT_SUCCESS;
}

/* Rules that were on trial when netd ended, or that were not confirmed, are not taken. */
static enum config_trial_start settle_trial(struct netd_config *config, const char *config_path)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    enum config_trial_start start = config_trial_settle(config, config_path, &problem);
    if (start == CONFIG_TRIAL_CONFIRMED)
        log_warning(
            "firewall",
            "file=%s has rules that were tried and not confirmed; the previous ones are used",
            config_path);
    if (start == CONFIG_TRIAL_NARROWED)
        log_warning("firewall", "file=%s has rules that were tried and not confirmed; %s",
                    config_path, strbuf_text(&problem));
    return start;
}

/* What root vouches for: netd's own user may write the file of no rule that is loaded. */
static struct netd_config *load_roots(const char *path)
{
    struct netd_config *config = netd_main_load(path);
    if (!config || netd_config_is_roots(path))
        return config;
    log_error("netd",
              "file=%s does not count: it, or its folder, is not root's alone; make root its "
              "owner",
              path);
    return netd_config_free(config);
}

static int lockdown(const char *config_path)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    int result = privilege_reduce();
    if (result < 0 && result != -EACCES) { /* the only child here is nft, which needs it anyway */
        log_error("lockdown", "CAP_NET_ADMIN is needed: %s; nothing is loaded", strerror(-result));
        return EXIT_FAILURE;
    }
    bool is_shut = firewall_lockdown(&problem) == 0, is_loaded = false;
    if (!is_shut)
        log_error("lockdown", "the built-in rules cannot be loaded: %s", strbuf_text(&problem));
    struct netd_config *config = load_roots(config_path);
    if (config) {
        (void)settle_trial(config, config_path);
        strbuf_reset(&problem);
        is_loaded = firewall_lockdown_as(config, &problem) == 0;
    }
    if (is_loaded)
        log_info("lockdown", "file=%s its rules are loaded", config_path);
    else
        log_warning("lockdown", "file=%s %s; %s", config_path,
                    config ? strbuf_text(&problem) : "cannot be used",
                    is_shut ? "the built-in rules stay loaded" : "this machine is open");
    netd_config_free(config);
    return is_shut || is_loaded ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_rules(const char *config_path)
{
    CLEANUP(strbuf_free) struct strbuf rules = STRBUF_EMPTY;
    struct netd_config *config = load_roots(config_path);
    if (!config)
        return EXIT_FAILURE;
    (void)settle_trial(config, config_path);
    firewall_boot_text(config, &rules);
    netd_config_free(config);
    return fputs(strbuf_text(&rules), stdout) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS
                                                                          : EXIT_FAILURE;
}

static int record(const char *config_path)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    int result = config_trial_record(config_path, &problem);
    if (result < 0)
        log_error("firewall", "file=%s no copy is kept for a restart during a trial: %s",
                  config_path, strbuf_text(&problem));
    return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- The parts of the running netd ---- */

static void on_tampered(void *context, const struct event *event)
{
    struct netd *netd = context;
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    log_error("firewall",
              "event=tampered %s; an open session is closed, none is opened until "
              "`sallyport firewall verify`",
              strbuf_text(&members));
    netd_journal(netd, event);
    if (netd->session_control)
        (void)session_control_close(netd->session_control, SESSION_END_TAMPERED,
                                    &(struct session_control_asker){.who = "sallyport-netd"},
                                    &problem);
}

static void on_repaired(void *context, const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    log_warning("firewall", "event=repaired %s", strbuf_text(&members));
    netd_journal(context, event);
}

static void on_exposed(void *context, const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    log_warning("firewall", "event=%s %s", event_name(event), strbuf_text(&members));
    netd_journal(context, event);
}

static void on_egress(void *context, const struct event *event)
{
    netd_journal(context, event);
}

static void netd_main_on_changed(void *context)
{
    netd_notify(context);
}

static void on_rules_loaded(void *context, const struct netd_config *rules)
{
    const struct netd *netd = context;
    egress_resolver_follow(netd->lookup, rules);
}

static void on_rolled_back(void *context)
{
    netd_note(context, EVENT_FIREWALL_ROLLED_BACK);
}

/* ---- Starting ---- */

static int netd_main_make_folders(const struct netd *netd)
{
    int problem = folder_make(netd->config->paths.state_dir);
    if (!problem)
        problem = folder_make(netd->config->paths.runtime_dir);
    /* The agent and the people on site have to reach the socket in it. */
    if (!problem && chmod(netd->config->paths.runtime_dir, 0755) < 0 && errno != EPERM)
        problem = -errno;
    if (problem < 0)
        log_error("netd", "state_dir=%s runtime_dir=%s cannot be made: %s",
                  netd->config->paths.state_dir, netd->config->paths.runtime_dir,
                  strerror(-problem));
    return problem;
}

static int start_journal(struct netd *netd)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *folder = memory_printf("%s/journal", netd->config->paths.state_dir);
    const struct journal_settings settings = {
        .folder = folder, .file_bytes = JOURNAL_FILE_BYTES, .files = JOURNAL_FILES};
    int result = journal_open(&settings, clock_wall_ms(), &problem, &netd->journal);
    if (result < 0)
        log_error("journal", "%s; netd does not start without it", strbuf_text(&problem));
    return result;
}

/* What an earlier run left: how many leases and interfaces there were. */
struct leftovers {
    int leases, interfaces;
};

/* Closes whatever an earlier run left, before anything else can happen: also without a journal. */
static int start_firewall(struct netd *netd, struct leftovers *ret_left)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    netd->firewall = firewall_new(
        netd->config, &(struct firewall_hooks){on_tampered, on_repaired, on_exposed, netd});
    ret_left->leases = firewall_start(netd->firewall, &problem);
    ret_left->interfaces = wireguard_remove_leftovers();
    if (ret_left->leases < 0)
        log_error("firewall", "the rules cannot be loaded: %s", strbuf_text(&problem));
    if (ret_left->interfaces < 0)
        log_error("tunnel", "an interface of an earlier run cannot be removed: %s",
                  strerror(-ret_left->interfaces));
    return ret_left->leases < 0 ? ret_left->leases : 0;
}

static void note_leftovers(struct netd *netd, const struct leftovers *left)
{
    struct event event;
    if (left->leases <= 0 && left->interfaces <= 0)
        return;
    event_init(&event, EVENT_LEFTOVERS_REMOVED, clock_wall_ms());
    event_add_number(&event, MEMBER_LEASES, left->leases);
    event_add_number(&event, MEMBER_INTERFACES, left->interfaces);
    netd_journal(netd, &event);
}

/* A tunnel that was there first may be how this machine is maintained: reported, and left alone. */
static void note_foreign_tunnels(struct netd *netd)
{
    CLEANUP(strbuf_free) struct strbuf names = STRBUF_EMPTY;
    struct event event;
    firewall_foreign_tunnels(netd->firewall, &names);
    if (names.length == 0)
        return;
    event_init(&event, EVENT_FOREIGN_TUNNEL, clock_wall_ms());
    event_add_text(&event, MEMBER_INTERFACE_NAMES, names.data);
    log_warning("firewall", "event=foreign_tunnel interfaces=%s; WireGuard that is not sallyport's",
                names.data);
    netd_journal(netd, &event);
}

/* What the firewall cuts off with the tunnel's addresses: `check` refuses it, an administrator who
 * does not run that finds it here. */
static void warn_of_overlap(const struct tunnel_config *tunnel)
{
    CLEANUP(rtnl_route_list_free) struct rtnl_route_list routes = {0};
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const char *key;
    if (rtnl_routes_list(&routes) == 0 && overlap_with_routes(tunnel, &routes, &key, &problem))
        log_error("tunnel", "%s: %s", key, problem.data);
}

static void show_key(const struct tunnel_config *tunnel)
{
    CLEANUP(strbuf_free) struct strbuf key = STRBUF_EMPTY;
    if (!tunnel->is_configured)
        return;
    int problem = wireguard_ensure_key(tunnel->private_key_file, &key);
    if (problem < 0)
        log_error("tunnel", "private_key_file=%s: %s; no session can be opened",
                  tunnel->private_key_file, strerror(-problem));
    else
        log_info("tunnel", "public_key=%s", strbuf_text(&key));
}

static uid_t find_agent(const char *name)
{
    uid_t uid = NETD_SERVER_NOBODY;
    if (user_find(name, &uid) < 0)
        log_warning("netd",
                    "agent_user=%s does not exist; no agent can connect, and no rule binds it; "
                    "create the user, then restart sallyport-netd",
                    name);
    return uid;
}

static gid_t find_admins(const char *name)
{
    gid_t gid = (gid_t)-1;
    if (user_find_group(name, &gid) < 0)
        log_warning("netd", "admin_group=%s does not exist; only root may open", name);
    return gid;
}

static int start_server(struct netd *netd)
{
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/netd.sock", netd->config->paths.runtime_dir);
    const struct netd_server_settings settings = {
        .socket_path = path,
        .own_uid = geteuid(),
        .agent_uid = find_agent(netd->config->access.agent_user),
        .admin_gid = find_admins(netd->config->access.admin_group),
        .handle = netd_handle,
        .gone = netd_gone,
        .context = netd,
    };
    int problem = netd_server_new(&settings, netd->loop, &netd->server);
    if (problem < 0)
        log_error("netd", "socket=%s %s", path, strerror(-problem));
    return problem;
}

static bool is_idle(const struct netd *netd)
{
    struct session_status status = {.state = SESSION_CLOSED};
    if (netd->session_control)
        session_control_get_status(netd->session_control, &status);
    return status.state == SESSION_CLOSED && !rules_trial_is_running(netd->trial);
}

/* Ends netd once no session is open; systemd starts it again. */
static int on_renewal(sd_event_source *source, uint64_t at_us, void *userdata)
{
    (void)at_us;
    if (is_idle(userdata))
        return sd_event_exit(sd_event_source_get_event(source), 0);
    (void)sd_event_source_set_time_relative(source, RENEWAL_RETRY_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* SIGHUP: the program or its configuration was replaced. */
static int netd_main_on_hangup(sd_event_source *source, const struct signalfd_siginfo *signal,
                               void *userdata)
{
    struct netd *netd = userdata;
    (void)source, (void)signal;
    if (netd->renewal)
        return 0; /* it is waiting already */
    log_info("netd", "restart requested: %s",
             is_idle(netd) ? "ending now"
                           : "ending as soon as no session is open and no rules are on trial");
    int problem = sd_event_add_time_relative(netd->loop, &netd->renewal, CLOCK_MONOTONIC, 0, 0,
                                             on_renewal, netd);
    if (problem < 0)
        log_error("netd", "cannot wait until it is idle: %s; restart sallyport-netd by hand",
                  strerror(-problem));
    return 0;
}

static int netd_main_start_loop(struct netd *netd)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int problem = sd_event_new(&netd->loop);
    if (!problem)
        problem = sd_event_add_signal(netd->loop, NULL, SIGTERM, NULL, NULL);
    if (problem >= 0)
        problem = sd_event_add_signal(netd->loop, NULL, SIGINT, NULL, NULL);
    if (problem >= 0)
        problem = sd_event_add_signal(netd->loop, NULL, SIGHUP, netd_main_on_hangup, netd);
    if (problem >= 0)
        (void)sd_event_set_watchdog(netd->loop, 1);
    return problem < 0 ? problem : 0;
}

static int give_up_privileges(void)
{
    int problem = privilege_reduce();
    if (!problem)
        problem = privilege_filter();
    if (problem == -EACCES)
        log_error("netd", "run by root without CAP_SETPCAP, every helper would have CAP_NET_ADMIN; "
                          "start it as a user of its own, or give it CAP_SETPCAP, which it drops");
    else if (problem < 0)
        log_error("netd",
                  "cannot reduce the privileges: %s; CAP_NET_ADMIN is needed, and nothing "
                  "else",
                  strerror(-problem));
    return problem;
}

/* What is said about the start, as soon as there is a journal. */
static void note_start(struct netd *netd, const struct leftovers *left)
{
    struct event event;
    note_leftovers(netd, left);
    if (rules_trial_is_unconfirmed(netd->trial))
        netd_note(netd, EVENT_FIREWALL_UNCONFIRMED);
    note_foreign_tunnels(netd);
    event_init(&event, EVENT_NETD_STARTED, clock_wall_ms());
    event_add_text(&event, MEMBER_VERSION, SALLYPORT_VERSION);
    netd_journal(netd, &event);
}

static void warn_of_helpers(void)
{
    const char *problem = confined_child_problem();
    if (problem)
        log_warning(
            "netd",
            "helpers are not confined: %s; ssh-keygen and the resolver could read what netd "
            "can, if they were taken over",
            problem);
}

static int start_session(struct netd *netd)
{
    const struct session_control_hooks hooks = {netd_main_on_changed, netd_opened, netd};
    warn_of_overlap(&netd->config->tunnel);
    show_key(&netd->config->tunnel);
    netd->session_control =
        session_control_new(netd->config, netd->journal, netd->firewall, &hooks, netd->loop);
    const struct netd_signed_settings settings = {.config = netd->config,
                                                  .journal = netd->journal,
                                                  .session_control = netd->session_control,
                                                  .changed = netd_main_on_changed,
                                                  .decided = netd_decided,
                                                  .context = netd};
    return netd_signed_new(&settings, netd->loop, &netd->commands);
}

static int netd_main_start(struct netd *netd, const char *config_path, bool is_unconfirmed)
{
    const struct rules_trial_hooks trial_hooks = {on_rules_loaded, on_rolled_back, netd};
    const struct egress_resolver_hooks egress_hooks = {on_egress, netd};
    struct leftovers left = {0};
    warn_of_helpers();
    int problem = netd_main_make_folders(netd);
    if (!problem)
        problem = netd_main_start_loop(netd);
    if (!problem)
        problem = start_firewall(netd, &left);
    if (!problem)
        problem = start_journal(netd);
    if (problem < 0)
        return problem;
    netd->trial = rules_trial_new(config_path, netd->config, is_unconfirmed, netd->firewall,
                                  &trial_hooks, netd->loop);
    note_start(netd, &left);
    netd_write_boot_file(netd);
    problem = firewall_watch(netd->firewall, netd->loop);
    if (!problem)
        problem = start_session(netd);
    if (problem < 0)
        return problem;
    netd->lookup = egress_resolver_new(netd->config, &netd->config->tunnel, netd->firewall,
                                       &egress_hooks, netd->loop);
    return start_server(netd);
}

static void stop(struct netd *netd)
{
    netd->lookup = egress_resolver_free(netd->lookup);
    netd->session_control = session_control_free(netd->session_control); /* whoever waits is told */
    netd->commands = netd_signed_free(netd->commands);
    netd->server = netd_server_free(netd->server);
    sd_event_source_disable_unref(netd->renewal);
    netd->trial = rules_trial_free(netd->trial);
    if (netd->journal)
        netd_note(netd, EVENT_NETD_STOPPED);
    firewall_free(netd->firewall);
    journal_close(netd->journal);
    sd_event_unref(netd->loop);
    netd_config_free(netd->config);
}

/*
 * Nothing can be run without a configuration; but what an earlier run left open is closed, and the
 * rules are those of the boot.
 */
static int fall_back(const char *config_path)
{
    (void)lockdown(config_path);
    int removed = wireguard_remove_leftovers();
    if (removed < 0)
        log_error("tunnel", "an interface of an earlier run cannot be removed: %s",
                  strerror(-removed));
    else if (removed > 0)
        log_warning("tunnel", "interfaces=%d of an earlier run removed", removed);
    return EXIT_FAILURE;
}

static int netd_main_run(const char *config_path)
{
    struct netd netd = {.config = load_roots(config_path)};
    if (!netd.config || give_up_privileges() < 0) {
        netd_config_free(netd.config);
        return fall_back(config_path);
    }
    bool is_unconfirmed = settle_trial(netd.config, config_path) != CONFIG_TRIAL_NONE;
    if (!is_unconfirmed)
        (void)config_trial_keep(netd.config);
    int problem = netd_main_start(&netd, config_path, is_unconfirmed);
    if (!problem) {
        log_info("netd", "version=" SALLYPORT_VERSION " ready");
        (void)sd_notify(0, "READY=1");
        problem = sd_event_loop(netd.loop);
        (void)sd_notify(0, "STOPPING=1");
    }
    stop(&netd);
    return problem < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct netd_main_call call = {.config_path = NETD_CONFIG_DEFAULT_PATH};
    if (argc == 4 && strcmp(argv[1], "--resolve") == 0)
        return resolve_main(argv[2], argv[3]);
    int result = read_call(argc, argv, &call);
    if (result)
        return result - 1;
    log_open(LOG_LEVEL_INFO);
    (void)umask(0027);
    switch (call.mode) {
    case MODE_CHECK:
        return netd_main_check(&call);
    case MODE_LOCKDOWN:
        return lockdown(call.config_path);
    case MODE_RULES:
        return print_rules(call.config_path);
    case MODE_RECORD:
        return record(call.config_path);
    case MODE_RUN:
        return netd_main_run(call.config_path);
    }
    return EXIT_FAILURE;
}
