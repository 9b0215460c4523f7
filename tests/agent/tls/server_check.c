/*
 * The check of a server's certificate, as the probe makes it (the sentence) and as it is made on
 * the connection of a library that knows nothing of it.
 */
#include "agent/tls/server_check.h"

#include "agent/tls/probe.h"
#include "agent/tls/revocation_lists.h"
#include "tests/support/net.h"
#include "tests/support/ocsp.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/tls_server.h"

#include <openssl/ocsp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char sentence[1024];

/* --- a library ------------------------------------------------------------------------------- */

/* Does what Paho does: it trusts ca.pem and compares no name. */
static SSL_CTX *library_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    CU_ASSERT_EQUAL_FATAL(SSL_CTX_load_verify_locations(context, pki_path("ca.pem"), NULL), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

/* *SESSION: to resume, replaced by a new one. May be NULL. */
static bool library_connects(SSL_CTX *context, uint16_t port, SSL_SESSION **session)
{
    char byte = 0;
    SSL *tls = SSL_new(context);
    int connection = net_connect(port);
    SSL_set_fd(tls, connection);
    if (session && *session)
        (void)SSL_set_session(tls, *session);
    bool done = SSL_connect(tls) == 1 && SSL_write(tls, &byte, 1) == 1;
    if (done && session && !*session)
        *session = SSL_get1_session(tls);
    (void)SSL_shutdown(tls); /* else the session counts as broken, and cannot be resumed */
    SSL_free(tls);
    close(connection);
    return done;
}

/* --- a case ---------------------------------------------------------------------------------- */

struct server_case {
    struct tls_server_options server;
    const char *host; /* NULL: localhost */
    const char *crl;  /* a name of tests/support/pki, or NULL */
};

static enum probe_result by_probe(const struct server_case *one)
{
    char address[100];
    struct tls_server *server = tls_server_start(&one->server);
    (void)snprintf(address, sizeof(address), "mqtts://%s:%u", one->host ? one->host : "localhost",
                   tls_server_port(server));
    struct probe_target target = {.server = address,
                                  .ca = pki_path("ca.pem"),
                                  .crl = one->crl ? pki_path(one->crl) : NULL,
                                  .timeout_ms = 5000};
    enum probe_result result = probe_run(&target, sentence, sizeof(sentence));
    tls_server_stop(server);
    return result;
}

/* Whether a library sends anything. */
static bool by_library(const struct server_case *one)
{
    struct strbuf problem CLEANUP(strbuf_free) = STRBUF_EMPTY;
    struct server_rules rules = {.host = one->host ? one->host : "localhost", .ca = "ca"};
    if (one->crl) {
        rules.crl = one->crl;
        CU_ASSERT_EQUAL_FATAL(revocation_lists_read(pki_path(one->crl), &rules.lists, &problem), 0);
    }
    struct server_check *check = server_check_new(&rules);
    CU_ASSERT_EQUAL(server_check_guard(check), 0);
    server_check_free(check);
    revocation_lists_free(rules.lists);
    struct tls_server *server = tls_server_start(&one->server);
    SSL_CTX *context = library_context();
    bool sends = library_connects(context, tls_server_port(server), NULL);
    SSL_CTX_free(context);
    tls_server_stop(server);
    CU_ASSERT_EQUAL(server_check_guard(NULL), 0);
    return sends;
}

static void passes(const struct server_case *one)
{
    CU_ASSERT_EQUAL(by_probe(one), PROBE_OK);
    CU_ASSERT_TRUE(by_library(one));
}

static void is_refused(const struct server_case *one, enum probe_result result, const char *why)
{
    CU_ASSERT_EQUAL(by_probe(one), result);
    TEST_CONTAINS(sentence, why);
    CU_ASSERT_FALSE(by_library(one));
}

/* --- the name -------------------------------------------------------------------------------- */

static void test_name(void)
{
    passes(&(struct server_case){.server.certificate = "good"});
    passes(&(struct server_case){.server.certificate = "good", .host = "127.0.0.1"});
    passes(&(struct server_case){.server.certificate = "ip", .host = "127.0.0.1"});
    is_refused(&(struct server_case){.server.certificate = "ip"}, PROBE_WRONG_NAME,
               "not for localhost but for 127.0.0.1");
    is_refused(&(struct server_case){.server.certificate = "cn"}, PROBE_WRONG_NAME,
               "names localhost only in its common name (CN), which does not count: have it issued "
               "again with subjectAltName = DNS:localhost");
    is_refused(&(struct server_case){.server.certificate = "cn-uri"}, PROBE_WRONG_NAME,
               "only in its common name");
    is_refused(&(struct server_case){.server.certificate = "ip-cn", .host = "127.0.0.1"},
               PROBE_WRONG_NAME, "with subjectAltName = IP:127.0.0.1");
    is_refused(&(struct server_case){.server.certificate = "ip-dns", .host = "127.0.0.1"},
               PROBE_WRONG_NAME, "or as a DNS name, which does not count");
}

/* --- revocation lists ------------------------------------------------------------------------ */

static void test_lists(void)
{
    struct server_case one = {.server.certificate = "good", .crl = "ca-none-crl.pem"};
    passes(&one);
    one.crl = "ca-crl.pem";
    is_refused(&one, PROBE_REVOKED,
               "the server's certificate \"CN=good server\" was revoked on 20");
    one.crl = "other-crl.pem";
    is_refused(&one, PROBE_REVOCATION_LIST, "append the list of its issuer");
    one.crl = "ca-expired-crl.pem";
    is_refused(&one, PROBE_REVOCATION_LIST, "expired on 2020-06-01 12:00 UTC; the clock here says");
    one.crl = "ca-future-crl.pem";
    is_refused(&one, PROBE_REVOCATION_LIST, "is not valid yet");
    one.crl = "forged-crl.pem";
    is_refused(&one, PROBE_REVOCATION_LIST, "cannot be used (CRL signature failure)");
    one = (struct server_case){.server.certificate = "ip", .crl = "ca-crl.pem"};
    is_refused(&one, PROBE_WRONG_NAME, "not for localhost"); /* a list is no reason to stop there */
}

static void append(FILE *out, const char *name)
{
    char bytes[4096];
    FILE *in = fopen(pki_path(name), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    size_t length = fread(bytes, 1, sizeof(bytes), in);
    (void)fwrite(bytes, 1, length, out);
    (void)fclose(in);
}

static const char *both_of(const char *one, const char *other)
{
    FILE *out = fopen(pki_path("both.pem"), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    append(out, one);
    append(out, other);
    (void)fclose(out);
    return "both.pem";
}

/* A file with the lists of inter, where nothing is revoked, and those of OTHER. */
static const char *both(const char *other)
{
    return both_of("inter-none-crl.pem", other);
}

/* The last of the old lists is the one that matters to a person. */
static void test_two_old_lists(void)
{
    struct server_case one = {.server.certificate = "good"};
    one.crl = both_of("ca-older-crl.pem", "ca-expired-crl.pem");
    is_refused(&one, PROBE_REVOCATION_LIST, "expired on 2020-06-01 12:00 UTC");
    one.crl = both_of("ca-expired-crl.pem", "ca-older-crl.pem");
    is_refused(&one, PROBE_REVOCATION_LIST, "expired on 2020-06-01 12:00 UTC");
}

/* A list of an issuer further up counts where it is there. */
static void test_chain_of_lists(void)
{
    struct server_case one = {.server.certificate = "below", .crl = "inter-none-crl.pem"};
    passes(&one);
    one.crl = "inter-crl.pem";
    is_refused(&one, PROBE_REVOKED, "\"CN=below server\" was revoked");
    one.crl = "ca-none-crl.pem";
    is_refused(&one, PROBE_REVOCATION_LIST, "append the list of its issuer \"O=Test,CN=Inter CA\"");
    one.crl = both("ca-none-crl.pem");
    passes(&one);
    one.crl = both("ca-crl.pem");
    is_refused(&one, PROBE_REVOKED, "the CA certificate \"O=Test,CN=Inter CA\" was revoked");
    one.crl =
        both("other-key-crl.pem"); /* in the name of the right authority, so it must be right */
    is_refused(&one, PROBE_REVOCATION_LIST,
               "that covers the CA certificate \"O=Test,CN=Inter CA\"");
}

/* That an authority further up needs no list excuses nothing else about it. */
static void test_old_authority(void)
{
    struct server_case one = {.server.certificate = "below-old"};
    is_refused(&one, PROBE_EXPIRED, "\"O=Test,CN=Old Inter CA\" expired on 2020-06-01");
    one.crl = "inter-old-crl.pem";
    is_refused(&one, PROBE_EXPIRED, "\"O=Test,CN=Old Inter CA\" expired on 2020-06-01");
}

/* --- stapled answers ------------------------------------------------------------------------- */

static struct tls_server_options stapling(const struct ocsp_options *answer, unsigned char **bytes)
{
    struct tls_server_options server = {.certificate = answer->about ? answer->about : "good"};
    server.stapled_bytes = ocsp_answer(answer, bytes);
    server.stapled = *bytes;
    return server;
}

static void stapled(const struct ocsp_options *answer, const char *certificate,
                    enum probe_result result, const char *why)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    unsigned char *bytes;
    struct server_case one = {.server = stapling(answer, &bytes)};
    one.server.certificate = certificate;
    for (size_t i = 0; i < 2; i++) {
        one.server.only_version = versions[i];
        if (result == PROBE_OK)
            passes(&one);
        else
            is_refused(&one, result, why);
    }
    OPENSSL_free(bytes);
}

static void test_stapled(void)
{
    struct ocsp_options answer = {.status = V_OCSP_CERTSTATUS_GOOD, .until_s = 3600};
    stapled(&answer, "good", PROBE_OK, NULL);
    answer.with_sha256 = true;
    stapled(&answer, "good", PROBE_OK, NULL);
    answer.signer = "ca";
    stapled(&answer, "good", PROBE_OK, NULL);
    answer.signer = "other-ca";
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "its signature is not of");
    answer.signer = "client"; /* of the same authority, but not named for this */
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "its signature is not of");
    answer.signer = NULL;
    answer.about = "ip";
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "it is about another certificate");
    answer.about = NULL;
    answer.status = V_OCSP_CERTSTATUS_REVOKED;
    stapled(&answer, "good", PROBE_REVOKED, "was revoked on 20");
    answer.status = V_OCSP_CERTSTATUS_UNKNOWN;
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "does not know the certificate");
}

static void test_stapled_times(void)
{
    struct ocsp_options answer = {
        .status = V_OCSP_CERTSTATUS_GOOD, .from_s = -7200, .until_s = -3600};
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "too old or of the future");
    answer = (struct ocsp_options){.from_s = 3600, .until_s = 7200};
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "too old or of the future");
    answer = (struct ocsp_options){.from_s = -3600};
    stapled(&answer, "good", PROBE_OK, NULL);
    answer = (struct ocsp_options){.from_s = -30 * 86400L};
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "too old or of the future");
}

static void test_no_answer(void)
{
    struct ocsp_options answer = {.refusal = OCSP_RESPONSE_STATUS_TRYLATER, .until_s = 3600};
    stapled(&answer, "good", PROBE_REVOCATION_LIST, "(trylater)");
}

static void test_damaged_answer(void)
{
    static const unsigned char nothing[] = "not an answer";
    struct server_case one = {.server.stapled = nothing, .server.stapled_bytes = sizeof(nothing)};
    is_refused(&one, PROBE_REVOCATION_LIST, "it is damaged");
}

static void test_must_staple(void)
{
    struct ocsp_options answer = {.about = "staple", .until_s = 3600};
    stapled(&answer, "staple", PROBE_OK, NULL);
    is_refused(&(struct server_case){.server.certificate = "staple"}, PROBE_REVOCATION_LIST,
               "demands a stapled OCSP answer (must-staple)");
}

/* --- the guard ------------------------------------------------------------------------------- */

static void test_no_check(void)
{
    struct tls_server *server = tls_server_start(&(struct tls_server_options){0});
    SSL_CTX *context = library_context();
    CU_ASSERT_EQUAL(server_check_guard(NULL), 0);
    CU_ASSERT_FALSE(library_connects(context, tls_server_port(server), NULL));
    SSL_CTX_free(context);
    tls_server_stop(server);
}

/* A resumed session would skip every check, because no certificate is shown. */
static void test_resumption(void)
{
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.only_version = TLS1_2_VERSION});
    struct server_rules rules = {.host = "localhost", .ca = "ca"};
    struct server_check *check = server_check_new(&rules);
    SSL_CTX *context = library_context();
    SSL_SESSION *session = NULL;
    CU_ASSERT_EQUAL(server_check_guard(check), 0);
    server_check_free(check);
    CU_ASSERT_TRUE(library_connects(context, tls_server_port(server), &session));
    CU_ASSERT_PTR_NOT_NULL_FATAL(session);
    CU_ASSERT_TRUE(SSL_SESSION_is_resumable(session));
    CU_ASSERT_FALSE(library_connects(context, tls_server_port(server), &session));
    CU_ASSERT_TRUE(library_connects(context, tls_server_port(server), NULL)); /* the control */
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
    tls_server_stop(server);
    CU_ASSERT_EQUAL(server_check_guard(NULL), 0);
}

static void ignore_sigpipe(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_name();
}

TEST_MAIN("server_check", {"the name counts in subjectAltName only", ignore_sigpipe},
          {"revocation lists: good, revoked, of others, old, forged", test_lists},
          {"lists of a chain", test_chain_of_lists},
          {"two lists that have expired", test_two_old_lists},
          {"an authority that has expired, with lists", test_old_authority},
          {"stapled answers: good, revoked, unknown, of others", test_stapled},
          {"stapled answers are of now", test_stapled_times},
          {"a responder that refuses", test_no_answer},
          {"a stapled answer that is none", test_damaged_answer},
          {"a certificate that demands a stapled answer", test_must_staple},
          {"without a check no library connects", test_no_check},
          {"no session is resumed", test_resumption})
