/*
 * The configuration keys of a serial port, the same for every driver that uses one, and what can
 * be wrong with them. Constants and pure functions; any thread.
 */
#ifndef SALLYPORT_DRIVERS_SERIAL_SERIAL_OPTIONS_H
#define SALLYPORT_DRIVERS_SERIAL_SERIAL_OPTIONS_H

#include "config/schema/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

enum serial_parity { SERIAL_NONE, SERIAL_EVEN, SERIAL_ODD };
extern const char *const serial_parity_names[]; /* NULL-terminated, same order */

enum serial_transceiver { SERIAL_RS485_OFF, SERIAL_RS485_ON };
extern const char *const serial_rs485_names[]; /* NULL-terminated, same order */

struct serial_options {
    char *device;      /* path */
    int64_t baud;      /* after serial_options_check() one of the usual rates */
    int parity;        /* enum serial_parity */
    int64_t data_bits; /* 7 or 8 */
    int64_t stop_bits; /* 1 or 2 */
    int rs485;         /* enum serial_transceiver */
};

/*
 * The rows of these keys, for a driver whose struct TABLE has a `struct serial_options` named
 * MEMBER. Defaults differ: BAUD and PARITY are texts, EXAMPLE is a device.
 */
#define SERIAL_OPTION_ROWS(table, member, example_device, baud_default, parity_default)            \
    {.key = "device",                                                                              \
     .type = OPTION_PATH,                                                                          \
     .flags = OPTION_REQUIRED,                                                                     \
     .reload = RELOAD_LINE,                                                                        \
     .offset = offsetof(table, member.device),                                                     \
     .help = "The serial port; a name under /dev/serial/by-id stays the same when adapters are "   \
             "plugged in another order.",                                                          \
     .example = (example_device)},                                                                 \
        {.key = "baud",                                                                            \
         .type = OPTION_INT,                                                                       \
         .min = 300,                                                                               \
         .max = 1000000,                                                                           \
         .fallback = (baud_default),                                                               \
         .reload = RELOAD_LINE,                                                                    \
         .offset = offsetof(table, member.baud),                                                   \
         .help = "Bits per second, one of the usual rates."},                                      \
        {.key = "parity",                                                                          \
         .type = OPTION_ENUM,                                                                      \
         .names = serial_parity_names,                                                             \
         .fallback = (parity_default),                                                             \
         .reload = RELOAD_LINE,                                                                    \
         .offset = offsetof(table, member.parity),                                                 \
         .help = "The parity bit of each character: none, even or odd."},                          \
        {.key = "data_bits",                                                                       \
         .type = OPTION_INT,                                                                       \
         .min = 7,                                                                                 \
         .max = 8,                                                                                 \
         .fallback = "8",                                                                          \
         .reload = RELOAD_LINE,                                                                    \
         .offset = offsetof(table, member.data_bits),                                              \
         .help = "Data bits of each character."},                                                  \
        {.key = "stop_bits",                                                                       \
         .type = OPTION_INT,                                                                       \
         .min = 1,                                                                                 \
         .max = 2,                                                                                 \
         .fallback = "1",                                                                          \
         .reload = RELOAD_LINE,                                                                    \
         .offset = offsetof(table, member.stop_bits),                                              \
         .help = "Stop bits after each character."},                                               \
    {                                                                                              \
        .key = "rs485", .type = OPTION_ENUM, .names = serial_rs485_names, .fallback = "off",       \
        .reload = RELOAD_LINE, .offset = offsetof(table, member.rs485),                            \
        .help = "on: the kernel switches the direction of an RS-485 transceiver with the RTS "     \
                "line; off: the adapter does it without help, or the line is RS-232."              \
    }

/* Adds to FINDINGS what is wrong with OPTIONS of BUS beyond what the rows say. */
void serial_options_check(const struct config_bus *bus, const struct serial_options *options,
                          struct findings *findings);

/* The code that termios has for BAUD. Returns false when it is none of the usual rates. */
bool serial_baud_code(int64_t baud, speed_t *ret_code);

/* One character on the wire in nanoseconds, start, parity and stop bits included, rounded up. */
int64_t serial_char_ns(const struct serial_options *options);

#endif
