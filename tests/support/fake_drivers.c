/* Two invented drivers. */
#include "tests/support/fake_drivers.h"

#include <stddef.h>

static const char *const table_names[] = {"word", "flag", NULL};

static const struct option tcp_bus_rows[] = {
    {.key = "host",
     .type = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     .min = 1,
     .max = 253,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct fake_bus, host),
     .example = "\"192.168.10.5\"",
     .help = "Who answers."},
    {.key = "port",
     .type = OPTION_INT,
     .min = 1,
     .max = 65535,
     .fallback = "502",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct fake_bus, port),
     .help = "Where."},
};

static const struct option tcp_device_rows[] = {
    {.key = "unit",
     .type = OPTION_INT,
     .min = 1,
     .max = 247,
     .fallback = "1",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct fake_device, unit),
     .help = "Which one."},
};

static const struct option tcp_tag_rows[] = {
    {.key = "table",
     .type = OPTION_ENUM,
     .names = table_names,
     .fallback = "word",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct fake_tag, table),
     .help = "Of what kind."},
    {.key = "address",
     .type = OPTION_INT,
     .flags = OPTION_REQUIRED,
     .min = 0,
     .max = 99,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct fake_tag, address),
     .example = "10",
     .help = "At which place."},
    {.key = "bit",
     .type = OPTION_INT,
     .min = 0,
     .max = 15,
     .fallback = "-1",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct fake_tag, bit),
     .help = "Which bit of it."},
};

struct text_bus {
    char *poll;
};

static const struct option text_bus_rows[] = {
    {.key = "poll",
     .type = OPTION_BYTES,
     .max = 64,
     .fallback = "\"P\\r\"",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct text_bus, poll),
     .help = "What is sent."},
};

struct text_tag {
    char *match;
};

static const struct option text_tag_rows[] = {
    {.key = "match",
     .type = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     .min = 1,
     .max = 200,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct text_tag, match),
     .example = "\"^ST,(.*)kg\"",
     .help = "What is looked for."},
};

static void check_bus(const struct config_bus *bus, struct findings *findings)
{
    const struct fake_bus *options = bus->options;
    if (options->port == 666)
        findings_add(findings, FINDING_ERROR, bus->where, "port", "an evil port");
}

static void check_device(const struct config_bus *bus, struct config_device *device,
                         struct findings *findings)
{
    (void)bus;
    for (size_t i = 0; i < device->n_tags; i++) {
        struct config_tag *tag = &device->tags[i];
        const struct fake_tag *options = tag->options;
        if (options->table == 1 && !config_tag_has(tag, "type"))
            tag->type = VALUE_BOOL;
        if (options->address == 99 && tag->type >= VALUE_INT32)
            findings_add(findings, FINDING_ERROR, tag->where, "address",
                         "the value ends after the last address");
    }
}

#define TABLE(owner, name)                                                                         \
    {                                                                                              \
        .path = "", .help = "", .rows = name, .n_rows = sizeof(name) / sizeof((name)[0]),          \
        .size = sizeof(struct owner)                                                               \
    }

static const struct config_driver fake_tcp = {
    .name = "fake_tcp",
    .help = "Words and flags over TCP.",
    .bus = TABLE(fake_bus, tcp_bus_rows),
    .device = TABLE(fake_device, tcp_device_rows),
    .tag = TABLE(fake_tag, tcp_tag_rows),
    .check_device = check_device,
    .check_bus = check_bus,
};

static const struct config_driver fake_text = {
    .name = "fake_text",
    .help = "Lines of text.",
    .bus = TABLE(text_bus, text_bus_rows),
    .tag = TABLE(text_tag, text_tag_rows),
};

const struct config_driver *const fake_drivers[] = {&fake_tcp, &fake_text, NULL};
