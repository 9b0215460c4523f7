/* Why a connection failed: one server for each reason. */
#include "agent/tls/probe.h"

#include "agent/base/clock.h"
#include "tests/support/connect_proxy.h"
#include "tests/support/net.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/tls_server.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char sentence[1024];

static struct probe_target target_of(const char *host, uint16_t port)
{
    static char server[300];
    (void)snprintf(server, sizeof(server), "mqtts://%s:%u", host, port);
    return (struct probe_target){.server = server, .ca = pki_path("ca.pem"), .timeout_ms = 5000};
}

static enum probe_result probe(const struct probe_target *target)
{
    return probe_run(target, sentence, sizeof(sentence));
}

/* Probes a server of ours by the name localhost. */
static enum probe_result probe_server(const struct tls_server_options *options)
{
    struct tls_server *server = tls_server_start(options);
    struct probe_target target = target_of("localhost", tls_server_port(server));
    enum probe_result result = probe(&target);
    CU_ASSERT_EQUAL(tls_server_bytes(server), 0); /* nothing but the handshake */
    tls_server_stop(server);
    return result;
}

static enum probe_result probe_certificate(const char *name)
{
    return probe_server(&(struct tls_server_options){.certificate = name});
}

static void test_good(void)
{
    CU_ASSERT_EQUAL(probe_certificate("good"), PROBE_OK);
    TEST_CONTAINS(sentence, "localhost:");
    TEST_CONTAINS(sentence, "TLSv1.3");
    CU_ASSERT_EQUAL(probe_server(&(struct tls_server_options){.only_version = TLS1_2_VERSION}),
                    PROBE_OK);
    TEST_CONTAINS(sentence, "TLSv1.2");
}

static void test_address(void)
{
    struct tls_server_options options = {.certificate = "ip"};
    struct tls_server *server = tls_server_start(&options);
    struct probe_target target = target_of("127.0.0.1", tls_server_port(server));
    CU_ASSERT_EQUAL(probe(&target), PROBE_OK);
    target = target_of("localhost", tls_server_port(server));
    CU_ASSERT_EQUAL(probe(&target), PROBE_WRONG_NAME);
    TEST_CONTAINS(sentence, "not for localhost but for 127.0.0.1");
    tls_server_stop(server);
}

static void test_expired(void)
{
    CU_ASSERT_EQUAL(probe_certificate("expired"), PROBE_EXPIRED);
    TEST_CONTAINS(sentence, "the server's certificate \"CN=expired server\" expired on "
                            "2020-06-01 12:00 UTC; the clock here says 20");
}

static void test_not_yet_valid(void)
{
    CU_ASSERT_EQUAL(probe_certificate("future"), PROBE_NOT_YET_VALID);
    TEST_CONTAINS(sentence, "valid only from 2040-01-01 00:00 UTC; the clock here says 20");
    TEST_CONTAINS(sentence, "set the clock");
}

static void test_wrong_name(void)
{
    CU_ASSERT_EQUAL(probe_certificate("name"), PROBE_WRONG_NAME);
    TEST_CONTAINS(sentence, "not for localhost but for broker.example.com, *.example.net");
}

static void test_unknown_ca(void)
{
    CU_ASSERT_EQUAL(probe_certificate("unknown"), PROBE_UNKNOWN_CA);
    TEST_CONTAINS(sentence, "\"CN=unknown server\" was issued by \"O=Elsewhere,CN=Other CA\"");
    TEST_CONTAINS(sentence, pki_path("ca.pem"));
    CU_ASSERT_EQUAL(probe_certificate("selfsigned"), PROBE_UNKNOWN_CA);
    TEST_CONTAINS(sentence, "issued by \"CN=selfsigned server\"");
}

static void test_system_store(void)
{
    struct tls_server *server = tls_server_start(&(struct tls_server_options){0});
    struct probe_target target = target_of("localhost", tls_server_port(server));
    target.ca = "system";
    CU_ASSERT_EQUAL(probe(&target), PROBE_UNKNOWN_CA);
    TEST_CONTAINS(sentence, "not in the system's store");
    tls_server_stop(server);
}

static void test_weak_key(void)
{
    CU_ASSERT_EQUAL(probe_certificate("weak"), PROBE_CERTIFICATE);
    TEST_CONTAINS(sentence, "too weak");
}

static void test_old_version(void)
{
    CU_ASSERT_EQUAL(probe_server(&(struct tls_server_options){.only_version = TLS1_1_VERSION}),
                    PROBE_TLS_VERSION);
    TEST_CONTAINS(sentence, "TLS 1.2 or later");
}

static void test_not_tls(void)
{
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_BANNER});
    struct probe_target target = target_of("localhost", tls_server_port(server));
    CU_ASSERT_EQUAL(probe(&target), PROBE_NOT_TLS);
    TEST_CONTAINS(sentence, "something answers, but not TLS");
    tls_server_stop(server);
}

static void test_stalled(void)
{
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.manner = TLS_SERVER_STALL});
    struct probe_target target = target_of("localhost", tls_server_port(server));
    target.timeout_ms = 300;
    CU_ASSERT_EQUAL(probe(&target), PROBE_TIMED_OUT);
    TEST_CONTAINS(sentence, "does not answer the TLS handshake");
    tls_server_stop(server);
}

static void test_refused_port(void)
{
    struct probe_target target = target_of("localhost", net_unused_port());
    CU_ASSERT_EQUAL(probe(&target), PROBE_REFUSED);
    TEST_CONTAINS(sentence, "connection refused by 127.0.0.1");
}

/* A full backlog drops further connections, which looks like a host that does not answer. */
static void test_black_hole(void)
{
    uint16_t port;
    int listener = net_listen(&port), filler[64];
    CU_ASSERT_EQUAL_FATAL(listen(listener, 0), 0);
    for (size_t i = 0; i < 64; i++)
        filler[i] = -1;
    filler[0] = net_connect(port);
    struct probe_target target = target_of("127.0.0.1", port);
    target.timeout_ms = 300;
    enum probe_result result = probe(&target);
    if (result == PROBE_TIMED_OUT && strstr(sentence, "TLS"))
        result = probe(&target); /* the first one may still have found a place */
    CU_ASSERT_EQUAL(result, PROBE_TIMED_OUT);
    TEST_CONTAINS(sentence, "no answer from 127.0.0.1");
    close(filler[0]);
    close(listener);
}

static void test_name_not_found(void)
{
    struct probe_target target = target_of("no-such-host.invalid", 8883);
    CU_ASSERT_EQUAL(probe(&target), PROBE_NAME_NOT_FOUND);
    TEST_CONTAINS(sentence, "no-such-host.invalid:8883: ");
    TEST_CONTAINS(sentence, "DNS");
}

static void test_alpn(void)
{
    struct tls_server *server = tls_server_start(&(struct tls_server_options){.alpn = "mqtt"});
    struct probe_target target = target_of("localhost", tls_server_port(server));
    target.alpn = "mqtt";
    CU_ASSERT_EQUAL(probe(&target), PROBE_OK);
    target.alpn = "x-amzn-mqtt-ca";
    CU_ASSERT_EQUAL(probe(&target), PROBE_ALPN);
    TEST_CONTAINS(sentence, "\"x-amzn-mqtt-ca\"");
    tls_server_stop(server);
}

static void check_client(int version)
{
    struct tls_server_options options = {.wants_client = true, .only_version = version};
    struct tls_server *server = tls_server_start(&options);
    struct probe_target target = target_of("localhost", tls_server_port(server));
    CU_ASSERT_EQUAL(probe(&target), PROBE_CLIENT_REFUSED);
    TEST_CONTAINS(sentence, "none is configured");
    target.certificate = pki_path("client-unknown.pem");
    target.key = pki_path("client-unknown.key");
    CU_ASSERT_EQUAL(probe(&target), PROBE_CLIENT_REFUSED);
    TEST_CONTAINS(sentence, "does not know the CA");
    TEST_CONTAINS(sentence, "ours is \"CN=unknown gateway\"");
    target.certificate = pki_path("client-expired.pem");
    target.key = pki_path("client-expired.key");
    CU_ASSERT_EQUAL(probe(&target), PROBE_CLIENT_REFUSED);
    TEST_CONTAINS(sentence, "our certificate has expired");
    TEST_CONTAINS(sentence, "valid until 2020-06-01 12:00 UTC");
    target.certificate = pki_path("client.pem");
    target.key = pki_path("client.key");
    CU_ASSERT_EQUAL(probe(&target), PROBE_OK);
    tls_server_stop(server);
}

static void test_client_certificate(void)
{
    check_client(TLS1_2_VERSION);
    check_client(TLS1_3_VERSION);
}

static void own_files(const struct probe_target *target, const char *why)
{
    CU_ASSERT_EQUAL(probe(target), PROBE_OWN_FILES);
    TEST_CONTAINS(sentence, why);
}

static void test_own_files(void)
{
    struct probe_target target = target_of("localhost", 1);
    target.ca = "/nonexistent/ca.pem";
    own_files(&target, "the CA file /nonexistent/ca.pem cannot be read: No such file");
    target.ca = test_file("empty.pem", "");
    own_files(&target, "holds no usable PEM certificate");
    target.ca = pki_path("ca.pem");
    target.certificate = pki_path("client.key");
    own_files(&target, "is not a usable PEM certificate");
    target.certificate = pki_path("client.pem");
    own_files(&target, "is not a usable PEM private key"); /* none in the same file */
    target.key = "/nonexistent/key";
    own_files(&target, "the key /nonexistent/key cannot be read");
    target.key = pki_path("good.key");
    own_files(&target, "does not belong to the certificate");
    target.key = pki_path("client-locked.key");
    own_files(&target, "is encrypted: give its password with key_password_file");
    target.key_password = "wrong";
    own_files(&target, "does not open with the password");
    target.key_password = "sesame";
    CU_ASSERT_EQUAL(probe(&target), PROBE_REFUSED);
    target.server = "mqtt://localhost";
    own_files(&target, "unencrypted connections are not supported");
}

static void test_proxy(void)
{
    char proxy_url[100];
    struct tls_server *server = tls_server_start(&(struct tls_server_options){0});
    struct connect_proxy *proxy = connect_proxy_start(tls_server_port(server), "me:p@ss");
    struct probe_target target = target_of("localhost", 8883);
    target.proxy = proxy_url;
    (void)snprintf(proxy_url, sizeof(proxy_url), "http://me:p%%40ss@127.0.0.1:%u",
                   connect_proxy_port(proxy));
    CU_ASSERT_EQUAL(probe(&target), PROBE_OK);
    target = target_of("not.localhost", 8883); /* the proxy resolves it, the name is checked */
    target.proxy = proxy_url;
    CU_ASSERT_EQUAL(probe(&target), PROBE_WRONG_NAME);
    (void)snprintf(proxy_url, sizeof(proxy_url), "http://127.0.0.1:%u", connect_proxy_port(proxy));
    CU_ASSERT_EQUAL(probe(&target), PROBE_PROXY);
    TEST_CONTAINS(sentence, "HTTP/1.1 407 Proxy Authentication Required");
    CU_ASSERT_EQUAL(connect_proxy_connections(proxy), 3);
    connect_proxy_stop(proxy);
    (void)snprintf(proxy_url, sizeof(proxy_url), "http://127.0.0.1:%u", net_unused_port());
    CU_ASSERT_EQUAL(probe(&target), PROBE_REFUSED);
    (void)snprintf(proxy_url, sizeof(proxy_url), "http://127.0.0.1:%u", tls_server_port(server));
    CU_ASSERT_EQUAL(probe(&target), PROBE_PROXY);
    TEST_CONTAINS(sentence, "is it an HTTP proxy?");
    tls_server_stop(server);
}

static void test_short_sentence(void)
{
    char small[20];
    struct probe_target target = target_of("localhost", net_unused_port());
    memset(small, 'x', sizeof(small));
    CU_ASSERT_EQUAL(probe_run(&target, small, 12), PROBE_REFUSED);
    CU_ASSERT_EQUAL(strlen(small), 11);
    CU_ASSERT_EQUAL(small[12], 'x');
}

TEST_MAIN("probe", {"a good server: TLS 1.3 and 1.2", test_good},
          {"a certificate for an address", test_address},
          {"an expired certificate: which, when, and our clock", test_expired},
          {"a certificate of the future: the clock may be wrong", test_not_yet_valid},
          {"a certificate for another name: the names that it has", test_wrong_name},
          {"an unknown authority: its name, and where we looked", test_unknown_ca},
          {"the system's store is used only when asked for", test_system_store},
          {"a key of 1024 bits is too weak", test_weak_key},
          {"a server of TLS 1.1 only", test_old_version},
          {"another service on the port", test_not_tls},
          {"a server that takes the connection and stalls", test_stalled},
          {"a port on which nobody listens", test_refused_port},
          {"a host that does not answer", test_black_hole},
          {"a name that does not exist", test_name_not_found},
          {"a protocol that the server does not speak", test_alpn},
          {"client certificates: missing, unknown, expired, good", test_client_certificate},
          {"our own files: each fault is named", test_own_files},
          {"through a proxy: login, refusal, not a proxy", test_proxy},
          {"a sentence is cut to the room for it", test_short_sentence})
