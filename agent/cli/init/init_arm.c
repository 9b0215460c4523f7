/*
 * Arming for the first time: there are no rules to go back to, and anyone who does this over the
 * network may lock himself out. So a guardian process is started first (init_lockout.c), then netd,
 * and the arming lasts only when it is confirmed through a connection that the new rules let pass.
 */

#include "agent/cli/init/init_arm.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_lockout.h"
#include "agent/cli/init/init_machine.h"
#include "agent/cli/init/init_questions.h"
#include "agent/cli/init/init_ssh.h"
#include "tunnel/model/posture.h"
#include "tunnel/wire/netd_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NETD_MS 20000 /* a small machine loads modules first */
#define ANSWER_MS 5000
#define CONFIRM_MS 120000 /* systemctl enables and starts */

/* ---- the guardian ---- */

#define KEPT "kept"
#define UNDONE "undone"

/* Waits for the verdict and prints it; whether it begins with WANTED. */
static bool take_verdict(int guardian, int timeout_ms, const char *wanted)
{
    char text[512];
    struct pollfd wait = {.fd = guardian, .events = POLLIN};
    ssize_t got = poll(&wait, 1, timeout_ms) > 0 ? recv(guardian, text, sizeof(text) - 1, 0) : -1;
    if (got <= 0) {
        (void)cli_fail(CLI_FAILED, INIT, "the guardian did not answer");
        return false;
    }
    text[got] = '\0';
    bool is_wanted = strncmp(text, wanted, strlen(wanted)) == 0;
    if (is_wanted)
        cli_print(stdout, "%s\n", text);
    else
        (void)cli_fail(CLI_FAILED, INIT, "%s", text);
    return is_wanted;
}

/* Tells the guardian WORD; whether the outcome is the one that was asked for. */
static bool tell_guardian(int guardian, char word)
{
    (void)send(guardian, &word, 1, MSG_NOSIGNAL); /* it may have decided already */
    return take_verdict(guardian, CONFIRM_MS, word == INIT_KEEP ? KEPT : UNDONE);
}

int init_confirm(bool keep)
{
    CLEANUP(descriptor_close) int guardian = init_guard_connect();
    if (guardian == -EACCES)
        return cli_fail(CLI_FAILED, INIT, "only root may confirm");
    CLEANUP(strbuf_free) struct strbuf last = STRBUF_EMPTY;
    init_guard_last(&last);
    if (guardian < 0)
        return cli_fail(CLI_FAILED, INIT,
                        "there is nothing to confirm: no arming is in progress%s%s",
                        last.length > 0 ? "; result of the last one: " : "", strbuf_text(&last));
    return tell_guardian(guardian, keep ? INIT_KEEP : INIT_UNDO) ? CLI_DONE : CLI_FAILED;
}

/* ---- netd ---- */

/* Asks for the state of the firewall; returns 0 once netd enforces the rules. */
static int ask_netd(const char *path, struct wire_status *ret_status)
{
    struct wire_hello hello;
    struct wire_message message;
    CLEANUP(descriptor_close) int netd = -1;
    int problem = netd_client_connect(path, &hello, &netd);
    if (problem < 0)
        return problem;
    wire_begin(&message, WIRE_STATUS, 1);
    problem = netd_client_exchange(netd, &message, ANSWER_MS);
    if (problem == 0)
        *ret_status = message.body.status;
    return problem;
}

/* `exposed` as well: the rules are loaded, and what they cannot mend is said. */
static bool is_enforced(uint32_t state)
{
    return state == FIREWALL_LOCKED || state == FIREWALL_EXCEPTED || state == FIREWALL_EXPOSED;
}

static bool await_netd(const struct netd_config *config)
{
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/netd.sock", config->paths.runtime_dir);
    int64_t deadline_ns = clock_mono_ns() + NETD_MS * CLOCK_NS_PER_MS;
    struct wire_status status = {.firewall_state = FIREWALL_OFF};
    int problem = -ETIMEDOUT;
    while (clock_mono_ns() < deadline_ns) {
        problem = ask_netd(path, &status);
        if (problem == 0 && is_enforced(status.firewall_state)) {
            cli_print(stdout, "netd says: %s%s%s\n", firewall_state_names[status.firewall_state],
                      status.firewall_problem[0] ? ": " : "", status.firewall_problem);
            return true;
        }
        clock_sleep_until(clock_mono_ns() + 100 * CLOCK_NS_PER_MS);
    }
    (void)cli_fail(CLI_FAILED, INIT,
                   "netd does not enforce its rules (%s); see journalctl -u "
                   "sallyport-netd",
                   problem < 0 ? strerror(-problem) : firewall_state_names[status.firewall_state]);
    return false;
}

/* ---- the person ---- */

/* Whether an exception lets SSH in again from where we are. */
static bool is_excepted(const struct firewall_config *config, const char *source, unsigned port)
{
    struct ip_network host;
    if (ip_network_parse(source, &host) < 0)
        return false;
    for (size_t i = 0; i < config->n_exceptions; i++) {
        if (config->exceptions[i].protocol == IPPROTO_TCP && config->exceptions[i].port <= port &&
            config->exceptions[i].last_port >= port &&
            ip_network_contains(&config->exceptions[i].source, &host))
            return true;
    }
    return false;
}

static void warn_of_ssh(const struct firewall_config *config)
{
    struct init_ssh ssh;
    if (!init_ssh_find(&ssh))
        return;
    if (is_excepted(config, ssh.source, ssh.port))
        cli_print(stdout,
                  "You are connected by SSH from %s. netd.conf has an exception for it, which "
                  "the firewall status reports as \"excepted\".\n",
                  ssh.source);
    else
        cli_print(stdout,
                  "You are connected by SSH from %s. The new rules admit no connection: this "
                  "session is cut when they\nare loaded, and no new one can be opened. To keep "
                  "SSH open to your address, answer no and run\ninit with --keep-ssh.\n",
                  ssh.source);
}

/* Waits until the guardian has decided: after an answer here or elsewhere, or when the time is
 * over. */
static bool await_decision(const struct init_arming *arming, int guardian)
{
    struct pollfd waits[] = {{.fd = guardian, .events = POLLIN},
                             {.fd = arming->has_terminal ? STDIN_FILENO : -1, .events = POLLIN}};
    cli_print(stdout,
              "Within %d s: %srun `sallyport init --confirm` in a NEW connection. Otherwise "
              "everything is undone.\n",
              arming->seconds, arming->has_terminal ? "type yes, or better " : "");
    (void)fflush(stdout);
    for (;;) {
        char line[16];
        if (poll(waits, ARRAY_LENGTH(waits), -1) < 0 && errno != EINTR)
            return false;
        if (waits[0].revents)
            return take_verdict(guardian, 0, KEPT);
        if (!waits[1].revents)
            continue;
        if (!init_read_line(line, sizeof(line)))
            waits[1].fd = -1; /* the terminal is gone: the confirmation may come from elsewhere */
        else if (strcmp(line, "yes") == 0)
            return tell_guardian(guardian, INIT_KEEP);
        else if (strcmp(line, "no") == 0)
            break;
    }
    (void)tell_guardian(guardian, INIT_UNDO);
    return false;
}

/* ---- */

static bool start_netd(void)
{
    static const char *const start[] = {INIT_SYSTEMCTL, "restart", "sallyport-netd.service", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    if (init_run(start, &output) == 0)
        return true;
    (void)cli_fail(CLI_FAILED, INIT, "sallyport-netd.service does not start: %.*s",
                   (int)strcspn(strbuf_text(&output), "\n"), strbuf_text(&output));
    return false;
}

/* The rules are loaded already; they also have to be loaded when the machine starts. */
static int tell_armed(void)
{
    static const char *const ask[] = {INIT_SYSTEMCTL, "--quiet", "is-enabled",
                                      "sallyport-firewall.service", NULL};
    if (init_run(ask, NULL) != 0)
        return cli_fail(CLI_FAILED, INIT,
                        "the lockdown is loaded, but the machine would start without it: systemctl "
                        "enable sallyport-firewall sallyport-netd sallyport");
    cli_print(stdout,
              "The lockdown is loaded already; `sallyport firewall apply --confirm 60` puts "
              "new rules on trial.\n");
    return CLI_DONE;
}

static int tell_under_way(void)
{
    return cli_fail(CLI_FAILED, INIT,
                    "an arming is in progress: sallyport init --confirm, or --undo");
}

static int init_arm_and_wait(const struct init_arming *arming)
{
    int problem = init_guard_start(arming->seconds);
    if (problem == -EALREADY)
        return tell_under_way();
    CLEANUP(descriptor_close) int guardian = problem < 0 ? problem : init_guard_connect();
    if (guardian < 0)
        return cli_fail(CLI_FAILED, INIT,
                        "the guardian that would undo it does not start (%s); "
                        "nothing was armed",
                        strerror(-guardian));
    bool kept = false;
    if (!start_netd() || !await_netd(arming->netd))
        (void)tell_guardian(guardian, INIT_UNDO);
    else if (arming->yes)
        kept = tell_guardian(guardian, INIT_KEEP);
    else
        kept = await_decision(arming, guardian);
    return kept ? CLI_DONE : CLI_FAILED;
}

int init_arm(const struct init_arming *arming)
{
    if (geteuid() != 0)
        return cli_fail(CLI_FAILED, INIT, "only root may arm");
    if (!init_has_systemd())
        return cli_fail(CLI_FAILED, INIT,
                        "systemd is not running here, so nothing can be armed; start "
                        "`sallyport-netd` and `sallyportd` yourself");
    if (init_is_guarded())
        return tell_under_way(); /* loaded, but on trial */
    if (init_is_armed())
        return tell_armed();
    warn_of_ssh(&arming->netd->firewall);
    if (arming->has_terminal && !arming->yes &&
        !init_ask_yes("Close every inbound port of this machine?"))
        return cli_fail(CLI_FAILED, INIT,
                        "nothing was armed; `sallyport init --arm` does it later");
    return init_arm_and_wait(arming);
}
