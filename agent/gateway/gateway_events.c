/*
 * What the gateway tells in events of its own: lines and units that change their state,
 * certificates that expire, and small things with one text. Main loop only.
 */
#include "agent/gateway/gateway_events.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/tls/certificate.h"

#include <stdio.h>
#include <string.h>

#define EXPIRY_NOTICE_DAYS 30
#define SUMMARY_LINES 10
#define SUMMARY_LINE_BYTES 200

/* Why a line or, DEVICE given, a unit failed last. REASON holds 160 bytes. */
static void read_reason(struct line *line, const size_t *device, char *reason)
{
    struct line_health of_line;
    struct device_health of_unit;
    if (device) {
        line_get_device_health(line, *device, &of_unit);
        memcpy(reason, of_unit.error, sizeof(of_unit.error));
    } else {
        line_get_health(line, &of_line);
        memcpy(reason, of_line.error, sizeof(of_line.error));
    }
}

void gateway_events_line(struct pipeline *pipeline, const struct config *config,
                         struct line *const *lines, enum line_event event, size_t owner,
                         int64_t timestamp_ms)
{
    bool about_line = event == LINE_EVENT_DOWN || event == LINE_EVENT_UP;
    const struct config_device *device = about_line ? NULL : &config->devices[owner];
    size_t bus = about_line ? owner : device->bus;
    static const char *const names[] = {[LINE_EVENT_NONE] = NULL,
                                        [LINE_EVENT_DOWN] = "line_down",
                                        [LINE_EVENT_UP] = "line_up",
                                        [LINE_EVENT_UNIT_TRIPPED] = "unit_tripped",
                                        [LINE_EVENT_UNIT_RECOVERED] = "unit_recovered"};
    const char *name = names[event];
    if (!name)
        return;
    bool bad = event == LINE_EVENT_DOWN || event == LINE_EVENT_UNIT_TRIPPED;
    char reason[160] = "";
    if (bad && lines[bus]) /* not any more while stopping */
        read_reason(lines[bus], about_line ? NULL : &owner, reason);
    struct event_field fields[4];
    size_t n_fields = 0;
    fields[n_fields++] = (struct event_field){.key = "line", .text = config->buses[bus].name};
    if (device)
        fields[n_fields++] = (struct event_field){.key = "device", .text = device->name};
    if (bad)
        fields[n_fields++] = (struct event_field){.key = "reason", .text = reason};
    (void)pipeline_event(pipeline, name, timestamp_ms, fields, n_fields);
}

static void check_certificate(struct pipeline *pipeline, const char *path)
{
    char subject[256];
    int64_t left_s;
    int problem =
        certificate_time_left(path, clock_wall_ms() / 1000, &left_s, subject, sizeof(subject));
    if (problem < 0 || left_s > EXPIRY_NOTICE_DAYS * INT64_C(86400))
        return; /* a file that cannot be read is the uplink's to report */
    int64_t days = left_s / 86400;
    const struct event_field fields[] = {{.key = "file", .text = path},
                                         {.key = "subject", .text = subject},
                                         {.key = "days_left", .number = days}};
    (void)pipeline_event(pipeline, "certificate_expiring", clock_wall_ms(), fields,
                         ARRAY_LENGTH(fields));
    log_warning("uplink",
                "file=%s subject=%s days_left=%lld: renew it by replacing the file; it "
                "is read anew at each connection",
                path, subject, (long long)days);
}

void gateway_events_certificates(struct pipeline *pipeline, const struct config_uplink *uplink)
{
    if (uplink->certificate)
        check_certificate(pipeline, uplink->certificate);
    if (strcmp(uplink->ca, "system") != 0)
        check_certificate(pipeline, uplink->ca);
}

void gateway_events_text(struct pipeline *pipeline, const char *event, const char *key,
                         const char *text)
{
    const struct event_field field = {.key = key, .text = text};
    (void)pipeline_event(pipeline, event, clock_wall_ms(), &field, 1);
}

/* Cuts at a character's start: LENGTH bytes of TEXT at most. */
static size_t cut(const char *text, size_t length)
{
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

void gateway_events_summary(const char *lines, struct strbuf *out)
{
    size_t n_lines = 0;
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        if (length > 0 && ++n_lines <= SUMMARY_LINES) {
            if (n_lines > 1)
                strbuf_add(out, "; ");
            bool is_long = length > SUMMARY_LINE_BYTES;
            strbuf_append(out, lines, is_long ? cut(lines, SUMMARY_LINE_BYTES) : length);
            if (is_long)
                strbuf_add(out, "...");
        }
        lines += length;
        lines += *lines == '\n';
    }
    if (n_lines > SUMMARY_LINES)
        strbuf_addf(out, "; and %zu more", n_lines - SUMMARY_LINES);
}

bool gateway_events_store(const char *problem, char *known, size_t size)
{
    if (strcmp(problem, known) == 0)
        return false;
    (void)snprintf(known, size, "%s", problem);
    if (problem[0])
        log_warning("outbox", "%s", problem);
    else
        log_info("outbox", "the store works again");
    return true;
}
