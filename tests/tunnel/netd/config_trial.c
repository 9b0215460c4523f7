/* Rules on trial and restarts: only what was confirmed comes back. */
#include "tunnel/netd/config_trial.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NETD_ID 64999
#define EXCEPTION                                                                                  \
    "exceptions = ( { interface = \"eth1\"; source = \"192.168.10.20\"; port = 22; } );"
#define REST "paths: { state_dir = \"state\"; };\n"
static const char confirmed_text[] = "firewall: { wan = [ \"eth0\" ]; " EXCEPTION " };\n" REST;
static const char tried_text[] = "firewall: { wan = [ \"eth7\" ]; " EXCEPTION " };\n" REST;
static const char other_text[] = "firewall: { wan = [ \"eth9\" ]; " EXCEPTION " };\n" REST;

/* What stands in netd.conf now, as netd reads it. */
static struct netd_config *load(const char *text)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    CU_ASSERT_EQUAL_FATAL(netd_config_load(test_file("netd.conf", text), &findings, &config), 0);
    return config;
}

/* Root keeps a copy of TEXT in netd.conf, unless it is on trial. */
static void record(const char *text, int result)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(config_trial_record(test_file("netd.conf", text), &problem), result);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
}

static enum config_trial_start settle(struct netd_config *config, struct strbuf *problem)
{
    return config_trial_settle(config, test_path("netd.conf"), problem);
}

/* netd starts with TEXT in netd.conf: what is settled, and the WAN interface of its rules. */
static void expect_start(const char *text, enum config_trial_start start, const char *wan)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = load(text);
    CU_ASSERT_EQUAL(settle(config, &problem), start);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    TEST_TEXT_EQUAL(config->firewall.wan[0].text, wan);
    CU_ASSERT_EQUAL(config->firewall.n_exceptions, 1);
    TEST_CONTAINS(config->text, wan);
    CU_ASSERT_TRUE(strncmp(config->text, "firewall", 8) == 0);
    netd_config_free(config);
}

/* The exceptions that nobody confirmed are left out. */
static void expect_narrowed(const char *text, const char *wan)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = load(text);
    CU_ASSERT_EQUAL(settle(config, &problem), CONFIG_TRIAL_NARROWED);
    TEST_CONTAINS(strbuf_text(&problem), "the exceptions of");
    TEST_TEXT_EQUAL(config->firewall.wan[0].text, wan);
    CU_ASSERT_EQUAL(config->firewall.n_exceptions, 0);
    TEST_TEXT_EQUAL(config->text, "");
    netd_config_free(config);
}

static void forget_all(void)
{
    (void)unlink(test_path("netd.conf.confirmed"));
    (void)unlink(test_path("state/trial.conf"));
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
    expect_start(tried_text, CONFIG_TRIAL_NONE, "eth7"); /* there was no trial */
    record(confirmed_text, 0);
    begin(confirmed_text, tried_text);
    expect_start(tried_text, CONFIG_TRIAL_CONFIRMED, "eth0");
    record(tried_text, 1);                                    /* before the next start */
    expect_start(tried_text, CONFIG_TRIAL_CONFIRMED, "eth0"); /* again and again */
    keep();
    expect_start(tried_text, CONFIG_TRIAL_NONE, "eth7");
    record(tried_text, 0);
    begin(tried_text, other_text);
    expect_start(other_text, CONFIG_TRIAL_CONFIRMED, "eth7");
    keep();
    keep(); /* nothing to do is no failure */
    forget_all();
}

/* The next trial, after such a restart, knows what is confirmed. */
static void test_trial_after_restart(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    record(confirmed_text, 0);
    begin(confirmed_text, tried_text);
    struct netd_config *running = load(tried_text);
    CU_ASSERT_EQUAL(settle(running, &problem), CONFIG_TRIAL_CONFIRMED);
    struct netd_config *other = load(other_text);
    CU_ASSERT_EQUAL(config_trial_begin(running, other), 0);
    netd_config_free(running);
    netd_config_free(other);
    expect_start(other_text, CONFIG_TRIAL_CONFIRMED, "eth0");
    forget_all();
}

/* Whoever has changed the file since has decided anew. */
static void test_changed_file(void)
{
    record(confirmed_text, 0);
    begin(confirmed_text, tried_text);
    expect_start(other_text, CONFIG_TRIAL_NONE, "eth9");
    expect_start(confirmed_text, CONFIG_TRIAL_NONE, "eth0");
    record(other_text, 0);                 /* which is confirmed by that */
    begin(confirmed_text, confirmed_text); /* a trial of nothing new */
    expect_start(confirmed_text, CONFIG_TRIAL_NONE, "eth0");
    forget_all();
}

/* A program of netd's user that was taken over writes the record, and cannot open anything by it.
 */
static void test_forged(void)
{
    char *const copy = strdup(test_path("netd.conf.confirmed"));
    begin(confirmed_text, tried_text);
    expect_narrowed(tried_text, "eth7"); /* no copy */
    record(other_text, 0);
    expect_narrowed(tried_text, "eth7"); /* of another one */
    (void)test_file("netd.conf.confirmed", confirmed_text);
    CU_ASSERT_EQUAL(chmod(copy, 0664), 0); /* others than root can write it */
    expect_narrowed(tried_text, "eth7");
    CU_ASSERT_EQUAL(chmod(copy, 0644), 0);
    if (geteuid() == 0) {
        expect_start(tried_text, CONFIG_TRIAL_CONFIRMED, "eth0");
        CU_ASSERT_EQUAL(chown(copy, NETD_ID, NETD_ID), 0); /* or did */
        expect_narrowed(tried_text, "eth7");
    }
    free(copy);
    forget_all();
}

/* netd's user reads a file of its own as its configuration, but not as root's copy. */
static void become_and_start(void)
{
    if (setresgid(NETD_ID, NETD_ID, NETD_ID) < 0 || setresuid(NETD_ID, NETD_ID, NETD_ID) < 0)
        _exit(2);
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    if (netd_config_load(test_path("netd.conf"), &findings, &config) < 0)
        _exit(3);
    _exit(settle(config, &problem) == CONFIG_TRIAL_NARROWED ? 0 : 1);
}

static void test_forged_by_netd(void)
{
    int status = -1;
    if (geteuid() != 0)
        return;
    begin(confirmed_text, tried_text);
    (void)test_file("netd.conf", tried_text);
    (void)test_file("netd.conf.confirmed", confirmed_text);
    CU_ASSERT_EQUAL(chown(test_path("netd.conf.confirmed"), NETD_ID, NETD_ID), 0);
    CU_ASSERT_EQUAL(chown(test_path("state"), NETD_ID, NETD_ID), 0);
    CU_ASSERT_EQUAL(chown(test_path("state/trial.conf"), NETD_ID, NETD_ID), 0);
    CU_ASSERT_EQUAL(chmod(test_folder(), 0755), 0);
    pid_t pid = fork();
    if (pid == 0)
        become_and_start();
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT_EQUAL(chown(test_path("state"), 0, 0), 0);
    forget_all();
}

/* Root writes its copy anew if somebody else could have changed it since. */
static void test_copy_of_others(void)
{
    struct stat about;
    (void)test_file("netd.conf.confirmed", confirmed_text);
    CU_ASSERT_EQUAL(chmod(test_path("netd.conf.confirmed"), 0666), 0);
    record(confirmed_text, 0);
    CU_ASSERT_EQUAL(stat(test_path("netd.conf.confirmed"), &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 022, 0);
    forget_all();
}

/* The next trial does not take for confirmed what was never confirmed. */
static void test_trial_after_narrowing(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    begin(confirmed_text, tried_text);
    struct netd_config *running = load(tried_text), *same = load(tried_text);
    CU_ASSERT_EQUAL(settle(running, &problem), CONFIG_TRIAL_NARROWED);
    CU_ASSERT_EQUAL(config_trial_begin(running, same), 0);
    netd_config_free(running);
    netd_config_free(same);
    expect_narrowed(tried_text, "eth7");
    forget_all();
}

static void test_damaged(void)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    record(confirmed_text, 0);
    begin(confirmed_text, tried_text);
    char *const path = strdup(test_path("state/trial.conf"));
    CU_ASSERT_EQUAL_FATAL(file_read(path, 100000, &content), 0);
    for (size_t cut = 0; cut < content.length; cut += 7) {
        CU_ASSERT_EQUAL(file_replace(path, content.data, cut, 0600), 0);
        expect_narrowed(tried_text, "eth7");
    }
    content.data[content.length - 1] = 'x'; /* more than a digest */
    CU_ASSERT_EQUAL(file_replace(path, content.data, content.length, 0600), 0);
    expect_narrowed(tried_text, "eth7");
    content.data[content.length - 1] = '\n';
    char *digest = strstr(content.data, "# confirmed: sha256 ") + strlen("# confirmed: sha256 ");
    *digest = *digest == '0' ? '1' : '0';
    CU_ASSERT_EQUAL(file_replace(path, content.data, content.length, 0600), 0);
    expect_narrowed(tried_text, "eth7");
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    expect_narrowed(tried_text, "eth7");
    CU_ASSERT_EQUAL(rmdir(path), 0);
    free(path);
    forget_all();
}

static void test_cannot_write(void)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct netd_config *before = load("paths: { state_dir = \"absent\"; };\n"),
                       *after = load(tried_text);
    CU_ASSERT_EQUAL(config_trial_begin(before, after), -ENOENT);
    netd_config_free(before);
    netd_config_free(after);
    CU_ASSERT_EQUAL(mkdir(test_path("netd.conf.confirmed"), 0700), 0);
    CU_ASSERT_TRUE(config_trial_record(test_file("netd.conf", tried_text), &problem) < 0);
    TEST_CONTAINS(strbuf_text(&problem), "netd.conf.confirmed cannot be written");
    CU_ASSERT_EQUAL(rmdir(test_path("netd.conf.confirmed")), 0);
    strbuf_reset(&problem);
    CU_ASSERT_EQUAL(config_trial_record(test_file("netd.conf", "nonsense"), &problem), -EINVAL);
    TEST_CONTAINS(strbuf_text(&problem), "netd.conf:1");
}

/* Whoever reads netd.conf reads the copy, whatever root's umask is. */
static void test_copy(void)
{
    struct stat about;
    mode_t before = umask(0077);
    const char *path = test_file("netd.conf", confirmed_text);
    CU_ASSERT_EQUAL(chmod(path, 0640), 0);
    CU_ASSERT_EQUAL(chown(path, 0, NETD_ID), 0);
    record(confirmed_text, 0);
    (void)umask(before);
    CU_ASSERT_EQUAL(stat(test_path("netd.conf.confirmed"), &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0640);
    CU_ASSERT_EQUAL(about.st_gid, NETD_ID);
    CU_ASSERT_EQUAL(about.st_uid, 0);
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    forget_all();
}

TEST_MAIN("trial", {"a restart brings back what was confirmed", test_restart},
          {"a trial after such a restart as well", test_trial_after_restart},
          {"a changed file is a new decision", test_changed_file},
          {"what netd's user can write opens nothing", test_forged},
          {"a copy that netd's user made is not root's", test_forged_by_netd},
          {"root's copy is made anew when others could change it", test_copy_of_others},
          {"what was never confirmed is not taken for it later", test_trial_after_narrowing},
          {"a damaged record leaves out the exceptions", test_damaged},
          {"no trial without a record of it", test_cannot_write},
          {"the copy is for whoever reads netd.conf", test_copy})
