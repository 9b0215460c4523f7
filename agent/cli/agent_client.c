/* How subcommands ask the running agent. */
#include "agent/cli/agent_client.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "agent/base/unix_socket.h"
#include "agent/local/local_socket.h"
#include "config/load/load.h"
#include "drivers/driver.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_RUNTIME_DIR "/run/sallyport" /* the default of gateway.runtime_dir */
#define ANSWER_MAX (64u << 20)
#define TEXT_MAX 16384 /* of one text; the longest value has 6 times 255 bytes */

struct config *agent_load_config(const struct cli_context *context)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct config *config = NULL;
    if (config_load(context->agent_file, drivers_for_config(), &findings, &config) == 0)
        return config;
    findings_sort(&findings);
    findings_print(&findings, &text);
    cli_print(stderr, "%s", strbuf_text(&text));
    if (access(context->agent_file, R_OK) < 0 && errno == EACCES)
        (void)cli_fail(CLI_FAILED, context->command ? context->command->name : "sallyport",
                       "only root and the agent may read %s, because it may hold a password: run "
                       "this as root",
                       context->agent_file);
    return NULL;
}

struct config *agent_find_config(const struct cli_context *context)
{
    bool is_readable = access(context->agent_file, R_OK) == 0 || errno != EACCES;
    if (context->agent_file_given || is_readable)
        return agent_load_config(context);
    struct config *config = memory_zeroed(1, sizeof(*config));
    config->gateway.runtime_dir = memory_text(DEFAULT_RUNTIME_DIR);
    return config;
}

int agent_connect(const struct config *config)
{
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/%s", config->gateway.runtime_dir, LOCAL_SOCKET_NAME);
    return unix_socket_connect(path, SOCK_STREAM);
}

int agent_unreachable(const char *name, const struct config *config, int problem)
{
    const char *advice = problem == -EACCES ? "you are not in the group that may"
                         : problem == -ENOENT || problem == -ECONNREFUSED
                             ? "sallyportd is not running with this configuration"
                             : strerror(-problem);
    return cli_fail(CLI_UNREACHABLE, name, "cannot reach the agent at %s/%s: %s",
                    config->gateway.runtime_dir, LOCAL_SOCKET_NAME, advice);
}

static bool send_request(int socket, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    if (!text)
        return false;
    size_t length = strlen(text);
    text[length++] = '\n'; /* in place of the NUL: a request ends with a line end */
    bool sent = send(socket, text, length, MSG_NOSIGNAL) == (ssize_t)length;
    free(text);
    return sent;
}

/* Receives up to the line end. Returns 0 or a negative errno. */
static int receive_line(int socket, int64_t deadline_ns, struct strbuf *line)
{
    for (;;) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (poll(&wait, 1, (int)left_ms) <= 0)
            continue;
        char *place = strbuf_reserve(line, 65536);
        ssize_t got = recv(socket, place, 65536, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        line->length += (size_t)got;
        if (line->data[line->length - 1] == '\n')
            return 0;
        if (line->length > ANSWER_MAX)
            return -EFBIG;
    }
}

/* ---- what the agent says, fit to be shown ---- */

/* TEXT, LENGTH bytes, escaped and not longer than TEXT_MAX. */
static void show_text(const char *text, size_t length, struct strbuf *out)
{
    text_escape(out, text, length < TEXT_MAX ? length : TEXT_MAX, TEXT_SHOWN);
    if (length > TEXT_MAX)
        strbuf_add(out, "...");
}

/* A copy of VALUE, owned, in which every text and every key of an object is fit to be shown. */
static json_t *shown(json_t *value)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const char *key;
    json_t *copy, *member;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        copy = json_object();
        json_object_foreach(value, key, member)
        {
            strbuf_reset(&text);
            show_text(key, strlen(key), &text);
            json_object_set_new(copy, strbuf_text(&text), shown(member));
        }
        return copy;
    case JSON_ARRAY:
        copy = json_array();
        json_array_foreach(value, i, member) json_array_append_new(copy, shown(member));
        return copy;
    case JSON_STRING:
        show_text(json_string_value(value), json_string_length(value), &text);
        return json_stringn(strbuf_text(&text), text.length);
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return json_incref(value);
}

json_t *agent_ask(int socket, const char *name, json_t *request, int timeout_ms)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    int64_t deadline_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    bool sent = send_request(socket, request);
    json_decref(request);
    int problem = sent ? receive_line(socket, deadline_ns, &line) : -EPIPE;
    if (problem < 0) {
        (void)cli_fail(CLI_FAILED, name, "the agent did not answer: %s", strerror(-problem));
        return NULL;
    }
    json_t *answer = json_loadb(line.data, line.length, 0, NULL);
    if (!json_is_object(answer)) {
        json_decref(answer);
        (void)cli_fail(CLI_FAILED, name, "the agent's answer is not a JSON object");
        return NULL;
    }
    json_t *copy = shown(answer);
    json_decref(answer);
    return copy;
}

bool agent_is_ok(const json_t *answer, const char *name)
{
    if (strcmp(agent_ask_text(answer, "result", ""), "ok") == 0)
        return true;
    (void)cli_fail(CLI_FAILED, name, "%s", agent_ask_text(answer, "reason", "refused"));
    return false;
}

const char *agent_ask_text(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : otherwise;
}

long long agent_ask_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}
