/* What a person can ask about a key. */
#include "config/print/explain.h"
#include "config/print/key_docs.h"
#include "config/print/reference.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_drivers.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct strbuf said = STRBUF_EMPTY;

static void forget(void)
{
    strbuf_free(&said);
}

static const char *explain(const char *key, int expected)
{
    if (!said.data)
        CU_ASSERT_EQUAL(atexit(forget), 0);
    strbuf_reset(&said);
    CU_ASSERT_EQUAL(config_explain(key, fake_drivers, &said), expected);
    return strbuf_text(&said);
}

static void test_keys(void)
{
    TEST_TEXT_EQUAL(explain("uplink.window", 0),
                    "uplink.window\n"
                    "  How many messages may be sent without an acknowledgement.\n"
                    "  type:    whole number, 1 to 1024 messages\n"
                    "  default: 64\n"
                    "  reload:  reconnects to the broker\n");
    TEST_CONTAINS(explain("uplink.ca", 0), "file name, or \"system\"\n  default: required\n");
    TEST_CONTAINS(explain("devices.tags.decimals", 0), "0 to 15\n  default: none\n");
    TEST_CONTAINS(explain("devices.tags.offset", 0), "number, any\n  default: 0\n");
    TEST_CONTAINS(explain("buses.fake_tcp.port", 0),
                  "buses.fake_tcp.port\n  Where.\n  type:    whole number, 1 to 65535\n");
    TEST_CONTAINS(explain("buses.fake_text.poll", 0), "  default: \"P\\r\"\n");
    TEST_CONTAINS(explain("match", 0), "devices.tags.fake_text.match\n");
    TEST_CONTAINS(explain("gateway.log_level", 0),
                  "one of \"error\", \"warning\", \"info\", \"debug\"\n  default: \"info\"\n");
}

static void test_groups(void)
{
    TEST_CONTAINS(explain("buses.fake_tcp", 0), "buses.fake_tcp\n  Words and flags over TCP.\n"
                                                "  host               Who answers.\n");
    TEST_CONTAINS(explain("outbox", 0), "  sync_ms ");
    explain(NULL, 0);
    static const char *const all[] = {"gateway\n",        "uplink\n",
                                      "outbox\n",         "buses\n",
                                      "buses.fake_tcp\n", "buses.fake_text\n",
                                      "devices\n",        "devices.fake_tcp\n",
                                      "devices.tags\n",   "devices.tags.fake_text\n"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        TEST_CONTAINS(strbuf_text(&said), all[i]);
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&said), "devices.fake_text")); /* it has no such keys */
}

static void test_unknown(void)
{
    TEST_TEXT_EQUAL(explain("uplink.windw", -ENOENT),
                    "there is no key \"uplink.windw\"; did you mean \"uplink.window\"?\n");
    TEST_TEXT_EQUAL(explain("keepalive", -ENOENT),
                    "there is no key \"keepalive\"; did you mean \"uplink.keepalive_s\"?\n");
    TEST_TEXT_EQUAL(explain("zzzzzz", -ENOENT), "there is no key \"zzzzzz\"\n");
    TEST_TEXT_EQUAL(explain("", -ENOENT), "there is no key \"\"\n");
}

static void test_example(void)
{
    CLEANUP(strbuf_free) struct strbuf example = STRBUF_EMPTY;
    struct config *config;
    config_example(fake_drivers, &example);
    test_file("example.conf", strbuf_text(&example));
    TEST_TEXT_EQUAL(config_text_load("example.conf", &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_EQUAL(config->n_devices, 2);
    config_free(config);
}

/* The example with every commented key made active. */
static void test_example_complete(void)
{
    CLEANUP(strbuf_free) struct strbuf example = STRBUF_EMPTY;
    config_example(fake_drivers, &example);
    for (char *at = example.data; (at = strchr(at, '#')); at++) {
        if (at[1] != ' ')
            *at = ' ';
    }
    test_file("example.conf", strbuf_text(&example));
    const char *complaints = config_text_load("example.conf", NULL);
    CU_ASSERT_PTR_NULL(strstr(complaints, "unknown key"));
    CU_ASSERT_PTR_NULL(strstr(complaints, "expected"));
    CU_ASSERT_PTR_NULL(strstr(complaints, "out of range"));
}

static void test_reference(void)
{
    CLEANUP(strbuf_free) struct strbuf reference = STRBUF_EMPTY;
    config_reference(fake_drivers, &reference);
    TEST_CONTAINS(strbuf_text(&reference), "## buses.fake_tcp\n");
    TEST_CONTAINS(strbuf_text(&reference),
                  "| `window` | whole number, 1 to 1024 messages | 64 | reconnects to the broker | "
                  "How many messages may be sent without an acknowledgement. |\n");
}

TEST_MAIN("explain", {"a key is explained", test_keys}, {"a group lists its keys", test_groups},
          {"an unknown key gets the nearest one", test_unknown},
          {"the example file loads", test_example},
          {"every key of the example file is one, with a value that fits", test_example_complete},
          {"the reference has every group and key", test_reference})
