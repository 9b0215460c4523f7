/* A serial port with units on one pair of wires. */
#include "drivers/transport/transport_serial.h"

#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "drivers/serial/serial_port.h"
#include "drivers/wait.h"

#include <errno.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

struct serial_transport {
    struct transport base;
    const struct serial_options *options;
    modbus_t *modbus; /* whose port it is; NULL: closed */
    int port;         /* -1: closed */
};

static void close_modbus(modbus_t **modbus)
{
    if (!*modbus)
        return;
    modbus_close(*modbus);
    modbus_free(*modbus);
    *modbus = NULL;
}

/*
 * libmodbus opens the port and puts back its old settings at the end. What it does not know (other
 * rates, RS-485, the lock, pseudo terminals) serial_set_up() sets, after it and over it; so it is
 * given settings that every port takes.
 */
static int port_open(struct transport *transport, struct driver_error *error)
{
    struct serial_transport *serial = (struct serial_transport *)transport;
    const struct serial_options *options = serial->options;
    if (serial->port >= 0)
        return 0;
    CLEANUP(close_modbus) modbus_t *modbus = modbus_new_rtu(options->device, 9600, 'N', 8, 1);
    if (!modbus)
        return serial_explain(options->device, errno, error->text, sizeof(error->text));
    /* its own recovery sleeps, flushes and retries without end */
    (void)modbus_set_error_recovery(modbus, MODBUS_ERROR_RECOVERY_NONE);
    if (modbus_connect(modbus) < 0)
        return serial_explain(options->device, errno, error->text, sizeof(error->text));
    int problem =
        serial_set_up(modbus_get_socket(modbus), options, error->text, sizeof(error->text));
    if (problem < 0)
        return problem;
    serial->port = modbus_get_socket(modbus);
    serial->modbus = TAKE_POINTER(modbus);
    return 0;
}

static void port_close(struct transport *transport, bool in_error)
{
    struct serial_transport *serial = (struct serial_transport *)transport;
    (void)in_error;
    serial->port = -1;
    close_modbus(&serial->modbus);
}

static int port_send(struct transport *transport, const uint8_t *bytes, size_t length)
{
    struct serial_transport *serial = (struct serial_transport *)transport;
    ssize_t sent = write(serial->port, bytes, length);
    if (sent == (ssize_t)length)
        return 0;
    return sent < 0 ? -errno : -EAGAIN;
}

static ssize_t port_receive(struct transport *transport, uint8_t *bytes, size_t room,
                            int64_t deadline_ns)
{
    struct serial_transport *serial = (struct serial_transport *)transport;
    for (;;) {
        ssize_t got = read(serial->port, bytes, room);
        if (got > 0)
            return got;
        if (got == 0) /* nothing to wait for: hung up */
            return -EIO;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        int ready = wait_for(serial->port, POLLIN, deadline_ns, transport->stop);
        if (ready <= 0)
            return ready;
    }
}

static void port_drop_unsent(struct transport *transport)
{
    (void)tcflush(((struct serial_transport *)transport)->port, TCOFLUSH);
}

static void port_free(struct transport *transport)
{
    port_close(transport, false);
    free(transport);
}

static const struct transport_functions serial_calls = {
    .open = port_open,
    .close = port_close,
    .send = port_send,
    .receive = port_receive,
    .drop_unsent = port_drop_unsent,
    .free = port_free,
};

struct transport *transport_serial_new(const struct serial_options *options, int64_t turnaround_ms,
                                       const atomic_bool *stop)
{
    struct serial_transport *serial = memory_zeroed(1, sizeof(*serial));
    int64_t char_ns = serial_char_ns(options);
    serial->base = (struct transport){.calls = &serial_calls,
                                      .stop = stop,
                                      .is_port = true,
                                      .lost = "the serial device is gone",
                                      .advice = "; is the adapter plugged in?",
                                      .char_ns = char_ns,
                                      .silence_ns = (7 * char_ns + 1) / 2,
                                      .pause_ns = turnaround_ms * CLOCK_NS_PER_MS};
    if (options->baud > 19200) /* a fixed value above this rate */
        serial->base.silence_ns = 1750 * CLOCK_NS_PER_US;
    serial->options = options;
    serial->port = -1;
    return &serial->base;
}
