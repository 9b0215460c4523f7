/*
 * The session to the broker. Two sources drive it, both in the main loop: events from the MQTT
 * client (through the ring), and one timer. Which phase follows is decided by uplink_state.c; here
 * is what is done in each.
 */
#include "agent/uplink.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/broker_socket.h"
#include "agent/mqtt_client.h"
#include "agent/probe_job.h"
#include "agent/tls_policy.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NEVER INT64_MAX
/* Paho looks at its connect timeout every 3 s only. */
#define CONNECT_GRACE_NS (5 * CLOCK_NS_PER_S)
/* A cut connection is noticed at once; after this we ask for the end of the session as well. */
#define CLOSING_NS (5 * CLOCK_NS_PER_S)
/* A session that lasted so long was a good one: the back-off starts anew. */
#define PROVEN_NS (30 * CLOCK_NS_PER_S)
/* The same reason is said again after this time. */
#define REPEAT_NS (600 * CLOCK_NS_PER_S)
/* Kept of the time for stopping, for the farewell itself. */
#define FAREWELL_MS 1000

#define BAD_SUBSCRIBE 0x80 /* MQTT 3.1.1, section 3.9.3 */

struct server {
    struct server_url url;
    char *text; /* as configured */
    char *told; /* the sentence that was logged last since a session; NULL for none */
    int64_t told_ns;
};

struct uplink {
    struct uplink_callbacks callbacks;
    struct config_uplink config; /* its texts and lists are ours */
    char *will_topic, *will_payload, *subscribe_topic;
    uint16_t proxy_port; /* 0: no proxy */
    struct server *servers;

    sd_event_source *wake_source, *timer_source;
    int64_t armed_ns; /* when the timer fires; NEVER when it is off */
    struct uplink_ring *ring;
    struct mqtt_client *clients[2]; /* by server_url.websocket; NULL when no server needs it */

    struct uplink_state state;
    struct uplink_window window;
    size_t window_size;  /* for messages with a tag; the array is larger by UPLINK_SPARE */
    uint32_t generation; /* of the attempt and its session */
    size_t current;      /* the server of these */
    bool attempting;     /* while connecting: the client has the attempt */
    bool logged_in;      /* while connecting: waiting for the subscription */
    bool late_told;      /* that the attempt takes too long */
    bool proven;
    bool starved;   /* uplink_publish() said -EAGAIN */
    bool down_told; /* the owner knows that there is no session */
    bool stopping;
    int socket;      /* our duplicate of the session's socket, or -1 */
    int64_t step_ns; /* when the phase, or the wait for the subscription, began */
    int64_t due_ns;  /* of the next attempt, while waiting */

    struct probe_job *probe; /* under way, or NULL */
    size_t probed;           /* which server it is about */

    char *reason;
    int64_t since_wall_ms;
    uint64_t connects, failures, published, acknowledged;
};

/* --- time --------------------------------------------------------------------------------------*/

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t after(int64_t begin_ns, int64_t wait_ns)
{
    return begin_ns == NEVER ? NEVER : begin_ns + wait_ns;
}

static int64_t ack_timeout_ns(const struct uplink *uplink)
{
    return uplink->config.ack_timeout_s * CLOCK_NS_PER_S;
}

/* When the timer has to fire next. */
static int64_t deadline_ns(const struct uplink *uplink)
{
    switch (uplink->state.phase) {
    case UPLINK_IDLE:
        return NEVER;
    case UPLINK_CONNECTING:
        if (!uplink->attempting)
            return 0;
        if (uplink->logged_in)
            return uplink->step_ns + ack_timeout_ns(uplink);
        return uplink->late_told ? NEVER
                                 : uplink->step_ns + CONNECT_GRACE_NS +
                                       uplink->config.connect_timeout_s * CLOCK_NS_PER_S;
    case UPLINK_UP:
        return earlier(uplink->proven ? NEVER : uplink->step_ns + PROVEN_NS,
                       after(uplink_window_oldest_ns(&uplink->window), ack_timeout_ns(uplink)));
    case UPLINK_CLOSING:
        return uplink->step_ns + CLOSING_NS;
    case UPLINK_WAITING:
        return uplink->due_ns;
    }
    return NEVER;
}

static void arm(struct uplink *uplink)
{
    int64_t deadline = uplink->stopping ? NEVER : deadline_ns(uplink);
    uplink->armed_ns = deadline;
    if (deadline == NEVER) {
        (void)sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(uplink->timer_source, (uint64_t)(deadline / CLOCK_NS_PER_US));
    (void)sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_ONESHOT);
}

/* --- phases and what is said about them ------------------------------------------------------- */

/* Of the attempt or session; after a failure uplink->state.server is the next one already. */
static struct server *server_now(const struct uplink *uplink)
{
    return &uplink->servers[uplink->current];
}

static struct mqtt_client *client_now(const struct uplink *uplink)
{
    return uplink->clients[server_now(uplink)->url.websocket];
}

/* Returns false when the input does not fit the phase: it came late, and is ignored. */
static bool step(struct uplink *uplink, enum uplink_input input)
{
    enum uplink_phase before = uplink->state.phase;
    uint32_t random = 0;
    int64_t wait_ms = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0; /* before the pool is ready: no jitter */
    if (uplink_state_step(&uplink->state, input, random, &wait_ms) < 0) {
        log_debug("uplink", "phase=%s input=%d ignored: it came late", uplink_phase_name(before),
                  (int)input);
        return false;
    }
    if (uplink->state.phase != before) {
        uplink->step_ns = clock_mono_ns();
        uplink->since_wall_ms = clock_wall_ms();
        uplink->due_ns = uplink->step_ns + wait_ms * CLOCK_NS_PER_MS;
        uplink->attempting = uplink->logged_in = uplink->late_told = uplink->proven = false;
    }
    arm(uplink);
    return true;
}

static void set_reason(struct uplink *uplink, const char *sentence)
{
    free(uplink->reason);
    uplink->reason = memory_text(sentence);
}

static void log_reason(struct server *server, const char *sentence)
{
    int64_t now_ns = clock_mono_ns();
    if (server->told && strcmp(server->told, sentence) == 0 && now_ns - server->told_ns < REPEAT_NS)
        return;
    log_warning("uplink", "%s; trying again until it works", sentence);
    free(server->told);
    server->told = memory_text(sentence);
    server->told_ns = now_ns;
}

static void tell(struct uplink *uplink, struct server *server, const char *sentence)
{
    set_reason(uplink, sentence);
    log_reason(server, sentence);
    if (uplink->down_told || uplink->stopping)
        return;
    uplink->down_told = true;
    if (uplink->callbacks.down)
        uplink->callbacks.down(uplink->callbacks.context, uplink->reason);
}

static void tell_about(struct uplink *uplink, struct server *server, const char *reason)
{
    char *sentence CLEANUP(memory_free_pointer) =
        memory_printf("%s:%u: %s", server->url.host, server->url.port, reason);
    tell(uplink, server, sentence);
}

static void forget_told(struct uplink *uplink)
{
    for (size_t i = 0; i < uplink->config.servers.length; i++) {
        free(uplink->servers[i].told);
        uplink->servers[i].told = NULL;
    }
}

/* --- secrets ---------------------------------------------------------------------------------- */

struct secrets {
    struct strbuf password, key_password, problem;
};

static void secrets_wipe(struct secrets *secrets)
{
    if (secrets->password.data)
        memory_wipe(secrets->password.data, secrets->password.capacity);
    if (secrets->key_password.data)
        memory_wipe(secrets->key_password.data, secrets->key_password.capacity);
    strbuf_free(&secrets->password);
    strbuf_free(&secrets->key_password);
    strbuf_free(&secrets->problem);
}

static bool read_secret(const char *key, const char *path, struct strbuf *secret,
                        struct strbuf *problem)
{
    int result = path ? config_read_secret(path, secret) : 0;
    if (result == 0)
        return true;
    strbuf_addf(problem, "the %s %s cannot be used: %s", key, path,
                result == -EPERM || result == -EACCES
                    ? "it must be readable by this service and by nobody else (chmod o=)"
                    : strerror(-result));
    return false;
}

static bool read_secrets(const struct uplink *uplink, struct secrets *secrets)
{
    return read_secret("password_file", uplink->config.password_file, &secrets->password,
                       &secrets->problem) &&
           read_secret("key_password_file", uplink->config.key_password_file,
                       &secrets->key_password, &secrets->problem);
}

static const char *key_password_of(const struct uplink *uplink, const struct secrets *secrets)
{
    return uplink->config.key_password_file ? strbuf_text(&secrets->key_password) : NULL;
}

/* --- the probe -------------------------------------------------------------------------------- */

static void start_probe(struct uplink *uplink)
{
    struct secrets secrets CLEANUP(secrets_wipe) = {0};
    if (uplink->probe || uplink->stopping)
        return; /* the one that runs has something to say soon */
    if (!read_secrets(uplink, &secrets))
        return; /* the next attempt says it */
    struct probe_target target = {
        .server = server_now(uplink)->text,
        .ca = uplink->config.ca,
        .certificate = uplink->config.certificate,
        .key = uplink->config.key,
        .key_password = key_password_of(uplink, &secrets),
        .alpn = uplink->config.alpn,
        .proxy = uplink->config.proxy,
        .timeout_ms = (int)(uplink->config.connect_timeout_s * 1000),
    };
    uplink->probed = uplink->current;
    uplink->probe = probe_job_start(&target, uplink_ring_descriptor(uplink->ring));
    if (!uplink->probe)
        tell_about(uplink, server_now(uplink), "the connection failed");
}

static void finish_probe(struct uplink *uplink)
{
    enum probe_result result;
    const char *sentence;
    if (!uplink->probe || !probe_job_result(uplink->probe, &result, &sentence))
        return;
    struct server *server = &uplink->servers[uplink->probed];
    if (uplink->state.phase == UPLINK_UP || uplink->stopping)
        ; /* it came right by itself meanwhile */
    else if (result != PROBE_OK)
        tell(uplink, server, sentence);
    else
        tell_about(uplink, server,
                   server->url.websocket
                       ? "TLS works, but the MQTT login got no answer: is the path right?"
                       : "TLS works, but the MQTT login got no answer: is it an MQTT broker?");
    uplink->probe = probe_job_free(uplink->probe);
}

/* --- attempts --------------------------------------------------------------------------------- */

/* REASON NULL: nobody knows, the probe shall find out. */
static void attempt_failed(struct uplink *uplink, enum uplink_input input, const char *reason)
{
    descriptor_close(&uplink->socket);
    uplink->failures++;
    if (!step(uplink, input))
        return;
    if (reason)
        tell_about(uplink, server_now(uplink), reason);
    else
        start_probe(uplink);
}

/* Says the same as Paho would mean with "failure" later, but says which file. */
static bool check_files(const struct uplink *uplink, struct secrets *secrets)
{
    struct tls_files files = {.ca = uplink->config.ca,
                              .certificate = uplink->config.certificate,
                              .key = uplink->config.key,
                              .key_password = key_password_of(uplink, secrets)};
    SSL_CTX *context = NULL;
    if (!read_secrets(uplink, secrets))
        return false;
    files.key_password = key_password_of(uplink, secrets);
    if (tls_policy_context(&files, &context, &secrets->problem) < 0)
        return false;
    SSL_CTX_free(context);
    return true;
}

static void begin_attempt(struct uplink *uplink)
{
    struct secrets secrets CLEANUP(secrets_wipe) = {0};
    const struct config_uplink *config = &uplink->config;
    uplink->attempting = true;
    uplink->current = uplink->state.server;
    uplink->generation++;
    if (!check_files(uplink, &secrets)) {
        attempt_failed(uplink, UPLINK_FAILED, secrets.problem.data);
        return;
    }
    struct mqtt_attempt attempt = {
        .server = &server_now(uplink)->url,
        .ca = config->ca,
        .certificate = config->certificate,
        .key = config->key,
        .key_password = key_password_of(uplink, &secrets),
        .username = config->username,
        .password = config->password_file ? strbuf_text(&secrets.password) : NULL,
        .alpn = config->alpn,
        .proxy = config->proxy,
        .will_topic = uplink->will_topic,
        .will_payload = uplink->will_payload,
        .keepalive_s = (int)config->keepalive_s,
        .connect_timeout_s = (int)config->connect_timeout_s,
        .generation = uplink->generation,
    };
    log_debug("uplink", "server=%s attempt=%u", server_now(uplink)->text, uplink->generation);
    if (mqtt_client_connect(client_now(uplink), &attempt) < 0)
        attempt_failed(uplink, UPLINK_FAILED, "the MQTT client does not take the attempt");
    arm(uplink);
}

/* --- sessions --------------------------------------------------------------------------------- */

static void forget_flights(struct uplink *uplink)
{
    uplink_window_clear(&uplink->window);
    uplink->starved = false;
}

static void session_lost(struct uplink *uplink, enum uplink_input input, const char *reason)
{
    forget_flights(uplink);
    if (step(uplink, input))
        tell_about(uplink, server_now(uplink), reason);
}

/*
 * Lets go of a session that is broken. It is cut, not ended with a farewell: the broker has to
 * publish our will, for nobody else can say now that we are gone.
 */
static void cut_session(struct uplink *uplink)
{
    if (uplink->socket >= 0)
        broker_socket_cut(uplink->socket);
    else if (mqtt_client_disconnect(client_now(uplink)) < 0)
        (void)step(uplink, UPLINK_CLOSED);
}

/* Says farewell, so that the broker forgets our will. */
static void leave_session(struct uplink *uplink)
{
    if (mqtt_client_disconnect(client_now(uplink)) < 0)
        (void)step(uplink, UPLINK_CLOSED);
}

static void session_up(struct uplink *uplink)
{
    if (!step(uplink, UPLINK_CONNECTED))
        return;
    if (uplink->state.phase == UPLINK_CLOSING) { /* stopped meanwhile */
        leave_session(uplink);
        return;
    }
    uplink->connects++;
    uplink->down_told = false;
    forget_flights(uplink);
    forget_told(uplink);
    set_reason(uplink, "");
    log_info("uplink", "%s:%u: session up, publishing", server_now(uplink)->url.host,
             server_now(uplink)->url.port);
    if (uplink->callbacks.up)
        uplink->callbacks.up(uplink->callbacks.context);
}

static void tune_socket(struct uplink *uplink)
{
    uint16_t port = uplink->proxy_port ? uplink->proxy_port : server_now(uplink)->url.port;
    descriptor_close(&uplink->socket);
    int found = broker_socket_find(port, (unsigned int)uplink->config.ack_timeout_s * 1000,
                                   &uplink->socket);
    if (found != 1)
        log_debug("uplink", "sockets=%d with peer port %u; going on", found, port);
}

/* An attempt that came as far as the login has to be taken apart before the next. */
static void break_attempt(struct uplink *uplink, const char *reason)
{
    attempt_failed(uplink, UPLINK_BROKEN, reason);
    if (uplink->state.phase == UPLINK_CLOSING && mqtt_client_disconnect(client_now(uplink)) < 0)
        (void)step(uplink, UPLINK_CLOSED);
}

static void on_login(struct uplink *uplink)
{
    if (uplink->state.phase != UPLINK_CONNECTING)
        return;
    tune_socket(uplink);
    if (!uplink->subscribe_topic || uplink->stopping) {
        session_up(uplink);
        return;
    }
    uplink->logged_in = true;
    uplink->step_ns = clock_mono_ns();
    arm(uplink);
    if (mqtt_client_subscribe(client_now(uplink), uplink->subscribe_topic) < 0)
        break_attempt(uplink, "the connection was lost right after the login");
}

static void on_denied(struct uplink *uplink, int code)
{
    if (code != BAD_SUBSCRIBE || uplink->state.phase != UPLINK_CONNECTING)
        return; /* the end of the connection, which is an event of its own */
    char *reason CLEANUP(memory_free_pointer) =
        memory_printf("the broker refused the subscription to %s: its access control list (ACL) "
                      "must allow this user to read it",
                      uplink->subscribe_topic);
    break_attempt(uplink, reason);
}

static void on_lost(struct uplink *uplink)
{
    switch (uplink->state.phase) {
    case UPLINK_CONNECTING:
        attempt_failed(uplink, UPLINK_LOST, "the broker ended the connection after the login");
        break;
    case UPLINK_UP:
        descriptor_close(&uplink->socket);
        session_lost(uplink, UPLINK_LOST, "connection lost");
        break;
    case UPLINK_CLOSING:
        (void)step(uplink, UPLINK_LOST);
        descriptor_close(&uplink->socket);
        break;
    case UPLINK_IDLE:
    case UPLINK_WAITING:
        break;
    }
}

static void on_delivered(struct uplink *uplink, int token)
{
    uint64_t tag;
    if (!uplink_window_acknowledge(&uplink->window, token, &tag))
        return; /* left over from before this session */
    uplink->acknowledged++;
    if (tag != 0 && uplink->callbacks.acknowledged)
        uplink->callbacks.acknowledged(uplink->callbacks.context, tag);
}

static void on_message(struct uplink *uplink, const struct uplink_event *event)
{
    if (uplink->callbacks.received && !uplink->stopping)
        uplink->callbacks.received(uplink->callbacks.context, event->topic, event->payload,
                                   event->length, event->retained);
}

static void handle(struct uplink *uplink, const struct uplink_event *event)
{
    if (event->generation != uplink->generation)
        return; /* of a session that is gone */
    switch (event->kind) {
    case UPLINK_EVENT_LOGIN:
        on_login(uplink);
        break;
    case UPLINK_EVENT_REFUSED:
        if (uplink->state.phase == UPLINK_CONNECTING)
            attempt_failed(uplink, UPLINK_FAILED, mqtt_client_refusal(event->code));
        break;
    case UPLINK_EVENT_SUBSCRIBED:
        session_up(uplink);
        break;
    case UPLINK_EVENT_DENIED:
        on_denied(uplink, event->code);
        break;
    case UPLINK_EVENT_LOST:
        on_lost(uplink);
        break;
    case UPLINK_EVENT_CLOSED:
        (void)step(uplink, UPLINK_CLOSED);
        descriptor_close(&uplink->socket);
        break;
    case UPLINK_EVENT_DELIVERED:
        on_delivered(uplink, event->code);
        break;
    case UPLINK_EVENT_MESSAGE:
        on_message(uplink, event);
        break;
    }
}

static void drain(struct uplink *uplink)
{
    struct uplink_event event;
    uplink_ring_acknowledge(uplink->ring);
    while (uplink_ring_pop(uplink->ring, &event)) {
        handle(uplink, &event);
        free(event.topic);
    }
    uint64_t dropped = uplink_ring_take_dropped(uplink->ring);
    if (dropped)
        log_warning("uplink", "dropped=%llu: the broker sends more than can be meant",
                    (unsigned long long)dropped);
    finish_probe(uplink);
    if (uplink->starved && uplink_room(uplink) > 0) {
        uplink->starved = false;
        if (uplink->callbacks.room && !uplink->stopping)
            uplink->callbacks.room(uplink->callbacks.context);
    }
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void connecting_timer(struct uplink *uplink)
{
    if (!uplink->attempting) {
        begin_attempt(uplink);
    } else if (uplink->logged_in) {
        break_attempt(uplink, "the broker does not answer the subscription");
    } else {
        uplink->late_told = true; /* it cannot be called off; it ends by itself */
        log_warning("uplink", "%s: the attempt takes longer than connect_timeout_s; waiting for it",
                    server_now(uplink)->text);
    }
}

static void up_timer(struct uplink *uplink, int64_t now_ns)
{
    if (!uplink->proven && now_ns >= uplink->step_ns + PROVEN_NS) {
        uplink->proven = true;
        (void)step(uplink, UPLINK_PROVEN);
    }
    if (now_ns < after(uplink_window_oldest_ns(&uplink->window), ack_timeout_ns(uplink)))
        return;
    char reason[64];
    (void)snprintf(reason, sizeof(reason), "no acknowledgement for %lld s",
                   (long long)uplink->config.ack_timeout_s);
    session_lost(uplink, UPLINK_BROKEN, reason);
    cut_session(uplink);
}

static void closing_timer(struct uplink *uplink)
{
    log_warning("uplink", "%s: the MQTT client holds on to a dead session; asking again",
                server_now(uplink)->text);
    uplink->step_ns = clock_mono_ns();
    leave_session(uplink);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
    struct uplink *uplink = context;
    int64_t now_ns = clock_mono_ns();
    (void)source, (void)usec;
    if (now_ns >= deadline_ns(uplink)) {
        switch (uplink->state.phase) {
        case UPLINK_IDLE:
            break;
        case UPLINK_CONNECTING:
            connecting_timer(uplink);
            break;
        case UPLINK_UP:
            up_timer(uplink, now_ns);
            break;
        case UPLINK_CLOSING:
            closing_timer(uplink);
            break;
        case UPLINK_WAITING:
            if (step(uplink, UPLINK_TIMER))
                begin_attempt(uplink);
            break;
        }
    }
    arm(uplink);
    return 0;
}

static int on_wake(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    (void)source, (void)descriptor, (void)events;
    drain(context);
    return 0;
}

/* --- making and ending ------------------------------------------------------------------------ */

/* Paho 1.3.12 obeys these silently, for every scheme, and knows no exception from them. */
static void clean_environment(void)
{
    static const char *const names[] = {
        "http_proxy",          "https_proxy",
        "all_proxy",           "no_proxy",
        "HTTP_PROXY",          "HTTPS_PROXY",
        "ALL_PROXY",           "NO_PROXY",
        "MQTT_C_CLIENT_TRACE", "MQTT_C_CLIENT_TRACE_LEVEL",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (getenv(names[i]))
            (void)unsetenv(names[i]);
    }
}

static char *copy_text(const char *text)
{
    return text ? memory_text(text) : NULL;
}

static void copy_config(struct uplink *uplink, const struct config_uplink *config)
{
    struct config_uplink *ours = &uplink->config;
    *ours = *config;
    ours->servers.items = memory_zeroed(config->servers.length, sizeof(*ours->servers.items));
    for (size_t i = 0; i < config->servers.length; i++)
        ours->servers.items[i] = memory_text(config->servers.items[i]);
    char **texts[] = {&ours->ca,       &ours->certificate,   &ours->key,
                      &ours->username, &ours->password_file, &ours->key_password_file,
                      &ours->alpn,     &ours->client_id,     &ours->proxy,
                      &ours->prefix};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        *texts[i] = copy_text(*texts[i]);
}

static void free_config(struct config_uplink *config)
{
    char *texts[] = {config->ca,       config->certificate,   config->key,
                     config->username, config->password_file, config->key_password_file,
                     config->alpn,     config->client_id,     config->proxy,
                     config->prefix};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < config->servers.length; i++)
        free(config->servers.items[i]);
    free(config->servers.items);
}

static int read_servers(struct uplink *uplink)
{
    const struct text_list *list = &uplink->config.servers;
    uplink->servers = memory_zeroed(list->length, sizeof(*uplink->servers));
    for (size_t i = 0; i < list->length; i++) {
        const char *problem = NULL;
        uplink->servers[i].text = list->items[i];
        if (server_url_parse(list->items[i], &uplink->servers[i].url, &problem) < 0) {
            log_error("uplink", "server %s: %s", list->items[i], problem);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_proxy(struct uplink *uplink)
{
    struct proxy_url url;
    const char *problem = NULL;
    if (!uplink->config.proxy)
        return 0;
    if (proxy_url_parse(uplink->config.proxy, &url, &problem) < 0) {
        log_error("uplink", "proxy: %s", problem); /* without its text: it may hold a password */
        return -EINVAL;
    }
    uplink->proxy_port = url.port;
    memory_wipe(&url, sizeof(url));
    return 0;
}

static int check_config(const struct uplink *uplink)
{
    const struct config_uplink *config = &uplink->config;
    size_t alpn = config->alpn ? strlen(config->alpn) : 1;
    const char *problem = NULL;
    if (config->servers.length == 0)
        problem = "servers is empty";
    else if (!config->ca)
        problem = "ca is missing: name a file, or \"system\"";
    else if (alpn == 0 || alpn > 254)
        problem = "alpn must have 1 to 254 bytes";
    else if (config->window < 1 || config->window > 65000)
        problem = "window must be 1 to 65000"; /* packet ids have 16 bits */
    else if (config->ack_timeout_s < 1 || config->connect_timeout_s < 1 ||
             config->reconnect_min_ms < 1)
        problem = "a timeout is zero";
    if (problem)
        log_error("uplink", "%s", problem);
    return problem ? -EINVAL : 0;
}

static int make_clients(struct uplink *uplink)
{
    /* Twice the window: what Paho had not sent when a session broke, it sends in the next. */
    size_t most = 2 * uplink->window.capacity + 16;
    for (size_t i = 0; i < uplink->config.servers.length; i++) {
        bool websocket = uplink->servers[i].url.websocket;
        if (uplink->clients[websocket])
            continue;
        int result = mqtt_client_new(uplink->config.client_id, websocket, most, uplink->ring,
                                     &uplink->clients[websocket]);
        if (result < 0) {
            log_error("uplink", "the MQTT client cannot be made (client_id %s): %s",
                      uplink->config.client_id, strerror(-result));
            return result;
        }
    }
    return 0;
}

static int attach(struct uplink *uplink, sd_event *loop)
{
    int result = sd_event_add_io(loop, &uplink->wake_source, uplink_ring_descriptor(uplink->ring),
                                 POLLIN, on_wake, uplink);
    if (result >= 0)
        result = sd_event_add_time(loop, &uplink->timer_source, CLOCK_MONOTONIC, UINT64_MAX, 0,
                                   on_timer, uplink);
    if (result >= 0)
        result = sd_event_source_set_enabled(uplink->timer_source, SD_EVENT_OFF);
    return result < 0 ? result : 0;
}

static int set_up(struct uplink *uplink, sd_event *loop)
{
    int result = check_config(uplink);
    if (result == 0)
        result = read_servers(uplink);
    if (result == 0)
        result = read_proxy(uplink);
    if (result < 0)
        return result;
    const struct config_uplink *config = &uplink->config;
    uplink_state_init(&uplink->state, config->servers.length, config->reconnect_min_ms,
                      config->reconnect_max_ms);
    uplink->window_size = (size_t)config->window;
    size_t capacity = uplink->window_size + UPLINK_SPARE;
    uplink_window_init(&uplink->window, memory_zeroed(capacity, sizeof(struct uplink_flight)),
                       capacity);
    uplink->ring = uplink_ring_new(capacity);
    result = make_clients(uplink);
    return result < 0 ? result : attach(uplink, loop);
}

int uplink_new(const struct config_uplink *config, const struct uplink_identity *identity,
               const struct uplink_callbacks *callbacks, sd_event *loop, struct uplink **ret_uplink)
{
    clean_environment();
    struct uplink *uplink = memory_zeroed(1, sizeof(*uplink));
    copy_config(uplink, config);
    uplink->callbacks = *callbacks;
    uplink->will_topic = copy_text(identity->will_topic);
    uplink->will_payload = copy_text(identity->will_payload);
    uplink->subscribe_topic = copy_text(identity->subscribe_topic);
    uplink->socket = -1;
    uplink->armed_ns = NEVER;
    uplink->reason = memory_text("");
    uplink->since_wall_ms = clock_wall_ms();
    int result = set_up(uplink, loop);
    if (result < 0) {
        uplink_free(uplink);
        return result;
    }
    *ret_uplink = uplink;
    return 0;
}

void uplink_start(struct uplink *uplink)
{
    (void)step(uplink, UPLINK_START); /* the timer is due at once, and makes the attempt */
}

/* Handles what comes until the deadline; false when that has passed. */
static bool wait_a_little(struct uplink *uplink, int64_t until_ns)
{
    int64_t left_ms = (until_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
    if (left_ms <= 0)
        return false;
    struct pollfd wait = {.fd = uplink_ring_descriptor(uplink->ring), .events = POLLIN};
    (void)poll(&wait, 1, left_ms > 1000 ? 1000 : (int)left_ms);
    drain(uplink);
    return true;
}

static bool is_quiet(const struct uplink *uplink)
{
    return uplink->state.phase == UPLINK_IDLE && !uplink->probe;
}

bool uplink_stop(struct uplink *uplink, int timeout_ms)
{
    int64_t until_ns = clock_mono_ns() + timeout_ms * CLOCK_NS_PER_MS;
    int64_t farewell_ms = timeout_ms / 2 < FAREWELL_MS ? timeout_ms / 2 : FAREWELL_MS;
    uplink->stopping = true;
    arm(uplink);
    while (uplink->state.phase == UPLINK_UP && uplink->window.in_flight > 0 &&
           wait_a_little(uplink, until_ns - farewell_ms * CLOCK_NS_PER_MS))
        ;
    bool in_session = uplink->state.phase == UPLINK_UP;
    bool begun = uplink->attempting;
    (void)step(uplink, UPLINK_STOP);
    if (in_session)
        leave_session(uplink);
    else if (uplink->state.phase == UPLINK_CONNECTING && !begun)
        (void)step(uplink, UPLINK_FAILED);
    while (!is_quiet(uplink) && wait_a_little(uplink, until_ns))
        ;
    descriptor_close(&uplink->socket);
    return is_quiet(uplink);
}

struct uplink *uplink_free(struct uplink *uplink)
{
    if (!uplink)
        return NULL;
    sd_event_source_disable_unref(uplink->timer_source);
    sd_event_source_disable_unref(uplink->wake_source);
    if (!is_quiet(uplink)) {
        log_warning("uplink", "the MQTT client is stuck in an attempt; leaving its memory alone");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(uplink->clients); i++)
        uplink->clients[i] = mqtt_client_free(uplink->clients[i]);
    uplink->ring = uplink_ring_free(uplink->ring);
    if (uplink->servers)
        forget_told(uplink);
    free(uplink->servers);
    free(uplink->window.flights);
    free_config(&uplink->config);
    free(uplink->will_topic);
    free(uplink->will_payload);
    free(uplink->subscribe_topic);
    free(uplink->reason);
    free(uplink);
    return NULL;
}

/* --- publishing ------------------------------------------------------------------------------- */

size_t uplink_room(const struct uplink *uplink)
{
    if (uplink->state.phase != UPLINK_UP || uplink->window.span >= uplink->window_size)
        return 0;
    return uplink->window_size - uplink->window.span;
}

static bool has_place(const struct uplink *uplink, uint64_t tag)
{
    return tag == 0 ? !uplink_window_is_full(&uplink->window) : uplink_room(uplink) > 0;
}

int uplink_publish(struct uplink *uplink, const char *topic, const void *payload, size_t length,
                   bool retained, uint64_t tag)
{
    int token;
    if (uplink->state.phase != UPLINK_UP)
        return -ENOTCONN;
    if (!has_place(uplink, tag)) {
        uplink->starved = true;
        return -EAGAIN;
    }
    int result = mqtt_client_publish(client_now(uplink), topic, payload, length, retained, &token);
    if (result == -EIO) { /* it will never take one again; its end is an event */
        cut_session(uplink);
        return -ENOTCONN;
    }
    if (result < 0)
        return result;
    int64_t now_ns = clock_mono_ns();
    uplink_window_add(&uplink->window, token, tag, now_ns);
    uplink->published++;
    if (now_ns + ack_timeout_ns(uplink) < uplink->armed_ns)
        arm(uplink);
    return 0;
}

void uplink_get_health(const struct uplink *uplink, struct uplink_health *ret_health)
{
    int64_t wait_ns = 0;
    if (uplink->state.phase == UPLINK_WAITING)
        wait_ns = uplink->due_ns - clock_mono_ns();
    *ret_health = (struct uplink_health){
        .phase = uplink->state.phase,
        .server = uplink->generation > 0 ? server_now(uplink)->text : "",
        .reason = uplink->reason,
        .since_wall_ms = uplink->since_wall_ms,
        .next_attempt_ms = wait_ns > 0 ? wait_ns / CLOCK_NS_PER_MS : 0,
        .connects = uplink->connects,
        .failures = uplink->failures,
        .published = uplink->published,
        .acknowledged = uplink->acknowledged,
        .in_flight = uplink->window.in_flight,
    };
}
