/* The adapter of Paho MQTTAsync 1.3.12. A comment gives the reason of each oddity. */
#include "agent/uplink/mqtt_client.h"

#include "agent/base/memory.h"
#include "agent/tls/server_check.h"
#include "agent/tls/tls_policy.h"

#include <MQTTAsync.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A callback of an operation can be late by one session at most; more contexts are never alive. */
#define CONTEXTS 8

/* What a callback of an operation gets. */
struct operation {
    struct mqtt_client *client;
    uint32_t generation;
};

struct mqtt_client {
    MQTTAsync handle;
    struct uplink_ring *ring;
    struct operation operations[CONTEXTS]; /* generation % CONTEXTS */
    uint32_t generation;
    bool is_5;
    char *proxy; /* what Paho has, which leaks it when it gets another one; NULL: nothing yet */
    atomic_uint current;     /* the generation, for callbacks that belong to the client */
    unsigned char alpn[257]; /* in wire format; Paho keeps only the pointer */
};

/* --- callbacks: on Paho's threads, with its locks held ---------------------------------------- */

static void mqtt_client_push(const struct operation *operation, enum uplink_event_kind kind,
                             int code)
{
    struct uplink_event event = {.kind = kind, .generation = operation->generation, .code = code};
    uplink_ring_push(operation->client->ring, &event);
}

static void on_login(void *context, MQTTAsync_successData *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_LOGIN, 0);
}

static void on_refused(void *context, MQTTAsync_failureData *data)
{
    mqtt_client_push(context, UPLINK_EVENT_REFUSED, data ? data->code : MQTTASYNC_FAILURE);
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_SUBSCRIBED, 0);
}

static void on_denied(void *context, MQTTAsync_failureData *data)
{
    mqtt_client_push(context, UPLINK_EVENT_DENIED, data ? data->code : MQTTASYNC_FAILURE);
}

/* Of a message at QoS 0, which mqtt_client_on_delivered() is not called for. */
static void on_written(void *context, MQTTAsync_successData *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_DELIVERED, 0);
}

static void on_closed(void *context, MQTTAsync_successData *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_CLOSED, 0);
}

static void on_not_closed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_CLOSED, 0);
}

/* The same of MQTT 5, which has callbacks of its own. */

static void on_login_5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_LOGIN, 0);
}

static int reason_of(const MQTTAsync_failureData5 *data)
{
    if (!data)
        return MQTTASYNC_FAILURE;
    return data->reasonCode != MQTTREASONCODE_SUCCESS ? (int)data->reasonCode : data->code;
}

static void on_refused_5(void *context, MQTTAsync_failureData5 *data)
{
    mqtt_client_push(context, UPLINK_EVENT_REFUSED, reason_of(data));
}

static void on_subscribed_5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_SUBSCRIBED, 0);
}

static void on_denied_5(void *context, MQTTAsync_failureData5 *data)
{
    mqtt_client_push(context, UPLINK_EVENT_DENIED, reason_of(data));
}

static void on_delivered_5(void *context, MQTTAsync_successData5 *data)
{
    mqtt_client_push(context, UPLINK_EVENT_DELIVERED, data ? data->token : 0);
}

static void on_rejected_5(void *context, MQTTAsync_failureData5 *data)
{
    mqtt_client_push(context, UPLINK_EVENT_REJECTED, reason_of(data));
}

static void on_closed_5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_CLOSED, 0);
}

static void on_not_closed_5(void *context, MQTTAsync_failureData5 *data)
{
    (void)data;
    mqtt_client_push(context, UPLINK_EVENT_CLOSED, 0);
}

static struct operation present(struct mqtt_client *client)
{
    return (struct operation){client, atomic_load(&client->current)};
}

static void mqtt_client_on_lost(void *context, char *cause)
{
    struct operation operation = present(context);
    (void)cause; /* always NULL in this version */
    mqtt_client_push(&operation, UPLINK_EVENT_LOST, 0);
}

static void mqtt_client_on_delivered(void *context, MQTTAsync_token token)
{
    struct operation operation = present(context);
    if (operation.client->is_5) /* called for denied messages as well */
        return;
    mqtt_client_push(&operation, UPLINK_EVENT_DELIVERED, token);
}

/* TOPIC_LENGTH is 0 unless there is a NUL in the topic, which MQTT forbids: cut there then. */
static int mqtt_client_on_message(void *context, char *topic, int topic_length,
                                  MQTTAsync_message *message)
{
    struct operation operation = present(context);
    size_t name = strnlen(topic, topic_length > 0 ? (size_t)topic_length : SIZE_MAX);
    size_t length = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;
    size_t longest = uplink_ring_longest(operation.client->ring, topic, MQTT_RECEIVED_MAX_BYTES);
    if (length > longest)
        length = longest;
    struct uplink_event event = {
        .kind = UPLINK_EVENT_MESSAGE,
        .generation = operation.generation,
        .retained = message->retained != 0,
        .length = length,
        .topic = memory_zeroed(name + 1 + length + 1, 1),
    };
    event.payload = event.topic + name + 1;
    memcpy(event.topic, topic, name);
    if (length)
        memcpy(event.payload, message->payload, length);
    uplink_ring_push(operation.client->ring, &event);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1; /* taken: else Paho would keep it and offer it again */
}

/* --- operations ------------------------------------------------------------------------------- */

static int to_errno(int code)
{
    switch (code) {
    case MQTTASYNC_SUCCESS:
        return 0;
    case MQTTASYNC_DISCONNECTED:
        return -ENOTCONN;
    case MQTTASYNC_BAD_UTF8_STRING:
    case MQTTASYNC_NULL_PARAMETER:
    case MQTTASYNC_BAD_QOS:
        return -EINVAL;
    default:
        return -EIO;
    }
}

const char *mqtt_client_refusal(int code)
{
    switch (code) {
    case 1:
        return "the broker does not speak MQTT 3.1.1";
    case 2:
    case MQTTREASONCODE_CLIENT_IDENTIFIER_NOT_VALID:
        return "the broker does not accept this client_id";
    case 3:
        return "the broker says that it is not available now";
    case 4:
    case 5:
    case MQTTREASONCODE_BAD_USER_NAME_OR_PASSWORD:
    case MQTTREASONCODE_NOT_AUTHORIZED:
        return "bad user name or password (the broker refused the login)";
    default:
        return NULL;
    }
}

/* Paho 1.3.12 obeys these silently: proxies for every scheme and host, and traces to stdout. */
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
        if (getenv(names[i])) /* writing is not safe beside threads, and is needed only once */
            (void)unsetenv(names[i]);
    }
}

static int mqtt_client_make(const char *client_id, int version, bool websocket, size_t max_messages,
                            struct uplink_ring *ring, struct mqtt_client **ret_client)
{
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
    assert(options.struct_version == 2); /* a field that a version lacks is dropped silently */
    options.MQTTVersion = version;
    options.maxBufferedMessages = (int)max_messages; /* counts while connected too */
    struct mqtt_client *client = memory_zeroed(1, sizeof(*client));
    client->ring = ring;
    client->is_5 = version == MQTTVERSION_5;
    clean_environment();
    (void)signal(SIGPIPE, SIG_IGN); /* Paho does it anyway; so it is done on purpose */
    /* The address here only chooses the transport; each attempt names its own. */
    int code = MQTTAsync_createWithOptions(&client->handle,
                                           websocket ? "wss://invalid:1/" : "ssl://invalid:1",
                                           client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    if (code == MQTTASYNC_SUCCESS)
        code = MQTTAsync_setCallbacks(client->handle, client, mqtt_client_on_lost,
                                      mqtt_client_on_message, mqtt_client_on_delivered);
    if (code != MQTTASYNC_SUCCESS) {
        MQTTAsync_destroy(&client->handle);
        free(client);
        return to_errno(code);
    }
    *ret_client = client;
    return 0;
}

int mqtt_client_new(const char *client_id, bool websocket, size_t max_messages,
                    struct uplink_ring *ring, struct mqtt_client **ret_client)
{
    return mqtt_client_make(client_id, MQTTVERSION_3_1_1, websocket, max_messages, ring,
                            ret_client);
}

int mqtt_client_new_5(const char *client_id, bool websocket, size_t max_messages,
                      struct uplink_ring *ring, struct mqtt_client **ret_client)
{
    return mqtt_client_make(client_id, MQTTVERSION_5, websocket, max_messages, ring, ret_client);
}

struct mqtt_client *mqtt_client_free(struct mqtt_client *client)
{
    if (!client)
        return NULL;
    MQTTAsync_destroy(&client->handle);
    if (client->proxy)
        memory_wipe(client->proxy, strlen(client->proxy)); /* it may hold a password */
    free(client->proxy);
    free(client);
    return NULL;
}

static unsigned int put_alpn(struct mqtt_client *client, const char *alpn)
{
    size_t length = strlen(alpn);
    assert(length > 0 && length <= 255); /* the caller has checked it */
    memset(client->alpn, 0, sizeof(client->alpn));
    client->alpn[0] = (unsigned char)length; /* RFC 7301, section 3.1 */
    memcpy(client->alpn + 1, alpn, length);
    return (unsigned int)length + 1;
}

/* Verification is not an option: nothing that is configured can reach these two fields. */
static void fill_tls(struct mqtt_client *client, const struct mqtt_attempt *attempt,
                     MQTTAsync_SSLOptions *tls)
{
    assert(tls->struct_version == 5);
    tls->enableServerCertAuth = 1;
    tls->verify = 1; /* the name; 0 by default */
    bool of_system = strcmp(attempt->ca, TLS_CA_SYSTEM) == 0;
    tls->disableDefaultTrustStore = !of_system;
    tls->trustStore = of_system ? NULL : attempt->ca;
    tls->keyStore = attempt->certificate;
    tls->privateKey = attempt->key;
    /* Always set: else OpenSSL asks for it on the terminal. */
    tls->privateKeyPassword = attempt->key_password ? attempt->key_password : "";
    tls->enabledCipherSuites = tls_policy_ciphers; /* also the floor at TLS 1.2 */
    if (attempt->alpn) {
        tls->protos_len = put_alpn(client, attempt->alpn);
        tls->protos = client->alpn;
    }
}

static struct operation *mqtt_client_begin(struct mqtt_client *client, uint32_t generation)
{
    struct operation *operation = &client->operations[generation % CONTEXTS];
    *operation = (struct operation){client, generation};
    client->generation = generation;
    atomic_store(&client->current, generation);
    return operation;
}

static struct operation *ongoing(struct mqtt_client *client)
{
    return &client->operations[client->generation % CONTEXTS];
}

static char *uri_of(const struct broker_url *server)
{
    return memory_printf("%s://%s:%u%s", server->websocket ? "wss" : "ssl", server->host,
                         server->port, server->path);
}

/* Without "http://", which this version takes for a part of the user name or the host. */
static const char *proxy_of(const char *proxy)
{
    static const char prefix[] = "http://";
    bool has_prefix = strncmp(proxy, prefix, strlen(prefix)) == 0;
    return has_prefix ? proxy + strlen(prefix) : proxy;
}

/* NULL when Paho has the same already: only a new password is worth a leak. */
static const char *fresh_proxy(struct mqtt_client *client, const char *proxy)
{
    if (!proxy || (client->proxy && strcmp(client->proxy, proxy) == 0))
        return NULL;
    if (client->proxy)
        memory_wipe(client->proxy, strlen(client->proxy));
    free(client->proxy);
    client->proxy = memory_text(proxy);
    return proxy_of(client->proxy);
}

/* What differs between the versions. It refuses callbacks of the other one. */
static void set_version(const struct mqtt_client *client, MQTTAsync_connectOptions *options)
{
    if (client->is_5) {
        options->MQTTVersion = MQTTVERSION_5;
        options->cleansession = 0; /* must be, with MQTT 5 */
        options->cleanstart = 1;
        options->onSuccess5 = on_login_5;
        options->onFailure5 = on_refused_5;
        return;
    }
    options->MQTTVersion = MQTTVERSION_3_1_1; /* the default logs in twice when refused */
    options->cleansession = 1;                /* our outbox is the only store */
    options->onSuccess = on_login;
    options->onFailure = on_refused;
}

static void fill_will(const struct mqtt_message *message, MQTTAsync_willOptions *will)
{
    assert(will->struct_version == 1 && message->length <= UINT16_MAX); /* MQTT 3.1.1, 3.1.3.3 */
    will->topicName = message->topic;
    will->payload.data = message->length > 0 ? message->payload : "";
    will->payload.len = (int)message->length;
    will->retained = message->retained;
    will->qos = message->qos;
}

/* Paho's own comparison of the name believes the common name, and it knows no revocation. */
static int set_guard(const struct mqtt_attempt *attempt)
{
    const struct server_rules rules = {.host = attempt->server->host,
                                       .ca = attempt->ca,
                                       .crl = attempt->crl,
                                       .lists = attempt->lists};
    struct server_check *check = server_check_new(&rules);
    int result = server_check_guard(check);
    (void)server_check_free(check);
    return result;
}

int mqtt_client_connect(struct mqtt_client *client, const struct mqtt_attempt *attempt)
{
    int guarded = set_guard(attempt);
    if (guarded < 0)
        return guarded;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    char *uri CLEANUP(memory_free_pointer) = uri_of(attempt->server);
    assert(options.struct_version == 8);
    fill_tls(client, attempt, &tls);
    options.ssl = &tls;
    set_version(client, &options);
    options.keepAliveInterval = attempt->keepalive_s;
    options.connectTimeout = attempt->connect_timeout_s;
    options.username = attempt->username;
    options.password = attempt->password;
    options.httpsProxy = fresh_proxy(client, attempt->proxy);
    options.serverURIs = &uri; /* one: given a list, Paho gets stuck at the last one */
    options.serverURIcount = 1;
    options.context = mqtt_client_begin(client, attempt->generation);
    if (attempt->will.topic) {
        fill_will(&attempt->will, &will);
        options.will = &will;
    }
    return to_errno(MQTTAsync_connect(client->handle, &options));
}

int mqtt_client_subscribe(struct mqtt_client *client, const char *filter, int qos)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    if (client->is_5) {
        response.onSuccess5 = on_subscribed_5;
        response.onFailure5 = on_denied_5;
    } else {
        response.onSuccess = on_subscribed;
        response.onFailure = on_denied;
    }
    response.context = ongoing(client);
    return to_errno(MQTTAsync_subscribe(client->handle, filter, qos, &response));
}

int mqtt_client_publish(struct mqtt_client *client, const struct mqtt_message *message,
                        int *ret_token)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    if (message->length > INT_MAX || message->qos < 0 || message->qos > 1)
        return -EINVAL;
    response.context = ongoing(client);
    if (client->is_5) {
        response.onSuccess5 = on_delivered_5;
        response.onFailure5 = on_rejected_5;
    } else if (message->qos == 0) {
        response.onSuccess = on_written;
    }
    int code = MQTTAsync_send(client->handle, message->topic, (int)message->length,
                              message->payload, message->qos, message->retained, &response);
    if (code == MQTTASYNC_SUCCESS)
        *ret_token = message->qos == 0 ? 0 : response.token;
    return to_errno(code);
}

int mqtt_client_disconnect(struct mqtt_client *client)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    options.timeout = 0; /* at once; waiting for what is in flight is done by the uplink */
    if (client->is_5) {
        options.struct_version = 1; /* the first that has the callbacks */
        options.onSuccess5 = on_closed_5;
        options.onFailure5 = on_not_closed_5;
    } else {
        options.onSuccess = on_closed;
        options.onFailure = on_not_closed;
    }
    options.context = ongoing(client);
    return to_errno(MQTTAsync_disconnect(client->handle, &options));
}
