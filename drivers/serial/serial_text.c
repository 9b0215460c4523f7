/*
 * Instruments that say what they measure in lines of text: scales, meters, readers. With `poll`
 * such an instrument is asked, and the next line is its answer. Without it the instrument sends by
 * itself: each tag takes the latest line that matches it, of those that came since the last poll or
 * are waited for.
 */
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "drivers/driver.h"
#include "drivers/serial/serial_options.h"
#include "drivers/serial/serial_port.h"
#include "drivers/text_number.h"
#include "drivers/wait.h"

#include <errno.h>
#include <poll.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define BACKLOG_MAX_BYTES 4000 /* the kernel keeps 4095 and loses what comes then: the latest */
#define FLOOD_BYTES 65536      /* who sends more than this during one poll is not listened to */
#define TERMINATOR_MAX_BYTES 8
#define TIMEOUT_MAX_MS 60000

/* ---- keys ---- */

struct text_bus {
    struct serial_options serial;
    int64_t timeout_ms;
    char *poll;       /* NULL: the instrument sends by itself */
    char *terminator; /* not empty */
};

struct text_device {
    char none; /* such a device has no keys of its own */
};

struct text_tag {
    char *match;
};

static const struct option bus_rows[] = {
    SERIAL_OPTION_ROWS(struct text_bus, serial, "/dev/ttyS2", "9600", "none"),
    {.key = "poll",
     .type = OPTION_BYTES,
     .min = 1,
     .max = 256,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct text_bus, poll),
     .help = "What is sent to ask for a line; without it the instrument sends by itself.",
     .example = "\"P\\r\""},
    {.key = "terminator",
     .type = OPTION_BYTES,
     .min = 1,
     .max = TERMINATOR_MAX_BYTES,
     .fallback = "\"\\r\\n\"",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct text_bus, terminator),
     .help = "What ends each line."},
    {.key = "timeout_ms",
     .type = OPTION_INT,
     .unit = "ms",
     .min = 10,
     .max = TIMEOUT_MAX_MS,
     .fallback = "1000",
     .reload = RELOAD_LINE,
     .offset = offsetof(struct text_bus, timeout_ms),
     .help = "How long a line is waited for; longer than the pauses of an instrument that talks by "
             "itself."},
};

static const struct option tag_rows[] = {
    {.key = "match",
     .type = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     .min = 1,
     .max = 500,
     .reload = RELOAD_LINE,
     .offset = offsetof(struct text_tag, match),
     .help =
         "POSIX extended regular expression; the value is its first group, or all that matches.",
     .example = "^ST,GS,([+-][0-9. ]+)kg"},
};

static void serial_text_check_bus(const struct config_bus *bus, struct findings *findings)
{
    const struct text_bus *options = bus->options;
    serial_options_check(bus, &options->serial, findings);
}

static void serial_text_check_tag(struct config_tag *tag, struct findings *findings)
{
    const struct text_tag *options = tag->options;
    regex_t regex;
    if (!config_tag_has(tag, "type"))
        tag->type = VALUE_FLOAT64;
    if (tag->type == VALUE_STRING && tag->length == 0)
        tag->length = SAMPLE_TEXT_MAX;
    if (tag->length > SAMPLE_TEXT_MAX)
        findings_add(findings, FINDING_ERROR, tag->where, "length", "a text has at most %d bytes",
                     SAMPLE_TEXT_MAX);
    int result = regcomp(&regex, options->match, REG_EXTENDED);
    if (result == 0) {
        regfree(&regex);
        return;
    }
    char reason[128];
    (void)regerror(result, &regex, reason, sizeof(reason));
    findings_add(findings, FINDING_ERROR, tag->where, "match",
                 "no POSIX extended regular expression: %s", reason);
}

static void serial_text_check_device(const struct config_bus *bus, struct config_device *device,
                                     struct findings *findings)
{
    (void)bus;
    for (size_t i = 0; i < device->n_tags; i++)
        serial_text_check_tag(&device->tags[i], findings);
}

/* ---- the instance ---- */

struct text_line {
    const struct text_bus *options;
    const atomic_bool *stop;
    size_t terminator_length;
    int port; /* -1: not connected */
    char text[LINE_MAX_BYTES + 1];
    size_t used;          /* bytes of the line that is coming in */
    bool lacks_beginning; /* it was dropped or missed: the rest does not count */
};

/* One tag of a poll, and what it found. */
struct serial_text_search {
    uint16_t tag;
    regex_t regex;
    bool matched;
    char text[SAMPLE_TEXT_MAX];
    size_t length;
};

struct text_poll {
    const struct config_device *device;
    struct serial_text_search *searches;
    size_t n_searches, n_matched;
    unsigned n_lines; /* that came during this poll */
    size_t n_bytes;
};

static int serial_text_create(const struct driver_host *host, void **ret_line)
{
    struct text_line *line = memory_zeroed(1, sizeof(*line));
    line->options = host->bus->options;
    line->stop = host->stop;
    line->terminator_length = strlen(line->options->terminator);
    line->port = -1;
    *ret_line = line;
    return 0;
}

static void serial_text_disconnect_line(void *instance)
{
    struct text_line *line = instance;
    descriptor_close(&line->port);
}

static void free_line(void *instance)
{
    if (instance)
        serial_text_disconnect_line(instance);
    free(instance);
}

static void free_poll(void *plan)
{
    struct text_poll *poll = plan;
    for (size_t i = 0; poll && i < poll->n_searches; i++)
        regfree(&poll->searches[i].regex);
    if (poll)
        free(poll->searches);
    free(poll);
}

static int serial_text_prepare(void *instance, const struct config_device *device,
                               const uint16_t *tags, size_t n_tags, void **ret_poll)
{
    (void)instance;
    struct text_poll *poll = memory_zeroed(1, sizeof(*poll));
    poll->device = device;
    poll->searches = memory_zeroed(n_tags, sizeof(*poll->searches));
    for (size_t i = 0; i < n_tags; i++) {
        const struct text_tag *options = device->tags[tags[i]].options;
        poll->searches[i].tag = tags[i];
        if (regcomp(&poll->searches[i].regex, options->match, REG_EXTENDED) != 0) {
            free_poll(poll); /* not reached by a checked configuration */
            return -EINVAL;
        }
        poll->n_searches++;
    }
    *ret_poll = poll;
    return 0;
}

/* The rest of a line whose beginning was missed is no line. */
static void begin_within_line(struct text_line *line)
{
    line->used = 0;
    line->lacks_beginning = true;
}

static int serial_text_connect_line(void *instance, struct driver_error *error)
{
    struct text_line *line = instance;
    int port = serial_open(&line->options->serial, error->text, sizeof(error->text));
    if (port < 0)
        return port;
    line->port = port;
    begin_within_line(line);
    return 0;
}

/* ---- from bytes to lines to values ---- */

static void search_line(struct text_poll *poll, const char *text)
{
    for (size_t i = 0; i < poll->n_searches; i++) {
        struct serial_text_search *search = &poll->searches[i];
        regmatch_t groups[2];
        if (regexec(&search->regex, text, 2, groups, 0) != 0)
            continue;
        const regmatch_t *group = &groups[search->regex.re_nsub > 0];
        size_t length = group->rm_so < 0 ? 0 : (size_t)(group->rm_eo - group->rm_so);
        search->length = length < sizeof(search->text) ? length : sizeof(search->text);
        if (search->length > 0)
            memcpy(search->text, text + group->rm_so, search->length);
        poll->n_matched += !search->matched;
        search->matched = true;
    }
}

static void end_line(struct text_line *line, struct text_poll *poll)
{
    line->text[line->used - line->terminator_length] = 0;
    if (!line->lacks_beginning && line->text[0] != 0) { /* empty lines say nothing */
        poll->n_lines++;
        search_line(poll, line->text);
    }
    line->used = 0;
    line->lacks_beginning = false;
}

/* Of a line that does not end, only what may begin the terminator is kept. */
static void shorten(struct text_line *line)
{
    size_t kept = line->terminator_length - 1;
    memmove(line->text, line->text + line->used - kept, kept);
    line->used = kept;
    line->lacks_beginning = true;
}

static void take_byte(struct text_line *line, struct text_poll *poll, char byte)
{
    size_t ending = line->terminator_length;
    if (line->used == LINE_MAX_BYTES)
        shorten(line);
    line->text[line->used++] = byte ? byte : '?'; /* noise; and NUL would end the text */
    if (line->used >= ending &&
        memcmp(line->text + line->used - ending, line->options->terminator, ending) == 0)
        end_line(line, poll);
}

/* Takes what has arrived, of an answer its first line. Returns how much, 0 when there is nothing,
 * or a negative errno. */
static int serial_text_take_bytes(struct text_line *line, struct text_poll *poll, bool one_line)
{
    char bytes[512];
    ssize_t length = read(line->port, bytes, sizeof(bytes));
    if (length == 0)
        return -EIO; /* hung up */
    if (length < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (ssize_t i = 0; i < length && !(one_line && poll->n_lines > 0); i++)
        take_byte(line, poll, bytes[i]);
    poll->n_bytes += (size_t)length;
    return (int)length;
}

static void begin_poll(struct text_poll *poll)
{
    poll->n_matched = 0;
    poll->n_lines = 0;
    poll->n_bytes = 0;
    for (size_t i = 0; i < poll->n_searches; i++)
        poll->searches[i].matched = false;
}

static void serial_text_put_value(const struct text_poll *poll,
                                  const struct serial_text_search *search, struct batch *batch)
{
    const struct config_tag *tag = &poll->device->tags[search->tag];
    size_t length = search->length;
    if (!search->matched) {
        batch_put_bad(batch, search->tag, QUALITY_NO_MATCH, 0);
    } else if (tag->type == VALUE_STRING) {
        if (tag->length > 0 && length > (size_t)tag->length)
            length = (size_t)tag->length;
        batch_put_text(batch, search->tag, search->text, length);
    } else {
        text_number_put_text(batch, search->tag, tag, search->text, length);
    }
}

/* ---- one poll ---- */

/*
 * Late answers to earlier questions must not be taken for the one to come; nor what an instrument
 * says that never stops (-EOVERFLOW).
 */
static int drop_old_input(struct text_line *line, struct text_poll *poll)
{
    char bytes[512];
    ssize_t length;
    size_t dropped = 0;
    do {
        length = read(line->port, bytes, sizeof(bytes));
        dropped += length > 0 ? (size_t)length : 0;
    } while (length > 0 && dropped < FLOOD_BYTES);
    if (length > 0) {
        poll->n_bytes = dropped;
        return -EOVERFLOW;
    }
    line->used = 0;
    line->lacks_beginning = false;
    if (length == 0)
        return -EIO;
    return length < 0 && errno != EAGAIN && errno != EINTR ? -errno : 0;
}

static int send_question(struct text_line *line, int64_t deadline_ns)
{
    const char *text = line->options->poll;
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t sent = write(line->port, text, length);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (sent > 0) {
            text += sent;
            length -= (size_t)sent;
            continue;
        }
        int ready = wait_for(line->port, POLLOUT, deadline_ns, line->stop);
        if (ready <= 0)
            return ready < 0 ? ready : -EAGAIN;
    }
    return 0;
}

/*
 * Returns 0 when the line came or time is up, or a negative errno. What came by the deadline
 * counts, also when this thread was kept from looking until after it.
 */
static int receive_answer(struct text_line *line, struct text_poll *poll, int64_t deadline_ns)
{
    while (poll->n_lines == 0) {
        if (poll->n_bytes >= FLOOD_BYTES)
            return -EOVERFLOW;
        int ready = wait_for(line->port, POLLIN, deadline_ns, line->stop);
        if (ready < 0)
            return ready;
        int taken = serial_text_take_bytes(line, poll, true);
        if (taken < 0 || ready == 0)
            return taken < 0 ? taken : 0;
    }
    return 0;
}

/* The same for an instrument that sends by itself: the latest lines count. */
static int receive_talk(struct text_line *line, struct text_poll *poll, int64_t deadline_ns)
{
    bool is_backlog = true;
    while (clock_mono_ns() < deadline_ns && poll->n_bytes < FLOOD_BYTES) {
        int taken = serial_text_take_bytes(line, poll, false);
        if (taken < 0)
            return taken;
        if (taken > 0)
            continue;
        if (is_backlog && poll->n_bytes >= BACKLOG_MAX_BYTES) { /* old, and the latest is lost */
            begin_poll(poll);
            begin_within_line(line);
        }
        is_backlog = false;
        if (poll->n_lines > 0 && poll->n_matched == poll->n_searches)
            return 0;
        int ready = wait_for(line->port, POLLIN, deadline_ns, line->stop);
        if (ready <= 0)
            return ready;
    }
    return 0;
}

static int exchange(struct text_line *line, struct text_poll *poll)
{
    int64_t deadline = clock_mono_ns() + line->options->timeout_ms * CLOCK_NS_PER_MS;
    if (!line->options->poll)
        return receive_talk(line, poll, deadline);
    int result = drop_old_input(line, poll);
    if (result == 0)
        result = send_question(line, deadline);
    if (result == 0)
        result = receive_answer(line, poll, deadline);
    return result;
}

static enum outcome put_failure(const struct text_poll *poll, struct batch *batch,
                                enum quality quality, enum outcome outcome)
{
    for (size_t i = 0; i < poll->n_searches; i++)
        batch_put_bad(batch, poll->searches[i].tag, quality, 0);
    return outcome;
}

static enum outcome serial_text_read_poll(void *instance, void *plan, struct batch *batch,
                                          struct driver_error *error)
{
    struct text_line *line = instance;
    struct text_poll *poll = plan;
    const char *device = line->options->serial.device;
    begin_poll(poll);
    int result = exchange(line, poll);
    if (result == -EOVERFLOW || (poll->n_lines == 0 && poll->n_bytes >= FLOOD_BYTES)) {
        driver_explain(error,
                       "%zu bytes came from %s and no end of them: it never stops sending; look at "
                       "what is connected there",
                       poll->n_bytes, device);
        return put_failure(poll, batch, QUALITY_BAD_REPLY, OUTCOME_BAD_REPLY);
    }
    if (result < 0 && result != -ECANCELED && result != -EAGAIN) {
        driver_explain(error, "%s is gone: %s", device, strerror(-result));
        return put_failure(poll, batch, QUALITY_DISCONNECTED, OUTCOME_DISCONNECTED);
    }
    if (poll->n_lines == 0 && poll->n_bytes == 0) {
        driver_explain(error, "nothing came from %s within %lld ms", device,
                       (long long)line->options->timeout_ms);
        return put_failure(poll, batch, QUALITY_TIMEOUT, OUTCOME_TIMEOUT);
    }
    if (poll->n_lines == 0) {
        driver_explain(
            error, "%zu bytes came from %s but no whole line: check baud, parity and terminator",
            poll->n_bytes, device);
        return put_failure(poll, batch, QUALITY_BAD_REPLY, OUTCOME_BAD_REPLY);
    }
    for (size_t i = 0; i < poll->n_searches; i++)
        serial_text_put_value(poll, &poll->searches[i], batch);
    return OUTCOME_OK;
}

static struct driver_link serial_text_link_of(const void *instance)
{
    const struct text_line *line = instance;
    return (struct driver_link){
        .timeout_us = line->options->timeout_ms * 1000, .outlives_timeout = true, .redials = false};
}

extern const struct driver serial_text_driver;
const struct driver serial_text_driver = {
    .config =
        {
            .name = "serial_text",
            .help = "Instruments that send or answer lines of text.",
            .bus = {.path = "buses.serial_text",
                    .help = "A serial port with an instrument that sends lines of text.",
                    .rows = bus_rows,
                    .n_rows = ARRAY_LENGTH(bus_rows),
                    .size = sizeof(struct text_bus)},
            .device = {.path = "devices.serial_text",
                       .help = "An instrument that sends lines of text; it has no keys of its own.",
                       .size = sizeof(struct text_device)},
            .tag = {.path = "devices.tags.serial_text",
                    .help = "A value in a line of text.",
                    .rows = tag_rows,
                    .n_rows = ARRAY_LENGTH(tag_rows),
                    .size = sizeof(struct text_tag)},
            .check_device = serial_text_check_device,
            .check_bus = serial_text_check_bus,
        },
    .create = serial_text_create,
    .free = free_line,
    .prepare = serial_text_prepare,
    .poll_free = free_poll,
    .connect = serial_text_connect_line,
    .disconnect = serial_text_disconnect_line,
    .read = serial_text_read_poll,
    .link = serial_text_link_of,
};
