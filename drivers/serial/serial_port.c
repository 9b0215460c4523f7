/* Opening a serial port. See serial_port.h. */
#include "drivers/serial/serial_port.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

const char *const serial_parity_names[] = {"none", "even", "odd", NULL};

static const struct {
    int64_t baud;
    speed_t code;
} speeds[] = {
    {300, B300},       {600, B600},       {1200, B1200},     {2400, B2400},     {4800, B4800},
    {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200},
    {230400, B230400}, {460800, B460800}, {500000, B500000}, {921600, B921600}, {1000000, B1000000},
};

static const speed_t *find_speed(int64_t baud)
{
    for (size_t i = 0; i < ARRAY_LENGTH(speeds); i++) {
        if (speeds[i].baud == baud)
            return &speeds[i].code;
    }
    return NULL;
}

bool serial_baud_is_known(int64_t baud)
{
    return find_speed(baud) != NULL;
}

bool serial_baud_is_set(int port, int64_t baud)
{
    const speed_t *speed = find_speed(baud);
    struct termios settings;
    return speed && tcgetattr(port, &settings) == 0 && cfgetospeed(&settings) == *speed;
}

static const struct {
    int error;
    const char *advice;
} advices[] = {
    {ENOENT, "there is no such device: is the adapter plugged in?"},
    {ENODEV, "there is no such device: is the adapter plugged in?"},
    {ENXIO, "there is no such device: is the adapter plugged in?"},
    {EACCES, "not allowed: the service's user has to be a member of the device's group (dialout)"},
    {EBUSY, "another program uses it: stop that one, or give it another port"},
    {EWOULDBLOCK, "another program uses it: stop that one, or give it another port"},
    {ENOTTY, "this is no serial port: check the key `device`"},
    {EINVAL, "the port refuses these settings: check baud, parity, data_bits and stop_bits"},
};

static int explain(const char *device, int error, char *problem, size_t room)
{
    const char *advice = strerror(error);
    for (size_t i = 0; i < ARRAY_LENGTH(advices); i++) {
        if (advices[i].error == error)
            advice = advices[i].advice;
    }
    (void)snprintf(problem, room, "%s: %s", device, advice);
    return -error;
}

static tcflag_t character_flags(const struct serial_settings *settings)
{
    tcflag_t flags = CLOCAL | CREAD; /* no modem lines */
    flags |= settings->data_bits == 7 ? CS7 : CS8;
    flags |= settings->stop_bits == 2 ? CSTOPB : 0;
    flags |= settings->parity == SERIAL_NONE ? 0 : PARENB;
    flags |= settings->parity == SERIAL_ODD ? PARODD : 0;
    return flags;
}

/* A character with a wrong parity is read as NUL. */
static int set_up(int port, const struct serial_settings *settings)
{
    const speed_t *speed = find_speed(settings->baud);
    struct termios wanted;
    if (!speed)
        return -EINVAL;
    if (tcgetattr(port, &wanted) < 0)
        return -errno;
    cfmakeraw(&wanted);
    wanted.c_cflag = character_flags(settings);
    wanted.c_iflag = settings->parity == SERIAL_NONE ? 0 : INPCK;
    wanted.c_cc[VMIN] = 1; /* so that reading nothing is told from a hang-up */
    wanted.c_cc[VTIME] = 0;
    if (cfsetspeed(&wanted, *speed) < 0 || tcsetattr(port, TCSANOW, &wanted) < 0)
        return -errno;
    return serial_baud_is_set(port, settings->baud) ? 0 : -EINVAL;
}

int serial_open(const struct serial_settings *settings, char *problem, size_t room)
{
    CLEANUP(descriptor_close)
    int port = open(settings->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port < 0)
        return explain(settings->device, errno, problem, room);
    if (!isatty(port))
        return explain(settings->device, ENOTTY, problem, room);
    if (flock(port, LOCK_EX | LOCK_NB) < 0)
        return explain(settings->device, errno, problem, room);
    (void)ioctl(port, TIOCEXCL); /* for those who do not lock; root is not kept out */
    int result = set_up(port, settings);
    if (result < 0)
        return explain(settings->device, -result, problem, room);
    (void)tcflush(port, TCIOFLUSH);
    int opened = port;
    port = -1;
    return opened;
}
