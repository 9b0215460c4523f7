/* Opening a serial port. See serial_port.h. */
#include "drivers/serial/serial_port.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

/* Whether PORT took over the rate: setting it reports success even when it did not. */
static bool baud_is_set(int port, int64_t baud)
{
    struct termios settings;
    speed_t code;
    return serial_baud_code(baud, &code) && tcgetattr(port, &settings) == 0 &&
           cfgetospeed(&settings) == code;
}

static const struct {
    int error;
    const char *advice;
} advices[] = {
    {ENOENT, "there is no such device: is the adapter plugged in?"},
    {ENODEV, "there is no such device: is the adapter plugged in?"},
    {ENXIO, "there is no such device: is the adapter plugged in?"},
    {EACCES, "not allowed: the agent's user must be in the group that owns the device (dialout)"},
    {EPERM, "not allowed: the agent's user must be in the group that owns the device (dialout)"},
    {EBUSY, "another program uses it: stop that one, or give it another port"},
    {EWOULDBLOCK, "another program uses it: stop that one, or give it another port"},
    {ENOTTY, "this is not a serial port: check the key `device`"},
    {EINVAL, "the port refuses these settings: check baud, parity, data_bits and stop_bits"},
};

int serial_explain(const char *device, int error, char *problem, size_t room)
{
    const char *advice = strerror(error);
    for (size_t i = 0; i < ARRAY_LENGTH(advices); i++) {
        if (advices[i].error == error)
            advice = advices[i].advice;
    }
    (void)snprintf(problem, room, "%s: %s", device, advice);
    return -error;
}

/*
 * A pseudo terminal (a port of another machine, a simulator) has no parity bits, only characters
 * of 8 bits. The C library reports that as an error when nothing else was to be changed.
 */
static bool is_pseudo_terminal(int port)
{
    struct stat about;
    if (fstat(port, &about) < 0)
        return false;
    return major(about.st_rdev) >= 136 && major(about.st_rdev) <= 143; /* Unix98, kernel's list */
}

static tcflag_t character_flags(const struct serial_options *options, bool pseudo)
{
    tcflag_t flags = CLOCAL | CREAD; /* no modem lines */
    flags |= options->data_bits == 7 && !pseudo ? CS7 : CS8;
    flags |= options->stop_bits == 2 ? CSTOPB : 0;
    flags |= options->parity == SERIAL_NONE || pseudo ? 0 : PARENB;
    flags |= options->parity == SERIAL_ODD ? PARODD : 0;
    return flags;
}

/* A character with a wrong parity is read as NUL. */
static int set_characters(int port, const struct serial_options *options)
{
    struct termios wanted;
    speed_t code;
    if (!serial_baud_code(options->baud, &code))
        return -EINVAL;
    if (tcgetattr(port, &wanted) < 0)
        return -errno;
    cfmakeraw(&wanted);
    wanted.c_cflag = character_flags(options, is_pseudo_terminal(port));
    wanted.c_iflag = options->parity == SERIAL_NONE ? 0 : INPCK;
    wanted.c_cc[VMIN] = 1; /* so that reading nothing is told from a hang-up */
    wanted.c_cc[VTIME] = 0;
    if (cfsetspeed(&wanted, code) < 0 || tcsetattr(port, TCSANOW, &wanted) < 0)
        return -errno;
    return baud_is_set(port, options->baud) ? 0 : -EINVAL;
}

/* Lets the kernel switch the direction of an RS-485 transceiver: user space would be too slow. */
static int set_rs485(int port, bool on)
{
    struct serial_rs485 mode;
    memset(&mode, 0, sizeof(mode));
    if (ioctl(port, TIOCGRS485, &mode) < 0)
        return on ? -errno : 0;
    if (!on && !(mode.flags & SER_RS485_ENABLED))
        return 0;
    mode.flags = on ? SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND : 0;
    if (ioctl(port, TIOCSRS485, &mode) < 0 || ioctl(port, TIOCGRS485, &mode) < 0)
        return -errno;
    return on == ((mode.flags & SER_RS485_ENABLED) != 0) ? 0 : -EOPNOTSUPP;
}

/* Some USB adapters hold back what they receive for 16 ms unless they are asked not to. */
static void ask_for_low_latency(int port)
{
    struct serial_struct settings;
    if (ioctl(port, TIOCGSERIAL, &settings) < 0)
        return;
    settings.flags = (int)((unsigned)settings.flags | ASYNC_LOW_LATENCY);
    (void)ioctl(port, TIOCSSERIAL, &settings); /* a wish: not every driver has it */
}

int serial_set_up(int port, const struct serial_options *options, char *problem, size_t room)
{
    if (flock(port, LOCK_EX | LOCK_NB) < 0)
        return serial_explain(options->device, errno == EWOULDBLOCK ? EBUSY : errno, problem, room);
    int result = set_characters(port, options);
    if (result < 0)
        return serial_explain(options->device, -result, problem, room);
    result = set_rs485(port, options->rs485 == SERIAL_RS485_ON);
    if (result < 0) {
        (void)snprintf(problem, room,
                       "%s cannot be switched to rs485 = \"%s\": %s; most USB adapters switch by "
                       "themselves and need \"off\"",
                       options->device, serial_rs485_names[options->rs485], strerror(-result));
        return result;
    }
    if (!is_pseudo_terminal(port))   /* it would outlast us there, until its other end is closed */
        (void)ioctl(port, TIOCEXCL); /* for those who do not lock; root is not kept out */
    ask_for_low_latency(port);
    (void)tcflush(port, TCIOFLUSH);
    return 0;
}

int serial_open(const struct serial_options *options, char *problem, size_t room)
{
    CLEANUP(descriptor_close)
    int port = open(options->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port < 0)
        return serial_explain(options->device, errno, problem, room);
    if (!isatty(port))
        return serial_explain(options->device, ENOTTY, problem, room);
    int result = serial_set_up(port, options, problem, room);
    return result < 0 ? result : descriptor_take(&port);
}
