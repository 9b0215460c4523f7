/* What an author of a configuration is told about Modbus devices and tags. */
#include "drivers/modbus/modbus_options.h"

#include "drivers/modbus/modbus_request.h"
#include "tests/support/driven.h"
#include "tests/support/test.h"

#include <stdio.h>

/* What is said about a device of the TCP bus with these keys and tags. */
static const char *say(const char *keys, const char *tags)
{
    char text[2048];
    (void)snprintf(text, sizeof(text),
                   "buses: ( { name = \"plc\"; driver = \"modbus_tcp\"; host = \"h\"; } );\n"
                   "devices: ( { name = \"d\"; bus = \"plc\"; %s tags = ( %s ); } );\n",
                   keys, tags);
    return driven_check(text);
}

static void test_fine(void)
{
    TEST_TEXT_EQUAL(say("", "{ name = \"t\"; address = 0; }"), "");
    TEST_TEXT_EQUAL(say("unit = 247; max_gap = 125; max_registers = 125;",
                        "{ name = \"a\"; address = 65535; },"
                        "{ name = \"b\"; address = 65532; type = \"float64\"; order = \"DCBA\"; },"
                        "{ name = \"c\"; address = 0; type = \"string\"; length = 250; },"
                        "{ name = \"d\"; table = \"coil\"; address = 65535; writable = true; },"
                        "{ name = \"e\"; table = \"input\"; address = 7; bit = 15; order = "
                        "\"BADC\"; },"
                        "{ name = \"f\"; address = 7; bit = 0; type = \"bool\"; }"),
                    "");
    TEST_TEXT_EQUAL(say("addressing = \"modicon\";",
                        "{ name = \"a\"; address = 40001; }, { name = \"b\"; address = 1; },"
                        "{ name = \"c\"; table = \"input\"; address = 365536; }"),
                    "");
}

static void test_refused(void)
{
    static const struct {
        const char *keys, *tag, *said;
    } cases[] = {
        {"", "address = 65536;",
         "address: 65536: the last address is 65535; a number like 40101 needs addressing "
         "\"modicon\""},
        {"addressing = \"one\";", "address = 0;",
         "address: 0: with addressing \"one\" the first address is 1"},
        {"addressing = \"modicon\";", "address = 20001;",
         "address: 20001 is not a modicon address: 1 to 9999 are coils, 10001 to 19999 discrete "
         "inputs, 30001 to 39999 input registers, 40001 to 49999 holding registers, or six digits "
         "such as 400001 to 465536"},
        {"addressing = \"modicon\";", "address = 40001; table = \"input\";",
         "table: \"input\" contradicts address 40001, whose number names another table; leave out "
         "`table`, or use addressing \"one\" and the number without that digit"},
        {"", "address = 65535; type = \"uint32\";",
         "address: the value takes 2 registers and ends after the last address"},
        {"", "address = 65534; type = \"string\"; length = 5;",
         "address: the value takes 3 registers and ends after the last address"},
        {"max_registers = 3;", "address = 0; type = \"float64\";",
         "type: the value takes 4 registers, but max_registers of the device is 3"},
        {"max_registers = 3;", "address = 0; type = \"string\"; length = 7;",
         "length: the value takes 4 registers, but max_registers of the device is 3"},
        {"", "address = 0; type = \"string\";",
         "length: missing; a string needs its size in bytes"},
        {"", "address = 0; table = \"coil\"; type = \"int16\";",
         "type: int16: a single bit can only be a bool; leave out `type`"},
        {"", "address = 0; bit = 3; type = \"uint16\";",
         "type: uint16: a single bit can only be a bool; leave out `type`"},
        {"", "address = 0; table = \"discrete\"; bit = 3;",
         "bit: a discrete is one bit already; leave out `bit`"},
        {"", "address = 0; table = \"coil\"; order = \"BADC\";",
         "order: a bool has no order of bytes; leave out `order`"},
        {"", "address = 0; type = \"bool\"; order = \"CDAB\";",
         "order: a bool has no order of bytes; leave out `order`"},
        {"", "address = 0; table = \"input\"; writable = true; min = 0.0; max = 9.0;",
         "writable: the input table can only be read"},
        {"", "address = 0; table = \"discrete\"; writable = true;",
         "writable: the discrete table can only be read"},
        {"", "address = 0; bit = 16;", "bit: 16 is out of range; allowed is -1 to 15"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char tag[256], said[512];
        (void)snprintf(tag, sizeof(tag), "{ name = \"t\"; %s }", cases[i].tag);
        (void)snprintf(said, sizeof(said), "devices.d.tags.t.%s\n", cases[i].said);
        TEST_TEXT_EQUAL(say(cases[i].keys, tag), said);
    }
}

static void test_units(void)
{
    static const char tag[] = "{ name = \"t\"; address = 0; }";
    TEST_CONTAINS(say("unit = 0;", tag), "devices.d.unit: warning: 0 is not a unit number");
    TEST_CONTAINS(say("unit = 255;", tag), "devices.d.unit: warning: 255 is not a unit number");
    TEST_CONTAINS(say("unit = 256;", tag), "devices.d.unit: 256 is out of range");
    TEST_CONTAINS(
        driven_check("buses: ( { name = \"l\"; driver = \"modbus_rtu\"; device = \"/t\"; } );\n"
                     "devices: ( { name = \"d\"; bus = \"l\"; unit = 248;\n"
                     "  tags = ( { name = \"t\"; address = 0; } ); } );\n"),
        "devices.d.unit: 248 is out of range; allowed is 1 to 247");
}

static void test_serial(void)
{
    TEST_TEXT_EQUAL(
        driven_check("buses: ( { name = \"l\"; driver = \"modbus_rtu\"; device = \"/dev/x\";\n"
                     "  baud = 20000; data_bits = 7; } );\n"),
        "buses.l.baud: 20000 is not a standard baud rate; use one such as 1200, 9600, 19200, 38400 "
        "or 115200\n"
        "buses.l.data_bits: warning: Modbus RTU needs 8; with 7 the highest bit of every byte is "
        "lost\n");
}

static void test_types(void)
{
    struct driven driven;
    driven_open(&driven, "buses: ( { name = \"plc\"; driver = \"modbus_tcp\"; host = \"h\"; } );\n"
                         "devices: ( { name = \"d\"; bus = \"plc\"; tags = (\n"
                         "  { name = \"a\"; table = \"coil\"; address = 0; },\n"
                         "  { name = \"b\"; address = 0; bit = 3; },\n"
                         "  { name = \"c\"; address = 0; },\n"
                         "  { name = \"e\"; address = 0; type = \"bool\"; } ); } );\n");
    const struct config_tag *tags = driven.config->devices[0].tags;
    CU_ASSERT_EQUAL(tags[0].type, VALUE_BOOL);
    CU_ASSERT_EQUAL(tags[1].type, VALUE_BOOL);
    CU_ASSERT_EQUAL(tags[2].type, VALUE_UINT16);
    CU_ASSERT_EQUAL(tags[3].type, VALUE_BOOL);
    driven_close(&driven);
}

static void test_limits(void)
{
    const struct modbus_device most = {.max_gap = 125, .max_registers = MODBUS_READ_REGISTERS_MAX};
    CU_ASSERT_EQUAL(modbus_limits(&most).max_bits, MODBUS_READ_BITS_MAX);
}

TEST_MAIN("modbus_options", {"what is fine is not complained about", test_fine},
          {"what cannot be is refused, with what to do", test_refused},
          {"units have the numbers of their wire", test_units},
          {"what is wrong with a serial line is told", test_serial},
          {"a tag without a type gets the one of its place", test_types},
          {"the most registers are as many bits as a request may ask for", test_limits})
