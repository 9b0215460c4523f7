/* What changed between two configurations, and what a dump shows of one. */
#include "config/load/diff.h"
#include "config/print/dump.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_drivers.h"
#include "tests/support/test.h"

#include <string.h>

#define BUSES                                                                                      \
    "buses: ( { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; },\n"                         \
    "         { name = \"two\"; driver = \"fake_text\"; } );\n"
#define TAGS "tags = ( { name = \"t\"; address = 1; }, { name = \"u\"; address = 2; } );"
#define DEVICES                                                                                    \
    "devices: ( { name = \"a\"; bus = \"one\"; " TAGS " },\n"                                      \
    "           { name = \"b\"; bus = \"two\"; tags = ( { name = \"t\"; match = \"x\"; } ); } "    \
    ");\n"

static struct config *load(const char *text)
{
    struct config *config;
    test_file("c.conf", text);
    config_text_load("c.conf", &config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    return config;
}

/* The changes, their classes and the flags of the lines between two texts, as one text. */
static const char *changes(const char *old_text, const char *fresh_text)
{
    static const char *const classes[] = {"live ", "line ", "uplink ", "restart "};
    static char said[2048];
    CLEANUP(config_diff_free) struct config_diff diff;
    struct config *old = load(old_text), *fresh = load(fresh_text);
    config_diff(old, fresh, &diff);
    for (size_t i = 0; i < ARRAY_LENGTH(classes); i++)
        strbuf_add(&diff.text, diff.changes[i] ? classes[i] : "");
    for (size_t i = 0; i < fresh->n_buses; i++)
        strbuf_add(&diff.text, diff.lines[i] ? "1" : "0");
    CU_ASSERT_FATAL(diff.text.length < sizeof(said));
    strcpy(said, strbuf_text(&diff.text));
    config_free(old);
    config_free(fresh);
    return said;
}

static void test_groups(void)
{
    static const char base[] = CONFIG_TEXT_HEAD BUSES DEVICES;
    TEST_TEXT_EQUAL(changes(base, base), "00");
    TEST_TEXT_EQUAL(
        changes(base, "gateway: { id = \"gw\"; site = \"s\"; log_level = \"debug\"; };"
                      "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };" BUSES DEVICES),
        "gateway.log_level: \"info\" -> \"debug\"\nlive 00");
    TEST_TEXT_EQUAL(changes(base, "gateway: { id = \"gw\"; site = \"s\"; };"
                                  "uplink: { servers = [ \"mqtts://c\" ]; ca = \"system\";"
                                  " proxy = \"http://u:secret@p:1\"; };" BUSES DEVICES),
                    "uplink.servers: [ \"mqtts://b\" ] -> [ \"mqtts://c\" ]\n"
                    "uplink.proxy: (unset) -> \"(secret)\"\nuplink 00");
    TEST_TEXT_EQUAL(changes(base, "gateway: { id = \"gw2\"; site = \"s\"; };"
                                  "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; "
                                  "client_id = \"gw\"; };" BUSES DEVICES),
                    "gateway.id: \"gw\" -> \"gw2\"\nrestart 00");
}

static void test_lines(void)
{
    static const char base[] = CONFIG_TEXT_HEAD BUSES DEVICES;
    TEST_TEXT_EQUAL(changes(base, CONFIG_TEXT_HEAD "buses: ( { name = \"one\"; driver = "
                                                   "\"fake_tcp\"; host = \"i\"; }, { name = "
                                                   "\"two\"; driver = \"fake_text\"; } );" DEVICES),
                    "buses.one.host: \"h\" -> \"i\"\nline 10");
    TEST_TEXT_EQUAL(
        changes(
            base, CONFIG_TEXT_HEAD BUSES
            "devices: ( { name = \"a\"; bus = \"one\"; " TAGS " },\n"
            " { name = \"b\"; bus = \"two\"; tags = ( { name = \"t\"; match = \"y\"; } ); } );"),
        "devices.b.tags.t.match: \"x\" -> \"y\"\nline 01");
    TEST_TEXT_EQUAL(
        changes(
            base, CONFIG_TEXT_HEAD BUSES
            "devices: ( { name = \"a\"; bus = \"one\"; tags = ( { name = \"u\"; address = 2; "
            "}, { name = \"v\"; address = 1; } ); },\n"
            " { name = \"b\"; bus = \"two\"; tags = ( { name = \"t\"; match = \"x\"; } ); } );"),
        "devices.a.tags.u: moved within the list\n"
        "devices.a.tags.v: added\n"
        "devices.a.tags.t: removed\nline 10");
    TEST_TEXT_EQUAL(changes(base, CONFIG_TEXT_HEAD BUSES
                            "devices: ( { name = \"a\"; bus = \"one\"; " TAGS " } );"),
                    "devices.b: removed\nline 01");
}

static void test_moves(void)
{
    static const char base[] = CONFIG_TEXT_HEAD BUSES DEVICES;
    TEST_TEXT_EQUAL(
        changes(base, CONFIG_TEXT_HEAD BUSES
                "devices: ( { name = \"b\"; bus = \"two\"; tags = ( { name = \"t\"; match = \"x\"; "
                "} ); }, { name = \"a\"; bus = \"one\"; " TAGS " } );"),
        "00");
    TEST_TEXT_EQUAL(changes(base, CONFIG_TEXT_HEAD
                            "buses: ( { name = \"zero\"; driver = \"fake_text\"; },\n"
                            " { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; } );\n"
                            "devices: ( { name = \"a\"; bus = \"one\"; " TAGS " } );"),
                    "buses.zero: added\nbuses.two: removed\n"
                    "devices.b: removed\nline 10");
    TEST_TEXT_EQUAL(
        changes(base, CONFIG_TEXT_HEAD
                "buses: ( { name = \"one\"; driver = \"fake_text\"; },\n"
                " { name = \"two\"; driver = \"fake_text\"; } );\n"
                "devices: ( { name = \"a\"; bus = \"two\"; tags = ( { name = \"t\"; match = \"x\"; "
                "} ); }, { name = \"b\"; bus = \"two\"; tags = ( { name = \"t\"; match = \"x\"; } "
                "); } );"),
        "buses.one.driver: \"fake_tcp\" -> \"fake_text\"\n"
        "devices.a.bus: \"one\" -> \"two\"\ndevices.a.tags.u: removed\nline 11");
}

/* A value of every kind, a tags_file, a driver's default, secrets. */
static const char rich[] =
    "gateway: { id = \"gw\"; site = \"s\"; };\n"
    "uplink: { servers = [ \"mqtts://b\", \"wss://c/m\" ]; ca = \"system\"; client_id = "
    "\"a\\\"\\\\b\"; username = \"u\"; password_file = \"pw\"; };\n"
    "buses: ( { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; },\n"
    "  { name = \"two\"; driver = \"fake_text\"; poll = \"\\x02P\\r\\n\"; } );\n"
    "devices: ( { name = \"a\"; bus = \"one\"; unit = 3; tags_file = \"t.csv\"; tags = (\n"
    "  { name = \"f\"; table = \"flag\"; address = 1; bit = 0; },\n"
    "  { name = \"s\"; address = 2; type = \"string\"; length = 9; },\n"
    "  { name = \"d\"; address = 3; type = \"float64\"; scale = 0.1; offset = -1e-7; decimals = 3;"
    " min = -1e300; max = 1e15; writable = true; interval_ms = 5; } ); } );\n";

static void test_dump(void)
{
    CLEANUP(strbuf_free) struct strbuf dump = STRBUF_EMPTY, again = STRBUF_EMPTY;
    test_file("t.csv", "name,address,unit\nx,7,\"a,b\"\n");
    struct config *config = load(rich);
    config_dump(config, &dump);
    TEST_CONTAINS(strbuf_text(&dump), "  window = 64;\n");
    TEST_CONTAINS(strbuf_text(&dump), "    poll = \"\\x02P\\r\\n\";\n");
    TEST_CONTAINS(strbuf_text(&dump), "        name = \"x\";\n");
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&dump), "tags_file"));
    struct config *reloaded = load(strbuf_text(&dump));
    config_dump(reloaded, &again);
    TEST_TEXT_EQUAL(strbuf_text(&again), strbuf_text(&dump));
    CLEANUP(config_diff_free) struct config_diff diff;
    config_diff(config, reloaded, &diff);
    TEST_CONTAINS(strbuf_text(&diff.text), "devices.a.tags_file: "); /* and nothing else */
    CU_ASSERT_PTR_EQUAL(strchr(strbuf_text(&diff.text), '\n') + 1,
                        diff.text.data + diff.text.length);
    config_free(config);
    config_free(reloaded);
}

static void test_dump_redacts(void)
{
    CLEANUP(strbuf_free) struct strbuf dump = STRBUF_EMPTY;
    struct config *config = load("gateway: { id = \"gw\"; site = \"s\"; };\nuplink: { servers = [ "
                                 "\"mqtts://b\" ]; ca = \"system\"; proxy = "
                                 "\"http://u:opensesame@p:3128\"; };");
    config_dump(config, &dump);
    TEST_CONTAINS(strbuf_text(&dump), "  proxy = \"(secret)\";\n");
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&dump), "opensesame"));
    config_free(config);
}

TEST_MAIN("diff", {"a change of a group has the class of its key", test_groups},
          {"a change of a line concerns that line only", test_lines},
          {"what moves to another index is made anew", test_moves},
          {"a dump loads again and is the same configuration", test_dump},
          {"a dump shows no secret", test_dump_redacts})
