/*
 * What the certificate of a broker must pass before anything of ours is sent to it, beyond what
 * the TLS library does by itself: chain to the configured authorities, the name or address in
 * subjectAltName (the common name counts for nothing), the revocation lists of `crl`, and the
 * answer of an OCSP responder where the server staples one.
 *
 * A check is immutable and counted: any thread.
 */
#ifndef SALLYPORT_AGENT_TLS_SERVER_CHECK_H
#define SALLYPORT_AGENT_TLS_SERVER_CHECK_H

#include "agent/base/strbuf.h"
#include "agent/tls/probe_target.h"
#include "agent/tls/server_rules.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct server_check; /* opaque */

/* Everything is copied or counted. */
struct server_check *server_check_new(const struct server_rules *rules);

/* Gives up one reference. Accepts NULL, returns NULL. */
struct server_check *server_check_free(struct server_check *check);

/* What a check found against a certificate: PROBE_OK and no text when nothing. */
struct server_finding {
    enum probe_result result;
    struct strbuf *text; /* gets a sentence */
};

/*
 * From now on the handshake of TLS, a client, succeeds only with a certificate that passes CHECK,
 * which is kept as long as TLS; it ends before our Finished message, so before any data. It also
 * asks for a stapled answer, and refuses to resume a session, because no certificate is shown
 * then. Changes the SSL_CTX of TLS too, which must serve no other connection at the time.
 * FINDING: where to note what is wrong, or NULL; must outlive the handshake. Returns false when
 * OpenSSL fails; no certificate passes then.
 */
bool server_check_apply(struct server_check *check, SSL *tls, struct server_finding *finding);

/*
 * Guards all connections of this process that a library begins by itself: SSL_new() applies the
 * CHECK that is set at that moment, and when none is set, every certificate is refused. Takes a
 * reference; NULL: none. Returns 0, or -ENOTSUP when this OpenSSL does not call us: then a library
 * must not be let connect.
 */
int server_check_guard(struct server_check *check);

#endif
