/* The answer of an OCSP responder that a server staples to its handshake. Any thread. */
#ifndef SALLYPORT_AGENT_TLS_STAPLED_H
#define SALLYPORT_AGENT_TLS_STAPLED_H

#include "agent/base/strbuf.h"
#include "agent/tls/probe_target.h"

#include <openssl/ssl.h>

/*
 * Judges the answer that the server of TLS gave, after its chain has passed (RFC 6960; RFC 6066,
 * section 8). PROBE_OK when it says that the certificate is good, and when there is none, unless
 * the certificate demands one (RFC 7633, "must-staple"). Else appends to TEXT why not.
 */
enum probe_result stapled_judge(SSL *tls, struct strbuf *text);

#endif
