/* What can be asked of a Modbus unit, as plain values. Pure. */
#include "drivers/modbus/modbus_request.h"

#include "agent/base/macros.h"

const char *const modbus_table_names[] = {"coil", "discrete", "input", "holding", NULL};

const struct driver_service modbus_service = {.name = "reading registers"};

/* One row for each function; the others have most = 0. */
static const struct function {
    enum modbus_table table;
    bool writes;
    uint16_t most; /* values of one request */
} functions[] = {
    [MODBUS_READ_COILS] = {MODBUS_COIL, false, MODBUS_READ_BITS_MAX},
    [MODBUS_READ_DISCRETE] = {MODBUS_DISCRETE, false, MODBUS_READ_BITS_MAX},
    [MODBUS_READ_HOLDING] = {MODBUS_HOLDING, false, MODBUS_READ_REGISTERS_MAX},
    [MODBUS_READ_INPUT] = {MODBUS_INPUT, false, MODBUS_READ_REGISTERS_MAX},
    [MODBUS_WRITE_COIL] = {MODBUS_COIL, true, 1},
    [MODBUS_WRITE_REGISTER] = {MODBUS_HOLDING, true, 1},
    [MODBUS_WRITE_COILS] = {MODBUS_COIL, true, MODBUS_WRITE_BITS_MAX},
    [MODBUS_WRITE_REGISTERS] = {MODBUS_HOLDING, true, MODBUS_WRITE_REGISTERS_MAX},
};

static struct function look_up(uint8_t function)
{
    return function < ARRAY_LENGTH(functions) ? functions[function] : (struct function){.most = 0};
}

struct driver_request modbus_call_request(struct modbus_call *call)
{
    return (struct driver_request){
        .service = &modbus_service, .body = call, .may_repeat = call->request.may_repeat};
}

struct modbus_request modbus_read_request(uint8_t unit, enum modbus_table table, uint16_t address,
                                          uint16_t count)
{
    static const uint8_t reads[] = {[MODBUS_COIL] = MODBUS_READ_COILS,
                                    [MODBUS_DISCRETE] = MODBUS_READ_DISCRETE,
                                    [MODBUS_INPUT] = MODBUS_READ_INPUT,
                                    [MODBUS_HOLDING] = MODBUS_READ_HOLDING};
    return (struct modbus_request){.function = reads[table],
                                   .unit = unit,
                                   .may_repeat = true,
                                   .address = address,
                                   .count = count};
}

bool modbus_table_is_bits(uint8_t table)
{
    return table == MODBUS_COIL || table == MODBUS_DISCRETE;
}

enum modbus_table modbus_request_table(const struct modbus_request *request)
{
    return look_up(request->function).table;
}

bool modbus_request_is_bits(const struct modbus_request *request)
{
    return modbus_table_is_bits((uint8_t)modbus_request_table(request));
}

bool modbus_request_is_write(const struct modbus_request *request)
{
    return look_up(request->function).writes;
}

uint16_t modbus_request_most(uint8_t function)
{
    return look_up(function).most;
}

bool modbus_request_is_valid(const struct modbus_request *request)
{
    const struct function function = look_up(request->function);
    if (request->count == 0 || request->count > function.most)
        return false;
    if (function.writes && !request->values)
        return false;
    return request->address + request->count <= 65536;
}
