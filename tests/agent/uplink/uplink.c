/* The session to the broker, against a real mosquitto and against servers that misbehave. */
#include "agent/uplink/uplink.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/support/broker.h"
#include "tests/support/connect_proxy.h"
#include "tests/support/net.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/tls_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEADLINE_MS 30000
#define MAX_SERVERS 3
#define WILL "{\"state\":\"offline\"}"

/* One uplink with its loop, and what it told its owner. */
struct bench {
    sd_event *loop;
    struct uplink *uplink;
    struct config_uplink config;
    char *servers[MAX_SERVERS];
    unsigned int opens, ups, downs, failures, messages;
    uint64_t acknowledged[256];
    size_t n_acknowledged;
    char reason[1024];
    char topic[256], payload[256];
    size_t length;
    bool retained;
    struct uplink_opening opening;
};

static void on_up(void *context)
{
    ((struct bench *)context)->ups++;
}

static void on_down(void *context, const char *reason)
{
    struct bench *bench = context;
    bench->downs++;
    (void)snprintf(bench->reason, sizeof(bench->reason), "%s", reason);
}

static void on_failed(void *context, const char *reason)
{
    struct bench *bench = context;
    bench->failures++;
    CU_ASSERT_TRUE(reason[0] != '\0');
}

static void on_acknowledged(void *context, uint64_t tag)
{
    struct bench *bench = context;
    bench->acknowledged[bench->n_acknowledged++ % 256] = tag;
}

static void on_open(void *context, struct uplink_opening *opening)
{
    struct bench *bench = context;
    bench->opens++;
    *opening = bench->opening;
}

static void on_received(void *context, const char *topic, const void *payload, size_t length,
                        bool retained)
{
    struct bench *bench = context;
    bench->messages++;
    (void)snprintf(bench->topic, sizeof(bench->topic), "%s", topic);
    (void)snprintf(bench->payload, sizeof(bench->payload), "%.*s", (int)length,
                   (const char *)payload);
    bench->length = length;
    bench->retained = retained;
}

/* A configuration that works with broker_start()'s defaults, but for the servers. */
static void bench_init(struct bench *bench)
{
    *bench = (struct bench){0};
    bench->config = (struct config_uplink){
        .servers = {.items = bench->servers},
        .ca = (char *)pki_path("ca.pem"),
        .client_id = "gw-0042",
        .prefix = "sallyport",
        .keepalive_s = 30,
        .connect_timeout_s = 5,
        .ack_timeout_s = 15,
        .window = 8,
        .reconnect_min_ms = 100,
        .reconnect_max_ms = 200,
    };
    bench->opening.will = (struct mqtt_message){.topic = "sallyport/plant-7/gw-0042/status",
                                                .payload = WILL,
                                                .length = strlen(WILL),
                                                .qos = 1,
                                                .retained = true};
}

/* PATH NULL: mqtts, else wss. */
static void bench_server(struct bench *bench, const char *host, uint16_t port, const char *path)
{
    bench->servers[bench->config.servers.length++] =
        memory_printf("%s://%s:%u%s", path ? "wss" : "mqtts", host, port, path ? path : "");
}

static void bench_subscribe(struct bench *bench, const char *filter, int qos, bool is_optional)
{
    bench->opening.subscriptions[bench->opening.n_subscriptions++] =
        (struct uplink_subscription){.filter = filter, .qos = qos, .is_optional = is_optional};
}

/* SUBSCRIBE_TOPIC may be NULL. */
static void bench_start(struct bench *bench, const char *subscribe_topic)
{
    struct uplink_callbacks callbacks = {.open = on_open,
                                         .up = on_up,
                                         .down = on_down,
                                         .failed = on_failed,
                                         .acknowledged = on_acknowledged,
                                         .received = on_received,
                                         .context = bench};
    if (subscribe_topic)
        bench_subscribe(bench, subscribe_topic, 1, false);
    CU_ASSERT_FATAL(sd_event_new(&bench->loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(uplink_new(&bench->config, &callbacks, bench->loop, &bench->uplink), 0);
    uplink_start(bench->uplink);
}

static int publish(struct bench *bench, const char *topic, const void *payload, size_t length,
                   bool retained, uint64_t tag)
{
    const struct mqtt_message message = {
        .topic = topic, .payload = payload, .length = length, .qos = 1, .retained = retained};
    return uplink_publish(bench->uplink, &message, tag);
}

static void bench_stop(struct bench *bench)
{
    CU_ASSERT_TRUE(uplink_stop(bench->uplink, DEADLINE_MS));
    bench->uplink = uplink_free(bench->uplink);
    sd_event_unref(bench->loop);
    for (size_t i = 0; i < bench->config.servers.length; i++)
        free(bench->servers[i]);
}

static struct uplink_health health(const struct bench *bench)
{
    struct uplink_health now;
    uplink_get_health(bench->uplink, &now);
    return now;
}

/* Runs the loop until CONDITION (which sees `bench`) holds; false when the deadline passes. */
#define UNTIL(bench, condition)                                                                    \
    __extension__({                                                                                \
        int64_t until_ns_ = clock_mono_ns() + DEADLINE_MS * CLOCK_NS_PER_MS;                       \
        while (!(condition) && clock_mono_ns() < until_ns_)                                        \
            (void)sd_event_run((bench)->loop, 20000);                                              \
        (condition);                                                                               \
    })

/* --- sessions --------------------------------------------------------------------------------- */

static void test_publish(void)
{
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 1), -ENOTCONN);
    CU_ASSERT_EQUAL(bench.ups, 0); /* nothing happens within uplink_start() */
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(publish(&bench, "plant/a", "hello", 5, true, 77), 0);
    CU_ASSERT_EQUAL(publish(&bench, "plant/b", "untold", 6, true, 0), 0);
    CU_ASSERT_EQUAL(health(&bench).in_flight, 2);
    CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).acknowledged == 2));
    CU_ASSERT_EQUAL(bench.n_acknowledged, 1); /* nobody wants to know about tag 0 */
    CU_ASSERT_EQUAL(bench.acknowledged[0], 77);
    CU_ASSERT_EQUAL(health(&bench).in_flight, 0);
    CU_ASSERT_EQUAL(health(&bench).published, 2);
    CU_ASSERT_EQUAL(health(&bench).phase, UPLINK_UP);
    TEST_TEXT_EQUAL(health(&bench).server, bench.servers[0]);
    TEST_TEXT_EQUAL(health(&bench).reason, "");
    broker_listen(&broker, "plant/a", 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 plant/a hello");
    CU_ASSERT_EQUAL(publish(&bench, "bad\xff", "x", 1, false, 1), -EINVAL);
    bench_stop(&bench);
    CU_ASSERT_EQUAL(bench.downs, 0); /* a stop is no loss */
    broker_kill(&broker);
}

static void test_window(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 0);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 8);
    broker_pause(&broker);
    for (uint64_t tag = 1; tag <= 8; tag++)
        CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, tag), 0);
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 0);
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 9), -EAGAIN);
    for (size_t i = 0; i < UPLINK_SPARE; i++) /* a status still finds room */
        CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 0), 0);
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 0), -EAGAIN);
    broker_continue(&broker);
    CU_ASSERT_TRUE(UNTIL(&bench, uplink_room(bench.uplink) > 0));
    CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 8));
    for (uint64_t tag = 1; tag <= 8; tag++)
        CU_ASSERT_EQUAL(bench.acknowledged[tag - 1], tag);
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 9), 0);
    bench_stop(&bench); /* waits for the last one */
    CU_ASSERT_EQUAL(bench.n_acknowledged, 9);
    broker_kill(&broker);
}

static void test_received(void)
{
    static const char topic[] = "sallyport/plant-7/gw-0042/command";
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    broker_publish(&broker, topic, "stored", true);
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, topic);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1 && bench.messages == 1));
    TEST_TEXT_EQUAL(bench.topic, topic);
    TEST_TEXT_EQUAL(bench.payload, "stored");
    CU_ASSERT_TRUE(bench.retained);
    broker_publish(&broker, topic, "fresh", false);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.messages == 2));
    TEST_TEXT_EQUAL(bench.payload, "fresh");
    CU_ASSERT_FALSE(bench.retained);
    char *large = memory_zeroed(100000, 1);
    memset(large, 'x', 99999);
    CU_ASSERT_EQUAL(publish(&bench, topic, large, 99999, false, 1), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.messages == 3)); /* what we send comes back to us */
    CU_ASSERT_EQUAL(bench.length, 65536);               /* cut */
    free(large);
    bench_stop(&bench);
    broker_kill(&broker);
}

static void test_flood(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench.config.window = 200;
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, "echo");
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    for (uint64_t tag = 1; tag <= 200; tag++)
        CU_ASSERT_EQUAL(publish(&bench, "echo", "x", 1, false, tag), 0);
    clock_sleep_until(clock_mono_ns() + 300 * CLOCK_NS_PER_MS); /* the loop does not run */
    CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 200)); /* none of these is lost */
    CU_ASSERT_TRUE(bench.messages >= 32);
    CU_ASSERT_EQUAL(bench.downs, 0);
    bench_stop(&bench);
    broker_kill(&broker);
}

/* --- nothing over an unverified connection -----------------------------------------------------
 */

static void unverified(const struct tls_server_options *options, const char *why)
{
    struct bench bench;
    struct tls_server *server = tls_server_start(options);
    bench_init(&bench);
    bench.config.username = "gw-0042";
    bench.config.password_file = (char *)test_file("password", "secret\n");
    CU_ASSERT_EQUAL(chmod(bench.config.password_file, 0600), 0);
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, why);
    TEST_TEXT_EQUAL(health(&bench).reason, bench.reason);
    CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).failures >= 2)); /* not by trying again either */
    CU_ASSERT_TRUE(UNTIL(&bench, bench.failures >= 2));
    bench_stop(&bench);
    CU_ASSERT_TRUE(tls_server_connections(server) >= 2);
    CU_ASSERT_EQUAL(tls_server_bytes(server), 0);
    CU_ASSERT_EQUAL(bench.ups, 0);
    CU_ASSERT_EQUAL(bench.downs, 1); /* once, however often it is tried */
    tls_server_stop(server);
}

static void test_unverified(void)
{
    unverified(&(struct tls_server_options){.certificate = "expired"}, "expired on 2020-06-01");
    unverified(&(struct tls_server_options){.certificate = "future"}, "valid only from 2040");
    unverified(&(struct tls_server_options){.certificate = "name"}, "not for localhost but for");
    unverified(&(struct tls_server_options){.certificate = "ip"}, "not for localhost but for");
    unverified(&(struct tls_server_options){.certificate = "unknown"}, "is not trusted");
    unverified(&(struct tls_server_options){.certificate = "selfsigned"}, "is not trusted");
    unverified(&(struct tls_server_options){.certificate = "weak"}, "too weak");
    unverified(&(struct tls_server_options){.only_version = TLS1_1_VERSION}, "TLS 1.2 or later");
}

/* The control of the test above: with a good certificate, it does send. */
static void test_verified(void)
{
    struct bench bench;
    struct tls_server *server = tls_server_start(&(struct tls_server_options){0});
    bench_init(&bench);
    bench.config.connect_timeout_s = 1;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, tls_server_bytes(server) > 0));
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "TLS works, but the MQTT login got no answer");
    bench_stop(&bench);
    tls_server_stop(server);
}

static void test_address(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){.certificate = "ip"});
    bench_init(&bench);
    bench_server(&bench, "127.0.0.1", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
    bench_stop(&bench);
    broker_kill(&broker);
}

/* --- why not ---------------------------------------------------------------------------------- */

static void write_secret(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, 0600) < 0)
        abort();
}

static void test_login(void)
{
    char password[600];
    struct broker broker;
    struct bench bench;
    (void)snprintf(password, sizeof(password), "%s", test_path("password"));
    write_secret(password, "wrong\n");
    broker_start(&broker, &(struct broker_options){.login = "gw-0042:right"});
    bench_init(&bench);
    bench.config.username = "gw-0042";
    bench.config.password_file = password;
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).failures >= 2));
    CU_ASSERT_EQUAL(bench.downs, 1);
    TEST_CONTAINS(bench.reason, "bad user name or password (the broker refused the login)");
    write_secret(password, "right\n"); /* read anew at each attempt */
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(chmod(password, 0644), 0);
    broker_kill(&broker);
    CU_ASSERT_TRUE(UNTIL(&bench, strstr(health(&bench).reason, "chmod o=") != NULL));
    TEST_CONTAINS(health(&bench).reason, password);
    bench_stop(&bench);
}

/* Brokers count failed logins, and lock out who has too many. */
static void test_one_login(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_REFUSE});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).failures == 2));
    CU_ASSERT_EQUAL(tls_server_logins(server), 2);
    CU_ASSERT_EQUAL(tls_server_connections(server), 2); /* and nothing to probe */
    bench_stop(&bench);
    tls_server_stop(server);
}

static void test_client_certificate(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){.wants_client = true});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "the server refuses the client certificate");
    TEST_CONTAINS(bench.reason, "none is configured");
    bench_stop(&bench);

    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = (char *)pki_path("client-unknown.pem");
    bench.config.key = (char *)pki_path("client-unknown.key");
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "the server refuses the client certificate");
    bench_stop(&bench);

    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = (char *)pki_path("client.pem");
    bench.config.key = (char *)pki_path("client-locked.key");
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "is encrypted: give its password with key_password_file");
    bench_stop(&bench);

    char password[600];
    (void)snprintf(password, sizeof(password), "%s", test_path("key-password"));
    write_secret(password, "sesame\n");
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = (char *)pki_path("client.pem");
    bench.config.key = (char *)pki_path("client-locked.key");
    bench.config.key_password_file = password;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
    bench_stop(&bench);
    broker_kill(&broker);
}

static void fails_with(struct bench *bench, const char *why)
{
    bench_start(bench, NULL);
    CU_ASSERT_TRUE(UNTIL(bench, bench->downs == 1));
    TEST_CONTAINS(bench->reason, why);
    CU_ASSERT_TRUE(UNTIL(bench, health(bench).phase == UPLINK_WAITING));
    bench_stop(bench);
}

static void test_unreachable(void)
{
    struct bench bench;
    struct broker broker;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.plain_port, NULL);
    fails_with(&bench, "is port");
    TEST_CONTAINS(bench.reason, "a TLS port?");
    broker_kill(&broker);
    bench_init(&bench);
    bench_server(&bench, "localhost", net_unused_port(), NULL);
    fails_with(&bench, "connection refused by 127.0.0.1");
    bench_init(&bench);
    bench_server(&bench, "no-such-host.invalid", 8883, NULL);
    fails_with(&bench, "no-such-host.invalid:8883: the name");
    bench_init(&bench);
    bench.config.ca = "/nonexistent/ca.pem";
    bench_server(&bench, "localhost", 8883, NULL);
    fails_with(&bench, "/nonexistent/ca.pem cannot be read");
}

static void test_stalled(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_STALL});
    bench_init(&bench);
    bench.config.connect_timeout_s = 1;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, tls_server_connections(server) == 1));
    CU_ASSERT_FALSE(uplink_stop(bench.uplink, 50)); /* an attempt cannot be called off */
    bench_stop(&bench);                             /* but it ends */
    CU_ASSERT_EQUAL(bench.downs, 0);

    bench_init(&bench);
    bench.config.connect_timeout_s = 1;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    fails_with(&bench, "does not answer the TLS handshake");
    tls_server_stop(server);
}

static void test_denied_subscription(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_DENY});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, "secret/command");
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "refused the subscription to secret/command");
    TEST_CONTAINS(bench.reason, "ACL");
    CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).failures >= 2)); /* it is tried again */
    CU_ASSERT_EQUAL(bench.ups, 0);
    bench_stop(&bench);
    tls_server_stop(server);
}

/* A gateway whose broker lets it have no commands still delivers its data. */
static void test_denied_subscription_that_is_no_need(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_DENY});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_subscribe(&bench, "secret/command", 1, true);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(health(&bench).failures, 0);
    CU_ASSERT_EQUAL(publish(&bench, "a/data", "1", 1, false, 7), 0);
    bench_stop(&bench);
    tls_server_stop(server);
}

/* MQTT 3.1.1 cannot refuse a message: it is acknowledged, and gone. */
static void test_denied_message(void)
{
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){.access = "topic write allowed/#\n"});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(publish(&bench, "denied/a", "x", 1, true, 5), 0);
    CU_ASSERT_EQUAL(publish(&bench, "allowed/a", "y", 1, true, 6), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 2));
    broker_listen(&broker, "+/a", 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 allowed/a y");
    bench_stop(&bench);
    broker_kill(&broker);
}

/* --- loss and return -------------------------------------------------------------------------- */

static void test_servers(void)
{
    struct broker first, second;
    struct bench bench;
    broker_start(&first, &(struct broker_options){0});
    broker_start(&second, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", net_unused_port(), NULL);
    bench_server(&bench, "localhost", first.port, NULL);
    bench_server(&bench, "localhost", second.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    TEST_TEXT_EQUAL(health(&bench).server, bench.servers[1]);
    unsigned int downs = bench.downs;
    broker_kill(&first);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(bench.downs, downs + 1);
    TEST_CONTAINS(bench.reason, "connection lost");
    TEST_TEXT_EQUAL(health(&bench).server, bench.servers[2]);
    uint64_t failures = health(&bench).failures;
    broker_restart(&first);
    broker_kill(&second);
    broker_restart(&second);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 3));
    TEST_TEXT_EQUAL(health(&bench).server, bench.servers[2]); /* the last good one */
    CU_ASSERT_EQUAL(health(&bench).failures, failures);       /* was tried first */
    bench_stop(&bench);
    broker_kill(&first);
    broker_kill(&second);
}

/* Calls VISIT for each descriptor of a TCP connection to PORT; returns how many there are. */
static int each_connection(uint16_t port, void (*visit)(int descriptor))
{
    int found = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof(peer);
        int descriptor = atoi(entry->d_name);
        if (getpeername(descriptor, (struct sockaddr *)&peer, &size) < 0 ||
            peer.sin_family != AF_INET || ntohs(peer.sin_port) != port)
            continue;
        found++;
        visit(descriptor);
    }
    closedir(folder);
    return found;
}

static void cut(int descriptor)
{
    (void)shutdown(descriptor, SHUT_RDWR);
}

static void test_will(void)
{
    static const char status[] = "sallyport/plant-7/gw-0042/status";
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(publish(&bench, status, "online", 6, true, 1), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 1));
    bench_stop(&bench);
    broker_listen(&broker, status, 10000, &seen);
    CU_ASSERT_STRING_EQUAL(strbuf_text(&seen), "1 sallyport/plant-7/gw-0042/status online");

    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.reconnect_min_ms = bench.config.reconnect_max_ms = 5000;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_TRUE(each_connection(broker.port, cut) > 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    strbuf_reset(&seen);
    for (int i = 0; i < 50 && !strstr(strbuf_text(&seen), "offline"); i++) {
        strbuf_reset(&seen);
        broker_listen(&broker, status, 10000, &seen);
    }
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 sallyport/plant-7/gw-0042/status " WILL);
    bench_stop(&bench);
    broker_kill(&broker);
}

/* Nobody but the broker can say that we are gone when the session is given up. */
static void test_will_of_broken_session(void)
{
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.ack_timeout_s = 1;
    bench.config.reconnect_min_ms = bench.config.reconnect_max_ms = 60000;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    broker_pause(&broker);
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 1), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "no acknowledgement for 1 s");
    CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).phase == UPLINK_WAITING));
    broker_continue(&broker);
    broker_listen(&broker, "sallyport/+/+/status", 10000, &seen);
    TEST_CONTAINS(strbuf_text(&seen), WILL);
    bench_stop(&bench);
    broker_kill(&broker);
}

/* A status that is published last, with a full window, still arrives before the farewell. */
static void test_farewell(void)
{
    static const char status[] = "sallyport/plant-7/gw-0042/status";
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    for (uint64_t tag = 1; uplink_room(bench.uplink) > 0; tag++)
        CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, tag), 0);
    CU_ASSERT_EQUAL(publish(&bench, status, "goodbye", 7, true, 0), 0);
    bench_stop(&bench);
    CU_ASSERT_EQUAL(bench.n_acknowledged, 8);
    broker_listen(&broker, status, 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 sallyport/plant-7/gw-0042/status goodbye");
    broker_kill(&broker);
}

static void test_acknowledgement_deadline(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_MUTE});
    bench_init(&bench);
    bench.config.ack_timeout_s = 1;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 9), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "no acknowledgement for 1 s");
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 9), -ENOTCONN);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(bench.n_acknowledged, 0);
    CU_ASSERT_EQUAL(health(&bench).in_flight, 0); /* forgotten with its session */
    bench_stop(&bench);
    CU_ASSERT_EQUAL(tls_server_publishes(server), 1);
    tls_server_stop(server);
}

/* --- the way there ---------------------------------------------------------------------------- */

static void check_options(int descriptor)
{
    int on = 0;
    unsigned int timeout_ms = 0;
    socklen_t size = sizeof(on);
    CU_ASSERT_EQUAL(getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    CU_ASSERT_EQUAL(on, 1);
    size = sizeof(timeout_ms);
    CU_ASSERT_EQUAL(getsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size), 0);
    CU_ASSERT_EQUAL(timeout_ms, 15000);
    CU_ASSERT_EQUAL(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
}

static void test_socket(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(each_connection(broker.port, check_options), 2); /* Paho's, and our copy */
    bench_stop(&bench);
    CU_ASSERT_EQUAL(each_connection(broker.port, check_options), 0);
    broker_kill(&broker);
}

static void test_environment(void)
{
    char dead[64];
    struct broker broker;
    struct bench bench;
    (void)snprintf(dead, sizeof(dead), "http://127.0.0.1:%u", net_unused_port());
    CU_ASSERT_EQUAL(setenv("http_proxy", dead, 1), 0);
    CU_ASSERT_EQUAL(setenv("https_proxy", dead, 1), 0);
    CU_ASSERT_EQUAL(setenv("HTTPS_PROXY", dead, 1), 0);
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench.downs, 0);
    bench_stop(&bench);
    broker_kill(&broker);
}

static void through_proxy(const char *host, const char *certificate, const char *login,
                          const char *written, const char *why)
{
    char url[200];
    struct bench bench;
    struct tls_server_options options = {.manner = TLS_SERVER_MQTT, .certificate = certificate};
    struct tls_server *server = tls_server_start(&options);
    struct connect_proxy *proxy = connect_proxy_start(tls_server_port(server), login);
    (void)snprintf(url, sizeof(url), "http://%s127.0.0.1:%u", written, connect_proxy_port(proxy));
    bench_init(&bench);
    bench.config.proxy = url;
    bench_server(&bench, host, 8883, NULL); /* only the proxy could resolve it */
    bench_start(&bench, "command");
    if (why) {
        CU_ASSERT_TRUE(UNTIL(&bench, bench.downs == 1));
        TEST_CONTAINS(bench.reason, why);
        CU_ASSERT_TRUE(UNTIL(&bench, health(&bench).failures >= 2));
        CU_ASSERT_EQUAL(tls_server_bytes(server), 0);
    } else {
        CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
        CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 3), 0);
        CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 1));
        CU_ASSERT_EQUAL(each_connection(connect_proxy_port(proxy), check_options), 2);
        CU_ASSERT_TRUE(each_connection(connect_proxy_port(proxy), cut) > 0);
        CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 2)); /* through the proxy again */
    }
    bench_stop(&bench);
    connect_proxy_stop(proxy);
    tls_server_stop(server);
}

static void test_proxy(void)
{
    through_proxy("broker.example.com", "name", NULL, "", NULL);
    through_proxy("a.example.net", "name", NULL, "", NULL);
    through_proxy("broker.example.com", "name", "me:p@ss", "me:p%40ss@", NULL);
    through_proxy("broker.example.com", "name", "me:p@ss", "", "407 Proxy Authentication");
    through_proxy("broker.example.org", "name", NULL, "", "not for broker.example.org");
    through_proxy("broker.example.com", "unknown", NULL, "", "is not trusted");
}

static void test_websocket(void)
{
    struct bench bench;
    struct tls_server *web =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_WEBSOCKET});
    struct tls_server *plain =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(web), "/mqtt");
    bench_server(&bench, "localhost", tls_server_port(plain), NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 3), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 1));
    CU_ASSERT_EQUAL(tls_server_publishes(web), 1);
    tls_server_stop(web);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 2)); /* the other kind of server, without frames */
    CU_ASSERT_EQUAL(publish(&bench, "t", "x", 1, false, 4), 0);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.n_acknowledged == 2));
    CU_ASSERT_EQUAL(tls_server_publishes(plain), 1);
    bench_stop(&bench);
    tls_server_stop(plain);
}

static void test_websocket_path(void)
{
    struct bench bench;
    struct tls_server *web =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_WEBSOCKET});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(web), "/other");
    fails_with(&bench, "is the path right?");
    tls_server_stop(web);
}

static void test_alpn(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT, .alpn = "mqtt"});
    bench_init(&bench);
    bench.config.alpn = "mqtt";
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(UNTIL(&bench, bench.ups == 1));
    bench_stop(&bench);
    bench_init(&bench);
    bench.config.alpn = "other";
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    fails_with(&bench, "does not speak the protocol \"other\"");
    tls_server_stop(server);
}

static void refused(struct bench *bench)
{
    struct uplink_callbacks callbacks = {0};
    CU_ASSERT_FATAL(sd_event_new(&bench->loop) >= 0);
    CU_ASSERT_EQUAL(uplink_new(&bench->config, &callbacks, bench->loop, &bench->uplink), -EINVAL);
    CU_ASSERT_PTR_NULL(bench->uplink);
    sd_event_unref(bench->loop);
    for (size_t i = 0; i < bench->config.servers.length; i++)
        free(bench->servers[i]);
}

static void test_settings(void)
{
    struct bench bench;
    bench_init(&bench);
    refused(&bench); /* no server */
    bench_init(&bench);
    bench_server(&bench, "[::1]", 8883, NULL); /* could never be verified */
    refused(&bench);
    bench_init(&bench);
    bench_server(&bench, "localhost", 8883, NULL);
    bench.config.ca = NULL; /* must not mean the system's store */
    refused(&bench);
    bench_init(&bench);
    bench_server(&bench, "localhost", 8883, NULL);
    bench.config.window = 0;
    refused(&bench);
    bench_init(&bench);
    bench_server(&bench, "localhost", 8883, NULL);
    bench.config.window = 1025; /* the bound of the configuration, and no other one */
    refused(&bench);
    bench_init(&bench);
    bench_server(&bench, "localhost", 8883, NULL);
    bench.config.proxy = "proxy:3128";
    refused(&bench);
}

/* --- soak ------------------------------------------------------------------------------------- */

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1 || fclose(file) != 0)
        abort();
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void reconnect(struct bench *bench, uint16_t port, unsigned int times)
{
    for (unsigned int i = 0; i < times; i++) {
        unsigned int ups = bench->ups;
        uint64_t acknowledged = bench->n_acknowledged;
        CU_ASSERT_EQUAL_FATAL(publish(bench, "t", "x", 1, false, 1), 0);
        CU_ASSERT_TRUE_FATAL(UNTIL(bench, bench->n_acknowledged > acknowledged));
        CU_ASSERT_TRUE_FATAL(each_connection(port, cut) > 0);
        CU_ASSERT_TRUE_FATAL(UNTIL(bench, bench->ups == ups + 1));
    }
}

/* SALLYPORT_RECONNECTS=100 for the full soak. */
static void test_soak(void)
{
    const char *asked = getenv("SALLYPORT_RECONNECTS");
    unsigned int times = asked ? (unsigned int)strtoul(asked, NULL, 10) : 5;
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench.config.reconnect_max_ms = 100;
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(UNTIL(&bench, bench.ups == 1));
    reconnect(&bench, broker.port, 5);
    int descriptors_before = descriptors();
    long before_kib = resident_kib();
    reconnect(&bench, broker.port, times);
    printf("%u reconnects: %+ld KiB, %+d descriptors ...", times, resident_kib() - before_kib,
           descriptors() - descriptors_before);
    CU_ASSERT_EQUAL(descriptors(), descriptors_before);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CU_ASSERT_TRUE(resident_kib() - before_kib < 2048);
#endif
    CU_ASSERT_EQUAL(bench.downs, 5 + times);
    bench_stop(&bench);
    broker_kill(&broker);
}

TEST_MAIN("uplink", {"publishes, and the acknowledgement brings the tag back", test_publish},
          {"a full window refuses until there is room", test_window},
          {"commands arrive, and stored ones are told apart", test_received},
          {"a flood of messages costs no acknowledgement", test_flood},
          {"nothing is sent over an unverified connection, and the reason is given",
           test_unverified},
          {"over a verified one it is", test_verified}, {"a broker by its address", test_address},
          {"a bad password, a good one, and one that all may read", test_login},
          {"one login for each attempt", test_one_login},
          {"client certificates: missing, refused, locked, good", test_client_certificate},
          {"plain port, closed port, unknown name, missing file", test_unreachable},
          {"a server that stalls; stopping meanwhile", test_stalled},
          {"a refused subscription is a failure", test_denied_subscription},
          {"a refused subscription is no failure where data matters more",
           test_denied_subscription_that_is_no_need},
          {"a denied message is acknowledged all the same", test_denied_message},
          {"the next server when one dies, the last good one first", test_servers},
          {"the will speaks at an abrupt end only", test_will},
          {"the will speaks for a session that is given up", test_will_of_broken_session},
          {"a clean stop waits for what is in flight", test_farewell},
          {"a broker that does not acknowledge loses the session", test_acknowledgement_deadline},
          {"TCP options of the connection", test_socket},
          {"proxies of the environment are ignored", test_environment},
          {"through a proxy the server is verified as ever", test_proxy},
          {"WebSocket and plain servers in one list", test_websocket},
          {"a wrong WebSocket path is suspected", test_websocket_path}, {"ALPN", test_alpn},
          {"settings that cannot work are refused", test_settings},
          {"reconnecting leaks nothing", test_soak})
