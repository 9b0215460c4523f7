/* Lines and tags as a person writes them on a command line. Pure. */

#include "agent/cli/init/init_notation.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_name(const char *text, size_t length)
{
    static const char fit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    return length >= 1 && length <= 64 && strspn(text, fit) >= length;
}

/* Copies LENGTH bytes and a NUL; false when they do not fit. */
static bool copy(const char *text, size_t length, char *out, size_t size)
{
    if (length >= size)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

static bool number(const char *text, unsigned min, unsigned max, unsigned *ret_number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 7 || text[digits])
        return false;
    unsigned long value = strtoul(text, NULL, 10);
    if (value < min || value > max)
        return false;
    *ret_number = (unsigned)value;
    return true;
}

/* ---- lines ---- */

static int parse_tcp(const char *text, struct init_bus *bus, struct problem *problem)
{
    const char *host = text, *end, *port;
    if (*text == '[') { /* IPv6 */
        host = text + 1;
        end = strchr(host, ']');
        port = end ? end + 1 : NULL;
    } else {
        end = strchrnul(host, ':');
        port = end;
    }
    if (!end || end == host || !copy(host, (size_t)(end - host), bus->place, sizeof(bus->place)))
        return problem_say(problem, "\"tcp:%s\": write tcp:HOST or tcp:HOST:PORT", text);
    if (*port && (*port != ':' || !number(port + 1, 1, 65535, &bus->port)))
        return problem_say(problem, "\"tcp:%s\": the port is a number from 1 to 65535%s", text,
                           strchr(end + 1, ':') ? "; an IPv6 address stands in [ ]" : "");
    return 0;
}

/* Modbus RTU has 8 data bits: MODBUS over Serial Line V1.02, section 2.5.1. */
static bool is_frame(const char *text)
{
    return strlen(text) == 3 && text[0] == '8' && strchr("NEO", text[1]) && strchr("12", text[2]);
}

static int parse_rtu(const char *text, struct init_bus *bus, struct problem *problem)
{
    const char *comma = strchrnul(text, ',');
    if (text[0] != '/' || !copy(text, (size_t)(comma - text), bus->place, sizeof(bus->place)))
        return problem_say(problem, "\"rtu:%s\": write rtu:/dev/DEVICE[,BAUD[,8E1]]", text);
    if (!*comma)
        return 0;
    char baud[8];
    const char *frame = strchrnul(comma + 1, ',');
    if (!copy(comma + 1, (size_t)(frame - comma - 1), baud, sizeof(baud)) ||
        !number(baud, 50, 4000000, &bus->baud))
        return problem_say(problem, "\"rtu:%s\": the speed is a number such as 19200", text);
    if (!*frame)
        return 0;
    if (!is_frame(frame + 1))
        return problem_say(problem, "\"rtu:%s\": behind the speed stands 8E1, 8N1, 8N2 or the like",
                           text);
    return copy(frame + 1, 3, bus->frame, sizeof(bus->frame)) ? 0 : -EINVAL;
}

static int parse_sim(const char *text, struct init_bus *bus, struct problem *problem)
{
    (void)bus;
    return *text ? problem_say(problem, "\"sim:%s\": nothing stands behind sim:", text) : 0;
}

static const struct {
    const char *word, *driver, *name; /* NAME: with a number behind it */
    int (*parse)(const char *text, struct init_bus *bus, struct problem *problem);
} kinds[] = {
    {"tcp:", "modbus_tcp", "plc", parse_tcp},
    {"rtu:", "modbus_rtu", "line", parse_rtu},
    {"sim:", "sim", "sim", parse_sim},
};

int init_parse_bus(const char *text, unsigned count, struct init_bus *ret_bus,
                   struct problem *ret_problem)
{
    struct init_bus bus = {.port = 0};
    const char *rest = text, *equals = strchr(text, '=');
    if (equals && is_name(text, (size_t)(equals - text))) {
        (void)copy(text, (size_t)(equals - text), bus.name, sizeof(bus.name));
        rest = equals + 1;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
        size_t length = strlen(kinds[i].word);
        if (strncmp(rest, kinds[i].word, length) != 0)
            continue;
        bus.driver = kinds[i].driver;
        if (!bus.name[0])
            (void)snprintf(bus.name, sizeof(bus.name), "%s%u", kinds[i].name, count + 1);
        int problem = kinds[i].parse(rest + length, &bus, ret_problem);
        if (problem == 0)
            *ret_bus = bus;
        return problem;
    }
    return problem_say(ret_problem,
                       "\"%s\" is no line; write [NAME=]tcp:HOST[:PORT], "
                       "[NAME=]rtu:DEVICE[,BAUD[,8E1]] or [NAME=]sim:",
                       text);
}

/* ---- tags ---- */

/* Takes the part of *TEXT up to the next slash; false when it is empty or too long. */
static bool take_part(const char **text, char *out, size_t size)
{
    const char *end = strchrnul(*text, '/');
    if (end == *text || !copy(*text, (size_t)(end - *text), out, size))
        return false;
    *text = *end ? end + 1 : end;
    return true;
}

static bool parse_register(const char *text, struct init_tag *tag)
{
    char unit[8], address[8];
    tag->has_register = true;
    if (!take_part(&text, unit, sizeof(unit)) || !number(unit, 0, 255, &tag->unit) ||
        !take_part(&text, tag->table, sizeof(tag->table)) ||
        !take_part(&text, address, sizeof(address)) || !number(address, 0, 65535, &tag->address))
        return false;
    if (*text && !take_part(&text, tag->type, sizeof(tag->type)))
        return false;
    if (*text && !take_part(&text, tag->order, sizeof(tag->order)))
        return false;
    return !*text;
}

int init_parse_tag(const char *text, struct init_tag *ret_tag, struct problem *ret_problem)
{
    static const char *const advice =
        "write DEVICE.TAG=BUS/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]], such as "
        "boiler.temperature=plc1/1/holding/100/float32/CDAB";
    struct init_tag tag = {.has_register = false};
    const char *equals = strchrnul(text, '=');
    const char *dot = memrchr(text, '.', (size_t)(equals - text));
    if (!*equals || !dot || !is_name(text, (size_t)(dot - text)) ||
        !is_name(dot + 1, (size_t)(equals - dot - 1)))
        return problem_say(ret_problem, "\"%s\" names no tag; %s", text, advice);
    (void)copy(text, (size_t)(dot - text), tag.device, sizeof(tag.device));
    (void)copy(dot + 1, (size_t)(equals - dot - 1), tag.tag, sizeof(tag.tag));
    const char *rest = equals + 1;
    if (!take_part(&rest, tag.bus, sizeof(tag.bus)) || !is_name(tag.bus, strlen(tag.bus)) ||
        (*rest && !parse_register(rest, &tag)))
        return problem_say(ret_problem, "\"%s\" says not where the value lies; %s", text, advice);
    *ret_tag = tag;
    return 0;
}
