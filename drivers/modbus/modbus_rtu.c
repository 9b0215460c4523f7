/*
 * The driver `modbus_rtu`: a serial port, opened and set up by libmodbus, with up to 247 units on
 * one pair of wires. What happens on the wire is rtu_wire.c.
 */
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "drivers/driver.h"
#include "drivers/modbus/modbus_options.h"
#include "drivers/modbus/modbus_poll.h"
#include "drivers/modbus/rtu_wire.h"
#include "drivers/serial/serial_port.h"

#include <errno.h>
#include <linux/serial.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct modbus_rtu_bus {
    char *device;
    int64_t baud, data_bits, stop_bits;
    int parity; /* enum serial_parity */
    int rs485;  /* enum rs485 */
    int64_t timeout_ms, turnaround_ms;
};

enum rs485 { RS485_OFF, RS485_ON };
static const char *const rs485_names[] = {"off", "on", NULL};

struct rtu_line {
    const struct modbus_rtu_bus *options;
    struct rtu_timing timing;
    struct rtu_wire *wire;
    modbus_t *modbus; /* NULL: not connected */
};

static int rtu_create(const struct driver_host *host, void **ret_line)
{
    const struct modbus_rtu_bus *options = host->bus->options;
    struct rtu_line *line = memory_zeroed(1, sizeof(*line));
    line->options = options;
    int64_t bits = 1 + options->data_bits + (options->parity != SERIAL_NONE) + options->stop_bits;
    line->timing =
        rtu_timing_make(options->baud, bits, options->timeout_ms, options->turnaround_ms);
    line->wire = rtu_wire_new(&line->timing, host->stop);
    *ret_line = line;
    return 0;
}

static void rtu_disconnect(void *instance)
{
    struct rtu_line *line = instance;
    if (!line->modbus)
        return;
    modbus_close(line->modbus);
    modbus_free(line->modbus);
    line->modbus = NULL;
}

static void rtu_free(void *instance)
{
    struct rtu_line *line = instance;
    if (!line)
        return;
    rtu_disconnect(line);
    rtu_wire_free(line->wire);
    free(line);
}

/* Lets the kernel switch the direction of an RS-485 transceiver: user space would be too slow. */
static int set_rs485(int file, bool on)
{
    struct serial_rs485 mode;
    memset(&mode, 0, sizeof(mode));
    if (ioctl(file, TIOCGRS485, &mode) < 0)
        return on ? -errno : 0;
    if (!on && !(mode.flags & SER_RS485_ENABLED))
        return 0;
    mode.flags = on ? SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND : 0;
    if (ioctl(file, TIOCSRS485, &mode) < 0 || ioctl(file, TIOCGRS485, &mode) < 0)
        return -errno;
    return on == ((mode.flags & SER_RS485_ENABLED) != 0) ? 0 : -EOPNOTSUPP;
}

/* Some USB adapters hold back what they receive for 16 ms unless they are asked not to. */
static void ask_for_low_latency(int file)
{
    struct serial_struct settings;
    if (ioctl(file, TIOCGSERIAL, &settings) < 0)
        return;
    settings.flags = (int)((unsigned)settings.flags | ASYNC_LOW_LATENCY);
    (void)ioctl(file, TIOCSSERIAL, &settings); /* a wish: not every driver has it */
}

static const char *advice(int problem)
{
    switch (problem) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return "is the adapter plugged in?";
    case EACCES:
    case EPERM:
        return "the agent's user must be in the group that owns the device (dialout)";
    case ENOTTY:
    case EINVAL:
        return "is it a serial port?";
    default:
        return "is another program using it?";
    }
}

/* What libmodbus leaves undone. Returns 0, or a negative errno with ERROR filled. */
static int set_up(const struct rtu_line *line, struct driver_error *error)
{
    const struct modbus_rtu_bus *options = line->options;
    int file = modbus_get_socket(line->modbus);
    if (flock(file, LOCK_EX | LOCK_NB) < 0) {
        driver_explain(error, "%s: another program uses it; stop that one", options->device);
        return -EBUSY;
    }
    if (!serial_baud_is_set(file, options->baud)) {
        driver_explain(error, "%s does not do %lld baud", options->device,
                       (long long)options->baud);
        return -EINVAL;
    }
    int result = set_rs485(file, options->rs485 == RS485_ON);
    if (result < 0) {
        driver_explain(error,
                       "%s cannot be switched to rs485 = \"%s\": %s; most USB adapters switch by "
                       "themselves and want \"off\"",
                       options->device, rs485_names[options->rs485], strerror(-result));
        return result;
    }
    ask_for_low_latency(file);
    return 0;
}

/* Sets line->modbus. Returns 0 or a negative errno. */
static int open_port(struct rtu_line *line, char parity)
{
    const struct modbus_rtu_bus *options = line->options;
    modbus_t *modbus = modbus_new_rtu(options->device, (int)options->baud, parity,
                                      (int)options->data_bits, (int)options->stop_bits);
    if (!modbus)
        return -errno;
    /* its own recovery sleeps, flushes and retries without end */
    (void)modbus_set_error_recovery(modbus, MODBUS_ERROR_RECOVERY_NONE);
    if (modbus_connect(modbus) < 0) {
        int problem = errno;
        modbus_free(modbus);
        return -problem;
    }
    line->modbus = modbus;
    return 0;
}

/*
 * A pseudo terminal (a port of another machine, a simulator) has no parity bits. The C library
 * reports that as an error when nothing else was to be changed.
 */
static bool is_pseudo_terminal(const char *path)
{
    struct stat about;
    if (stat(path, &about) < 0 || !S_ISCHR(about.st_mode))
        return false;
    return major(about.st_rdev) >= 136 && major(about.st_rdev) <= 143; /* Unix98, kernel's list */
}

static int rtu_connect(void *instance, struct driver_error *error)
{
    struct rtu_line *line = instance;
    static const char parity_letters[] = {'N', 'E', 'O'};
    if (line->modbus)
        return 0;
    const char *device = line->options->device;
    int result = open_port(line, parity_letters[line->options->parity]);
    if (result == -EINVAL && is_pseudo_terminal(device))
        result = open_port(line, parity_letters[SERIAL_NONE]);
    if (result < 0) {
        driver_explain(error, "cannot open %s: %s; %s", device, strerror(-result), advice(-result));
        return result;
    }
    result = set_up(line, error);
    if (result < 0) {
        rtu_disconnect(line);
        return result;
    }
    rtu_wire_attach(line->wire, line->modbus);
    return 0;
}

static enum outcome rtu_exchange(void *instance, const struct driver_request *request,
                                 struct pdu_reply *reply, struct driver_error *error)
{
    struct rtu_line *line = instance;
    if (rtu_connect(line, error) < 0)
        return OUTCOME_DISCONNECTED;
    enum outcome outcome = rtu_wire_exchange(line->wire, request, reply, error);
    if (outcome == OUTCOME_DISCONNECTED)
        rtu_disconnect(line);
    return outcome;
}

static int rtu_prepare(void *instance, const struct config_device *device, const uint16_t *tags,
                       size_t n_tags, void **ret_poll)
{
    (void)instance;
    *ret_poll = modbus_poll_new(device, tags, n_tags);
    return 0;
}

static void rtu_poll_free(void *poll)
{
    modbus_poll_free(poll);
}

static enum outcome rtu_read(void *instance, void *poll, struct batch *batch,
                             struct driver_error *error)
{
    return modbus_poll_read(poll, rtu_exchange, instance, clock_mono_ns(), batch, error);
}

static enum outcome rtu_request(void *instance, const struct driver_request *request,
                                struct driver_reply *reply, struct driver_error *error)
{
    return modbus_request_once(rtu_exchange, instance, request, reply, error);
}

static int64_t rtu_cost_us(void *instance, const void *poll)
{
    const struct rtu_line *line = instance;
    struct driver_request request;
    int64_t total_ns = 0;
    for (size_t i = 0; modbus_poll_request(poll, i, &request); i++)
        total_ns += rtu_exchange_ns(&line->timing, &request);
    return total_ns / CLOCK_NS_PER_US;
}

static void check_bus(const struct config_bus *bus, struct findings *findings)
{
    const struct modbus_rtu_bus *options = bus->options;
    if (!serial_baud_is_known(options->baud))
        findings_add(findings, FINDING_ERROR, bus->where, "baud",
                     "%lld is no usual rate; give one like 1200, 9600, 19200, 38400 or 115200",
                     (long long)options->baud);
    if (options->data_bits != 8)
        findings_add(findings, FINDING_WARNING, bus->where, "data_bits",
                     "Modbus RTU needs 8; with 7 the highest bit of every byte is lost");
}

static const struct option bus_rows[] = {
    {.key = "device",
     .type = OPTION_PATH,
     .flags = OPTION_REQUIRED,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, device),
     .help = "The serial port; a name under /dev/serial/by-id stays the same when adapters are "
             "plugged in another order.",
     .example = "/dev/ttyS1"},
    {.key = "baud",
     .type = OPTION_INT,
     .min = 1200,
     .max = 921600,
     .fallback = "19200",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, baud),
     .help = "Speed, one of the usual rates."},
    {.key = "parity",
     .type = OPTION_ENUM,
     .names = serial_parity_names,
     .fallback = "even",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, parity),
     .help = "Parity bit: none, even or odd; even is what the Modbus standard asks for."},
    {.key = "data_bits",
     .type = OPTION_INT,
     .min = 7,
     .max = 8,
     .fallback = "8",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, data_bits),
     .help = "Data bits of a character."},
    {.key = "stop_bits",
     .type = OPTION_INT,
     .min = 1,
     .max = 2,
     .fallback = "1",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, stop_bits),
     .help = "Stop bits of a character."},
    {.key = "rs485",
     .type = OPTION_ENUM,
     .names = rs485_names,
     .fallback = "off",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, rs485),
     .help = "on: the kernel switches the direction of an RS-485 transceiver with the RTS line; "
             "off: the adapter does it by itself, or the line is RS-232."},
    {.key = "timeout_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 10,
     .max = 60000,
     .fallback = "1000",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, timeout_ms),
     .help = "How long a unit may take to begin its reply."},
    {.key = "turnaround_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 0,
     .max = 10000,
     .fallback = "20",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct modbus_rtu_bus, turnaround_ms),
     .help = "The least pause after a request that was not answered. The 3.5 characters of "
             "silence before every request are kept in any case."},
};

const struct driver modbus_rtu_driver = {
    .config = {.name = "modbus_rtu",
               .help = "Modbus RTU: a serial line with one or more units.",
               .bus = {.path = "buses.modbus_rtu",
                       .help = "A serial line with Modbus RTU units.",
                       .rows = bus_rows,
                       .n_rows = ARRAY_LENGTH(bus_rows),
                       .size = sizeof(struct modbus_rtu_bus)},
               .device = {.path = "devices.modbus_rtu",
                          .help = "A device on a modbus_rtu bus.",
                          .rows = modbus_rtu_device_rows,
                          .n_rows = MODBUS_DEVICE_ROWS,
                          .size = sizeof(struct modbus_device)},
               .tag = {.path = "devices.tags.modbus_rtu",
                       .help = "A tag of a device on a modbus_rtu bus.",
                       .rows = modbus_tag_rows,
                       .n_rows = MODBUS_TAG_ROWS,
                       .size = sizeof(struct modbus_tag)},
               .check_device = modbus_check_device,
               .check_bus = check_bus},
    .create = rtu_create,
    .free = rtu_free,
    .prepare = rtu_prepare,
    .poll_free = rtu_poll_free,
    .connect = rtu_connect,
    .disconnect = rtu_disconnect,
    .read = rtu_read,
    .request = rtu_request,
    .cost_us = rtu_cost_us,
    .shared_wire = true,
};
