/* The text of an event: its writer, and its reader. */
#include "tunnel/model/event_text.h"

#include "agent/base/text.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIGITS "0123456789"
#define MAX_DIGITS 18 /* what fits into 64 bits whatever the digits are */
#define TIME_LENGTH (sizeof("2026-11-22T10:39:47.123Z") - 1)
#define TIME_BYTES 96 /* whatever the calendar makes of a number */
#define NAME_BYTES 64 /* the longest name of an event or a member, with its NUL */

/* ---- Writing ---- */

static const char *format_time(int64_t time_ms, char text[TIME_BYTES])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    (void)snprintf(text, TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                   utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                   (int)(time_ms % 1000));
    return text;
}

/*
 * Whether TEXT needs no quotes to be read back as the same text: nothing in it ends it, and it is
 * not taken for a number. A hash may be nothing but digits, and is too long for one.
 */
static bool is_bare(enum event_key key, const char *text)
{
    bool has_digits_alone = strspn(text, "-" DIGITS) == strlen(text);
    bool is_hash = event_key_type(key) == EVENT_TYPE_HEX && strlen(text) > MAX_DIGITS;
    return (is_hash || !has_digits_alone) && !strpbrk(text, " \"\\=");
}

static void event_text_put_text(struct strbuf *out, enum event_key key, const char *text)
{
    CLEANUP(strbuf_free) struct strbuf escaped = STRBUF_EMPTY;
    text_escape(&escaped, text, strlen(text), TEXT_FIELD); /* a text cannot forge a line */
    bool bare = is_bare(key, strbuf_text(&escaped));
    if (!bare)
        strbuf_add_char(out, '"');
    for (const char *at = strbuf_text(&escaped); *at; at++) {
        if (*at == '"' || *at == '\\')
            strbuf_add_char(out, '\\');
        strbuf_add_char(out, *at);
    }
    if (!bare)
        strbuf_add_char(out, '"');
}

static void event_text_put_member(struct strbuf *out, const struct event *event,
                                  const struct event_member *member)
{
    strbuf_addf(out, "%s=", event_member_name(event, member));
    if (member->is_number)
        strbuf_add_i64(out, member->number);
    else
        event_text_put_text(out, member->key, event_member_text(event, member));
}

void event_text_write_members(const struct event *event, struct strbuf *out)
{
    for (size_t i = 0; i < event->n_members; i++) {
        if (i > 0)
            strbuf_add_char(out, ' ');
        event_text_put_member(out, event, &event->members[i]);
    }
}

void event_text_write(const struct event *event, uint64_t seq, struct strbuf *out)
{
    char time[TIME_BYTES];
    strbuf_add_u64(out, seq);
    strbuf_addf(out, " %s %s%s", format_time(event->time_ms, time), event_name(event),
                event->n_members ? " " : "");
    event_text_write_members(event, out);
}

/* ---- Reading ---- */

/* The part of the line that is not read yet. */
struct event_text_scan {
    const char *at, *end;
};

/* The bytes up to the next one of STOPS, or the end. */
static size_t event_text_span(const struct event_text_scan *scan, const char *stops)
{
    const char *at = scan->at;
    while (at < scan->end && *at && !strchr(stops, *at))
        at++;
    return (size_t)(at - scan->at);
}

static bool read_seq(struct event_text_scan *scan, uint64_t *ret_seq)
{
    uint64_t seq = 0;
    size_t length = event_text_span(scan, " ");
    if (length == 0 || length > MAX_DIGITS || scan->at[0] == '0')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (scan->at[i] < '0' || scan->at[i] > '9')
            return false;
        seq = seq * 10 + (uint64_t)(scan->at[i] - '0');
    }
    scan->at += length;
    *ret_seq = seq;
    return true;
}

/* Takes only what format_time() makes: it is made again, and compared. */
static bool event_text_read_time(struct event_text_scan *scan, int64_t *ret_time_ms)
{
    char text[TIME_LENGTH + 1] = "", again[TIME_BYTES];
    struct tm utc = {.tm_isdst = 0};
    int milliseconds = 0;
    if ((size_t)(scan->end - scan->at) < 1 + TIME_LENGTH || scan->at[0] != ' ')
        return false;
    memcpy(text, scan->at + 1, TIME_LENGTH);
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (!rest || sscanf(rest, ".%3dZ", &milliseconds) != 1)
        return false;
    int64_t time_ms = (int64_t)timegm(&utc) * 1000 + milliseconds;
    if (strcmp(format_time(time_ms, again), text) != 0)
        return false;
    scan->at += 1 + TIME_LENGTH;
    *ret_time_ms = time_ms;
    return true;
}

/* Names go into topics and payloads as they are: only what needs no escaping. */
static bool event_text_is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!text[i] || !strchr("abcdefghijklmnopqrstuvwxyz" DIGITS "_-", text[i]))
            return false;
    }
    return length > 0 && length < NAME_BYTES;
}

/* There is always room: each name and value, with its NUL, is longer in the line. */
static void take_char(struct event *event, char byte)
{
    assert(event->used < EVENT_TEXT_BYTES);
    event->texts[event->used++] = byte;
}

/* Stores a name and returns where it is. */
static uint16_t take_name(struct event *event, const char *name)
{
    uint16_t at = event->used;
    do
        take_char(event, *name);
    while (*name++);
    return at;
}

static bool event_text_read_name(struct event_text_scan *scan, const char *stops,
                                 char ret_name[NAME_BYTES])
{
    size_t length = event_text_span(scan, stops);
    if (!event_text_is_name(scan->at, length))
        return false;
    memcpy(ret_name, scan->at, length);
    ret_name[length] = '\0';
    scan->at += length;
    return true;
}

/* Stores one value, quoted or bare, as a text. A quote that is never closed ends with the line. */
static void event_text_read_text(struct event_text_scan *scan, struct event *event)
{
    bool is_quoted = scan->at < scan->end && *scan->at == '"';
    scan->at += is_quoted;
    for (; scan->at < scan->end && *scan->at != (is_quoted ? '"' : ' '); scan->at++) {
        if (is_quoted && *scan->at == '\\' && scan->at + 1 < scan->end)
            scan->at++;
        take_char(event, *scan->at);
    }
    take_char(event, '\0');
    if (is_quoted && scan->at < scan->end)
        scan->at++;
}

/* What reads back the same: never an id such as "007". */
static bool event_text_is_number(const char *text)
{
    const char *first = text + (*text == '-');
    size_t digits = strspn(first, DIGITS);
    return digits > 0 && digits <= MAX_DIGITS && !first[digits] &&
           (first[0] != '0' || (digits == 1 && first == text));
}

static void read_value(struct event_text_scan *scan, struct event *event,
                       struct event_member *member)
{
    bool is_quoted = scan->at < scan->end && *scan->at == '"';
    member->text = event->used;
    event_text_read_text(scan, event);
    const char *text = event->texts + member->text;
    if (is_quoted || !event_text_is_number(text))
        return;
    member->is_number = true;
    member->number = strtoll(text, NULL, 10);
    event->used = member->text;
}

static int read_members(struct event_text_scan *scan, struct event *event)
{
    char name[NAME_BYTES];
    while (scan->at < scan->end) {
        if (*scan->at++ != ' ' || !event_text_read_name(scan, "= ", name) ||
            scan->at == scan->end || *scan->at++ != '=')
            return -EBADMSG;
        if (event->n_members == EVENT_MAX_MEMBERS) {
            event->is_cut = true;
            return 0;
        }
        struct event_member *member = &event->members[event->n_members++];
        *member = (struct event_member){.key = event_key_find(event->kind, name)};
        if (member->key == MEMBER_OTHER)
            member->name = take_name(event, name);
        read_value(scan, event, member);
    }
    return 0;
}

int event_text_read(const char *line, size_t length, uint64_t *ret_seq, struct event *event)
{
    struct event_text_scan scan = {line, line + length};
    char name[NAME_BYTES];
    event->is_cut = false;
    event->name = event->used = 0;
    event->n_members = 0;
    if (length > EVENT_TEXT_BYTES || !read_seq(&scan, ret_seq) ||
        !event_text_read_time(&scan, &event->time_ms) || scan.at == scan.end || *scan.at++ != ' ' ||
        !event_text_read_name(&scan, " ", name))
        return -EBADMSG;
    event->kind = event_kind_find(name);
    if (event->kind == EVENT_OTHER)
        event->name = take_name(event, name);
    return read_members(&scan, event);
}
