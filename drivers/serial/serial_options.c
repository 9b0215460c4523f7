/* The configuration keys of a serial port, and what can be wrong with them. */
#include "drivers/serial/serial_options.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"

const char *const serial_parity_names[] = {"none", "even", "odd", NULL};
const char *const serial_rs485_names[] = {"off", "on", NULL};

static const struct {
    int64_t baud;
    speed_t code;
} speeds[] = {
    {300, B300},       {600, B600},       {1200, B1200},     {2400, B2400},     {4800, B4800},
    {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200},
    {230400, B230400}, {460800, B460800}, {500000, B500000}, {921600, B921600}, {1000000, B1000000},
};

bool serial_baud_code(int64_t baud, speed_t *ret_code)
{
    for (size_t i = 0; i < ARRAY_LENGTH(speeds); i++) {
        if (speeds[i].baud == baud) {
            *ret_code = speeds[i].code;
            return true;
        }
    }
    return false;
}

void serial_options_check(const struct config_bus *bus, const struct serial_options *options,
                          struct findings *findings)
{
    speed_t code;
    if (!serial_baud_code(options->baud, &code))
        findings_add(
            findings, FINDING_ERROR, bus->where, "baud",
            "%lld is not a standard baud rate; use one such as 1200, 9600, 19200, 38400 or 115200",
            (long long)options->baud);
}

int64_t serial_char_ns(const struct serial_options *options)
{
    int64_t bits = 1 + options->data_bits + (options->parity != SERIAL_NONE) + options->stop_bits;
    return (bits * CLOCK_NS_PER_S + options->baud - 1) / options->baud;
}
