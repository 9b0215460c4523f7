/* The keys of a serial port, and what can be wrong with them. */
#include "drivers/serial/serial_options.h"

#include "tests/support/driven.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

static const char *check(const char *driver, const char *keys)
{
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "buses: ( { name = \"b\"; driver = \"%s\"; device = \"/dev/x\"; %s } );\n"
                   "devices: ();\n",
                   driver, keys);
    return driven_check(text);
}

/* The same keys, bounds and messages for each driver that has a port. */
static void test_same_for_all(void)
{
    static const char *const drivers[] = {"modbus_rtu", "serial_text"};
    for (size_t i = 0; i < ARRAY_LENGTH(drivers); i++) {
        TEST_CONTAINS(check(drivers[i], "baud = 12345;"), "12345 is not a standard baud rate");
        CU_ASSERT_PTR_NULL(strstr(check(drivers[i], "baud = 300; rs485 = \"on\";"), "baud"));
        TEST_CONTAINS(check(drivers[i], "data_bits = 9;"), "data_bits");
        TEST_CONTAINS(check(drivers[i], "stop_bits = 3;"), "stop_bits");
        TEST_CONTAINS(check(drivers[i], "parity = \"mark\";"), "parity");
        TEST_CONTAINS(check(drivers[i], "rs485 = \"maybe\";"), "rs485");
    }
}

static void test_rates(void)
{
    static const struct {
        int64_t baud;
        speed_t code;
    } cases[] = {{300, B300}, {9600, B9600}, {115200, B115200}, {1000000, B1000000}};
    speed_t code = B50;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        CU_ASSERT_TRUE(serial_baud_code(cases[i].baud, &code));
        CU_ASSERT_EQUAL(code, cases[i].code);
    }
    code = B50;
    CU_ASSERT_FALSE(serial_baud_code(12345, &code));
    CU_ASSERT_FALSE(serial_baud_code(0, &code));
    CU_ASSERT_EQUAL(code, B50); /* untouched */
}

static void test_character(void)
{
    struct serial_options options = {
        .baud = 1000, .parity = SERIAL_NONE, .data_bits = 8, .stop_bits = 1};
    CU_ASSERT_EQUAL(serial_char_ns(&options), 10000000);
    options.parity = SERIAL_ODD;
    options.stop_bits = 2;
    CU_ASSERT_EQUAL(serial_char_ns(&options), 12000000);
    options.data_bits = 7;
    CU_ASSERT_EQUAL(serial_char_ns(&options), 11000000);
}

TEST_MAIN("serial_options", {"keys and checks are the same for all drivers", test_same_for_all},
          {"usual rates are known", test_rates}, {"a character takes all its bits", test_character})
