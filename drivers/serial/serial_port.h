/* Opening a serial port: raw, without waiting, ours alone. Any thread. */
#ifndef SALLYPORT_DRIVERS_SERIAL_SERIAL_PORT_H
#define SALLYPORT_DRIVERS_SERIAL_SERIAL_PORT_H

#include "drivers/serial/serial_options.h"

#include <stddef.h>

/*
 * Opens the port, locks it against other programs, and sets it up as OPTIONS say. Returns the
 * descriptor, which the caller closes, or a negative errno after putting one line
 * into PROBLEM (ROOM bytes): what is wrong and what to do.
 */
int serial_open(const struct serial_options *options, char *problem, size_t room);

/*
 * The second half of that, for a port that is open already: the lock and the settings. Returns 0,
 * or a negative errno after filling PROBLEM.
 */
int serial_set_up(int port, const struct serial_options *options, char *problem, size_t room);

/* Says in PROBLEM why DEVICE cannot be opened, and what to do about ERROR, an errno. Returns
 * -ERROR. */
int serial_explain(const char *device, int error, char *problem, size_t room);

#endif
