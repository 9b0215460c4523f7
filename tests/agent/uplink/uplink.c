/* The session to the broker, against a real mosquitto and against servers that misbehave. */
#include "agent/uplink/uplink.h"

#include "agent/base/memory.h"
#include "tests/support/broker.h"
#include "tests/support/connect_proxy.h"
#include "tests/support/net.h"
#include "tests/support/ocsp.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/tls_server.h"
#include "tests/support/uplink_bench.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 1), -ENOTCONN);
    CU_ASSERT_EQUAL(bench.ups, 0); /* nothing happens within uplink_start() */
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_publish(&bench, "plant/a", "hello", 5, true, 77), 0);
    CU_ASSERT_EQUAL(bench_publish(&bench, "plant/b", "untold", 6, true, 0), 0);
    CU_ASSERT_EQUAL(bench_health(&bench).in_flight, 2);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).acknowledged == 2));
    CU_ASSERT_EQUAL(bench.n_acknowledged, 1); /* nobody wants to know about tag 0 */
    CU_ASSERT_EQUAL(bench.acknowledged[0], 77);
    CU_ASSERT_EQUAL(bench_health(&bench).in_flight, 0);
    CU_ASSERT_EQUAL(bench_health(&bench).published, 2);
    CU_ASSERT_EQUAL(bench_health(&bench).phase, UPLINK_UP);
    TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[0]);
    TEST_TEXT_EQUAL(bench_health(&bench).reason, "");
    broker_listen(&broker, "plant/a", 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 plant/a hello");
    CU_ASSERT_EQUAL(bench_publish(&bench, "bad\xff", "x", 1, false, 1), -EINVAL);
    bench_stop(&bench);
    CU_ASSERT_EQUAL(bench.downs, 0); /* a stop is no loss */
    broker_kill(&broker);
}

/* At QoS 0 a message is done when it is written: nothing answers it. */
static void test_unacknowledged(void)
{
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    struct mqtt_message message = {
        .topic = "plant/a", .payload = "one", .length = 3, .retained = true};
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    for (uint64_t tag = 1; tag <= 8; tag++)
        CU_ASSERT_EQUAL(uplink_publish(bench.uplink, &message, tag), 0);
    CU_ASSERT_EQUAL(uplink_publish(bench.uplink, &message, 9), -EAGAIN);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 8));
    for (uint64_t tag = 1; tag <= 8; tag++)
        CU_ASSERT_EQUAL(bench.acknowledged[tag - 1], tag);
    CU_ASSERT_EQUAL(bench_publish(&bench, "plant/b", "two", 3, false, 10), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 9)); /* and none of them twice */
    CU_ASSERT_EQUAL(bench.acknowledged[8], 10);
    CU_ASSERT_EQUAL(bench_health(&bench).in_flight, 0);
    broker_listen(&broker, "plant/a", 10000, &seen);
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 plant/a one");
    message.qos = 2;
    CU_ASSERT_EQUAL(uplink_publish(bench.uplink, &message, 11), -EINVAL);
    bench_stop(&bench);
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 8);
    broker_pause(&broker);
    for (uint64_t tag = 1; tag <= 8; tag++)
        CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, tag), 0);
    CU_ASSERT_EQUAL(uplink_room(bench.uplink), 0);
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 9), -EAGAIN);
    for (size_t i = 0; i < UPLINK_SPARE; i++) /* a status still finds room */
        CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 0), 0);
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 0), -EAGAIN);
    broker_continue(&broker);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, uplink_room(bench.uplink) > 0));
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 8));
    for (uint64_t tag = 1; tag <= 8; tag++)
        CU_ASSERT_EQUAL(bench.acknowledged[tag - 1], tag);
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 9), 0);
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1 && bench.messages == 1));
    TEST_TEXT_EQUAL(bench.topic, topic);
    TEST_TEXT_EQUAL(bench.payload, "stored");
    CU_ASSERT_TRUE(bench.retained);
    broker_publish(&broker, topic, "fresh", false);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.messages == 2));
    TEST_TEXT_EQUAL(bench.payload, "fresh");
    CU_ASSERT_FALSE(bench.retained);
    char *large = memory_zeroed(100000, 1);
    memset(large, 'x', 99999);
    CU_ASSERT_EQUAL(bench_publish(&bench, topic, large, 99999, false, 1), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.messages == 3)); /* what we send comes back to us */
    CU_ASSERT_EQUAL(bench.length, 65536);                     /* cut */
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    for (uint64_t tag = 1; tag <= 200; tag++)
        CU_ASSERT_EQUAL(bench_publish(&bench, "echo", "x", 1, false, tag), 0);
    clock_sleep_until(clock_mono_ns() + 300 * CLOCK_NS_PER_MS);       /* the loop does not run */
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 200)); /* none of these is lost */
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, why);
    TEST_TEXT_EQUAL(bench_health(&bench).reason, bench.reason);
    CU_ASSERT_TRUE(
        BENCH_UNTIL(&bench, bench_health(&bench).failures >= 2)); /* not by trying again either */
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.failures >= 2));
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
    unverified(&(struct tls_server_options){.certificate = "cn"}, "only in its common name (CN)");
    unverified(&(struct tls_server_options){.certificate = "cn-uri"}, "only in its common name");
    unverified(&(struct tls_server_options){.certificate = "staple"}, "must-staple");
    unsigned char *answer;
    struct tls_server_options stapling = {.certificate = "good"};
    stapling.stapled_bytes =
        ocsp_answer(&(struct ocsp_options){.status = V_OCSP_CERTSTATUS_REVOKED}, &answer);
    stapling.stapled = answer;
    unverified(&stapling, "says the OCSP answer that it staples");
    OPENSSL_free(answer);
}

static void test_common_name_of_web(void)
{
    struct bench bench;
    struct tls_server *server = tls_server_start(
        &(struct tls_server_options){.manner = TLS_SERVER_WEBSOCKET, .certificate = "cn"});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(server), "/mqtt");
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.failures >= 2));
    TEST_CONTAINS(bench.reason, "only in its common name (CN)");
    bench_stop(&bench);
    CU_ASSERT_EQUAL(tls_server_bytes(server), 0);
    tls_server_stop(server);
}

static void test_address_only_elsewhere(void)
{
    static const char *const names[] = {"ip-cn", "ip-dns"};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        struct tls_server *server =
            tls_server_start(&(struct tls_server_options){.certificate = names[i]});
        bench_init(&bench);
        bench_server(&bench, "127.0.0.1", tls_server_port(server), NULL);
        bench_start(&bench, NULL);
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.failures >= 2));
        TEST_CONTAINS(bench.reason, "subjectAltName = IP:127.0.0.1");
        bench_stop(&bench);
        CU_ASSERT_EQUAL(tls_server_bytes(server), 0);
        tls_server_stop(server);
    }
}

/* The list is replaced while the agent runs: read again at each attempt. */
static void test_revoked(void)
{
    struct bench bench;
    const char *list = test_path("crl.pem");
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT});
    bench_init(&bench);
    bench.config.crl = (char *)list;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.failures >= 2));
    TEST_CONTAINS(bench.reason, "crl.pem cannot be used: No such file");
    CU_ASSERT_EQUAL_FATAL(symlink(pki_path("ca-crl.pem"), list), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, strstr(bench_health(&bench).reason, "was revoked") != NULL));
    CU_ASSERT_EQUAL(tls_server_bytes(server), 0);
    CU_ASSERT_EQUAL(bench.ups, 0);
    CU_ASSERT_EQUAL_FATAL(unlink(list), 0);
    CU_ASSERT_EQUAL_FATAL(symlink(pki_path("ca-none-crl.pem"), list), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    bench_stop(&bench);
    tls_server_stop(server);
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, tls_server_bytes(server) > 0));
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    bench_stop(&bench);
    broker_kill(&broker);
}

/* --- why not ---------------------------------------------------------------------------------- */

static void test_login(void)
{
    char password[600];
    struct broker broker;
    struct bench bench;
    (void)snprintf(password, sizeof(password), "%s", test_path("password"));
    bench_write_secret(password, "wrong\n");
    broker_start(&broker, &(struct broker_options){.login = "gw-0042:right"});
    bench_init(&bench);
    bench.config.username = "gw-0042";
    bench.config.password_file = password;
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).failures >= 2));
    CU_ASSERT_EQUAL(bench.downs, 1);
    TEST_CONTAINS(bench.reason, "bad user name or password (the broker refused the login)");
    bench_write_secret(password, "right\n"); /* read again at each attempt */
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(chmod(password, 0644), 0);
    broker_kill(&broker);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, strstr(bench_health(&bench).reason, "chmod o=") != NULL));
    TEST_CONTAINS(bench_health(&bench).reason, password);
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).failures == 2));
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "the server refuses the client certificate");
    TEST_CONTAINS(bench.reason, "none is configured");
    bench_stop(&bench);

    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = (char *)pki_path("client-unknown.pem");
    bench.config.key = (char *)pki_path("client-unknown.key");
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "the server refuses the client certificate");
    bench_stop(&bench);

    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = (char *)pki_path("client.pem");
    bench.config.key = (char *)pki_path("client-locked.key");
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "is encrypted: give its password with key_password_file");
    bench_stop(&bench);

    char password[600];
    (void)snprintf(password, sizeof(password), "%s", test_path("key-password"));
    bench_write_secret(password, "sesame\n");
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.certificate = (char *)pki_path("client.pem");
    bench.config.key = (char *)pki_path("client-locked.key");
    bench.config.key_password_file = password;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    bench_stop(&bench);
    broker_kill(&broker);
}

static void fails_with(struct bench *bench, const char *why)
{
    bench_start(bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(bench, bench->downs == 1));
    TEST_CONTAINS(bench->reason, why);
    CU_ASSERT_TRUE(BENCH_UNTIL(bench, bench_health(bench).phase == UPLINK_WAITING));
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, tls_server_connections(server) == 1));
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "refused the subscription to secret/command");
    TEST_CONTAINS(bench.reason, "ACL");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).failures >= 2)); /* it is tried again */
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_health(&bench).failures, 0);
    CU_ASSERT_EQUAL(bench_publish(&bench, "a/data", "1", 1, false, 7), 0);
    bench_stop(&bench);
    tls_server_stop(server);
}

static void test_unanswered_subscription(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_DEAF});
    bench_init(&bench);
    bench.config.ack_timeout_s = 1;
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "the broker does not answer the subscription");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, tls_server_logins(server) >= 2)); /* it is tried again */
    CU_ASSERT_EQUAL(bench.ups, 0);
    bench_stop(&bench);
    tls_server_stop(server);
}

/* The session is up after the last one; each has a QoS and a refusal of its own. */
static void test_several_subscriptions(void)
{
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){.access = "topic write #\ntopic read ok/#\n"});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_subscribe(&bench, "ok/first", 1, false);
    bench_subscribe(&bench, "ok/+/second", 0, true);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    broker_publish(&broker, "ok/first", "1", false);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.messages == 1));
    broker_publish(&broker, "ok/x/second", "2", false);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.messages == 2));
    TEST_TEXT_EQUAL(bench.topic, "ok/x/second");
    bench_stop(&bench);
    broker_kill(&broker);
}

/* An optional one that is refused holds up neither those before it nor those after it. */
static void test_several_denied(void)
{
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT_DENY});
    bench_init(&bench);
    bench_server(&bench, "localhost", tls_server_port(server), NULL);
    bench_subscribe(&bench, "first", 1, true);
    bench_subscribe(&bench, "second", 1, true);
    bench_subscribe(&bench, "needed", 1, false);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "refused the subscription to needed");
    CU_ASSERT_EQUAL(bench.ups, 0);
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_publish(&bench, "denied/a", "x", 1, true, 5), 0);
    CU_ASSERT_EQUAL(bench_publish(&bench, "allowed/a", "y", 1, true, 6), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 2));
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[1]);
    unsigned int downs = bench.downs;
    broker_kill(&first);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(bench.downs, downs + 1);
    TEST_CONTAINS(bench.reason, "connection lost");
    TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[2]);
    uint64_t failures = bench_health(&bench).failures;
    broker_restart(&first);
    broker_kill(&second);
    broker_restart(&second);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 3));
    TEST_TEXT_EQUAL(bench_health(&bench).server, bench.servers[2]); /* the last good one */
    CU_ASSERT_EQUAL(bench_health(&bench).failures, failures);       /* was tried first */
    bench_stop(&bench);
    broker_kill(&first);
    broker_kill(&second);
}

static void cut(int descriptor)
{
    (void)shutdown(descriptor, SHUT_RDWR);
}

static void test_will(void)
{
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_publish(&bench, BENCH_STATUS, "online", 6, true, 1), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 1));
    bench_stop(&bench);
    broker_listen(&broker, BENCH_STATUS, 10000, &seen);
    CU_ASSERT_STRING_EQUAL(strbuf_text(&seen), "1 sallyport/plant-7/gw-0042/status online");

    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.config.reconnect_min_ms = bench.config.reconnect_max_ms = 5000;
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_TRUE(bench_each_connection(broker.port, cut) > 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    strbuf_reset(&seen);
    for (int i = 0; i < 50 && !strstr(strbuf_text(&seen), "offline"); i++) {
        strbuf_reset(&seen);
        broker_listen(&broker, BENCH_STATUS, 10000, &seen);
    }
    TEST_TEXT_EQUAL(strbuf_text(&seen), "1 " BENCH_STATUS " " BENCH_WILL);
    bench_stop(&bench);
    broker_kill(&broker);
}

static void check_retained(const struct broker *broker, const char *topic, const void *payload,
                           size_t length)
{
    struct bench reader;
    bench_init(&reader);
    bench_server(&reader, "localhost", broker->port, NULL);
    bench_start(&reader, topic);
    CU_ASSERT_TRUE(BENCH_UNTIL(&reader, reader.messages == 1));
    CU_ASSERT_EQUAL(reader.length, length);
    CU_ASSERT_EQUAL(memcmp(reader.payload, payload, length), 0);
    bench_stop(&reader);
}

/* Any bytes, and others at each attempt, such as a number of the session. */
static void test_will_of_each_attempt(void)
{
    static const char first[] = "\xff\0\1", second[] = "\xff\0\2";
    struct broker broker;
    struct bench bench;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench.opening.will = (struct mqtt_message){
        .topic = "death/1", .payload = first, .length = 3, .qos = 1, .retained = true};
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    bench.opening.will = (struct mqtt_message){
        .topic = "death/2", .payload = second, .length = 3, .qos = 0, .retained = true};
    CU_ASSERT_TRUE(bench_each_connection(broker.port, cut) > 0);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_TRUE(bench_each_connection(broker.port, cut) > 0);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 3));
    CU_ASSERT_EQUAL(bench.opens, 3);
    bench_stop(&bench);
    check_retained(&broker, "death/1", first, 3);
    check_retained(&broker, "death/2", second, 3);
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    broker_pause(&broker);
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 1), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "no acknowledgement for 1 s");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).phase == UPLINK_WAITING));
    broker_continue(&broker);
    broker_listen(&broker, "sallyport/+/+/status", 10000, &seen);
    TEST_CONTAINS(strbuf_text(&seen), BENCH_WILL);
    bench_stop(&bench);
    broker_kill(&broker);
}

/* A status that is published last, with a full window, still arrives before the farewell. */
static void test_farewell(void)
{
    struct broker broker;
    struct bench bench;
    struct strbuf seen CLEANUP(strbuf_free) = STRBUF_EMPTY;
    broker_start(&broker, &(struct broker_options){0});
    bench_init(&bench);
    bench_server(&bench, "localhost", broker.port, NULL);
    bench_start(&bench, NULL);
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    for (uint64_t tag = 1; uplink_room(bench.uplink) > 0; tag++)
        CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, tag), 0);
    CU_ASSERT_EQUAL(bench_publish(&bench, BENCH_STATUS, "goodbye", 7, true, 0), 0);
    bench_stop(&bench);
    CU_ASSERT_EQUAL(bench.n_acknowledged, 8);
    broker_listen(&broker, BENCH_STATUS, 10000, &seen);
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 9), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
    TEST_CONTAINS(bench.reason, "no acknowledgement for 1 s");
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 9), -ENOTCONN);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 2));
    CU_ASSERT_EQUAL(bench.n_acknowledged, 0);
    CU_ASSERT_EQUAL(bench_health(&bench).in_flight, 0); /* forgotten with its session */
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_each_connection(broker.port, check_options),
                    2); /* Paho's, and our copy */
    bench_stop(&bench);
    CU_ASSERT_EQUAL(bench_each_connection(broker.port, check_options), 0);
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
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
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.downs == 1));
        TEST_CONTAINS(bench.reason, why);
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench_health(&bench).failures >= 2));
        CU_ASSERT_EQUAL(tls_server_bytes(server), 0);
    } else {
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
        CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 3), 0);
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 1));
        CU_ASSERT_EQUAL(bench_each_connection(connect_proxy_port(proxy), check_options), 2);
        CU_ASSERT_TRUE(bench_each_connection(connect_proxy_port(proxy), cut) > 0);
        CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 2)); /* through the proxy again */
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
    through_proxy("localhost", "cn", NULL, "", "only in its common name (CN)");
}

/* In a file of its own, which is read again at each attempt. */
static void test_proxy_password_file(void)
{
    char url[200];
    struct bench bench;
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_MQTT});
    struct connect_proxy *proxy = connect_proxy_start(tls_server_port(server), "me:p@ss: 1%");
    (void)snprintf(url, sizeof(url), "http://me@127.0.0.1:%u", connect_proxy_port(proxy));
    const char *file = test_path("proxy-password");
    bench_write_secret(file, "wrong\n");
    bench_init(&bench);
    bench.config.proxy = url;
    bench.config.proxy_password_file = (char *)file;
    bench_server(&bench, "localhost", 8883, NULL);
    bench_start(&bench, "command");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, strstr(bench_health(&bench).reason, "407 Proxy") != NULL));
    bench_write_secret(file, "p@ss: 1%\n");
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_PTR_NULL(strstr(bench.reason, "ss: 1"));
    bench_stop(&bench);
    connect_proxy_stop(proxy);
    tls_server_stop(server);
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 3), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 1));
    CU_ASSERT_EQUAL(tls_server_publishes(web), 1);
    tls_server_stop(web);
    CU_ASSERT_TRUE(
        BENCH_UNTIL(&bench, bench.ups == 2)); /* the other kind of server, without frames */
    CU_ASSERT_EQUAL(bench_publish(&bench, "t", "x", 1, false, 4), 0);
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.n_acknowledged == 2));
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
    CU_ASSERT_TRUE(BENCH_UNTIL(&bench, bench.ups == 1));
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
    bench_free_servers(bench);
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

static void reconnect(struct bench *bench, uint16_t port, unsigned int times)
{
    for (unsigned int i = 0; i < times; i++) {
        unsigned int ups = bench->ups;
        uint64_t acknowledged = bench->n_acknowledged;
        CU_ASSERT_EQUAL_FATAL(bench_publish(bench, "t", "x", 1, false, 1), 0);
        CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(bench, bench->n_acknowledged > acknowledged));
        CU_ASSERT_TRUE_FATAL(bench_each_connection(port, cut) > 0);
        CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(bench, bench->ups == ups + 1));
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
    CU_ASSERT_TRUE_FATAL(BENCH_UNTIL(&bench, bench.ups == 1));
    reconnect(&bench, broker.port, 5);
    int descriptors_before = bench_descriptors();
    long before_kib = bench_resident_kib();
    reconnect(&bench, broker.port, times);
    printf("%u reconnects: %+ld KiB, %+d descriptors ...", times, bench_resident_kib() - before_kib,
           bench_descriptors() - descriptors_before);
    CU_ASSERT_EQUAL(bench_descriptors(), descriptors_before);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CU_ASSERT_TRUE(bench_resident_kib() - before_kib < 2048);
#endif
    CU_ASSERT_EQUAL(bench.downs, 5 + times);
    bench_stop(&bench);
    broker_kill(&broker);
}

TEST_MAIN("uplink", {"publishes, and the acknowledgement brings the tag back", test_publish},
          {"at QoS 0 a message is done when it is written", test_unacknowledged},
          {"a full window refuses until there is room", test_window},
          {"commands arrive, and stored ones are told apart", test_received},
          {"a flood of messages costs no acknowledgement", test_flood},
          {"nothing is sent over an unverified connection, and the reason is given",
           test_unverified},
          {"the common name does not count through WebSocket", test_common_name_of_web},
          {"an address counts as an address only", test_address_only_elsewhere},
          {"a revocation list: missing, revoked, good; read again at each attempt", test_revoked},
          {"the password of the proxy in a file of its own", test_proxy_password_file},
          {"over a verified one it is", test_verified}, {"a broker by its address", test_address},
          {"a bad password, a good one, and one that all may read", test_login},
          {"one login for each attempt", test_one_login},
          {"client certificates: missing, refused, locked, good", test_client_certificate},
          {"plain port, closed port, unknown name, missing file", test_unreachable},
          {"a server that stalls; stopping meanwhile", test_stalled},
          {"a refused subscription is a failure", test_denied_subscription},
          {"a refused subscription is no failure where data matters more",
           test_denied_subscription_that_is_no_need},
          {"a subscription that is not answered is a failure", test_unanswered_subscription},
          {"several subscriptions", test_several_subscriptions},
          {"several subscriptions, some refused", test_several_denied},
          {"a denied message is acknowledged all the same", test_denied_message},
          {"the next server when one dies, the last good one first", test_servers},
          {"the will speaks at an abrupt end only", test_will},
          {"a will of any bytes, another one at each attempt", test_will_of_each_attempt},
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
