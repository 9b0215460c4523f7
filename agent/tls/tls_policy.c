/* The TLS policy of the agent, and the check of its files. */
#include "agent/tls/tls_policy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
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

/* DER begins with a SEQUENCE, PEM is text. */
static bool is_der(const char *path)
{
    unsigned char byte = 0;
    BIO *file = BIO_new_file(path, "re");
    bool found = file && BIO_read(file, &byte, 1) == 1 && byte == 0x30;
    BIO_free(file);
    return found;
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
    const char *reason = openssl_reason();
    if (is_der(ca))
        strbuf_addf(problem,
                    "the CA file %s is DER, not PEM; convert it: openssl x509 -inform DER -in FILE "
                    "-out FILE.pem",
                    ca);
    else
        strbuf_addf(problem, "the CA file %s holds no usable PEM certificate (%s)", ca, reason);
    return -EINVAL;
}

static EVP_PKEY *read_key(const char *path, struct password *password)
{
    BIO *file = BIO_new_file(path, "re");
    EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, give_password, password) : NULL;
    BIO_free(file);
    return key;
}

/* Which certificate of the file at PATH the KEY belongs to, from 1; 0: none. */
static int place_of_key(const char *path, const EVP_PKEY *key)
{
    BIO *file = BIO_new_file(path, "re");
    X509 *certificate;
    int place = 0, found = 0;
    while (file && !found && (certificate = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
        place++;
        if (X509_check_private_key(certificate, key) == 1)
            found = place;
        X509_free(certificate);
    }
    BIO_free(file);
    return found;
}

/* The first certificate of the file is the one that is shown; the key must belong to that. Returns
 * which of the two is at fault, as tls_policy_check_pair(). */
static int say_mismatch(const struct tls_files *files, const char *path, struct password *password,
                        struct strbuf *problem)
{
    EVP_PKEY *key = read_key(path, password);
    int place = key ? place_of_key(files->certificate, key) : 0;
    EVP_PKEY_free(key);
    if (place <= 1) {
        strbuf_addf(problem, "the key %s does not belong to the certificate %s", path,
                    files->certificate);
        return -EKEYREJECTED;
    }
    strbuf_addf(problem,
                "the order of the certificates in %s is wrong: the one that the key %s belongs to "
                "must come first, and those of the CAs after it; here it is number %d",
                files->certificate, path, place);
    return -EINVAL;
}

static bool is_mismatch(unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    return ERR_GET_LIB(code) == ERR_LIB_X509 &&
           (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

static bool begins_with_certificate(const char *path)
{
    BIO *file = BIO_new_file(path, "re");
    X509 *certificate = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    bool found = certificate != NULL;
    X509_free(certificate);
    BIO_free(file);
    return found;
}

static void add_bad_key(const char *key, const struct password *password, struct strbuf *problem)
{
    const char *reason = openssl_reason();
    if (password->asked && !password->text)
        strbuf_addf(problem, "the key %s is encrypted: give its password with key_password_file",
                    key);
    else if (password->asked)
        strbuf_addf(problem, "the key %s does not open with the password in key_password_file",
                    key);
    else if (is_der(key))
        strbuf_addf(problem,
                    "the key %s is DER, not PEM; convert it: openssl pkey -inform DER -in FILE "
                    "-out FILE.pem",
                    key);
    else if (begins_with_certificate(key))
        strbuf_addf(problem,
                    "the key %s is not a usable PEM private key: it holds a certificate only", key);
    else
        strbuf_addf(problem, "the key %s is not a usable PEM private key (%s)", key, reason);
}

static int load_key(SSL_CTX *context, const struct tls_files *files, const char *key,
                    struct password *password, struct strbuf *problem)
{
    if (check_readable("key", key, problem) < 0)
        return -EKEYREJECTED;
    bool loaded = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1;
    if (loaded && SSL_CTX_check_private_key(context) == 1)
        return 0;
    if (loaded || is_mismatch(ERR_peek_error()))
        return say_mismatch(files, key, password, problem);
    add_bad_key(key, password, problem);
    return -EKEYREJECTED;
}

static int load_certificate(SSL_CTX *context, const char *certificate, struct strbuf *problem)
{
    if (check_readable("certificate", certificate, problem) < 0)
        return -EINVAL;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) == 1)
        return 0;
    const char *reason = openssl_reason();
    if (is_der(certificate))
        strbuf_addf(problem,
                    "the certificate %s is DER, not PEM; convert it: openssl x509 -inform DER -in "
                    "FILE -out FILE.pem",
                    certificate);
    else
        strbuf_addf(problem, "the certificate %s is not a usable PEM certificate (%s)", certificate,
                    reason);
    return -EINVAL;
}

static int load_pair(SSL_CTX *context, const struct tls_files *files, struct strbuf *problem)
{
    if (!files->certificate)
        return 0;
    if (load_certificate(context, files->certificate, problem) < 0)
        return -EINVAL;
    struct password password = {files->key_password, false};
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &password);
    const char *key = files->key ? files->key : files->certificate;
    int result = load_key(context, files, key, &password, problem);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    SSL_CTX_set_default_passwd_cb(context, NULL);
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
    bool loaded =
        load_ca(context, files->ca, problem) == 0 && load_pair(context, files, problem) == 0;
    return loaded ? 0 : -EINVAL;
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

int tls_policy_check_pair(const struct tls_files *files, struct strbuf *problem)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        strbuf_addf(problem, "OpenSSL cannot be used: %s", openssl_reason());
        return -EINVAL;
    }
    int result = load_pair(context, files, problem);
    ERR_clear_error();
    SSL_CTX_free(context);
    return result;
}
