/* Rules on trial: kept in time, or undone; and what must be on record before anything is tried. */
#include "tunnel/netd/rules_trial.h"

#include "agent/base/clock.h"
#include "tests/support/private_network.h"
#include "tests/support/test.h"
#include "tunnel/firewall/nft_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A firewall of its own, and what the trial told. */
struct rig {
    struct netd_config *config;
    struct firewall *firewall;
    sd_event *loop;
    struct rules_trial *trial;
    const struct netd_config *rules; /* that the firewall uses, as told last */
    unsigned rolled_back;
    char config_path[512];
    struct strbuf text;
};

static void on_loaded(void *context, const struct netd_config *rules)
{
    ((struct rig *)context)->rules = rules;
}

static void on_rolled_back(void *context)
{
    ((struct rig *)context)->rolled_back++;
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

static void start(struct rig *rig)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    const struct rules_trial_hooks hooks = {on_loaded, on_rolled_back, rig};
    *rig = (struct rig){.rolled_back = 0};
    write_config("");
    (void)snprintf(rig->config_path, sizeof(rig->config_path), "%s", test_path("netd.conf"));
    CU_ASSERT_EQUAL_FATAL(netd_config_load(rig->config_path, &findings, &rig->config), 0);
    CU_ASSERT_EQUAL_FATAL(sd_event_new(&rig->loop), 0);
    rig->firewall = firewall_new(rig->config, NULL);
    CU_ASSERT_EQUAL_FATAL(firewall_start(rig->firewall, &problem), 0);
    rig->trial =
        rules_trial_new(rig->config_path, rig->config, false, rig->firewall, &hooks, rig->loop);
}

static void stop(struct rig *rig)
{
    rig->trial = rules_trial_free(rig->trial);
    firewall_free(rig->firewall);
    sd_event_unref(rig->loop);
    netd_config_free(rig->config);
    strbuf_free(&rig->text);
}

static int64_t now_ms(void)
{
    return clock_mono_ns() / CLOCK_NS_PER_MS;
}

static bool table_contains(const char *text)
{
    CLEANUP(strbuf_free) struct strbuf listing = STRBUF_EMPTY, problem = STRBUF_EMPTY;
    return nft_run_list_table(FIREWALL_TABLE, &listing, &problem) == 0 &&
           strstr(strbuf_text(&listing), text);
}

static const char exception[] = "exceptions = ( { interface = \"eth1\"; source = \"192.0.2.7\"; "
                                "protocol = \"tcp\"; port = 4711; } );";

static void test_kept(void)
{
    struct rig rig;
    start(&rig);
    CU_ASSERT_EQUAL(rules_trial_keep(rig.trial, now_ms(), &rig.text), -ETIME);
    write_config(exception);
    CU_ASSERT_EQUAL(rules_trial_begin(rig.trial, 60, &rig.text), 0);
    CU_ASSERT_TRUE(rules_trial_is_running(rig.trial) && table_contains("4711"));
    CU_ASSERT_EQUAL(rig.rules->firewall.n_exceptions, 1);
    CU_ASSERT_PTR_EQUAL(rules_trial_confirmed(rig.trial), rig.config);
    uint32_t left_s = rules_trial_left_s(rig.trial, now_ms());
    CU_ASSERT_TRUE(left_s > 50 && left_s <= 60);
    CU_ASSERT_EQUAL(rules_trial_left_s(rig.trial, now_ms() + 60000), 1);
    CU_ASSERT_EQUAL(rules_trial_keep(rig.trial, now_ms() + 60000, &rig.text), -ETIME);
    CU_ASSERT_EQUAL(rules_trial_keep(rig.trial, now_ms(), &rig.text), 0);
    CU_ASSERT_FALSE(rules_trial_is_running(rig.trial) || rules_trial_is_unconfirmed(rig.trial));
    CU_ASSERT_EQUAL(rules_trial_confirmed(rig.trial)->firewall.n_exceptions, 1);
    CU_ASSERT_EQUAL(rules_trial_left_s(rig.trial, now_ms()), 0);
    CU_ASSERT_EQUAL(access(test_path("trial.conf"), F_OK), -1);
    stop(&rig);
    CU_ASSERT_TRUE(table_contains("4711"));
    CU_ASSERT_EQUAL(rig.rolled_back, 0);
}

/* The loop undoes what nobody keeps, and the record stays: a restart must not load it either. */
static void test_undone(void)
{
    struct rig rig;
    start(&rig);
    write_config(exception);
    CU_ASSERT_EQUAL(rules_trial_begin(rig.trial, 1, &rig.text), 0);
    CU_ASSERT_FALSE(rules_trial_is_unconfirmed(rig.trial)); /* not yet */
    for (int i = 0; i < 10 && rig.rolled_back == 0; i++)
        CU_ASSERT_TRUE_FATAL(sd_event_run(rig.loop, 1000000) >= 0);
    CU_ASSERT_EQUAL(rig.rolled_back, 1);
    CU_ASSERT_FALSE(table_contains("4711"));
    CU_ASSERT_PTR_EQUAL(rig.rules, rig.config);
    CU_ASSERT_TRUE(rules_trial_is_unconfirmed(rig.trial));
    CU_ASSERT_EQUAL(access(test_path("trial.conf"), F_OK), 0);
    CU_ASSERT_EQUAL(rules_trial_keep(rig.trial, now_ms(), &rig.text), -ETIME);
    stop(&rig);
    CU_ASSERT_EQUAL(unlink(test_path("trial.conf")), 0);
}

static void test_stopped(void)
{
    struct rig rig;
    start(&rig);
    write_config(exception);
    CU_ASSERT_EQUAL(rules_trial_begin(rig.trial, 60, &rig.text), 0);
    stop(&rig);
    CU_ASSERT_EQUAL(rig.rolled_back, 1);
    CU_ASSERT_FALSE(table_contains("4711"));
    CU_ASSERT_EQUAL(unlink(test_path("trial.conf")), 0);
}

/* Rules that nothing would take back are not tried. */
static void test_without_timer(void)
{
    struct rig rig;
    struct firewall_posture posture;
    start(&rig);
    write_config(exception);
    CU_ASSERT_EQUAL(sd_event_exit(rig.loop, 0), 0); /* a loop that has ended makes no timers */
    while (sd_event_get_state(rig.loop) != SD_EVENT_FINISHED)
        CU_ASSERT_TRUE_FATAL(sd_event_run(rig.loop, 0) >= 0);
    CU_ASSERT_TRUE(rules_trial_begin(rig.trial, 60, &rig.text) < 0);
    CU_ASSERT_FALSE(rules_trial_is_running(rig.trial) || table_contains("4711"));
    firewall_get_posture(rig.firewall, &posture); /* its configuration is still there */
    CU_ASSERT_EQUAL(posture.exceptions, 0);
    CU_ASSERT_EQUAL(firewall_verify(rig.firewall), 0);
    stop(&rig);
    CU_ASSERT_EQUAL(unlink(test_path("trial.conf")), 0);
}

/* What cannot be put on record is neither tried nor kept. */
static void test_without_record(void)
{
    struct rig rig;
    start(&rig);
    write_config(exception);
    CU_ASSERT_EQUAL(mkdir(test_path("trial.conf"), 0700), 0); /* in the way of the record */
    CU_ASSERT_TRUE(rules_trial_begin(rig.trial, 60, &rig.text) < 0);
    TEST_CONTAINS(strbuf_text(&rig.text), "cannot be recorded");
    CU_ASSERT_FALSE(table_contains("4711"));
    CU_ASSERT_EQUAL(rmdir(test_path("trial.conf")), 0);
    CU_ASSERT_EQUAL(rules_trial_begin(rig.trial, 60, &rig.text), 0);
    CU_ASSERT_EQUAL(unlink(test_path("trial.conf")), 0);
    CU_ASSERT_EQUAL(mkdir(test_path("trial.conf"), 0700), 0);
    int result = rules_trial_keep(rig.trial, now_ms(), &rig.text);
    CU_ASSERT_TRUE(result < 0 && result != -ETIME);
    CU_ASSERT_TRUE(rules_trial_is_running(rig.trial)); /* which is undone in time */
    CU_ASSERT_EQUAL(rmdir(test_path("trial.conf")), 0);
    stop(&rig);
}

/* What the tunnel uses is read at the start alone; and a broken file is not tried. */
static void test_of_more(void)
{
    struct rig rig;
    start(&rig);
    write_config("}; access: { agent_user = \"12345\";");
    CU_ASSERT_EQUAL(rules_trial_begin(rig.trial, 60, &rig.text), -EINVAL);
    TEST_CONTAINS(strbuf_text(&rig.text), "`access` is not as it was");
    TEST_CONTAINS(strbuf_text(&rig.text), "restart sallyport-netd");
    strbuf_reset(&rig.text);
    write_config("nonsense = 1;");
    CU_ASSERT_EQUAL(rules_trial_begin(rig.trial, 60, &rig.text), -EINVAL);
    TEST_CONTAINS(strbuf_text(&rig.text), "nonsense");
    CU_ASSERT_FALSE(rules_trial_is_running(rig.trial));
    stop(&rig);
}

int main(void)
{
    static const struct test_case cases[] = {
        {"rules on trial are kept in time only", test_kept},
        {"what nobody keeps is undone", test_undone},
        {"a stop undoes it as well", test_stopped},
        {"rules are not tried when nothing would take them back", test_without_timer},
        {"no trial without a record of what is confirmed", test_without_record},
        {"a trial is for the firewall alone", test_of_more},
    };
    test_private_network();
    return test_main("rules_trial", cases, ARRAY_LENGTH(cases));
}
