/* What the gateway reports about itself. */
#include "agent/gateway/gateway_events.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/tls/certificate.h"

#include <stdio.h>
#include <string.h>

#define EXPIRY_NOTICE_DAYS 30
#define SUMMARY_LINES 10
#define SUMMARY_LINE_BYTES 200

/* Why a line or, DEVICE given, a device failed last. REASON holds 160 bytes. */
static void events_read_reason(struct line *line, const char *device, char *reason)
{
    struct line_health of_line;
    struct device_health of_device;
    if (device) {
        const struct config *config = line_config(line); /* may be older than the one in force */
        const struct config_device *found = config_find_device(config, device);
        line_get_device_health(line, (size_t)(found - config->devices), &of_device);
        memcpy(reason, of_device.error, sizeof(of_device.error));
    } else {
        line_get_health(line, &of_line);
        memcpy(reason, of_line.error, sizeof(of_line.error));
    }
}

static const struct {
    enum event_kind kind;
    bool of_device; /* else of the line */
    bool is_bad;    /* and has a reason */
} line_events[] = {
    [LINE_EVENT_DOWN] = {EVENT_LINE_DOWN, false, true},
    [LINE_EVENT_UP] = {EVENT_LINE_UP, false, false},
    [LINE_EVENT_UNIT_TRIPPED] = {EVENT_UNIT_TRIPPED, true, true},
    [LINE_EVENT_UNIT_RECOVERED] = {EVENT_UNIT_RECOVERED, true, false},
};

bool gateway_events_is_of_device(enum line_event event)
{
    return line_events[event].of_device;
}

void gateway_events_line(struct intake *intake, const struct config *config,
                         struct line *const *lines, enum line_event event, size_t owner,
                         int64_t timestamp_ms)
{
    if (event == LINE_EVENT_NONE)
        return;
    bool of_device = line_events[event].of_device;
    size_t line = of_device ? config->devices[owner].bus : owner;
    char reason[160] = "";
    struct event record;
    event_init(&record, line_events[event].kind, timestamp_ms);
    event_add_text(&record, MEMBER_LINE, config->buses[line].name);
    if (of_device)
        event_add_text(&record, MEMBER_DEVICE, config->devices[owner].name);
    if (line_events[event].is_bad && lines[line]) /* it is gone while stopping */
        events_read_reason(lines[line], of_device ? config->devices[owner].name : NULL, reason);
    if (line_events[event].is_bad)
        event_add_text(&record, MEMBER_REASON, reason);
    (void)intake_event(intake, &record);
}

static void events_check_certificate(struct intake *intake, const char *path)
{
    char subject[256];
    int64_t left_s;
    int problem =
        certificate_time_left(path, clock_wall_ms() / 1000, &left_s, subject, sizeof(subject));
    if (problem < 0 || left_s > EXPIRY_NOTICE_DAYS * INT64_C(86400))
        return; /* the uplink reports a file that cannot be read */
    int64_t days = left_s / 86400;
    struct event event;
    event_init(&event, EVENT_CERTIFICATE_EXPIRING, clock_wall_ms());
    event_add_text(&event, MEMBER_FILE, path);
    event_add_text(&event, MEMBER_SUBJECT, subject);
    event_add_number(&event, MEMBER_DAYS_LEFT, days);
    (void)intake_event(intake, &event);
    log_warning("uplink",
                "file=%s subject=%s days_left=%lld: renew it by replacing the file; it "
                "is read again at each connection",
                path, subject, (long long)days);
}

void gateway_events_certificates(struct intake *intake, const struct config_uplink *uplink)
{
    if (uplink->certificate)
        events_check_certificate(intake, uplink->certificate);
    if (strcmp(uplink->ca, "system") != 0)
        events_check_certificate(intake, uplink->ca);
}

void gateway_events_text(struct intake *intake, enum event_kind kind, enum event_key key,
                         const char *text)
{
    struct event event;
    event_init(&event, kind, clock_wall_ms());
    if (key != MEMBER_OTHER)
        event_add_text(&event, key, text);
    (void)intake_event(intake, &event);
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

bool gateway_events_unsafe(struct intake *intake, const struct outbox_stats *stats,
                           int64_t *known_ms)
{
    int64_t since_ms = stats->unsafe_since_ms, now_ms = clock_wall_ms();
    struct event event;
    if (since_ms == *known_ms || (since_ms && *known_ms))
        return false;
    event_init(&event, since_ms ? EVENT_STORE_UNSAFE : EVENT_STORE_SAFE, now_ms);
    event_add_number(&event, MEMBER_FROM, since_ms ? since_ms : *known_ms);
    if (since_ms)
        event_add_text(&event, MEMBER_REASON, stats->unsafe_reason);
    else
        event_add_number(&event, MEMBER_TO, now_ms);
    if (intake_event(intake, &event) == 0)
        return false; /* the store cannot take it now: tried again */
    if (since_ms)
        log_warning("outbox", "%s; until that is over a power cut may cost more messages",
                    stats->unsafe_reason);
    else
        log_info("outbox",
                 "what was due on disk is there; a power cut costs no more than promised");
    *known_ms = since_ms;
    return true;
}
