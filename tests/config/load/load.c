/* Loading: what arrives, from which files. */
#include "config/load/load.h"
#include "tests/support/config_text.h"
#include "tests/support/fake_drivers.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char whole[] =
    "gateway: { id = \"gw-0042\"; site = \"plant-7\"; log_level = \"debug\"; };\n"
    "uplink: { servers = [ \"mqtts://b.example:8883\", \"wss://b.example/mqtt\" ];\n"
    "  ca = \"ca.pem\"; window = 8; username = \"u\"; password_file = \"/p\"; };\n"
    "outbox: { max_mib = 1; };\n"
    "buses: ( { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; },\n"
    "         { name = \"two\"; driver = \"fake_text\"; poll = \"X\\r\\n\"; } );\n"
    "devices: (\n"
    "  { name = \"boiler\"; bus = \"one\"; unit = 7; interval_ms = 250; report = \"change\";\n"
    "    heartbeat_s = 5; tags = (\n"
    "      { name = \"t\"; address = 1; type = \"float32\"; scale = 2; offset = 0.5;\n"
    "        decimals = 0; unit = \"\xc2\xb0\x43\"; deadband = 1; interval_ms = 60000; },\n"
    "      { name = \"f\"; table = \"flag\"; address = 2; },\n"
    "      { name = \"w\"; address = 3; writable = true; min = 1; max = 2.5; } ); },\n"
    "  { name = \"scale\"; bus = \"two\"; tags = (\n"
    "      { name = \"s\"; match = \"(.*)\"; type = \"string\"; length = 16; } ); } );\n";

static void test_whole(void)
{
    struct config *config;
    test_file("c.conf", whole);
    TEST_TEXT_EQUAL(config_text_load("c.conf", &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    TEST_TEXT_EQUAL(config->gateway.id, "gw-0042");
    CU_ASSERT_EQUAL(config->gateway.log_level, 3);
    TEST_TEXT_EQUAL(config->gateway.state_dir, "/var/lib/sallyport");
    TEST_TEXT_EQUAL(config->uplink.ca, test_path("ca.pem"));
    TEST_TEXT_EQUAL(config->uplink.client_id, "gw-0042");
    TEST_TEXT_EQUAL(config->uplink.prefix, "sallyport");
    CU_ASSERT_EQUAL(config->uplink.window, 8);
    CU_ASSERT_EQUAL(config->uplink.keepalive_s, 30);
    CU_ASSERT_EQUAL(config->uplink.reconnect_max_ms, 60000);
    CU_ASSERT_PTR_NULL(config->uplink.certificate);
    CU_ASSERT_EQUAL(config->outbox.max_mib, 1);
    CU_ASSERT_EQUAL(config->outbox.spill_after_ms, 2000);
    CU_ASSERT_EQUAL(config->n_buses, 2);
    CU_ASSERT_PTR_EQUAL(config->buses[1].driver, fake_drivers[1]);
    CU_ASSERT_EQUAL(((struct fake_bus *)config->buses[0].options)->port, 502);
    CU_ASSERT_EQUAL_FATAL(config->n_devices, 2);
    CU_ASSERT_EQUAL(config->devices[1].bus, 1);
    CU_ASSERT_EQUAL(config->devices[0].report, REPORT_CHANGE);
    CU_ASSERT_EQUAL(config->devices[1].heartbeat_s, 900);
    CU_ASSERT_EQUAL(((struct fake_device *)config->devices[0].options)->unit, 7);
    TEST_TEXT_EQUAL(config->devices[1].where.file, test_path("c.conf"));
    CU_ASSERT_EQUAL(config->devices[1].where.line, 14);
    config_free(config);
}

static void test_tags(void)
{
    struct config *config;
    test_file("c.conf", whole);
    config_text_load("c.conf", &config);
    const struct config_tag *tags = config->devices[0].tags;
    CU_ASSERT_EQUAL_FATAL(config->devices[0].n_tags, 3);
    CU_ASSERT_EQUAL(tags[0].type, VALUE_FLOAT32);
    CU_ASSERT_EQUAL(tags[0].scale, 2.0);
    CU_ASSERT_EQUAL(tags[0].decimals, 0);
    CU_ASSERT_EQUAL(tags[0].interval_ms, 60000);
    CU_ASSERT_TRUE(config_tag_has(&tags[0], "type"));
    CU_ASSERT_FALSE(config_tag_has(&tags[0], "min"));
    CU_ASSERT_EQUAL(tags[1].type, VALUE_BOOL); /* the driver's doing */
    CU_ASSERT_FALSE(config_tag_has(&tags[1], "type"));
    CU_ASSERT_EQUAL(tags[1].interval_ms, 250);
    CU_ASSERT_EQUAL(tags[1].decimals, -1);
    CU_ASSERT_EQUAL(tags[1].scale, 1.0);
    CU_ASSERT_TRUE(isnan(tags[1].max));
    CU_ASSERT_TRUE(tags[2].writable);
    CU_ASSERT_EQUAL(tags[2].max, 2.5);
    CU_ASSERT_EQUAL(tags[2].type, VALUE_UINT16);
    CU_ASSERT_EQUAL(((struct fake_tag *)tags[2].options)->address, 3);
    CU_ASSERT_EQUAL(((struct fake_tag *)tags[2].options)->bit, -1);
    CU_ASSERT_EQUAL(config->devices[1].tags[0].length, 16);
    config_free(config);
}

static void test_csv(void)
{
    struct config *config;
    test_file("c.conf", CONFIG_TEXT_HEAD
              "buses: ( { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; } );\n"
              "devices: ( { name = \"d\"; bus = \"one\"; tags_file = \"t.csv\"; tags = (\n"
              "  { name = \"inline\"; address = 1; } ); } );\n");
    test_file("t.csv", "\xef\xbb\xbfname,address, type ,unit,writable,min,max,scale,bit\r\n"
                       "a,0x10,,,,,,,\r\n"
                       "\r\n"
                       "\"b\",2,int32,\"m\xc2\xb3,\"\"x\",TRUE,-5,1e3,.5,4\r\n"
                       " c , 3\r\n");
    TEST_TEXT_EQUAL(config_text_load("c.conf", &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    const struct config_tag *tags = config->devices[0].tags;
    CU_ASSERT_EQUAL_FATAL(config->devices[0].n_tags, 4);
    TEST_TEXT_EQUAL(tags[1].name, "a");
    CU_ASSERT_EQUAL(((struct fake_tag *)tags[1].options)->address, 16);
    CU_ASSERT_FALSE(config_tag_has(&tags[1], "type"));
    CU_ASSERT_EQUAL(tags[1].interval_ms, 1000);
    TEST_TEXT_EQUAL(tags[2].unit, "m\xc2\xb3,\"x");
    CU_ASSERT_TRUE(tags[2].writable);
    CU_ASSERT_EQUAL(tags[2].max, 1000.0);
    CU_ASSERT_EQUAL(tags[2].scale, 0.5);
    CU_ASSERT_EQUAL(((struct fake_tag *)tags[2].options)->bit, 4);
    TEST_TEXT_EQUAL(tags[2].where.file, test_path("t.csv"));
    CU_ASSERT_EQUAL(tags[2].where.line, 4);
    TEST_TEXT_EQUAL(tags[3].name, "c");
    CU_ASSERT_EQUAL(config->n_files, 2);
    config_free(config);
}

/* What loading says about a device whose tags_file holds CSV. */
static const char *csv_complaints(const char *csv)
{
    test_file("c.conf", CONFIG_TEXT_HEAD
              "buses: ( { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; } );\n"
              "devices: ( { name = \"d\"; bus = \"one\";\n tags_file = \"t.csv\"; } );\n");
    test_file("t.csv", csv);
    return config_text_load("c.conf", NULL);
}

static void test_csv_mistakes(void)
{
    TEST_TEXT_EQUAL(csv_complaints("name,adress,unit,unit,\na,1,x,y,z\n"),
                    "t.csv:1: devices.d.tags: unknown key \"adress\"; did you mean \"address\"?\n"
                    "t.csv:1: devices.d.tags_file: the header row names \"unit\" twice\n"
                    "t.csv:1: devices.d.tags_file: column 5 has no key in the header row\n");
    TEST_TEXT_EQUAL(csv_complaints("name;address\na;1\n"),
                    "t.csv:1: devices.d.tags_file: columns are separated by commas, not by "
                    "semicolons\n");
    TEST_TEXT_EQUAL(csv_complaints(""), "t.csv:1: devices.d.tags_file: the file is empty; its "
                                        "first row names the keys\n");
    TEST_TEXT_EQUAL(
        csv_complaints("name,address,unit,scale\n"
                       "a,1,\"two\nlines\",\"3,5\"\n"
                       "b,100,x,1\n"
                       "b b,,x,1\n"
                       "c,5,x,1,1\n"
                       "a,6\n"),
        "t.csv:2: devices.d.tags.a.unit: the text contains a control character or a line break\n"
        "t.csv:3: devices.d.tags.a.scale: expected a number, found \"3,5\"\n"
        "t.csv:4: devices.d.tags.b.address: 100 is out of range; allowed is 0 to 99\n"
        "t.csv:5: devices.d.tags.b b.name: \"b b\" does not fit: 1 to 64 of letters, digits, "
        "\"_\", \".\", \"-\"\n"
        "t.csv:5: devices.d.tags.b b.address: missing; it is required: At which place.\n"
        "t.csv:6: devices.d.tags_file: the row has 5 fields, the header row only 4\n"
        "t.csv:7: devices.d.tags.a.name: there is another tag of this name at t.csv:2\n");
    TEST_TEXT_EQUAL(csv_complaints("name,address\na,1\n\"b,2\nc,3\n"),
                    "t.csv:3: devices.d.tags_file: the quoted field that begins here is never "
                    "closed\n");
    TEST_TEXT_EQUAL(csv_complaints("name,address\na,99\nx\"y,2\n"),
                    "t.csv:3: devices.d.tags_file: a field with a quote inside must be quoted, and "
                    "the quote written \"\"\n");
    unlink(test_path("t.csv"));
    TEST_TEXT_EQUAL(config_text_load("c.conf", NULL),
                    "c.conf:5: devices.d.tags_file: t.csv cannot be read: No such file or "
                    "directory\n");
}

static void test_csv_driver_check(void)
{
    TEST_TEXT_EQUAL(csv_complaints("name,address,type\na,99,uint16\nb,99,int32\n"),
                    "t.csv:3: devices.d.tags.b.address: the value ends after the last address\n");
}

static void test_csv_flood(void)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    strbuf_add(&text, "name,address\n");
    for (int i = 0; i < 500; i++)
        strbuf_addf(&text, "t%d,x\n", i);
    TEST_CONTAINS(csv_complaints(strbuf_text(&text)),
                  "t.csv:101: devices.d.tags_file: too many problems; the rest was not read\n");
    strbuf_reset(&text);
    strbuf_add(&text, "name,address\n");
    for (int i = 0; i <= CONFIG_MAX_TAGS; i++)
        strbuf_addf(&text, "t%d,1\n", i);
    TEST_TEXT_EQUAL(csv_complaints(strbuf_text(&text)),
                    "t.csv:10002: devices.d.tags_file: too many tags in one device; the limit is "
                    "10000\n");
}

static void test_conf_d(void)
{
    struct config *config;
    mkdir(test_path("conf.d"), 0700);
    test_file("c.conf", CONFIG_TEXT_HEAD
              "devices: ( { name = \"d0\"; bus = \"one\"; tags = ( { name = \"t\"; address = 1; } "
              "); } );\n");
    test_file("conf.d/20-b.conf", "devices: ( { name = \"d2\"; bus = \"one\"; tags_file = "
                                  "\"b.csv\"; } );\n");
    test_file("conf.d/b.csv", "name,address\na,1\n");
    test_file("conf.d/10-a.conf",
              "buses: ( { name = \"one\"; driver = \"fake_tcp\"; host = \"h\"; } );\n"
              "devices: ( { name = \"d1\"; bus = \"one\"; tags = ( { name = \"t\"; address = 1; } "
              "); } );\n");
    test_file("conf.d/.hidden.conf", "broken");
    test_file("conf.d/10-a.conf~", "broken");
    TEST_TEXT_EQUAL(config_text_load("c.conf", &config), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    CU_ASSERT_EQUAL_FATAL(config->n_devices, 3);
    TEST_TEXT_EQUAL(config->devices[0].name, "d0");
    TEST_TEXT_EQUAL(config->devices[1].name, "d1");
    TEST_TEXT_EQUAL(config->devices[2].name, "d2");
    CU_ASSERT_EQUAL(config->devices[2].n_tags, 1);
    CU_ASSERT_EQUAL(config->n_files, 4);
    config_free(config);
    test_file("conf.d/20-b.conf",
              "uplink: { };\ndevices: ( { name = \"d1\"; bus = \"one\"; tags = ( { name = \"t\"; "
              "address = 1; } ); } );\ngateway = 1;\nx = 1;\n");
    TEST_TEXT_EQUAL(config_text_load("c.conf", NULL),
                    "conf.d/20-b.conf:1: uplink: belongs into the main file; a file of conf.d "
                    "holds `buses` and `devices` only\n"
                    "conf.d/20-b.conf:2: devices.d1.name: there is another device of this name at "
                    "conf.d/10-a.conf:2\n"
                    "conf.d/20-b.conf:3: gateway: belongs into the main file; a file of conf.d "
                    "holds `buses` and `devices` only\n"
                    "conf.d/20-b.conf:4: x: unknown key \"x\"\n");
    test_file("conf.d/10-a.conf", "buses: (\n");
    TEST_TEXT_EQUAL(config_text_load("c.conf", NULL),
                    "conf.d/10-a.conf:1: the \"(\" that begins here is never closed\n"
                    "conf.d/20-b.conf:1: uplink: belongs into the main file; a file of conf.d "
                    "holds `buses` and `devices` only\n"
                    "conf.d/20-b.conf:3: gateway: belongs into the main file; a file of conf.d "
                    "holds `buses` and `devices` only\n"
                    "conf.d/20-b.conf:4: x: unknown key \"x\"\n");
    unlink(test_path("conf.d/10-a.conf"));
    unlink(test_path("conf.d/20-b.conf"));
}

static void test_bad_files(void)
{
    TEST_TEXT_EQUAL(config_text_load("absent.conf", NULL),
                    "absent.conf:0: cannot be read: No such file or directory\n");
    TEST_TEXT_EQUAL(config_text_check(""),
                    "c.conf:1: the file is empty; `sallyport init` writes a first one\n");
    TEST_TEXT_EQUAL(config_text_check("# nothing\n"),
                    "c.conf:1: the file is empty; `sallyport init` writes a first one\n");
    CLEANUP(strbuf_free) struct strbuf deep = STRBUF_EMPTY;
    strbuf_add(&deep, "devices = ");
    memset(strbuf_reserve(&deep, 100000), '(', 100000);
    deep.length += 100000;
    strbuf_add(&deep, ";\n");
    TEST_TEXT_EQUAL(config_text_check(strbuf_text(&deep)),
                    "c.conf:1: brackets are nested too deeply; the limit is 16\n");
    FILE *file = fopen(test_path("huge.conf"), "w");
    CU_ASSERT_EQUAL(ftruncate(fileno(file), CONFIG_MAX_BYTES + 1), 0);
    (void)fclose(file);
    TEST_TEXT_EQUAL(config_text_load("huge.conf", NULL),
                    "huge.conf:0: too large: the limit is 8192 KiB\n");
    file = fopen(test_path("binary.conf"), "w");
    (void)fwrite("\x7f"
                 "ELF\0\1\2",
                 1, 7, file);
    (void)fclose(file);
    TEST_TEXT_EQUAL(config_text_load("binary.conf", NULL),
                    "binary.conf:1: not a text file: byte 0x7f (binary, or not UTF-8?)\n");
}

static void test_relative(void)
{
    struct config *config;
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    char here[512];
    test_file("c.conf", whole);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(here, sizeof(here)));
    CU_ASSERT_EQUAL_FATAL(chdir(test_folder()), 0);
    CU_ASSERT_EQUAL_FATAL(config_load("c.conf", fake_drivers, &findings, &config), 0);
    TEST_TEXT_EQUAL(config->files[0], test_path("c.conf"));
    TEST_TEXT_EQUAL(config->uplink.ca, test_path("ca.pem"));
    config_free(config);
    CU_ASSERT_EQUAL(chdir(here), 0);
}

TEST_MAIN("load", {"a whole file arrives, with defaults for the rest", test_whole},
          {"tags arrive, and what was given is known", test_tags},
          {"tags of a CSV file join those of the list", test_csv},
          {"mistakes in a CSV file have the right line", test_csv_mistakes},
          {"a driver's finding about a CSV row has its line", test_csv_driver_check},
          {"a CSV file full of mistakes or tags is cut short", test_csv_flood},
          {"conf.d adds buses and devices in the order of names", test_conf_d},
          {"an unreadable, empty, huge or binary file says so", test_bad_files},
          {"a relative name works from the current folder", test_relative})
