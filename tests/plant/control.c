/* The plant's command language. */
#include "tests/plant/control.h"

#include "agent/base/memory.h"
#include "tests/plant/line.h"
#include "tests/plant/plant.h"
#include "tests/plant/words.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS 8000000 /* of the record: 13 minutes of 10000 requests a second */

struct plant *plant_new(struct loop *loop)
{
    struct plant *plant = memory_zeroed(1, sizeof(*plant));
    plant->loop = loop;
    plant->dice.state = 0x5A11F0127;
    plant->record = record_new(MAX_ROWS);
    return plant;
}

struct plant *plant_free(struct plant *plant)
{
    if (!plant)
        return NULL;
    plant_hang_up(plant);
    for (size_t i = 0; i < plant->n_lines; i++)
        plant->lines[i]->kind->free(plant->lines[i]);
    record_free(plant->record);
    free(plant->lines);
    free(plant);
    return NULL;
}

static int complain(struct strbuf *out, int error, const char *text)
{
    strbuf_add(out, text);
    return error;
}

static int add_line(struct plant *plant, struct line *line)
{
    plant->lines = memory_resize(plant->lines, plant->n_lines + 1, sizeof(struct line *));
    plant->lines[plant->n_lines++] = line;
    return 0;
}

static struct unit_world next_world(struct plant *plant)
{
    return (struct unit_world){.dice = &plant->dice,
                               .record = plant->record,
                               .line = (uint32_t)plant->n_lines,
                               .wrap = NULL};
}

typedef int net_maker(const char *name, const struct net_settings *settings, struct loop *loop,
                      const struct unit_world *world, uint8_t first, uint8_t last,
                      struct line **ret_line);

/* NAME ADDRESS PORT UNITS [FRAMING] */
static int make_net(struct plant *plant, net_maker *make, char *const *words, size_t n_words,
                    struct strbuf *out)
{
    uint64_t port, first, last;
    struct line *line;
    struct unit_world world = next_world(plant);
    struct net_settings settings = {.framing = framing_find(n_words > 5 ? words[5] : "tcp")};
    if (n_words < 5 || n_words > 6 || !settings.framing ||
        word_number(words[3], 1, 65535, &port) != 0 ||
        word_range(words[4], 0, 255, &first, &last) != 0)
        return complain(out, -EINVAL, "usage: tcp|udp NAME ADDRESS PORT UNITS [tcp|rtu|ascii]");
    settings.address = words[2];
    settings.port = (uint16_t)port;
    int error =
        make(words[1], &settings, plant->loop, &world, (uint8_t)first, (uint8_t)last, &line);
    if (error)
        return complain(out, error, "cannot listen there");
    return add_line(plant, line);
}

static int make_tcp(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    return make_net(plant, tcp_new, words, n_words, out);
}

static int make_udp(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    return make_net(plant, udp_new, words, n_words, out);
}

static int parse_rtu_options(char *const *words, size_t n_words, struct rtu_settings *settings)
{
    uint64_t value;
    for (size_t i = 0; i < n_words; i++) {
        if (strcmp(words[i], "strict") == 0) {
            settings->strict = true;
        } else if (strcmp(words[i], "ascii") == 0) {
            settings->framing = framing_find("ascii");
        } else if (strcmp(words[i], "chunk") == 0 && i + 1 < n_words &&
                   word_number(words[i + 1], 1, 4096, &value) == 0) {
            settings->chunk = (unsigned)value;
            i++;
        } else {
            return -EINVAL;
        }
    }
    return 0;
}

/* The bits of one character: "8E1" is 1 start + 8 data + 1 parity + 1 stop. 0: not a format. */
static unsigned character_bits(const char *format)
{
    if (strlen(format) != 3 || !strchr("78", format[0]) || !strchr("NEO", format[1]) ||
        !strchr("12", format[2]))
        return 0;
    return 1U + (unsigned)(format[0] - '0') + (format[1] != 'N') + (unsigned)(format[2] - '0');
}

/* rtu NAME LINK BAUD FORMAT UNITS [ascii] [strict] [chunk N] */
static int make_rtu(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    uint64_t baud, first, last;
    struct line *line;
    struct unit_world world = next_world(plant);
    struct rtu_settings settings = {.chunk = 8, .strict = false, .framing = framing_find("rtu")};
    if (n_words < 6 || word_number(words[3], 1, 4000000, &baud) != 0 ||
        word_range(words[5], 1, 247, &first, &last) != 0 ||
        (settings.char_bits = character_bits(words[4])) == 0 ||
        parse_rtu_options(words + 6, n_words - 6, &settings) != 0)
        return complain(out, -EINVAL,
                        "usage: rtu NAME LINK BAUD 8E1 UNITS [ascii] [strict] [chunk N]");
    settings.link = words[2];
    settings.baud = (unsigned)baud;
    int error =
        rtu_new(words[1], &settings, plant->loop, &world, (uint8_t)first, (uint8_t)last, &line);
    if (error)
        return complain(out, error, "cannot make this line: the link, or the baud rate");
    return add_line(plant, line);
}

static int set_fault(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    return fault_parse(words, n_words, &unit->fault, out);
}

static int set_strict(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    if (n_words != 1 || (strcmp(words[0], "on") != 0 && strcmp(words[0], "off") != 0))
        return complain(out, -EINVAL, "strict on|off");
    unit->strict = strcmp(words[0], "on") == 0;
    return 0;
}

static int set_limit(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    uint64_t limit;
    if (n_words != 1 || word_number(words[0], 0, 2000, &limit) != 0)
        return complain(out, -EINVAL, "limit N");
    unit->limit = (uint16_t)limit;
    return 0;
}

static int add_special(struct unit *unit, enum special_kind kind, char *const *words,
                       size_t n_words, struct strbuf *out)
{
    uint64_t address;
    int table = n_words == 2 ? image_table(words[0]) : -1;
    if (table < TABLE_INPUT || word_number(words[1], 0, 65535, &address) != 0)
        return complain(out, -EINVAL, "time|polls input|holding ADDRESS");
    if (image_add_special(unit->image, kind, (enum table)table, (uint16_t)address) != 0)
        return complain(out, -ENOSPC, "no more than eight of these for one unit");
    return 0;
}

static int add_time(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    return add_special(unit, SPECIAL_TIME, words, n_words, out);
}

static int add_polls(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    return add_special(unit, SPECIAL_POLLS, words, n_words, out);
}

static int add_hole(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    uint64_t first, last;
    int table = n_words == 2 ? image_table(words[0]) : -1;
    if (table < 0 || word_range(words[1], 0, 65535, &first, &last) != 0)
        return complain(out, -EINVAL, "illegal TABLE FIRST-LAST");
    if (image_add_hole(unit->image, (enum table)table, (uint16_t)first, (uint16_t)last) != 0)
        return complain(out, -ENOSPC, "no more than eight of these for one unit");
    return 0;
}

static int set_values(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    uint64_t address, value;
    int table = n_words >= 3 ? image_table(words[0]) : -1;
    if (table < 0 || word_number(words[1], 0, 65535, &address) != 0)
        return complain(out, -EINVAL, "set TABLE ADDRESS VALUE...");
    for (size_t i = 2; i < n_words; i++) {
        if (word_number(words[i], 0, 65535, &value) != 0 || address > 65535)
            return complain(out, -EINVAL, "a register holds 0 to 65535");
        image_write(unit->image, (enum table)table, (uint16_t)address++, (uint16_t)value);
    }
    return 0;
}

static int get_value(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out)
{
    uint64_t address;
    int table = n_words == 2 ? image_table(words[0]) : -1;
    if (table < 0 || word_number(words[1], 0, 65535, &address) != 0)
        return complain(out, -EINVAL, "get TABLE ADDRESS");
    strbuf_addf(out, "%u\n", image_peek(unit->image, (enum table)table, (uint16_t)address));
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct unit *unit, char *const *words, size_t n_words, struct strbuf *out);
} unit_commands[] = {
    {"fault", set_fault}, {"strict", set_strict}, {"limit", set_limit}, {"time", add_time},
    {"polls", add_polls}, {"illegal", add_hole},  {"set", set_values},  {"get", get_value},
};

static int on_units(const struct line *line, uint64_t first, uint64_t last, char *const *words,
                    size_t n_words, struct strbuf *out)
{
    for (size_t i = 0; i < sizeof(unit_commands) / sizeof(unit_commands[0]); i++) {
        if (strcmp(unit_commands[i].name, words[0]) != 0)
            continue;
        int error = 0;
        for (size_t n = 0; n < line->n_units && !error; n++) {
            struct unit *unit = &line->units[n];
            if (unit->number >= first && unit->number <= last)
                error = unit_commands[i].run(unit, words + 1, n_words - 1, out);
        }
        return error;
    }
    return complain(out, -EINVAL, "a unit has no such command");
}

/* unit LINE/UNITS COMMAND...; LINE may have wildcards, UNITS is N, N-M or '*' */
static int command_unit(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    uint64_t first = 0, last = 255;
    size_t n_found = 0;
    char *slash = n_words >= 3 ? strrchr(words[1], '/') : NULL;
    if (!slash || (strcmp(slash + 1, "*") != 0 && word_range(slash + 1, 0, 255, &first, &last)))
        return complain(out, -EINVAL, "usage: unit LINE/UNITS COMMAND...");
    *slash = '\0';
    for (size_t i = 0; i < plant->n_lines; i++) {
        if (fnmatch(words[1], plant->lines[i]->name, 0) != 0)
            continue;
        int error = on_units(plant->lines[i], first, last, words + 2, n_words - 2, out);
        if (error)
            return error;
        n_found++;
    }
    return n_found > 0 ? 0 : complain(out, -ENOENT, "no such line");
}

/* line LINE COMMAND... */
static int command_line(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    size_t n_found = 0;
    if (n_words < 3)
        return complain(out, -EINVAL, "usage: line LINE COMMAND...");
    for (size_t i = 0; i < plant->n_lines; i++) {
        struct line *line = plant->lines[i];
        if (fnmatch(words[1], line->name, 0) != 0)
            continue;
        int error = line->kind->command(line, words + 2, n_words - 2, out);
        if (error == -ENOSYS)
            strbuf_addf(out, "a line of kind %s has no such command", line->kind->name);
        else if (error && out->length == 0)
            strbuf_add(out, strerror(-error));
        if (error)
            return error;
        n_found++;
    }
    return n_found > 0 ? 0 : complain(out, -ENOENT, "no such line");
}

static void unit_stats(const struct line *line, const struct unit *unit, struct strbuf *out)
{
    strbuf_addf(out,
                "{\"line\":\"%s\",\"unit\":%u,\"requests\":%ju,\"replies\":%ju,"
                "\"exceptions\":%ju,\"faulty\":%ju,\"early\":%ju,\"unheard\":%ju,\"writes\":%ju}\n",
                line->name, unit->number, (uintmax_t)unit->count.requests,
                (uintmax_t)unit->count.replies, (uintmax_t)unit->count.exceptions,
                (uintmax_t)unit->count.faulty, (uintmax_t)unit->count.early,
                (uintmax_t)unit->count.unheard, (uintmax_t)unit->count.writes);
}

/* stats: one JSON object per line, and one per unit */
static int command_stats(struct plant *plant, char *const *words, size_t n_words,
                         struct strbuf *out)
{
    (void)words, (void)n_words;
    for (size_t i = 0; i < plant->n_lines; i++) {
        const struct line *line = plant->lines[i];
        strbuf_addf(out, "{\"line\":\"%s\",\"kind\":\"%s\"", line->name, line->kind->name);
        line->kind->stats(line, out);
        strbuf_add(out, "}\n");
        for (size_t n = 0; n < line->n_units; n++)
            unit_stats(line, &line->units[n], out);
    }
    return 0;
}

/* dump FILE: the record of the requests as CSV */
static int command_dump(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    if (n_words != 2)
        return complain(out, -EINVAL, "usage: dump FILE");
    const char **names = memory_zeroed(plant->n_lines + 1, sizeof(*names));
    for (size_t i = 0; i < plant->n_lines; i++)
        names[i] = plant->lines[i]->name;
    int64_t n_rows = record_dump(plant->record, words[1], names);
    free(names);
    if (n_rows < 0)
        return complain(out, (int)n_rows, "cannot write this file");
    strbuf_addf(out, "%jd rows, %ju dropped\n", (intmax_t)n_rows,
                (uintmax_t)record_dropped(plant->record));
    return 0;
}

/* forget: clears the counters and the record, as a measurement begins */
static int command_forget(struct plant *plant, char *const *words, size_t n_words,
                          struct strbuf *out)
{
    (void)words, (void)n_words, (void)out;
    record_forget(plant->record);
    for (size_t i = 0; i < plant->n_lines; i++) {
        struct line *line = plant->lines[i];
        line->kind->forget(line);
        for (size_t n = 0; n < line->n_units; n++)
            memset(&line->units[n].count, 0, sizeof(line->units[n].count));
    }
    return 0;
}

static int command_quit(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out)
{
    (void)words, (void)n_words, (void)out;
    loop_stop(plant->loop);
    return 0;
}

static const struct {
    const char *name, *usage;
    int (*run)(struct plant *plant, char *const *words, size_t n_words, struct strbuf *out);
} commands[] = {
    {"tcp", "NAME ADDRESS PORT UNITS [tcp|rtu|ascii]   a device or a serial server", make_tcp},
    {"udp", "NAME ADDRESS PORT UNITS [tcp|rtu|ascii]   the same over UDP", make_udp},
    {"rtu", "NAME LINK BAUD 8E1 UNITS [ascii] [strict] [chunk N]   a serial line", make_rtu},
    {"unit",
     "LINE/UNITS fault KIND [NUMBER...] [times N] [percent P]\n"
     "       LINE/UNITS time|polls input|holding ADDRESS\n"
     "       LINE/UNITS illegal TABLE FIRST-LAST\n"
     "       LINE/UNITS limit N | strict on|off | set TABLE ADDRESS VALUE... | get TABLE ADDRESS",
     command_unit},
    {"line",
     "LINE fault none|drop|refuse|blackhole|half-open      (TCP)\n"
     "       LINE plug|unplug | echo on|off | noise BYTES [every MS]   (RTU)",
     command_line},
    {"stats", "                                   counters, one JSON object a line", command_stats},
    {"dump", "FILE                                the record of all requests, CSV", command_dump},
    {"forget", "                                  clears counters and record", command_forget},
    {"quit", "", command_quit},
};

int plant_command(struct plant *plant, char *text, struct strbuf *out)
{
    char *words[MAX_WORDS];
    int n_words = words_split(text, words);
    if (n_words < 0)
        return complain(out, n_words, "too many words");
    if (n_words == 0)
        return 0;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, words[0]) == 0)
            return commands[i].run(plant, words, (size_t)n_words, out);
    }
    return complain(out, -EINVAL, "no such command; -h lists them");
}

void plant_help(struct strbuf *out)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        strbuf_addf(out, "  %-6s %s\n", commands[i].name, commands[i].usage);
    strbuf_add(out, "faults of a unit:\n");
    fault_help(out);
}
