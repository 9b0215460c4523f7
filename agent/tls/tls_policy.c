/* The TLS policy of the agent, and the check of its files. */
#include "agent/tls/tls_policy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

const char tls_policy_ciphers[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aDSS:@SECLEVEL=2";

/* What OpenSSL calls when a key is encrypted. */
struct password {
    const char *text; /* NULL when unset */
    bool asked;
};

static int give_password(char *place, int size, int writing, void *context)
{
    struct password *password = context;
    (void)writing;
    password->asked = true;
    size_t length = password->text ? strlen(password->text) : 0;
    if (size < 0 || length > (size_t)size)
        return -1;
    memcpy(place, password->text ? password->text : "", length);
    return (int)length;
}

static const char *openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    return reason ? reason : "unknown reason";
}

/* OpenSSL's message for a missing file is not clear, so this checks first. */
static int check_readable(const char *what, const char *path, struct strbuf *problem)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) {
        strbuf_addf(problem, "the %s %s cannot be read: %s", what, path, strerror(errno));
        return -EINVAL;
    }
    close(file);
    return 0;
}

static int load_ca(SSL_CTX *context, const char *ca, struct strbuf *problem)
{
    if (strcmp(ca, TLS_CA_SYSTEM) == 0) {
        if (SSL_CTX_set_default_verify_paths(context) == 1)
            return 0;
        strbuf_addf(problem, "the system's CA certificates cannot be used: %s", openssl_reason());
        return -EINVAL;
    }
    if (check_readable("CA file", ca, problem) < 0)
        return -EINVAL;
    if (SSL_CTX_load_verify_file(context, ca) == 1)
        return 0;
    strbuf_addf(problem, "the CA file %s holds no usable PEM certificate (%s)", ca,
                openssl_reason());
    return -EINVAL;
}

static int load_key(SSL_CTX *context, const char *key, struct password *password,
                    struct strbuf *problem)
{
    if (check_readable("key", key, problem) < 0)
        return -EINVAL;
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
        return 0;
    if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH &&
        ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509)
        strbuf_addf(problem, "the key %s does not belong to the certificate", key);
    else if (password->asked && !password->text)
        strbuf_addf(problem, "the key %s is encrypted: give its password with key_password_file",
                    key);
    else if (password->asked)
        strbuf_addf(problem, "the key %s does not open with the password in key_password_file",
                    key);
    else
        strbuf_addf(problem, "the key %s is not a usable PEM private key (%s)", key,
                    openssl_reason());
    return -EINVAL;
}

static int load_pair(SSL_CTX *context, const struct tls_files *files, struct strbuf *problem)
{
    if (!files->certificate)
        return 0;
    if (check_readable("certificate", files->certificate, problem) < 0)
        return -EINVAL;
    if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1) {
        strbuf_addf(problem, "the certificate %s is not a usable PEM certificate (%s)",
                    files->certificate, openssl_reason());
        return -EINVAL;
    }
    struct password password = {files->key_password, false};
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &password);
    const char *key = files->key ? files->key : files->certificate;
    int result = load_key(context, key, &password, problem);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    SSL_CTX_set_default_passwd_cb(context, NULL);
    if (result == 0 && SSL_CTX_check_private_key(context) != 1) {
        strbuf_addf(problem, "the key %s does not belong to the certificate %s", key,
                    files->certificate);
        result = -EINVAL;
    }
    return result;
}

static int set_up(SSL_CTX *context, const struct tls_files *files, struct strbuf *problem)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, tls_policy_ciphers) != 1) {
        strbuf_addf(problem, "OpenSSL does not support our TLS policy: %s", openssl_reason());
        return -EINVAL;
    }
    int result = load_ca(context, files->ca, problem);
    return result < 0 ? result : load_pair(context, files, problem);
}

int tls_policy_context(const struct tls_files *files, SSL_CTX **ret_context, struct strbuf *problem)
{
    assert(files->ca);
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        strbuf_addf(problem, "OpenSSL cannot be used: %s", openssl_reason());
        return -EINVAL;
    }
    int result = set_up(context, files, problem);
    ERR_clear_error();
    if (result < 0) {
        SSL_CTX_free(context);
        return result;
    }
    *ret_context = context;
    return 0;
}
