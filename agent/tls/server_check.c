/*
 * The check of a broker's certificate. Paho has no option for any of it, and its own comparison of
 * the name believes the common name. But OpenSSL calls back whoever has registered extra data for
 * the kind "SSL" when an SSL object is made (CRYPTO_get_ex_new_index(3)), whoever makes it: there
 * the check is applied, to the very session that carries the password.
 */
#include "agent/tls/server_check.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/tls/revocation_lists.h"
#include "agent/tls/server_reasons.h"
#include "agent/tls/stapled.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct server_check {
    atomic_int owners;
    struct server_rules rules; /* its texts and lists are ours */
};

static char *server_check_copy(const char *text)
{
    return text ? memory_text(text) : NULL;
}

struct server_check *server_check_new(const struct server_rules *rules)
{
    struct server_check *check = memory_zeroed(1, sizeof(*check));
    atomic_store(&check->owners, 1);
    check->rules = (struct server_rules){
        .host = memory_text(rules->host),
        .ca = memory_text(rules->ca),
        .crl = server_check_copy(rules->crl),
        .lists = revocation_lists_share(rules->lists),
    };
    return check;
}

static struct server_check *server_check_share(struct server_check *check)
{
    if (check)
        (void)atomic_fetch_add(&check->owners, 1);
    return check;
}

struct server_check *server_check_free(struct server_check *check)
{
    if (!check || atomic_fetch_sub(&check->owners, 1) > 1)
        return NULL;
    free((char *)check->rules.host);
    free((char *)check->rules.ca);
    free((char *)check->rules.crl);
    revocation_lists_free(check->rules.lists);
    free(check);
    return NULL;
}

/* --- what is checked ------------------------------------------------------------------------- */

/* An address counts only as an address, a name only as a DNS name: never the common name. */
static bool has_name(X509 *certificate, const char *host)
{
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) == 1)
        return X509_check_ip(certificate, (const unsigned char *)&address, sizeof(address), 0) == 1;
    return X509_check_host(certificate, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

/* The server's own issuer must have a list; one further up is asked only where it has one. */
static int pass_without_list(int good, X509_STORE_CTX *store)
{
    const struct server_check *check = X509_STORE_CTX_get_app_data(store);
    const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (good || !check || !certificate)
        return good;
    if (X509_STORE_CTX_get_error(store) != X509_V_ERR_UNABLE_TO_GET_CRL ||
        X509_STORE_CTX_get_error_depth(store) == 0 ||
        revocation_lists_have(check->rules.lists, X509_get_issuer_name(certificate)))
        return 0;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

static void ask_lists(const struct server_check *check, X509_STORE_CTX *store)
{
    X509_STORE_CTX_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_CTX_set0_crls(store, check->rules.lists);
    (void)X509_STORE_CTX_set_app_data(store, (void *)check);
    X509_STORE_CTX_set_verify_cb(store, pass_without_list);
}

static enum probe_result judge_certificate(const struct server_check *check, X509_STORE_CTX *store,
                                           struct strbuf *text)
{
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    if (check->rules.crl)
        ask_lists(check, store);
    if (X509_verify_cert(store) != 1)
        return server_reason_chain(&check->rules, store, text);
    if (has_name(certificate, check->rules.host))
        return PROBE_OK;
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    return server_reason_name(&check->rules, certificate, text);
}

/* --- OpenSSL calls --------------------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int check_index = -1;

static void note(struct server_finding *finding, enum probe_result result,
                 const struct strbuf *text)
{
    if (!finding)
        return;
    finding->result = result;
    strbuf_append(finding->text, text->data, text->length);
}

/* In place of X509_verify_cert(): 1 lets the handshake go on. */
static int on_certificate(X509_STORE_CTX *store, void *finding)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    const SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct server_check *check = tls ? SSL_get_ex_data(tls, check_index) : NULL;
    if (!check) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    enum probe_result result = judge_certificate(check, store, &text);
    if (result == PROBE_OK)
        return 1;
    note(finding, result, &text);
    if (X509_STORE_CTX_get_error(store) == X509_V_OK)
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* After the chain has passed: 1 lets the handshake go on, 0 sends an alert. */
static int on_status(SSL *tls, void *finding)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    enum probe_result result = stapled_judge(tls, &text);
    if (result == PROBE_OK)
        return 1;
    note(finding, result, &text);
    return 0;
}

static void on_free(void *parent, void *check, CRYPTO_EX_DATA *data, int index, long number,
                    void *context)
{
    (void)parent, (void)data, (void)index, (void)number, (void)context;
    (void)server_check_free(check);
}

/* --- applying -------------------------------------------------------------------------------- */

/* The check that the guard applies. The process has one, as OpenSSL's callback has. */
static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static struct server_check *guard;
static atomic_uint guarded; /* SSL objects that it was applied to */

/* A resumed session shows no certificate: with an own context each, OpenSSL refuses to resume. */
static bool refuse_resumption(SSL *tls)
{
    unsigned char name[SSL_MAX_SID_CTX_LENGTH];
    return RAND_bytes(name, sizeof(name)) == 1 &&
           SSL_set_session_id_context(tls, name, sizeof(name)) == 1;
}

static bool apply(struct server_check *check, SSL *tls, struct server_finding *finding)
{
    SSL_CTX *context = SSL_get_SSL_CTX(tls);
    SSL_CTX_set_cert_verify_callback(context, on_certificate, finding);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_set_verify(tls, SSL_VERIFY_PEER, NULL);
    (void)server_check_free(SSL_get_ex_data(tls, check_index));
    /* Of both, because later versions of OpenSSL copy them after the callback. */
    bool done = SSL_CTX_set_tlsext_status_cb(context, on_status) == 1 &&
                SSL_CTX_set_tlsext_status_arg(context, finding) == 1 &&
                SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp) == 1 &&
                SSL_set_tlsext_status_type(tls, TLSEXT_STATUSTYPE_ocsp) == 1 &&
                refuse_resumption(tls);
    struct server_check *kept = done ? server_check_share(check) : NULL;
    if (SSL_set_ex_data(tls, check_index, kept) == 1)
        return done;
    (void)server_check_free(kept);
    return false;
}

/* A library may make servers too; they have no use for it. */
static void on_new(void *parent, void *value, CRYPTO_EX_DATA *data, int index, long number,
                   void *context)
{
    SSL *tls = parent;
    (void)value, (void)data, (void)index, (void)number, (void)context;
    if (SSL_CTX_get_ssl_method(SSL_get_SSL_CTX(tls)) == TLS_server_method())
        return;
    pthread_mutex_lock(&guard_lock);
    struct server_check *check = server_check_share(guard);
    pthread_mutex_unlock(&guard_lock);
    (void)apply(check, tls, NULL);
    (void)server_check_free(check); /* NOLINT(clang-analyzer-unix.Malloc): references are counted */
    (void)atomic_fetch_add(&guarded, 1);
}

static void register_index(void)
{
    check_index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, on_new, NULL, on_free);
}

bool server_check_apply(struct server_check *check, SSL *tls, struct server_finding *finding)
{
    (void)pthread_once(&once, register_index);
    return check_index >= 0 && apply(check, tls, finding);
}

/* --- the guard ------------------------------------------------------------------------------- */

/* Makes an SSL object and looks whether it came past on_new(). */
static bool is_called(void)
{
    unsigned int before = atomic_load(&guarded);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = context ? SSL_new(context) : NULL;
    SSL_free(tls);
    SSL_CTX_free(context);
    return tls && atomic_load(&guarded) != before;
}

int server_check_guard(struct server_check *check)
{
    (void)pthread_once(&once, register_index);
    if (check_index < 0)
        return -ENOTSUP;
    pthread_mutex_lock(&guard_lock);
    struct server_check *former = guard;
    guard = server_check_share(check);
    pthread_mutex_unlock(&guard_lock);
    (void)server_check_free(former);
    return is_called() ? 0 : -ENOTSUP;
}
