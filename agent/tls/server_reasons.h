/* Why a server's certificate was refused: sentences that say what to do. Any thread. */
#ifndef SALLYPORT_AGENT_TLS_SERVER_REASONS_H
#define SALLYPORT_AGENT_TLS_SERVER_REASONS_H

#include "agent/base/strbuf.h"
#include "agent/tls/probe_target.h"
#include "agent/tls/server_rules.h"

#include <openssl/x509.h>

/* Each appends to TEXT and returns what it is. */

/* The name or address of RULES is not in subjectAltName of CERTIFICATE. */
enum probe_result server_reason_name(const struct server_rules *rules, X509 *certificate,
                                     struct strbuf *text);

/* X509_verify_cert() ended with an error. */
enum probe_result server_reason_chain(const struct server_rules *rules, X509_STORE_CTX *store,
                                      struct strbuf *text);

#endif
