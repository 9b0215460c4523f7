/*
 * Arming for the first time: there are no rules to go back to, and whoever does this over the
 * network may cut himself off. So a guardian stands by first (init_guard.c), then netd is
 * started, and only a confirmation, which has to come through the closed edge, makes it last.
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

/* ---- the guardian's word ---- */

#define KEPT "kept"
#define UNDONE "undone"

/* Waits for the verdict and prints it; whether it begins with WANTED. */
static bool take_verdict(int guardian, int timeout_ms, const char *wanted)
{
    char text[512];
    struct pollfd wait = {.fd = guardian, .events = POLLIN};
    ssize_t got = poll(&wait, 1, timeout_ms) > 0 ? recv(guardian, text, sizeof(text) - 1, 0) : -1;
    if (got <= 0) {
        (void)cli_fail(CLI_FAILED, INIT, "the guardian gave no answer");
        return false;
    }
    text[got] = '\0';
    bool is_wanted = strncmp(text, wanted, strlen(wanted)) == 0;
    if (is_wanted)
        (void)printf("%s\n", text);
    else
        (void)cli_fail(CLI_FAILED, INIT, "%s", text);
    return is_wanted;
}

/* Whether it came as it was said. */
static bool tell_guardian(int guardian, char word)
{
    (void)send(guardian, &word, 1, MSG_NOSIGNAL); /* one that has decided already says so */
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
        return cli_fail(CLI_FAILED, INIT, "there is nothing to confirm: no arming is under way%s%s",
                        last.length > 0 ? "; what became of the last one: " : "",
                        strbuf_text(&last));
    return tell_guardian(guardian, keep ? INIT_KEEP : INIT_UNDO) ? CLI_DONE : CLI_FAILED;
}

/* ---- netd ---- */

/* What it says of the firewall; returns 0 once it enforces the rules. */
static int ask_netd(const char *path, uint32_t *ret_state)
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
        *ret_state = message.body.status.firewall_state;
    return problem;
}

static bool await_netd(const struct netd_config *config)
{
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/netd.sock", config->paths.runtime_dir);
    int64_t deadline_ns = clock_mono_ns() + NETD_MS * CLOCK_NS_PER_MS;
    uint32_t state = FIREWALL_OFF;
    int problem = -ETIMEDOUT;
    while (clock_mono_ns() < deadline_ns) {
        problem = ask_netd(path, &state);
        if (problem == 0 && (state == FIREWALL_LOCKED || state == FIREWALL_EXCEPTED)) {
            (void)printf("netd says: %s\n", firewall_state_names[state]);
            return true;
        }
        clock_sleep_until(clock_mono_ns() + 100 * CLOCK_NS_PER_MS);
    }
    (void)cli_fail(CLI_FAILED, INIT,
                   "netd does not enforce its rules (%s); see journalctl -u "
                   "sallyport-netd",
                   problem < 0 ? strerror(-problem) : firewall_state_names[state]);
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
        if (config->exceptions[i].protocol == IPPROTO_TCP && config->exceptions[i].port == port &&
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
        (void)printf("You are connected by SSH from %s, which netd.conf excepts from the lockdown. "
                     "The posture says so as long as it does.\n",
                     ssh.source);
    else
        (void)printf(
            "You are connected by SSH from %s. The rules let nobody in: this session is cut "
            "when they are loaded,\nand no new one comes through. If you want SSH to stay open "
            "to your address, end this and run init with --keep-ssh.\n",
            ssh.source);
}

static bool ask_yes(const char *question)
{
    char line[16];
    (void)printf("%s [yes/no] ", question);
    (void)fflush(stdout);
    return init_read_line(line, sizeof(line)) && strcmp(line, "yes") == 0;
}

/* Until the guardian has decided: by what is typed here, elsewhere, or by its clock. */
static bool await_decision(const struct init_arming *arming, int guardian)
{
    struct pollfd waits[] = {{.fd = guardian, .events = POLLIN},
                             {.fd = arming->has_terminal ? STDIN_FILENO : -1, .events = POLLIN}};
    (void)printf("Within %d s: %srun `sallyport init --confirm` in a NEW connection. Otherwise all "
                 "of it is undone.\n",
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
            waits[1].fd = -1; /* the terminal is gone: somebody may confirm elsewhere */
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

/* The rules are there already; whether they will be after a start of the machine is another matter.
 */
static int tell_armed(void)
{
    static const char *const ask[] = {INIT_SYSTEMCTL, "--quiet", "is-enabled",
                                      "sallyport-firewall.service", NULL};
    if (init_run(ask, NULL) != 0)
        return cli_fail(CLI_FAILED, INIT,
                        "the lockdown is loaded, but the machine would start without it: systemctl "
                        "enable sallyport-firewall sallyport-netd sallyport");
    (void)printf("The lockdown is loaded already; `sallyport firewall apply --confirm 60` puts "
                 "new rules on trial.\n");
    return CLI_DONE;
}

static int tell_under_way(void)
{
    return cli_fail(CLI_FAILED, INIT,
                    "an arming is under way: sallyport init --confirm, or --undo");
}

static int arm(const struct init_arming *arming)
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
                        "systemd does not run here, so nothing can be armed; start "
                        "`sallyport-netd` and `sallyportd` yourself");
    if (init_is_guarded())
        return tell_under_way(); /* loaded, but on trial */
    if (init_is_armed())
        return tell_armed();
    warn_of_ssh(&arming->netd->firewall);
    if (arming->has_terminal && !arming->yes &&
        !ask_yes("Shut every inbound port of this machine?"))
        return cli_fail(CLI_FAILED, INIT,
                        "nothing was armed; `sallyport init --arm` does it later");
    return arm(arming);
}
