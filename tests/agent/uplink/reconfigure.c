/* Other settings while the uplink runs: what an owner with an outbox must be able to rely on. */
#include "agent/uplink/uplink.h"

#include "tests/support/broker.h"
#include "tests/support/connect_proxy.h"
#include "tests/support/net.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/tls_server.h"
#include "tests/support/uplink_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- an owner that loses nothing ---------------------------------------------------------------
 */

#define MESSAGES 500

/* Like the outbox: what is not acknowledged when the session ends is handed out again. */
struct custody {
    size_t n_messages; /* their tags are 1 to this */
    bool sent[MESSAGES + 1], acknowledged[MESSAGES + 1];
    size_t seen;        /* of the bench's acknowledgements */
    size_t handed_back; /* by the last `down` */
};

static void take_acknowledgements(struct bench *bench, struct custody *custody)
{
    for (; custody->seen < bench->n_acknowledged; custody->seen++)
        custody->acknowledged[bench->acknowledged[custody->seen % BENCH_TAGS]] = true;
}

static void hand_back(struct bench *bench)
{
    struct custody *custody = bench->context;
    take_acknowledgements(bench, custody);
    custody->handed_back = 0;
    for (size_t tag = 1; tag <= custody->n_messages; tag++) {
        custody->handed_back += custody->sent[tag] && !custody->acknowledged[tag];
        custody->sent[tag] = custody->acknowledged[tag];
    }
}

static void send_more(struct bench *bench, struct custody *custody)
{
    take_acknowledgements(bench, custody);
    for (size_t tag = 1; tag <= custody->n_messages && uplink_room(bench->uplink) > 0; tag++) {
        char topic[32];
        (void)snprintf(topic, sizeof(topic), "data/%zu", tag);
        if (!custody->sent[tag] && bench_publish(bench, topic, "x", 1, true, tag) == 0)
            custody->sent[tag] = true;
    }
}

static bool is_empty(struct bench *bench, struct custody *custody)
{
    send_more(bench, custody);
    for (size_t tag = 1; tag <= custody->n_messages; tag++) {
        if (!custody->acknowledged[tag])
            return false;
    }
    return true;
}

static void bench_custody(struct bench *bench, struct custody *custody, size_t n_messages)
{
    *custody = (struct custody){.n_messages = n_messages};
    bench->on_down = hand_back;
    bench->context = custody;
}

static void reconfigure(struct bench *bench)
{
    CU_ASSERT_EQUAL_FATAL(uplink_reconfigure(bench->uplink, &bench->config), 0);
}

/* --- another broker ----------------------------------------------------------------------------
 */

/* The first broker answers nothing any more: what it had is sent to the second one. */
static void test_in_flight(void)
{
    struct broker a, b;
    struct bench bench;
    struct custody custody;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&a, &(struct broker_options){0});
    broker_start(&b, &(struct broker_options){0});
    bench_init(&bench);
    bench_custody(&bench, &custody, 100);
    bench_server(&bench, "localhost", a.port, NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    broker_pause(&a);
    send_more(&bench, &custody);
    CU_ASSERT_EQUAL(bench_health(&bench).in_flight, 8);
    bench_only_server(&bench, "localhost", b.port);
    reconfigure(&bench);
    CU_ASSERT_EQUAL(bench.downs, 0); /* nothing happens within the call */
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 0), -ENOTCONN);
    /* Change after change: it does not wait longer for that. */
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, (reconfigure(&bench), bench.downs == 1)));
    TEST_CONTAINS(bench.reason, "settings");
    CU_ASSERT_EQUAL(custody.handed_back, 8);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[0]);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, is_empty(&bench, &custody)));
    broker_listen(&b, "data/8", 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 data/8 x");
    CU_ASSERT_EQUAL(bench.failures, 0); /* nothing failed */
    bench_stop(&bench);
    broker_kill(&a);
    broker_kill(&b);
}

/* A broker that answers gets what is in flight, and the last status of the owner. */
static void test_drained(void)
{
    struct broker a, b;
    struct bench bench;
    struct custody custody;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&a, &(struct broker_options){0});
    broker_start(&b, &(struct broker_options){0});
    bench_init(&bench);
    bench_custody(&bench, &custody, 8);
    bench_server(&bench, "localhost", a.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    send_more(&bench, &custody);
    CU_ASSERT_EQUAL(bench_publish(&bench, BENCH_STATUS, "moved", 5, true, 0), 0);
    bench_only_server(&bench, "localhost", b.port);
    reconfigure(&bench);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(custody.handed_back, 0);
    CU_ASSERT_TRUE(is_empty(&bench, &custody)); /* without sending anything twice */
    broker_listen(&a, BENCH_STATUS, 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 " BENCH_STATUS " moved");
    bench_stop(&bench);
    broker_kill(&a);
    broker_kill(&b);
}

static void test_other_transport(void)
{
    struct bench bench;
    struct tls_server *web =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_WEBSOCKET});
    struct tls_server *plain =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(plain), NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    bench_free_servers(&bench);
    bench_server(&bench, "localhost", net_unused_port(), NULL);
    bench_server(&bench, "localhost", tls_server_port(web), "/mqtt");
    reconfigure(&bench);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 2)); /* the first of them fails */
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 3), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 1));
    CU_ASSERT_EQUAL(tls_server_publishes(web), 1);
    bench_stop(&bench);
    tls_server_stop(web);
    tls_server_stop(plain);
}

/* --- the other keys ----------------------------------------------------------------------------
 */

static void copy_file(const char *from, const char *to)
{
    char text[16384];
    FILE *file = fopen(from, "r");
    size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (!file || fclose(file) != 0 || length == 0)
        abort();
    text[length] = '\0';
    bench_write_secret(to, text);
}

/* The same settings as before: only the files are others. */
static void test_certificate(void)
{
    char certificate[600], key[600];
    struct broker broker;
    struct bench bench;
    (void)snprintf(certificate, sizeof(certificate), "%s", test_path("own.pem"));
    (void)snprintf(key, sizeof(key), "%s", test_path("own.key"));
    copy_file(pki_path("client.pem"), certificate);
    copy_file(pki_path("client.key"), key);
    broker_start(&broker, &(struct broker_options){.wants_client = true});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = certificate;
    bench.config.key = key;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    copy_file(pki_path("client-unknown.pem"), certificate);
    copy_file(pki_path("client-unknown.key"), key);
    reconfigure(&bench);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.failures > 0));
    TEST_CONTAINS(bench_health(&bench).reason, "unknown gateway"); /* it is the new one */
    CU_ASSERT_EQUAL(bench.ups, 1);
    CU_ASSERT_EQUAL(bench.downs, 1);
    copy_file(pki_path("client.pem"), certificate);
    copy_file(pki_path("client.key"), key);
    reconfigure(&bench);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 2));
    TEST_TEXT_EQUAL(bench_health(&bench).reason, "");
    bench_stop(&bench);
    broker_kill(&broker);
}

static bool log_contains(const struct broker *broker, const char *part)
{
    char path[600], line[1000];
    bool found = false;
    (void)snprintf(path, sizeof(path), "%s.log", broker->configuration);
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof(line), file))
        found = strstr(line, part) != NULL;
    if (file)
        (void)fclose(file);
    return found;
}

static void test_client_id_and_window(void)
{
    struct broker broker;
    struct bench bench;
    struct custody custody;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_custody(&bench, &custody, MESSAGES);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    send_more(&bench, &custody);
    bench.config.client_id = "gw-moved";
    bench.config.window = 300;
    bench.config.keepalive_s = 77;
    reconfigure(&bench);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_TRUE(log_contains(&broker, "as gw-0042 ("));
    CU_ASSERT_TRUE(log_contains(&broker, "as gw-moved (p2, c1, k77)"));
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 300);
    broker_pause(&broker);
    send_more(&bench, &custody);
    CU_ASSERT_EQUAL(bench_health(&bench).in_flight, 300); /* Paho takes as many, too */
    broker_continue(&broker);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, is_empty(&bench, &custody)));
    bench.config.window = 1;
    reconfigure(&bench);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 3));
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 1);
    bench_stop(&bench);
    broker_kill(&broker);
}

static void test_login(void)
{
    char password[600];
    struct broker broker;
    struct bench bench;
    (void)snprintf(password, sizeof(password), "%s", test_path("password"));
    bench_write_secret(password, "right\n");
    broker_start(&broker, &(struct broker_options){.login = "gw-0042:right"});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.reconnect_min_ms = bench.config.reconnect_max_ms = 60000;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "bad user name or password");
    bench.config.username = "gw-0042";
    bench.config.password_file = password;
    reconfigure(&bench);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1)); /* and not after a minute */
    bench_stop(&bench);
    broker_kill(&broker);
}

/* Paho keeps the first proxy of a client for ever. */
static void test_proxy(void)
{
    char url[64];
    struct bench bench;
    struct tls_server_options options = {.manner = TLS_SERVER_MQTT, .certificate = "name"};
    struct tls_server *server = tls_server_start(&options);
    struct connect_proxy *first = connect_proxy_start(tls_server_port(server), NULL);
    struct connect_proxy *second = connect_proxy_start(tls_server_port(server), NULL);
    bench_init(&bench);
    bench_server(&bench, "broker.example.com", 8883, NULL);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", connect_proxy_port(first));
    bench.config.proxy = url;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", connect_proxy_port(second));
    reconfigure(&bench);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(connect_proxy_connections(first), 1);
    CU_ASSERT_EQUAL(connect_proxy_connections(second), 1);
    bench_stop(&bench);
    connect_proxy_stop(first);
    connect_proxy_stop(second);
    tls_server_stop(server);
}

/* Topics depend on the prefix: the owner gives others when it is asked. */
static void test_topics(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, "old/command");
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    bench.opening.will.topic = "new/status";
    bench.opening.subscriptions[0].filter = "new/command";
    reconfigure(&bench);
    CU_ASSERT_EQUAL(bench.opens, 1);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(bench.opens, 2);
    broker_publish(&broker, "old/command", "a", false);
    broker_publish(&broker, "new/command", "b", false);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.messages == 1));
    TEST_TEXT_EQUAL(bench.topic, "new/command");
    bench_stop(&bench);
    broker_kill(&broker);
}

/* --- in every phase ----------------------------------------------------------------------------
 */

static void test_connecting(void)
{
    struct broker broker;
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_STALL});
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench.config.connect_timeout_s = 1;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, tls_server_connections(server) == 1));
    CU_ASSERT_EQUAL(bench_health(&bench).phase, UPLINK_CONNECTING);
    bench_only_server(&bench, "localhost", broker.port);
    reconfigure(&bench);
    CU_ASSERT_EQUAL(bench_health(&bench).phase, UPLINK_CONNECTING); /* cannot be called off */
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench.downs, 0);
    CU_ASSERT_EQUAL(bench.failures, 0); /* nobody wants that server any more */
    bench_stop(&bench);
    broker_kill(&broker);
    tls_server_stop(server);
}

/* The attempt succeeds after all: its session ends before it is up. */
static void test_connected_meanwhile(void)
{
    struct broker a, b;
    struct bench bench;
    broker_start(&a, &(struct broker_options){0});
    broker_start(&b, &(struct broker_options){0});
    for (int subscribes = 0; subscribes < 2; subscribes++) {
        bench_init(&bench);
        bench_server(&bench, "localhost", a.port, NULL);
        bench_start(&bench, subscribes ? "command" : NULL);
        CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench_health(&bench).phase == UPLINK_CONNECTING));
        bench_only_server(&bench, "localhost", b.port);
        reconfigure(&bench);
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
        TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[0]);
        CU_ASSERT_EQUAL(bench.downs, 0);
        CU_ASSERT_EQUAL(bench.opens, 2);
        bench_stop(&bench);
    }
    broker_kill(&a);
    broker_kill(&b);
}

static void test_subscribing(void)
{
    struct broker broker;
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_DEAF});
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench_health(&bench).phase == UPLINK_SUBSCRIBING));
    bench_only_server(&bench, "localhost", broker.port);
    reconfigure(&bench);
    CU_ASSERT_EQUAL(bench_health(&bench).phase, UPLINK_CLOSING);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench.downs, 0);
    bench_stop(&bench);
    broker_kill(&broker);
    tls_server_stop(server);
}

static void test_waiting(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench.config.reconnect_min_ms = bench.config.reconnect_max_ms = 600000;
    bench_server(&bench, "localhost", net_unused_port(), NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.downs == 1));
    CU_ASSERT_EQUAL(bench_health(&bench).phase, UPLINK_WAITING);
    bench_only_server(&bench, "localhost", broker.port);
    reconfigure(&bench);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench.downs, 1);
    bench_stop(&bench);
    broker_kill(&broker);
}

static void test_disconnecting(void)
{
    struct broker a, b, c;
    struct bench bench;
    broker_start(&a, &(struct broker_options){0});
    broker_start(&b, &(struct broker_options){0});
    broker_start(&c, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", a.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    bench_only_server(&bench, "localhost", b.port);
    reconfigure(&bench);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).phase == UPLINK_CLOSING));
    bench_only_server(&bench, "localhost", c.port);
    reconfigure(&bench);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[0]);
    CU_ASSERT_EQUAL(bench.downs, 1);
    CU_ASSERT_FALSE(log_contains(&b, "as gw-0042"));
    bench_only_server(&bench, "localhost", a.port);
    reconfigure(&bench); /* twice in one turn of the loop */
    bench_only_server(&bench, "localhost", b.port);
    reconfigure(&bench);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 3));
    CU_ASSERT_TRUE(log_contains(&b, "as gw-0042"));
    bench_stop(&bench);
    broker_kill(&a);
    broker_kill(&b);
    broker_kill(&c);
}

/* --- what is refused, and the end ---------------------------------------------------------------
 */

static void test_refused(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    bench.config.window = 0;
    CU_ASSERT_EQUAL(uplink_reconfigure(bench.uplink, &bench.config), -EINVAL);
    bench.config.window = 8;
    bench.config.proxy = "proxy:3128";
    CU_ASSERT_EQUAL(uplink_reconfigure(bench.uplink, &bench.config), -EINVAL);
    bench.config.proxy = NULL;
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 7), 0); /* as if nothing was asked */
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 1));
    CU_ASSERT_EQUAL(bench.ups, 1);
    CU_ASSERT_TRUE(uplink_stop(bench.uplink, BENCH_DEADLINE_MS));
    CU_ASSERT_EQUAL(uplink_reconfigure(bench.uplink, &bench.config), -ENOTCONN);
    bench_stop(&bench);
    broker_kill(&broker);
}

/* Stopping has the last word, wherever a change has come to. */
static void test_stop(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    for (int turns = 0; turns < 6; turns++) {
        bench_init(&bench);
        bench_server(&bench, "localhost", broker.port, NULL);
        bench_start(&bench, NULL);
        CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
        CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 7), 0);
        reconfigure(&bench);
        for (int i = 0; i < turns; i++)
            (void)sd_event_run(bench.loop, 1000);
        bench_stop(&bench);
    }
    broker_kill(&broker);
}

/* --- many times ----------------------------------------------------------------------------
 */

static void change_often(struct bench *bench, struct custody *custody, const uint16_t ports[2],
                         unsigned int times)
{
    for (unsigned int i = 0; i < times; i++) {
        unsigned int ups = bench->ups;
        bench_custody(bench, custody, 20);
        custody->seen = bench->n_acknowledged;
        send_more(bench, custody); /* a full window is in flight */
        bench_only_server(bench, "localhost", ports[i % 2]);
        bench->config.client_id = i % 3 ? "gw-0042" : "gw-0043";
        bench->config.window = 8 + i % 5;
        reconfigure(bench);
        CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(bench, bench->ups == ups + 1));
        CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(bench, is_empty(bench, custody)));
    }
}

/* SALLYPORT_RECONNECTS=100 for the full soak: Paho takes a second for each. */
static void test_soak(void)
{
    const char *asked = getenv("SALLYPORT_RECONNECTS");
    unsigned int times = asked ? (unsigned int)strtoul(asked, NULL, 10) : 20;
    struct broker a, b;
    struct bench bench;
    struct custody custody;
    broker_start(&a, &(struct broker_options){0});
    broker_start(&b, &(struct broker_options){0});
    const uint16_t ports[2] = {a.port, b.port};
    bench_init(&bench);
    bench_server(&bench, "localhost", b.port, NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    change_often(&bench, &custody, ports, 5);
    int descriptors_before = bench_descriptors();
    long before_kib = bench_resident_kib();
    change_often(&bench, &custody, ports, times);
    printf("%u changes: %+ld KiB, %+d descriptors ...", times, bench_resident_kib() - before_kib,
           bench_descriptors() - descriptors_before);
    CU_ASSERT_EQUAL(bench_descriptors(), descriptors_before);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CU_ASSERT_TRUE(bench_resident_kib() - before_kib < 1024);
#endif
    CU_ASSERT_EQUAL(bench.downs, 5 + times);
    CU_ASSERT_EQUAL(bench.failures, 0);
    bench_stop(&bench);
    broker_kill(&a);
    broker_kill(&b);
}

TEST_MAIN("reconfigure",
          {"what is in flight at a mute broker goes to the next one", test_in_flight},
          {"what is in flight at a good broker arrives there", test_drained},
          {"from MQTT to WebSocket, and to a list with a dead server", test_other_transport},
          {"a certificate is replaced", test_certificate},
          {"another client id, another window", test_client_id_and_window},
          {"a login, without waiting for the back-off", test_login}, {"another proxy", test_proxy},
          {"another prefix", test_topics}, {"while connecting", test_connecting},
          {"while an attempt is about to succeed", test_connected_meanwhile},
          {"while subscribing", test_subscribing}, {"while waiting", test_waiting},
          {"while disconnecting, and twice at once", test_disconnecting},
          {"settings that cannot work change nothing", test_refused},
          {"a stop at any moment of a change", test_stop},
          {"many changes lose nothing and leak nothing", test_soak})
