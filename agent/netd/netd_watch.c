/* What the agent knows of netd. */
#include "agent/netd/netd_watch.h"

#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "tunnel/firewall/firewall.h"
#include "tunnel/journal/journal.h"
#include "tunnel/model/session.h"
#include "tunnel/wire/netd_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POSITION_NAME "warden.position"
#define FIELDS_MAX 24

struct netd_watch {
    struct netd_watch_callbacks callbacks;
    struct netd_client *client;
    char *position_file;
    struct strbuf texts; /* reused */
};

/* --- a journal line ----------------------------------------------------------------------- */

/* "2026-11-22T16:10:39.412Z" */
static bool parse_time(const char *text, int64_t *ret_ms)
{
    struct tm utc = {.tm_isdst = 0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    int milliseconds = 0;
    if (!rest || sscanf(rest, ".%3dZ", &milliseconds) != 1)
        return false;
    *ret_ms = (int64_t)timegm(&utc) * 1000 + milliseconds;
    return true;
}

/* Copies one value, quoted or bare, and its NUL to TEXTS; returns what follows it. */
static const char *take_value(const char *at, struct strbuf *texts)
{
    bool quoted = *at == '"';
    if (quoted)
        at++;
    while (*at && *at != (quoted ? '"' : ' ')) {
        if (quoted && *at == '\\' && at[1])
            at++;
        strbuf_add_char(texts, *at++);
    }
    strbuf_add_char(texts, '\0');
    return quoted && *at ? at + 1 : at;
}

/* What is not quoted and reads back the same: never an id such as "007". */
static bool is_number(const char *text, int64_t *ret_number)
{
    const char *first = text + (*text == '-');
    size_t digits = strspn(first, "0123456789");
    if (digits == 0 || digits > 18 || first[digits] ||
        (first[0] == '0' && (digits > 1 || first > text)))
        return false;
    *ret_number = strtoll(text, NULL, 10);
    return true;
}

/* Takes the pairs KEY=VALUE: first all texts, whose buffer may move, then the pointers to them. */
static size_t take_pairs(const char *at, struct event_field *fields, size_t most,
                         struct strbuf *texts)
{
    size_t starts[2 * FIELDS_MAX], n_fields = 0;
    bool is_quoted[FIELDS_MAX];
    while (n_fields < most && n_fields < FIELDS_MAX) {
        while (*at == ' ')
            at++;
        size_t length = strcspn(at, "= ");
        if (length == 0 || at[length] != '=')
            break;
        starts[2 * n_fields] = texts->length;
        strbuf_append(texts, at, length);
        strbuf_add_char(texts, '\0');
        starts[2 * n_fields + 1] = texts->length;
        is_quoted[n_fields] = at[length + 1] == '"';
        at = take_value(at + length + 1, texts);
        n_fields++;
    }
    for (size_t i = 0; i < n_fields; i++) {
        fields[i] = (struct event_field){.key = texts->data + starts[2 * i],
                                         .text = texts->data + starts[2 * i + 1]};
        if (!is_quoted[i] && is_number(fields[i].text, &fields[i].number))
            fields[i].text = NULL;
    }
    return n_fields;
}

/* A key goes into the payload as it is: only what needs no escaping. */
static bool is_word(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", text[i]))
            return false;
    }
    return length > 0;
}

int netd_watch_parse(const char *line, char *name, size_t size, int64_t *ret_timestamp_ms,
                     struct event_field *fields, size_t most, struct strbuf *texts)
{
    char *end;
    (void)strtoull(line, &end, 10);
    if (end == line || *end != ' ' || !parse_time(end + 1, ret_timestamp_ms))
        return -EBADMSG;
    const char *event = strchr(end + 1, ' ');
    if (!event)
        return -EBADMSG;
    size_t length = strcspn(++event, " ");
    if (length >= size || !is_word(event, length))
        return -EBADMSG;
    memcpy(name, event, length);
    name[length] = '\0';
    size_t n_fields = take_pairs(event + length, fields, most, texts);
    for (size_t i = 0; i < n_fields; i++) {
        if (!is_word(fields[i].key, strlen(fields[i].key)))
            return -EBADMSG;
    }
    return (int)n_fields;
}

/* --- netd reaches up ---------------------------------------------------------------- */

static void remember(const struct netd_watch *watch, uint64_t position)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%" PRIu64 "\n", position);
    int problem = file_replace(watch->position_file, text, (size_t)length, 0640);
    if (problem < 0)
        log_warning("netd", "file=%s: %s; after a restart the last events come again",
                    watch->position_file, strerror(-problem));
}

static void on_event(void *context, const char *event, const char *line, uint64_t position)
{
    struct netd_watch *watch = context;
    struct event_field fields[FIELDS_MAX];
    char name[64];
    int64_t timestamp_ms;
    (void)event;
    strbuf_reset(&watch->texts);
    int n_fields = netd_watch_parse(line, name, sizeof(name), &timestamp_ms, fields, FIELDS_MAX,
                                    &watch->texts);
    if (n_fields < 0) {
        log_warning("netd", "position=%" PRIu64 ": not a journal line; left out of the events",
                    position);
        return;
    }
    log_info("netd", "event=%s", name);
    if (watch->callbacks.event(watch->callbacks.context, name, timestamp_ms, fields,
                               (size_t)n_fields))
        remember(watch, position);
}

static void on_change(void *context)
{
    struct netd_watch *watch = context;
    watch->callbacks.changed(watch->callbacks.context);
}

static void on_challenge(void *context, const char *challenge)
{
    struct netd_watch *watch = context;
    watch->callbacks.challenge(watch->callbacks.context, challenge);
}

static void on_answer(void *context, enum refusal refusal, const struct wire_signed_reply *reply)
{
    struct netd_watch *watch = context;
    watch->callbacks.answered(watch->callbacks.context, refusal, reply);
}

/* --- making, ending, telling ----------------------------------------------------------------- */

static uint64_t recall(const struct netd_watch *watch)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (file_read(watch->position_file, 64, &text) < 0)
        return 0; /* the first start: everything that netd still has */
    return strtoull(strbuf_text(&text), NULL, 10);
}

int netd_watch_new(const struct config_gateway *config,
                   const struct netd_watch_callbacks *callbacks, sd_event *loop,
                   struct netd_watch **ret_watch)
{
    struct netd_watch *watch = memory_zeroed(1, sizeof(*watch));
    const struct netd_client_callbacks reach_up = {.changed = on_change,
                                                   .event = on_event,
                                                   .challenge = on_challenge,
                                                   .answered = on_answer,
                                                   .context = watch};
    watch->callbacks = *callbacks;
    watch->position_file = memory_printf("%s/%s", config->state_dir, POSITION_NAME);
    int problem =
        netd_client_new(config->netd_socket, recall(watch), &reach_up, loop, &watch->client);
    if (problem < 0) {
        netd_watch_free(watch);
        return problem;
    }
    *ret_watch = watch;
    return 0;
}

struct netd_watch *netd_watch_free(struct netd_watch *watch)
{
    if (!watch)
        return NULL;
    netd_client_free(watch->client);
    strbuf_free(&watch->texts);
    free(watch->position_file);
    free(watch);
    return NULL;
}

bool netd_watch_is_connected(const struct netd_watch *watch)
{
    return netd_client_is_connected(watch->client);
}

int netd_watch_signed(struct netd_watch *watch, const void *text, size_t length, bool is_retained)
{
    return netd_client_signed(watch->client, text, length, is_retained);
}

static void add_text(struct strbuf *out, const char *key, const char *text)
{
    strbuf_addf(out, ",\"%s\":", key);
    json_add_string(out, text, strlen(text));
}

static void add_firewall(const struct wire_status *status, const struct wire_counters *counters,
                         struct strbuf *out)
{
    strbuf_addf(out, "\"firewall\":{\"state\":\"%s\",\"exceptions\":%u,\"reloads\":%u",
                firewall_state_names[status->firewall_state], status->firewall_exceptions,
                status->firewall_reloads);
    if (counters)
        strbuf_addf(out,
                    ",\"dropped_in\":%" PRIu64 ",\"dropped_forward\":%" PRIu64
                    ",\"dropped_out\":%" PRIu64 ",\"spoofed\":%" PRIu64,
                    counters->dropped_in, counters->dropped_forward, counters->dropped_out,
                    counters->spoofed);
    if (status->firewall_problem[0])
        add_text(out, "problem", status->firewall_problem);
    strbuf_add_char(out, '}');
}

static void add_tunnel(const struct wire_status *status, struct strbuf *out)
{
    strbuf_addf(out, ",\"tunnel\":{\"state\":\"%s\"", session_state_names[status->session_state]);
    if (status->session_state == SESSION_CLOSED) {
        if (status->session_end != SESSION_END_NONE)
            add_text(out, "last_end", session_end_names[status->session_end]);
        strbuf_add_char(out, '}');
        return;
    }
    strbuf_add(out, ",\"services\":[");
    for (uint32_t i = 0; i < status->n_services; i++) {
        if (i > 0)
            strbuf_add_char(out, ',');
        json_add_string(out, status->services[i], strlen(status->services[i]));
    }
    strbuf_addf(out, "],\"remaining_s\":%" PRId64 ",\"bytes\":%" PRIu64,
                status->remaining_ms / 1000, status->bytes);
    add_text(out, "opener", status->opener);
    add_text(out, "reason", status->reason);
    strbuf_add_char(out, '}');
}

void netd_watch_status(const struct netd_watch *watch, struct strbuf *out)
{
    const struct wire_status *status = watch ? netd_client_status(watch->client) : NULL;
    if (!status) {
        strbuf_add(out, "\"firewall\":{\"state\":\"unknown\"},\"tunnel\":{\"state\":\"unknown\"}");
        return;
    }
    add_firewall(status, netd_client_counters(watch->client), out);
    add_tunnel(status, out);
}
