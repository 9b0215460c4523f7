/*
 * What every TLS connection of the agent obeys, and the check of the files that it uses. The
 * uplink gives the same policy to Paho, the probe uses it directly, so both come to the same
 * result.
 */
#ifndef SALLYPORT_AGENT_TLS_TLS_POLICY_H
#define SALLYPORT_AGENT_TLS_TLS_POLICY_H

#include "agent/base/strbuf.h"

#include <openssl/ssl.h>

/*
 * Suites of TLS 1.2 only, authenticated encryption with forward secrecy, security level 2; those of
 * TLS 1.3 are not affected by such a list. Paho ignores its own option for the version, resets the
 * security level to 1 and takes this list last: with it no older version has a suite left to agree
 * on, whatever the configuration of OpenSSL on this machine says.
 */
extern const char tls_policy_ciphers[];

#define TLS_CA_SYSTEM "system" /* as a `ca`: the certificates that the system trusts */

struct tls_files {
    const char *ca;                /* a path or TLS_CA_SYSTEM */
    const char *certificate, *key; /* NULL when unset; the key may be in `certificate` */
    const char *key_password;      /* NULL when unset */
};

/*
 * Makes a client context that verifies the server's chain, with our files loaded. Returns 0 and
 * the owned context, or -EINVAL and appends to PROBLEM which file cannot be used, why, and what
 * to do. Reads files; any thread; never asks for a password on a terminal.
 */
int tls_policy_context(const struct tls_files *files, SSL_CTX **ret_context,
                       struct strbuf *problem);

/*
 * Whether the certificate and the key of FILES can be used together; its `ca` is not looked at.
 * Returns 0, or with PROBLEM as above -EKEYREJECTED when the key is at fault, -EINVAL when the
 * certificate or OpenSSL is.
 */
int tls_policy_check_pair(const struct tls_files *files, struct strbuf *problem);

#endif
