/* What an honest Modbus server does with one request. */
#include "tests/plant/serve.h"

#include <string.h>

#define MAX_BITS 2000

struct request {
    struct image *image;
    uint16_t limit;
    int64_t wall_us;
    const uint8_t *pdu;
    size_t length;
    uint16_t address, count;
};

/* Returns the reply's length, or 0 with *RET_EXCEPTION set. */
typedef size_t serve_function(const struct request *request, enum table table, uint8_t *reply,
                              uint8_t *ret_exception);

static uint16_t word_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static size_t refuse(uint8_t *ret_exception, uint8_t code)
{
    *ret_exception = code;
    return 0;
}

/* The checks that the flow charts of section 6 put first: quantity (3), then addresses (2). */
static uint8_t check_range(const struct request *request, enum table table, uint16_t most)
{
    uint16_t limit = request->limit && request->limit < most ? request->limit : most;
    if (request->count == 0 || request->count > limit)
        return EXCEPTION_VALUE;
    if ((uint32_t)request->address + request->count > 65536 ||
        image_has_hole(request->image, table, request->address, request->count))
        return EXCEPTION_ADDRESS;
    return 0;
}

static size_t read_bits(const struct request *request, enum table table, uint8_t *reply,
                        uint8_t *ret_exception)
{
    uint16_t values[MAX_BITS];
    uint8_t wrong = request->length == 5 ? check_range(request, table, MAX_BITS) : EXCEPTION_VALUE;
    if (wrong)
        return refuse(ret_exception, wrong);
    image_read(request->image, table, request->address, request->count, request->wall_us, values);
    size_t n_bytes = (request->count + 7U) / 8;
    reply[1] = (uint8_t)n_bytes;
    memset(reply + 2, 0, n_bytes);
    for (size_t i = 0; i < request->count; i++)
        reply[2 + i / 8] = (uint8_t)(reply[2 + i / 8] | (values[i] & 1) << (i % 8));
    return 2 + n_bytes;
}

static size_t read_registers(const struct request *request, enum table table, uint8_t *reply,
                             uint8_t *ret_exception)
{
    uint16_t values[125];
    uint8_t wrong = request->length == 5 ? check_range(request, table, 125) : EXCEPTION_VALUE;
    if (wrong)
        return refuse(ret_exception, wrong);
    image_read(request->image, table, request->address, request->count, request->wall_us, values);
    reply[1] = (uint8_t)(2 * request->count);
    for (size_t i = 0; i < request->count; i++) {
        reply[2 + 2 * i] = (uint8_t)(values[i] >> 8);
        reply[3 + 2 * i] = (uint8_t)values[i];
    }
    return 2 + 2 * (size_t)request->count;
}

static size_t write_one(const struct request *request, enum table table, uint8_t *reply,
                        uint8_t *ret_exception)
{
    uint16_t value = request->count; /* stands where a count stands elsewhere */
    if (request->length != 5 || (table == TABLE_COIL && value != 0xFF00 && value != 0))
        return refuse(ret_exception, EXCEPTION_VALUE);
    if (image_has_hole(request->image, table, request->address, 1))
        return refuse(ret_exception, EXCEPTION_ADDRESS);
    image_write(request->image, table, request->address,
                table == TABLE_COIL ? value == 0xFF00 : value);
    memcpy(reply, request->pdu, 5);
    return 5;
}

static size_t write_many(const struct request *request, enum table table, uint8_t *reply,
                         uint8_t *ret_exception)
{
    bool bits = table == TABLE_COIL;
    size_t n_bytes = bits ? (request->count + 7U) / 8 : 2U * request->count;
    uint8_t wrong = check_range(request, table, bits ? 1968 : 123);
    if (request->length < 6 || request->pdu[5] != n_bytes || request->length != 6 + n_bytes)
        wrong = EXCEPTION_VALUE;
    if (wrong)
        return refuse(ret_exception, wrong);
    const uint8_t *data = request->pdu + 6;
    for (size_t i = 0; i < request->count; i++) {
        int value = bits ? data[i / 8] >> (i % 8) & 1 : word_at(data + 2 * i);
        image_write(request->image, table, (uint16_t)(request->address + i), (uint16_t)value);
    }
    memcpy(reply, request->pdu, 5);
    return 5;
}

static const struct {
    serve_function *run;
    enum table table;
} functions[] = {
    [1] = {read_bits, TABLE_COIL},         [2] = {read_bits, TABLE_DISCRETE},
    [3] = {read_registers, TABLE_HOLDING}, [4] = {read_registers, TABLE_INPUT},
    [5] = {write_one, TABLE_COIL},         [6] = {write_one, TABLE_HOLDING},
    [15] = {write_many, TABLE_COIL},       [16] = {write_many, TABLE_HOLDING},
};

size_t serve_exception(uint8_t function, uint8_t code, uint8_t *ret_reply)
{
    ret_reply[0] = function | 0x80;
    ret_reply[1] = code;
    return 2;
}

size_t serve(struct image *image, uint16_t limit, int64_t wall_us, const uint8_t *request,
             size_t length, uint8_t *ret_reply, struct asked *ret_asked)
{
    struct request parsed = {.image = image, .limit = limit, .wall_us = wall_us};
    parsed.pdu = request;
    parsed.length = length;
    uint8_t function = request[0];
    if (length >= 5) {
        parsed.address = word_at(request + 1);
        parsed.count = word_at(request + 3);
    }
    *ret_asked = (struct asked){function, parsed.address, parsed.count};
    if (function >= sizeof(functions) / sizeof(functions[0]) || !functions[function].run)
        return serve_exception(function, EXCEPTION_FUNCTION, ret_reply);
    if (length < 5)
        return serve_exception(function, EXCEPTION_VALUE, ret_reply);
    uint8_t exception = 0;
    ret_reply[0] = function;
    size_t n = functions[function].run(&parsed, functions[function].table, ret_reply, &exception);
    return n > 0 ? n : serve_exception(function, exception, ret_reply);
}
