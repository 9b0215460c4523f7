/* operator.conf, and the example of it. */
#include "agent/cli/operator/operator_config.h"
#include "agent/base/descriptor.h"
#include "tests/support/test.h"

#include "agent/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOOD "servers = [ \"mqtts://b.example.com\" ];\nca = \"ca.pem\";\n"

/* The findings as they are printed; *RET_CONFIG is NULL when there was an error. */
static const char *load(const char *path, struct operator_config **ret_config)
{
    static char text[4096];
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf out = STRBUF_EMPTY;
    *ret_config = NULL;
    int result = operator_config_load(path, &findings, ret_config);
    CU_ASSERT_EQUAL(result == 0, *ret_config != NULL);
    findings_sort(&findings);
    findings_print(&findings, &out);
    (void)snprintf(text, sizeof(text), "%s", strbuf_text(&out));
    return text;
}

static void test_example(void)
{
    struct operator_config *config;
    TEST_TEXT_EQUAL(load(SOURCE_FOLDER "/config/operator.conf", &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_PTR_NOT_NULL(config->ssh_key);
    CU_ASSERT_PTR_NOT_NULL(config->uplink.username);
    config = operator_config_free(config);
}

static void test_keys(void)
{
    struct operator_config *config;
    (void)setenv("HOME", "/home/tech", 1);
    const char *path = test_file("operator.conf", GOOD "username = \"tech\";\n"
                                                       "password_file = \"~/secret\";\n"
                                                       "ssh_key = \"~/.ssh/id\";\n");
    TEST_TEXT_EQUAL(load(path, &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    TEST_TEXT_EQUAL(config->ssh_key, "/home/tech/.ssh/id");
    TEST_TEXT_EQUAL(config->uplink.password_file, "/home/tech/secret");
    TEST_TEXT_EQUAL(config->uplink.ca, test_path("ca.pem"));
    TEST_TEXT_EQUAL(config->uplink.prefix, "sallyport");
    CLEANUP(memory_free_pointer) char *first = memory_text(config->uplink.client_id);
    CU_ASSERT_EQUAL(strncmp(first, "tech-", 5), 0);
    config = operator_config_free(config);
    (void)load(path, &config);
    CU_ASSERT_STRING_NOT_EQUAL(config->uplink.client_id, first); /* two sessions at a time */
    config = operator_config_free(config);
    TEST_TEXT_EQUAL(load(test_file("fixed.conf", GOOD "client_id = \"fixed\";\n"), &config), "");
    TEST_TEXT_EQUAL(config->uplink.client_id, "fixed");
    CU_ASSERT_PTR_NULL(config->ssh_key);
    config = operator_config_free(config);
}

static void test_findings(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"ca = \"ca.pem\";\n", "servers: "},
        {GOOD "sshkey = \"a\";\n", ":3: sshkey: "},
        {GOOD "keepalive_s = 0;\n", ":3: keepalive_s: "},
        {GOOD "password_file = \"p\";\n", ":3: password_file: needs `username`"},
        {GOOD "verify = false;\n", ":3: verify: "},
        {"servers = [ \"mqtt://b.example.com\" ];\nca = \"ca.pem\";\n", ":1: servers: "},
        {GOOD "ssh_key = 7;\n", ":3: ssh_key: "},
        {"servers = [", "operator.conf:1: "},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct operator_config *config;
        TEST_CONTAINS(load(test_file("operator.conf", rows[i].text), &config), rows[i].says);
        CU_ASSERT_PTR_NULL(config);
    }
    struct operator_config *config;
    TEST_CONTAINS(load(test_path("missing.conf"), &config), "missing.conf:0: cannot be read");
    CU_ASSERT_PTR_NULL(config);
}

static void check_path(const char *home, const char *folder, const char *expected)
{
    (void)setenv("HOME", home, 1);
    (void)unsetenv("XDG_CONFIG_HOME");
    if (folder)
        (void)setenv("XDG_CONFIG_HOME", folder, 1);
    CLEANUP(memory_free_pointer) char *path = operator_config_path();
    TEST_TEXT_EQUAL(path, expected);
}

static void test_path_of_file(void)
{
    check_path("/home/a", NULL, "/home/a/.config/sallyport/operator.conf");
    check_path("/home/a", "/home/a/settings", "/home/a/settings/sallyport/operator.conf");
    check_path("/home/a", "settings", "/home/a/.config/sallyport/operator.conf");
    check_path("/home/a", "", "/home/a/.config/sallyport/operator.conf");
}

static void test_manual(void)
{
    CLEANUP(strbuf_free) struct strbuf keys = STRBUF_EMPTY, page = STRBUF_EMPTY;
    operator_config_manual(&keys);
    CU_ASSERT_EQUAL_FATAL(file_read(SOURCE_FOLDER "/packaging/man/operator.conf.5", 1 << 20, &page),
                          0);
    bool is_fresh = strstr(strbuf_text(&page), strbuf_text(&keys)) != NULL;
    CU_ASSERT_TRUE(is_fresh);
    if (!is_fresh)
        printf("\npackaging/man/operator.conf.5 is stale: build the target generate-docs\n");
}

TEST_MAIN("operator_config", {"config/operator.conf loads without a finding", test_example},
          {"keys, the home folder, the client identifier", test_keys},
          {"findings with file and line", test_findings},
          {"where the file is looked for", test_path_of_file},
          {"operator.conf(5) has every key", test_manual})
