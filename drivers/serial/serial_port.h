/*
 * Opening a serial port for instruments that send text: raw, unblocking, ours alone. Any thread.
 */
#ifndef SALLYPORT_DRIVERS_SERIAL_SERIAL_PORT_H
#define SALLYPORT_DRIVERS_SERIAL_SERIAL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum serial_parity { SERIAL_NONE, SERIAL_EVEN, SERIAL_ODD };
extern const char *const serial_parity_names[]; /* NULL-terminated, same order */

struct serial_settings {
    const char *device; /* path */
    int64_t baud;       /* serial_baud_is_known() */
    int parity;         /* enum serial_parity */
    int64_t data_bits;  /* 7 or 8 */
    int64_t stop_bits;  /* 1 or 2 */
};

bool serial_baud_is_known(int64_t baud);

/* Whether PORT took over the rate: setting it reports success even when it did not. */
bool serial_baud_is_set(int port, int64_t baud);

/*
 * Opens the port and locks it against other programs. Returns the descriptor, which the caller
 * closes, or a negative errno after putting one line into PROBLEM: what is wrong and what to do.
 */
int serial_open(const struct serial_settings *settings, char *problem, size_t room);

#endif
