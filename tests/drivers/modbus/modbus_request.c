/* What can be asked of a Modbus unit. */
#include "drivers/modbus/modbus_request.h"

#include "tests/support/test.h"

static const uint16_t values[2000];

static struct modbus_request make(uint8_t function, uint16_t address, uint16_t count)
{
    return (struct modbus_request){
        .function = function, .unit = 1, .address = address, .count = count, .values = values};
}

static void test_limits(void)
{
    static const struct {
        uint8_t function;
        uint16_t address, count;
        bool valid;
    } cases[] = {
        {3, 0, 0, false},       {3, 0, 1, true},         {3, 0, 125, true},
        {3, 0, 126, false},     {4, 0, 125, true},       {4, 0, 126, false},
        {1, 0, 2000, true},     {1, 0, 2001, false},     {2, 0, 2000, true},
        {2, 0, 2001, false},    {3, 65535, 1, true},     {3, 65535, 2, false},
        {1, 63536, 2000, true}, {1, 63537, 2000, false}, {5, 65535, 1, true},
        {5, 0, 2, false},       {6, 65535, 1, true},     {6, 0, 2, false},
        {15, 0, 1968, true},    {15, 0, 1969, false},    {16, 0, 123, true},
        {16, 0, 124, false},    {16, 65535, 2, false},   {0, 0, 1, false},
        {7, 0, 1, false},       {14, 0, 1, false},       {17, 0, 1, false},
        {255, 0, 1, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct modbus_request request = make(cases[i].function, cases[i].address, cases[i].count);
        CU_ASSERT_EQUAL(modbus_request_is_valid(&request), cases[i].valid);
        request.values = NULL;
        bool reads = cases[i].function < 5;
        CU_ASSERT_EQUAL(modbus_request_is_valid(&request), cases[i].valid && reads);
    }
}

static void test_tables(void)
{
    static const uint8_t functions[] = {1, 2, 4, 3};
    for (uint8_t table = MODBUS_COIL; table <= MODBUS_HOLDING; table++) {
        struct modbus_request request = modbus_read_request(7, (enum modbus_table)table, 300, 5);
        CU_ASSERT_EQUAL(request.function, functions[table]);
        CU_ASSERT_EQUAL(request.unit, 7);
        CU_ASSERT_EQUAL(request.address, 300);
        CU_ASSERT_EQUAL(request.count, 5);
        CU_ASSERT_TRUE(request.may_repeat);
        CU_ASSERT_EQUAL(modbus_request_table(&request), table);
        CU_ASSERT_EQUAL(modbus_request_is_bits(&request), table <= MODBUS_DISCRETE);
        CU_ASSERT_FALSE(modbus_request_is_write(&request));
    }
    TEST_TEXT_EQUAL(modbus_table_names[MODBUS_HOLDING], "holding");
}

static void test_writes(void)
{
    static const uint8_t bits[] = {5, 15}, registers[] = {6, 16};
    for (size_t i = 0; i < 2; i++) {
        struct modbus_request request = make(bits[i], 0, 1);
        CU_ASSERT_TRUE(modbus_request_is_write(&request) && modbus_request_is_bits(&request));
        CU_ASSERT_FALSE(request.may_repeat); /* unless somebody says so */
        request = make(registers[i], 0, 1);
        CU_ASSERT_TRUE(modbus_request_is_write(&request) && !modbus_request_is_bits(&request));
    }
}

static void test_call(void)
{
    struct modbus_call call = {.request = modbus_read_request(1, MODBUS_COIL, 0, 1)};
    struct driver_request request = modbus_call_request(&call);
    CU_ASSERT_PTR_EQUAL(request.service, &modbus_service);
    CU_ASSERT_PTR_EQUAL(request.body, &call);
    CU_ASSERT_TRUE(request.may_repeat);
    call.request = make(MODBUS_WRITE_REGISTER, 0, 1);
    CU_ASSERT_FALSE(modbus_call_request(&call).may_repeat);
}

TEST_MAIN("modbus_request", {"requests beyond the limits of the protocol are known", test_limits},
          {"each table is read with its function", test_tables},
          {"writes are known, and are not repeated unless allowed", test_writes},
          {"a call goes to a line as what it is", test_call})
