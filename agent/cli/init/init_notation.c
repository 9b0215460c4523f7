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

/* One row for each kind of line. */
struct line_kind {
    const char *word, *name;         /* NAME: of the line, with a number after it */
    const char *framing, *transport; /* of a host; NULL: the driver's default */
    bool has_host, has_device;
    const char *data_bits; /* that a device may have */
};

static const struct line_kind kinds[] = {
    {"tcp:", "plc", NULL, NULL, true, false, ""},
    {"udp:", "plc", NULL, "udp", true, false, ""},
    {"rtu:", "line", "rtu", NULL, true, true, "8"},
    {"ascii:", "line", "ascii", NULL, true, true, "78"}, /* most have 7: it is what is advised */
    {"sim:", "sim", NULL, NULL, false, false, ""},
};

static int parse_host(const struct line_kind *kind, const char *text, struct init_bus *bus,
                      struct problem *problem)
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
    bus->driver = "modbus_tcp";
    bus->place_key = "host";
    bus->framing = kind->framing;
    bus->transport = kind->transport;
    if (!end || end == host || !copy(host, (size_t)(end - host), bus->place, sizeof(bus->place)))
        return problem_say(problem, "\"%s%s\": write %sHOST or %sHOST:PORT", kind->word, text,
                           kind->word, kind->word);
    if (*port && (*port != ':' || !number(port + 1, 1, 65535, &bus->port)))
        return problem_say(problem, "\"%s%s\": the port is a number from 1 to 65535%s", kind->word,
                           text, strchr(end + 1, ':') ? "; an IPv6 address is written in [ ]" : "");
    return 0;
}

/* "8E1". RTU has 8 data bits, ASCII 7: MODBUS over Serial Line V1.02, sections 2.5.1 and 2.5.2. */
static bool is_frame(const struct line_kind *kind, const char *text)
{
    return strlen(text) == 3 && strchr(kind->data_bits, text[0]) && strchr("NEO", text[1]) &&
           strchr("12", text[2]);
}

static int parse_device(const struct line_kind *kind, const char *text, struct init_bus *bus,
                        struct problem *problem)
{
    const char *comma = strchrnul(text, ',');
    bus->driver = "modbus_rtu";
    bus->place_key = "device";
    bus->framing = strcmp(kind->framing, "rtu") == 0 ? NULL : kind->framing;
    if (!copy(text, (size_t)(comma - text), bus->place, sizeof(bus->place)))
        return problem_say(problem, "\"%s%s\": write %s/dev/DEVICE[,BAUD[,%cE1]]", kind->word, text,
                           kind->word, kind->data_bits[0]);
    if (!*comma)
        return 0;
    char baud[8];
    const char *frame = strchrnul(comma + 1, ',');
    if (!copy(comma + 1, (size_t)(frame - comma - 1), baud, sizeof(baud)) ||
        !number(baud, 50, 4000000, &bus->baud))
        return problem_say(problem, "\"%s%s\": the speed is a number such as 19200", kind->word,
                           text);
    if (!*frame)
        return 0;
    if (!is_frame(kind, frame + 1))
        return problem_say(problem, "\"%s%s\": after the speed write %cE1, %cN2 or the like",
                           kind->word, text, kind->data_bits[0], kind->data_bits[0]);
    return copy(frame + 1, 3, bus->frame, sizeof(bus->frame)) ? 0 : -EINVAL;
}

static int parse_sim(const char *text, struct init_bus *bus, struct problem *problem)
{
    bus->driver = "sim";
    return *text ? problem_say(problem, "\"sim:%s\": write nothing after sim:", text) : 0;
}

static int parse_place(const struct line_kind *kind, const char *text, struct init_bus *bus,
                       struct problem *problem)
{
    if (kind->has_device && text[0] == '/')
        return parse_device(kind, text, bus, problem);
    if (!kind->has_host)
        return parse_sim(text, bus, problem);
    int result = parse_host(kind, text, bus, problem);
    if (result == 0 && kind->has_device && bus->port == 0) /* a device without its /dev/? */
        return problem_say(problem, "\"%s%s\": write %s/dev/DEVICE[,BAUD[,%cE1]] or %sHOST:PORT",
                           kind->word, text, kind->word, kind->data_bits[0], kind->word);
    return result;
}

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
        if (!bus.name[0])
            (void)snprintf(bus.name, sizeof(bus.name), "%s%u", kinds[i].name, count + 1);
        int problem = parse_place(&kinds[i], rest + length, &bus, ret_problem);
        if (problem == 0)
            *ret_bus = bus;
        return problem;
    }
    return problem_say(
        ret_problem,
        "\"%s\" is not a line; write [NAME=]tcp:HOST[:PORT], "
        "[NAME=]rtu:DEVICE[,BAUD[,8E1]], the same with udp: or ascii:, or [NAME=]sim:",
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
        "write DEVICE.TAG=LINE/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]], such as "
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
        return problem_say(ret_problem, "\"%s\" does not say where the value is; %s", text, advice);
    *ret_tag = tag;
    return 0;
}
