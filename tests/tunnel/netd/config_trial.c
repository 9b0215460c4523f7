/* Rules on trial and restarts: only what was confirmed comes back. */
#include "tunnel/netd/config_trial.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REST "paths: { state_dir = \"state\"; };\n"
static const char confirmed_text[] = "firewall: { wan = [ \"eth0\" ]; };\n" REST;
static const char tried_text[] = "firewall: { wan = [ \"eth7\" ]; };\n" REST;
static const char other_text[] = "firewall: { wan = [ \"eth9\" ]; };\n" REST;

/* What stands in netd.conf now, as netd reads it. */
static struct netd_config *load(const char *text)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    CU_ASSERT_EQUAL_FATAL(netd_config_load(test_file("netd.conf", text), &findings, &config), 0);
    return config;
}

/* netd starts with TEXT in netd.conf: what is settled, and the WAN interface of its rules. */
static void expect_start(const char *text, int result, const char *wan)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = load(text);
    CU_ASSERT_EQUAL(config_trial_settle(config, &problem), result);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    TEST_TEXT_EQUAL(config->firewall.wan[0].text, wan);
    TEST_CONTAINS(config->text, wan);
    CU_ASSERT_TRUE(strncmp(config->text, "firewall", 8) == 0);
    netd_config_free(config);
}

static void begin(const char *confirmed, const char *tried)
{
    (void)mkdir(test_path("state"), 0700);
    struct netd_config *before = load(confirmed), *after = load(tried);
    CU_ASSERT_EQUAL(config_trial_begin(before, after), 0);
    netd_config_free(before);
    netd_config_free(after);
}

static void keep(void)
{
    struct netd_config *config = load(tried_text);
    CU_ASSERT_EQUAL(config_trial_keep(config), 0);
    netd_config_free(config);
}

static void test_restart(void)
{
    expect_start(tried_text, 0, "eth7"); /* there was no trial */
    begin(confirmed_text, tried_text);
    expect_start(tried_text, 1, "eth0");
    expect_start(tried_text, 1, "eth0"); /* again and again */
    keep();
    expect_start(tried_text, 0, "eth7");
    keep(); /* nothing to do is no failure */
}

/* The next trial, after such a restart, knows what is confirmed. */
static void test_trial_after_restart(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    begin(confirmed_text, tried_text);
    struct netd_config *running = load(tried_text);
    CU_ASSERT_EQUAL(config_trial_settle(running, &problem), 1);
    struct netd_config *other = load(other_text);
    CU_ASSERT_EQUAL(config_trial_begin(running, other), 0);
    netd_config_free(running);
    netd_config_free(other);
    expect_start(other_text, 1, "eth0");
    keep();
}

/* Whoever has changed the file since has decided anew. */
static void test_changed_file(void)
{
    begin(confirmed_text, tried_text);
    expect_start(other_text, 0, "eth9");
    expect_start(tried_text, 0, "eth7"); /* that trial is forgotten */
    begin(confirmed_text, tried_text);
    expect_start(confirmed_text, 0, "eth0");
    begin(confirmed_text, confirmed_text); /* a trial of nothing new */
    expect_start(confirmed_text, 0, "eth0");
}

static void test_damaged(void)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    begin(confirmed_text, tried_text);
    const char *path = test_path("state/trial.conf");
    CU_ASSERT_EQUAL_FATAL(file_read(path, 100000, &content), 0);
    for (size_t cut = 0; cut < content.length; cut += 7) {
        CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
        struct netd_config *config = load(tried_text);
        CU_ASSERT_EQUAL(file_replace(path, content.data, cut, 0600), 0);
        CU_ASSERT_TRUE(config_trial_settle(config, &problem) < 0);
        TEST_CONTAINS(strbuf_text(&problem), "trial.conf");
        TEST_CONTAINS(strbuf_text(&problem), "remove it");
        netd_config_free(config);
    }
    struct netd_config *config = load(tried_text);
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    *strstr(content.data, "eth0") = 'w'; /* still a configuration, but not the one */
    CU_ASSERT_EQUAL(file_replace(path, content.data, content.length, 0600), 0);
    CU_ASSERT_EQUAL(config_trial_settle(config, &problem), -EBADMSG);
    TEST_TEXT_EQUAL(config->firewall.wan[0].text, "eth7"); /* untouched; it is not used */
    netd_config_free(config);
    CU_ASSERT_EQUAL(unlink(path), 0);
}

static void test_cannot_write(void)
{
    struct netd_config *before = load("paths: { state_dir = \"absent\"; };\n"),
                       *after = load(tried_text);
    CU_ASSERT_EQUAL(config_trial_begin(before, after), -ENOENT);
    netd_config_free(before);
    netd_config_free(after);
}

TEST_MAIN("trial", {"a restart brings back what was confirmed", test_restart},
          {"a trial after such a restart as well", test_trial_after_restart},
          {"a changed file is a new decision", test_changed_file},
          {"a damaged record is an error, not a guess", test_damaged},
          {"no trial without a record of it", test_cannot_write})
