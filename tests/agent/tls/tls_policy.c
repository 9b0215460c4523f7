/* The floor at TLS 1.2, proved against a server that speaks TLS 1.1 only. */
#include "agent/tls/tls_policy.h"

#include "tests/support/net.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"
#include "tests/support/tls_server.h"

#include <signal.h>
#include <unistd.h>

/*
 * What Paho makes of our list: a context without a lower bound of its own and with the security
 * level lowered, and then the list.
 */
static SSL_CTX *context_with(const char *ciphers)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    CU_ASSERT_EQUAL_FATAL(SSL_CTX_set_cipher_list(context, ciphers), 1);
    return context;
}

/* The version that is agreed on, 0 for none. */
static int agreed(SSL_CTX *context, int server_version)
{
    struct tls_server *server =
        tls_server_start(&(struct tls_server_options){.only_version = server_version});
    SSL *tls = SSL_new(context);
    int connection = net_connect(tls_server_port(server));
    SSL_set_fd(tls, connection);
    int version = SSL_connect(tls) == 1 ? SSL_version(tls) : 0;
    SSL_free(tls);
    close(connection);
    tls_server_stop(server);
    return version;
}

static void test_floor(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    SSL_CTX *any = context_with("ALL:@SECLEVEL=0"), *ours = context_with(tls_policy_ciphers);
    CU_ASSERT_EQUAL(agreed(any, TLS1_1_VERSION), TLS1_1_VERSION); /* the control: it could be had */
    CU_ASSERT_EQUAL(agreed(ours, TLS1_1_VERSION), 0);
    CU_ASSERT_EQUAL(agreed(ours, TLS1_2_VERSION), TLS1_2_VERSION);
    CU_ASSERT_EQUAL(agreed(ours, TLS1_3_VERSION), TLS1_3_VERSION);
    CU_ASSERT_EQUAL(SSL_CTX_get_security_level(ours), 2);
    SSL_CTX_free(any);
    SSL_CTX_free(ours);
}

static void test_context(void)
{
    struct tls_files files = {.ca = pki_path("ca.pem")};
    struct strbuf problem CLEANUP(strbuf_free) = STRBUF_EMPTY;
    SSL_CTX *context = NULL;
    CU_ASSERT_EQUAL_FATAL(tls_policy_context(&files, &context, &problem), 0);
    CU_ASSERT_EQUAL(SSL_CTX_get_verify_mode(context), SSL_VERIFY_PEER);
    CU_ASSERT_EQUAL(SSL_CTX_get_min_proto_version(context), TLS1_2_VERSION);
    CU_ASSERT_EQUAL(agreed(context, TLS1_1_VERSION), 0);
    CU_ASSERT_EQUAL(agreed(context, TLS1_2_VERSION), TLS1_2_VERSION);
    TEST_TEXT_EQUAL(strbuf_text(&problem), "");
    SSL_CTX_free(context);
}

TEST_MAIN("tls_policy", {"our ciphers exclude what is older than TLS 1.2", test_floor},
          {"our own context verifies, from TLS 1.2 up", test_context})
