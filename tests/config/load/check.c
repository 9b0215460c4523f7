/* Cross checks: what the author of a configuration is told, with which line. */
#include "tests/support/config_text.h"
#include "tests/support/test.h"

#include <stdio.h>

static void test_ten_mistakes(void)
{
    TEST_TEXT_EQUAL(
        config_text_check(
            "gateway: { id = \"gw 1\"; site = \"s\"; };\n"
            "uplink: {\n"
            "  servers = [ \"mqtt://b.example:1883\" ];\n"
            "  ca = \"system\"; window = 0;\n"
            "  keepalive = 30;\n"
            "};\n"
            "buses: (\n"
            "  { name = \"one\"; driver = \"fake_tcpp\"; host = \"h\"; },\n"
            "  { name = \"line\"; driver = \"fake_tcp\"; host = \"h\"; } );\n"
            "devices: (\n"
            "  { name = \"d\"; bus = \"lime\"; tags = ( { name = \"x\"; address = 1; } ); },\n"
            "  { name = \"d\"; bus = \"line\"; interval_ms = 0; tags = (\n"
            "    { name = \"a\"; address = 99;\n"
            "      type = \"float32\"; },\n"
            "    { name = \"b\"; address = 2; type = \"uint17\"; } ); } );\n"),
        "c.conf:1: gateway.id: \"gw 1\" does not fit: 1 to 64 of letters, digits, \"_\", \"-\" (it "
        "is a level of every topic)\n"
        "c.conf:3: uplink.servers: \"mqtt://b.example:1883\": unencrypted connections are not "
        "supported; use mqtts:// or wss://\n"
        "c.conf:4: uplink.window: 0 is out of range; allowed is 1 to 1024 messages\n"
        "c.conf:5: uplink.keepalive: unknown key \"keepalive\"; did you mean \"keepalive_s\"?\n"
        "c.conf:8: buses.one.driver: there is no driver \"fake_tcpp\"; did you mean \"fake_tcp\"?\n"
        "c.conf:11: devices.d.bus: there is no bus \"lime\"; did you mean \"line\"?\n"
        "c.conf:12: devices.d.interval_ms: 0 is out of range; allowed is 1 to 86400000 ms\n"
        "c.conf:12: devices.d.name: there is another device of this name at c.conf:11\n"
        "c.conf:13: devices.d.tags.a.address: the value ends after the last address\n"
        "c.conf:15: devices.d.tags.b.type: unknown value \"uint17\"; did you mean \"uint16\"? "
        "Allowed: \"bool\", \"int16\", \"uint16\", \"int32\", \"uint32\", \"int64\", \"uint64\", "
        "\"float32\", \"float64\", \"string\"\n");
}

/* What is said about an uplink with these further KEYS, on the second line. */
static const char *uplink(const char *keys)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   "gateway: { id = \"g\"; site = \"s\"; };\nuplink: { ca = \"system\";\n%s };\n",
                   keys);
    return config_text_check(text);
}

static void test_uplink(void)
{
    static const char servers[] = "servers = [ \"mqtts://b\" ];";
    char keys[512];
    static const struct {
        const char *keys, *said;
    } cases[] = {
        {"certificate = \"c\";", "c.conf:3: uplink.certificate: needs `key` as well\n"},
        {"key = \"c\";", "c.conf:3: uplink.key: needs `certificate` as well\n"},
        {"key_password_file = \"c\";", "c.conf:3: uplink.key_password_file: needs `key` as well\n"},
        {"password_file = \"c\";", "c.conf:3: uplink.password_file: needs `username` as well\n"},
        {"username = \"c\"; certificate = \"c\"; key = \"k\";", ""},
        {"username = \"c\"; password_file = \"c\";", ""},
        {"username = \"c\";", "c.conf:3: uplink.username: warning: without `password_file` and "
                              "`certificate` anyone can log in as this gateway\n"},
        {"prefix = \"acme/europe\";", ""},
        {"prefix = \"a/\";", "c.conf:3: uplink.prefix: has an empty level: write the levels with "
                             "one \"/\" between them and none at the ends, such as acme/europe\n"},
        {"format = \"sparkplug\";",
         "c.conf:3: uplink.format: this build has no Sparkplug encoder; use \"json\"\n"},
        {"reconnect_min_ms = 90000;", "c.conf:3: uplink.reconnect_min_ms: reconnect_min_ms (90000) "
                                      "is above reconnect_max_ms (60000)\n"},
        {"proxy = \"http://p:3128\";", ""},
        {"proxy = \"http://u@p:3128\"; proxy_password_file = \"f\";", ""},
        {"proxy = \"http://u:secret@p:3128\";",
         "c.conf:3: uplink.proxy: warning: everybody who may read this file learns the password: "
         "put it into a file of its own and name that with `uplink.proxy_password_file`\n"},
        {"proxy = \"http://u:secret@p:3128\"; proxy_password_file = \"f\";",
         "c.conf:3: uplink.proxy: has a password, and `uplink.proxy_password_file` gives one too: "
         "remove it here\n"},
        {"proxy = \"http://u@p:3128\";", "c.conf:3: uplink.proxy: names a user, but there is no "
                                         "password: set `uplink.proxy_password_file`\n"},
        {"proxy = \"http://p:3128\"; proxy_password_file = \"f\";",
         "c.conf:3: uplink.proxy_password_file: `proxy` names no user: write http://USER@HOST:PORT "
         "there\n"},
        {"proxy_password_file = \"f\";",
         "c.conf:3: uplink.proxy_password_file: needs `proxy` as well\n"},
        {"proxy = \"http://u:secret@p\";",
         "c.conf:3: uplink.proxy: the port of the proxy is missing\n"},
        {"window = 1025;",
         "c.conf:3: uplink.window: 1025 is out of range; allowed is 1 to 1024 messages\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(keys, sizeof(keys), "%s%s", servers, cases[i].keys);
        TEST_TEXT_EQUAL(uplink(keys), cases[i].said);
    }
    TEST_TEXT_EQUAL(uplink("servers = [ ];"),
                    "c.conf:3: uplink.servers: the list has 0 elements; allowed is 1 to 16\n");
    TEST_CONTAINS(uplink("servers = [ \"mqtts://[2001:db8::1]\" ];"),
                  "c.conf:3: uplink.servers: \"mqtts://[2001:db8::1]\": the MQTT library cannot");
    TEST_TEXT_EQUAL(uplink("servers = [ \"mqtts://b\",\n\"mqtts://b\", \"wss://b\" ];"),
                    "c.conf:3: uplink.servers: warning: \"mqtts://b\" is listed twice\n"
                    "c.conf:3: uplink.servers: wss:// needs a path: wss://HOST[:PORT]/PATH; often "
                    "it is /mqtt\n");
}

static void test_sections(void)
{
    TEST_TEXT_EQUAL(
        config_text_check("gateway: { };\nuplink = 1;\nuplin: { };\n"),
        "c.conf:1: gateway.id: missing; it is required: The name of this gateway, "
        "unique within its site; a level of every topic.\n"
        "c.conf:1: gateway.site: missing; it is required: The name of the site where it "
        "is installed; a level of every topic.\n"
        "c.conf:2: uplink: expected a group { ... }, found a number\n"
        "c.conf:3: uplin: unknown key \"uplin\"; did you mean \"uplink\"?\n");
    TEST_TEXT_EQUAL(config_text_check(CONFIG_TEXT_HEAD "buses: { };\ndevices: ( 1 );\n"),
                    "c.conf:3: buses: expected a list of groups ( { ... }, { ... } ), found a "
                    "group { }\n"
                    "c.conf:4: devices[0]: expected a group { ... }, found a number\n");
    TEST_TEXT_EQUAL(
        config_text_check("gateway: { id = \"g\"; site = \"s\"; runtime_dir = \"/x\";\n"
                          "  state_dir = \"/x\"; };\n"
                          "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n"),
        "c.conf:1: gateway.runtime_dir: must not be the same folder as state_dir\n");
}

static void test_buses(void)
{
    TEST_TEXT_EQUAL(
        config_text_check(CONFIG_TEXT_HEAD
                          "buses: ( { name = \"a\"; driver = \"fake_tcp\"; port = 5; },\n"
                          " { name = \"a\"; host = \"h\"; baudrate = 5; },\n"
                          " { name = \"c\"; driver = \"fake_tcp\"; host = \"h\";\n"
                          "   port = 666; hosts = \"x\"; } );\n"),
        "c.conf:3: buses.a.host: missing; it is required: Who answers.\n"
        "c.conf:4: buses.a.baudrate: unknown key \"baudrate\"\n"
        "c.conf:4: buses.a.driver: missing; it is required: The driver that talks to the line; it "
        "adds keys of its own.\n"
        "c.conf:4: buses.a.name: there is another bus of this name at c.conf:3\n"
        "c.conf:6: buses.c.hosts: unknown key \"hosts\"; did you mean \"host\"?\n"
        "c.conf:6: buses.c.port: an evil port\n");
    TEST_TEXT_EQUAL(config_text_check(CONFIG_TEXT_HEAD
                                      "buses: ( { name = \"a\"; driver = \"fake_text\"; } );\n"),
                    "c.conf:3: buses.a.name: warning: no device is on this bus\n");
}

/* What is said about a tag with these KEYS, on line 5. */
static const char *tag(const char *keys)
{
    char text[1024];
    (void)snprintf(text, sizeof(text),
                   CONFIG_TEXT_HEAD
                   "buses: ( { name = \"b\"; driver = \"fake_tcp\"; host = \"h\"; } );\n"
                   "devices: ( { name = \"d\"; bus = \"b\"; tags = ( {\n%s } ); } );\n",
                   keys);
    return config_text_check(text);
}

static void test_tags(void)
{
    static const struct {
        const char *keys, *said;
    } cases[] = {
        {"name = \"t\"; address = 1;", ""},
        {"name = \"t\"; address = 1;\nscale = 0;",
         "c.conf:6: devices.d.tags.t.scale: must not be 0: every value would be the same\n"},
        {"name = \"t\"; address = 1; writable = true; min = 5;\nmax = 2;",
         "c.conf:5: devices.d.tags.t.min: is above max\n"},
        {"name = \"t\"; address = 1; writable = true;",
         "c.conf:5: devices.d.tags.t.writable: warning: without `min` and `max` any value of the "
         "type may be written\n"},
        {"name = \"t\"; address = 1;\nmax = 2;",
         "c.conf:6: devices.d.tags.t.max: warning: limits what may be written, but the tag is not "
         "writable\n"},
        {"name = \"t\"; address = 1; table = \"flag\";\ndeadband = 2;",
         "c.conf:6: devices.d.tags.t.deadband: does not apply to a bool\n"},
        {"name = \"t\"; address = 1; type = \"string\"; length = 4;\nscale = 2; decimals = 1;",
         "c.conf:6: devices.d.tags.t.scale: does not apply to a string\n"
         "c.conf:6: devices.d.tags.t.decimals: does not apply to a string\n"},
        {"name = \"t\"; address = 1; type = \"string\";",
         "c.conf:4: devices.d.tags.t.length: missing; a string needs its size in bytes\n"},
        {"name = \"t\"; address = 1; length = 3;",
         "c.conf:5: devices.d.tags.t.length: applies to type = \"string\" only\n"},
        {"name = \"t\"; address = 1; type = \"string\"; length = 251;",
         "c.conf:5: devices.d.tags.t.length: 251 is out of range; allowed is 1 to 250 bytes\n"},
        {"name = \"t\"; address = 1; decimals = 16;",
         "c.conf:5: devices.d.tags.t.decimals: 16 is out of range; allowed is 0 to 15\n"},
        {"name = \"t\"; address = 1; deadband = -0.5;",
         "c.conf:5: devices.d.tags.t.deadband: -0.5 is out of range; allowed is 0 or more\n"},
        {"address = 1;", "c.conf:4: devices.d.tags[0].name: missing; it is required: The name of "
                         "the value, unique within its device.\n"},
        {"name = \"t\"; address = 1; }, {\nname = \"t\"; address = 2; }, { name = \"t\"; address "
         "= 2;",
         "c.conf:6: devices.d.tags.t.name: there is another tag of this name at c.conf:4\n"
         "c.conf:6: devices.d.tags.t.name: there is another tag of this name at c.conf:4\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        TEST_TEXT_EQUAL(tag(cases[i].keys), cases[i].said);
}

static void test_driver_finding(void)
{
    TEST_TEXT_EQUAL(tag("name = \"a\"; address = 5; }, { name = \"b\";\n type = \"int32\";\n"
                        " address = 99; scales = 1;"),
                    "c.conf:7: devices.d.tags.b.scales: unknown key \"scales\"; did you mean "
                    "\"scale\"?\n"
                    "c.conf:7: devices.d.tags.b.address: the value ends after the last address\n");
}

static void test_unknown_driver_keys(void)
{
    TEST_TEXT_EQUAL(
        config_text_check(CONFIG_TEXT_HEAD
                          "devices: ( { name = \"d\"; bus = \"nowhere\"; unit = 300; uint = 4;\n"
                          "  tags = ( { name = \"t\"; address = 1; match = \"x\"; adress = 4; } ); "
                          "} );\n"),
        "c.conf:3: devices.d.uint: unknown key \"uint\"; did you mean \"unit\"?\n"
        "c.conf:3: devices.d.bus: there is no bus \"nowhere\"\n"
        "c.conf:4: devices.d.tags.t.adress: unknown key \"adress\"; did you mean \"address\"?\n");
}

/* Something is misspelt, and what stands below it has a mistake of its own. */
static void test_guessed_bus(void)
{
    TEST_TEXT_EQUAL(
        config_text_check(CONFIG_TEXT_HEAD
                          "buses: ( { name = \"line\"; driver = \"fake_txt\"; speed = 0; } );\n"
                          "devices: ( { name = \"d\"; bus = \"lime\";\n"
                          "  tags = ( { name = \"t\"; mach = \"x\"; } ); } );\n"),
        "c.conf:3: buses.line.driver: there is no driver \"fake_txt\"; did you mean "
        "\"fake_text\"?\n"
        "c.conf:3: buses.line.speed: unknown key \"speed\"\n"
        "c.conf:4: devices.d.bus: there is no bus \"lime\"; did you mean \"line\"?\n"
        "c.conf:5: devices.d.tags.t.mach: unknown key \"mach\"; did you mean \"match\"?\n"
        "c.conf:5: devices.d.tags.t.match: missing; it is required: What is looked for.\n");
}

static void test_long_runtime_dir(void)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "gateway: { id = \"g\"; site = \"s\"; runtime_dir = \"/%0100d\"; };\n"
                   "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n",
                   0);
    TEST_CONTAINS(config_text_check(text), "c.conf:1: gateway.runtime_dir: 101 bytes are too long");
}

static void test_no_tags(void)
{
    TEST_TEXT_EQUAL(config_text_check(CONFIG_TEXT_HEAD
                                      "buses: ( { name = \"b\"; driver = \"fake_text\"; } );\n"
                                      "devices: ( { name = \"d\"; bus = \"b\"; } );\n"),
                    "c.conf:4: devices.d.tags: warning: no tags: nothing is read from this "
                    "device\n");
}

TEST_MAIN("check", {"ten different mistakes are all named with their lines", test_ten_mistakes},
          {"an uplink that cannot work is refused", test_uplink},
          {"missing and misplaced groups are named", test_sections},
          {"mistakes of buses are named", test_buses},
          {"tags that contradict themselves are named", test_tags},
          {"a driver's finding gets the full key and the line of the key", test_driver_finding},
          {"keys of drivers pass while the driver is not known", test_unknown_driver_keys},
          {"below a misspelt driver or bus the checks go on", test_guessed_bus},
          {"a folder too long for the socket in it is refused", test_long_runtime_dir},
          {"a device without tags is warned about", test_no_tags})
