/*
 * What netd does with requests, without its loop: here what it must not do when a part of it
 * fails. The test replaces netd.c.
 */
#include "tunnel/netd/netd_requests.h"

#include "agent/base/clock.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/netd/netd.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *last_event = "";
static char last_text[512]; /* of an answer */
static char config_path[512];

void netd_journal(struct netd *netd, const struct event *event)
{
    (void)netd;
    last_event = event_kind_name(event->kind);
}

void netd_write_boot_file(const struct netd *netd)
{
    (void)netd;
}

static void ignore_rules(void *context, const struct netd_config *rules)
{
    (void)context, (void)rules;
}

static void ignore(void *context)
{
    (void)context;
}

static void write_config(const char *exceptions)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "firewall: { wan = [\"eth0\"]; %s };\n"
                   "paths: { state_dir = \"%s\"; };\n",
                   exceptions, test_folder());
    (void)test_file("netd.conf", text);
}

static void start(struct netd *netd)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct journal_settings settings = {
        .folder = test_path("journal"), .file_bytes = 100000, .files = 2};
    write_config("");
    const struct rules_trial_hooks hooks = {ignore_rules, ignore, NULL};
    (void)snprintf(config_path, sizeof(config_path), "%s", test_path("netd.conf"));
    CU_ASSERT_EQUAL_FATAL(netd_config_load(config_path, &findings, &netd->config), 0);
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&netd->loop), 0);
    CU_ASSERT_EQUAL_FATAL(journal_open(&settings, clock_wall_ms(), &problem, &netd->journal), 0);
    netd->firewall = firewall_new(netd->config, NULL);
    CU_ASSERT_EQUAL_FATAL(firewall_start(netd->firewall, &problem), 0);
    netd->trial =
        rules_trial_new(config_path, netd->config, false, netd->firewall, &hooks, netd->loop);
}

static void stop(struct netd *netd)
{
    rules_trial_free(netd->trial);
    firewall_free(netd->firewall);
    journal_close(netd->journal);
    sd_event_unref(netd->loop);
    netd_config_free(netd->config);
}

static int32_t ask(struct netd *netd, enum wire_verb verb, uint32_t confirm_s)
{
    const struct netd_server_peer peer = {.role = WIRE_ROLE_ADMIN, .name = "root"};
    struct wire_message request, reply;
    wire_begin(&request, verb, 1);
    wire_begin(&reply, verb, 1);
    if (verb == WIRE_FIREWALL_TRY)
        request.body.try.confirm_s = confirm_s;
    CU_ASSERT_EQUAL(netd_handle(netd, &peer, &request, &reply), NETD_SERVER_ANSWER_NOW);
    (void)snprintf(last_text, sizeof(last_text), "%s", reply.body.text.text);
    return reply.header.result;
}

static bool table_contains(const char *text)
{
    CLEANUP(strbuf_free) struct strbuf listing = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    return nft_run_list_table(FIREWALL_TABLE, &listing, &problem) == 0 &&
           strstr(strbuf_text(&listing), text);
}

static const char exception[] = "exceptions = ( { interface = \"eth1\"; source = \"192.0.2.7\"; "
                                "protocol = \"tcp\"; port = 4711; } );";

/* Rules that nothing would take back are not tried. */
static void test_trial_without_timer(void)
{
    struct netd netd = {0};
    struct firewall_posture posture;
    start(&netd);
    write_config(exception);
    CU_ASSERT_EQUAL(sd_event_exit(netd.loop, 0), 0); /* a loop that has ended makes no timers */
    while (sd_event_get_state(netd.loop) != SD_EVENT_FINISHED)
        CU_ASSERT_TRUE_FATAL(sd_event_run(netd.loop, 0) >= 0);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_TRY, 60), REFUSAL_FAILED);
    TEST_TEXT_EQUAL(last_event, "firewall_trial_refused");
    CU_ASSERT_FALSE(table_contains("4711"));
    firewall_get_posture(netd.firewall, &posture); /* its configuration is still there */
    CU_ASSERT_EQUAL(posture.exceptions, 0);
    CU_ASSERT_EQUAL(firewall_verify(netd.firewall), 0);
    stop(&netd);
}

static void test_confirmation(void)
{
    struct netd netd = {0};
    start(&netd);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_KEEP, 0), REFUSAL_NOT_OPEN);
    write_config(exception);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_TRY, 60), REFUSAL_NONE);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_TRY, 60), REFUSAL_ALREADY_OPEN);
    CU_ASSERT_TRUE(table_contains("4711"));
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_KEEP, 0), REFUSAL_NONE);
    TEST_TEXT_EQUAL(last_event, "firewall_kept");
    CU_ASSERT_TRUE(table_contains("4711"));
    stop(&netd);
}

static void ignore_answer(void *context, enum refusal refusal, const char *text)
{
    (void)context, (void)refusal, (void)text;
}

static void expect_status(struct netd *netd, const char *text)
{
    const struct netd_server_peer peer = {.role = WIRE_ROLE_ADMIN, .name = "root"};
    struct wire_message request, reply;
    wire_begin(&request, WIRE_STATUS, 1);
    wire_begin(&reply, WIRE_STATUS, 1);
    CU_ASSERT_EQUAL(netd_handle(netd, &peer, &request, &reply), NETD_SERVER_ANSWER_NOW);
    TEST_CONTAINS(reply.body.status.firewall_problem, text);
    CU_ASSERT_EQUAL(*text == '\0', reply.body.status.firewall_problem[0] == '\0');
}

/* On a kernel without Landlock, as far as this process can tell. */
static int check_status_without_landlock(struct netd *netd)
{
    unsigned before = CU_get_number_of_failures();
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0);
    if (seccomp_load(filter) < 0)
        return 1;
    seccomp_release(filter);
    expect_status(netd, "helpers are not confined: this kernel has no Landlock");
    return CU_get_number_of_failures() > before;
}

static void test_status(void)
{
    const struct rules_trial_hooks hooks = {ignore_rules, ignore, NULL};
    const struct session_control_hooks control_hooks = {ignore, ignore_answer, NULL};
    struct netd netd = {0};
    int status = -1;
    start(&netd);
    netd.session_control =
        session_control_new(netd.config, netd.journal, netd.firewall, &control_hooks, netd.loop);
    expect_status(&netd, "");
    pid_t pid = fork();
    if (pid == 0)
        _exit(check_status_without_landlock(&netd));
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
    rules_trial_free(netd.trial);
    netd.trial = rules_trial_new(config_path, netd.config, true, netd.firewall, &hooks, netd.loop);
    expect_status(&netd, "the previous ones are loaded");
    *netd.config->text = '\0';
    expect_status(&netd, "its exceptions are left out");
    session_control_free(netd.session_control);
    stop(&netd);
}

/* What cannot be put on record is neither tried nor kept. */
static void test_trial_without_record(void)
{
    struct netd netd = {0};
    start(&netd);
    write_config(exception);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_TRY, 60), REFUSAL_NONE);
    CU_ASSERT_EQUAL(unlink(test_path("trial.conf")), 0);
    CU_ASSERT_EQUAL(mkdir(test_path("trial.conf"), 0700), 0);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_FIREWALL_KEEP, 0), REFUSAL_FAILED);
    CU_ASSERT_EQUAL(rmdir(test_path("trial.conf")), 0);
    stop(&netd);
}

/* A gateway without a tunnel gives no challenge, and does not look at signed commands. */
static void test_no_tunnel(void)
{
    struct netd netd = {0};
    start(&netd);
    const struct netd_signed_settings settings = {.config = netd.config};
    CU_ASSERT_EQUAL(netd_signed_new(&settings, netd.loop, &netd.commands), 0);
    CU_ASSERT_PTR_NULL(netd.commands);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_CHALLENGE, 0), REFUSAL_NOT_PERMITTED);
    CU_ASSERT_EQUAL(ask(&netd, WIRE_SIGNED, 0), REFUSAL_UNKNOWN_SERVICE);
    stop(&netd);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"rules are not tried when nothing would take them back", test_trial_without_timer},
        {"one trial at a time, and it can be kept", test_confirmation},
        {"the status says what is not as it could be", test_status},
        {"without a tunnel there are no signed commands", test_no_tunnel},
        {"what cannot be put on record is not kept", test_trial_without_record},
    };
    test_private_network();
    return test_main("netd_requests", cases, ARRAY_LENGTH(cases));
}
