/*
 * A built-in plant: tags that follow a wave, for trying sallyport out without any device, and the
 * reference for authors of drivers. A driver is a table of keys, a few functions, and one
 * `const struct driver` at the end; line.c does the rest.
 *
 * The wave is a function of how often the tag was read, so that two runs say the same.
 */
#include "agent/base/clock.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "drivers/driver.h"
#include "drivers/text_number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the configuration says: one row for each key, one struct for each table ---- */

enum waveform { WAVE_COUNTER, WAVE_SINE, WAVE_SQUARE, WAVE_RANDOM, WAVE_CONSTANT, WAVE_TEXT };
static const char *const waveform_names[] = {"counter",  "sine", "square", "random",
                                             "constant", "text", NULL};

struct sim_bus {
    int64_t delay_ms, timeout_ms;
    double fail_percent;
};

struct sim_device {
    bool silent;
};

struct sim_tag {
    int waveform; /* enum waveform */
    double amplitude, period_s;
    char *text;
};

static const struct option bus_rows[] = {
    {.key = "delay_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .max = 10000,
     .fallback = "0",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_bus, delay_ms),
     .help = "How long each answer takes."},
    {.key = "timeout_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 10,
     .max = 10000,
     .fallback = "1000",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_bus, timeout_ms),
     .help = "How long a device that does not answer is waited for."},
    {.key = "fail_percent",
     .type = OPTION_FLOAT,
     .max = 100,
     .fallback = "0",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_bus, fail_percent),
     .help = "How many of a hundred polls are not answered."},
};

static const struct option device_rows[] = {
    {.key = "silent",
     .type = OPTION_BOOL,
     .fallback = "false",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_device, silent),
     .help = "Whether the device never answers, to see what sallyport makes of that."},
};

static const struct option tag_rows[] = {
    {.key = "waveform",
     .type = OPTION_ENUM,
     .names = waveform_names,
     .fallback = "sine",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_tag, waveform),
     .help = "How the value changes from poll to poll."},
    {.key = "amplitude",
     .type = OPTION_FLOAT,
     .min = -1e15,
     .max = 1e15,
     .fallback = "100",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_tag, amplitude),
     .help = "The height of the wave; the value of a constant; where a counter starts again."},
    {.key = "period_s",
     .type = OPTION_FLOAT,
     .unit = "s",
     .min = 0.001,
     .max = 86400,
     .fallback = "60",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_tag, period_s),
     .help = "How long one wave of a sine or square takes."},
    {.key = "text",
     .type = OPTION_TEXT,
     .min = 0,
     .max = SAMPLE_TEXT_MAX,
     .fallback = "simulated",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct sim_tag, text),
     .help = "The value of the waveform text."},
};

/* What depends on more than one key. Findings are collected, so that all come at once. */
static void sim_check_device(const struct config_bus *bus, struct config_device *device,
                             struct findings *findings)
{
    (void)bus;
    for (size_t i = 0; i < device->n_tags; i++) {
        struct config_tag *tag = &device->tags[i];
        const struct sim_tag *options = tag->options;
        bool is_text = options->waveform == WAVE_TEXT;
        if (!config_tag_has(tag, "type"))
            tag->type = is_text ? VALUE_STRING : VALUE_FLOAT64;
        if (tag->type == VALUE_STRING && tag->length == 0)
            tag->length = SAMPLE_TEXT_MAX;
        if (is_text != (tag->type == VALUE_STRING))
            findings_add(findings, FINDING_ERROR, tag->where, "type",
                         "the waveform \"text\" and the type \"string\" need each other");
        if (options->waveform == WAVE_COUNTER && options->amplitude < 1)
            findings_add(findings, FINDING_ERROR, tag->where, "amplitude",
                         "a counter starts again there; give 1 or more");
    }
}

/* ---- the instance: one for each line, used by its worker thread only ---- */

struct sim_line {
    const struct sim_bus *options;
    const atomic_bool *stop;
    uint64_t polls; /* of all devices; what decides which ones fail */
};

/* A plan: what one poll reads. A driver for a real device prepares its requests here. */
struct sim_poll {
    const struct config_device *device;
    const uint16_t *tags;
    size_t n_tags;
    uint64_t turn; /* how often it was answered */
};

static int sim_create(const struct driver_host *host, void **ret_line)
{
    struct sim_line *line = memory_zeroed(1, sizeof(*line));
    line->options = host->bus->options;
    line->stop = host->stop;
    *ret_line = line;
    return 0;
}

static int sim_prepare(void *line, const struct config_device *device, const uint16_t *tags,
                       size_t n_tags, void **ret_poll)
{
    (void)line;
    struct sim_poll *poll = memory_zeroed(1, sizeof(*poll));
    *poll = (struct sim_poll){device, tags, n_tags, 0};
    *ret_poll = poll;
    return 0;
}

/* There is nothing to connect to. */
static int sim_connect_line(void *line, struct driver_error *error)
{
    (void)line, (void)error;
    return 0;
}

static void sim_disconnect_line(void *line)
{
    (void)line;
}

/* ---- one poll ---- */

/* A number that looks random and is the same for the same arguments: splitmix64. */
static double random_share(uint64_t seed, uint64_t turn)
{
    uint64_t bits = seed + (turn + 1) * UINT64_C(0x9E3779B97F4A7C15);
    bits = (bits ^ bits >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94D049BB133111EB);
    return (double)((bits ^ bits >> 31) >> 11) * 0x1p-53;
}

static double wave(const struct config_tag *tag, uint16_t index, uint64_t turn)
{
    const struct sim_tag *options = tag->options;
    double periods = (double)turn * (double)tag->interval_ms / 1000 / options->period_s;
    switch ((enum waveform)options->waveform) {
    case WAVE_COUNTER:
        return fmod((double)turn, options->amplitude);
    case WAVE_SINE:
        return options->amplitude * sin(2 * M_PI * periods);
    case WAVE_SQUARE:
        return periods - floor(periods) < 0.5 ? 0 : options->amplitude;
    case WAVE_RANDOM:
        return options->amplitude * random_share(index, turn);
    case WAVE_CONSTANT:
        return options->amplitude;
    case WAVE_TEXT:
        break;
    }
    return 0;
}

static void sim_put_value(struct batch *batch, const struct sim_poll *poll, uint16_t index)
{
    const struct config_tag *tag = &poll->device->tags[index];
    const struct sim_tag *options = tag->options;
    double value = wave(tag, index, poll->turn);
    if (tag->type == VALUE_STRING)
        batch_put_text(batch, index, options->text, strlen(options->text));
    else if (tag->type == VALUE_BOOL)
        batch_put_bool(batch, index, value >= options->amplitude / 2);
    else if (tag->type == VALUE_FLOAT32 || tag->type == VALUE_FLOAT64)
        text_number_put(batch, index, tag, value);
    else
        text_number_put(batch, index, tag, round(value));
}

/* A driver may wait, but ends the wait within 100 ms when its line is being stopped. */
static void pass_time(const struct sim_line *line, int64_t wait_ms)
{
    int64_t end = clock_mono_ns() + wait_ms * CLOCK_NS_PER_MS;
    int64_t now;
    while ((now = clock_mono_ns()) < end && !atomic_load(line->stop)) {
        int64_t slice = now + 100 * CLOCK_NS_PER_MS;
        clock_sleep_until(min_i64(slice, end));
    }
}

static bool is_answered(struct sim_line *line, const struct sim_poll *poll)
{
    const struct sim_device *device = poll->device->options;
    return !device->silent && 100 * random_share(0, line->polls++) >= line->options->fail_percent;
}

/* Whatever happens, every tag of the poll gets its sample. */
static enum outcome sim_read_poll(void *instance, void *plan, struct batch *batch,
                                  struct driver_error *error)
{
    struct sim_line *line = instance;
    struct sim_poll *poll = plan;
    bool answered = is_answered(line, poll);
    pass_time(line, answered ? line->options->delay_ms : line->options->timeout_ms);
    for (size_t i = 0; i < poll->n_tags; i++) {
        if (answered)
            sim_put_value(batch, poll, poll->tags[i]);
        else
            batch_put_bad(batch, poll->tags[i], QUALITY_TIMEOUT, 0);
    }
    poll->turn += answered;
    if (!answered)
        driver_explain(error, "%s is silent, as this simulation is configured", poll->device->name);
    return answered ? OUTCOME_OK : OUTCOME_TIMEOUT;
}

static int64_t cost_us(void *line, const void *poll)
{
    (void)poll;
    return ((const struct sim_line *)line)->options->delay_ms * 1000;
}

/* A silent device is no reason to connect again. */
static struct driver_link sim_link_of(const void *line)
{
    const struct sim_bus *options = ((const struct sim_line *)line)->options;
    return (struct driver_link){
        .timeout_us = options->timeout_ms * 1000, .outlives_timeout = true, .redials = false};
}

extern const struct driver sim_driver;
const struct driver sim_driver = {
    .config =
        {
            .name = "sim",
            .help = "A built-in plant that makes up its values.",
            .bus = {.path = "buses.sim",
                    .help = "A simulated line.",
                    .rows = bus_rows,
                    .n_rows = ARRAY_LENGTH(bus_rows),
                    .size = sizeof(struct sim_bus)},
            .device = {.path = "devices.sim",
                       .help = "A simulated device.",
                       .rows = device_rows,
                       .n_rows = ARRAY_LENGTH(device_rows),
                       .size = sizeof(struct sim_device)},
            .tag = {.path = "devices.tags.sim",
                    .help = "A simulated value.",
                    .rows = tag_rows,
                    .n_rows = ARRAY_LENGTH(tag_rows),
                    .size = sizeof(struct sim_tag)},
            .check_device = sim_check_device,
        },
    .create = sim_create,
    .free = free, /* the instance holds nothing else */
    .prepare = sim_prepare,
    .poll_free = free,
    .connect = sim_connect_line,
    .disconnect = sim_disconnect_line,
    .read = sim_read_poll,
    .request = NULL, /* nothing to ask for */
    .cost_us = cost_us,
    .link = sim_link_of,
};
