/*
 * What can be seen of the files of `uplink` without a connection: whether they can do what they are
 * for. For `sallyport check`; each function reads files and appends to PROBLEM at most one
 * sentence, which names the file. Any thread.
 */
#ifndef SALLYPORT_AGENT_TLS_OWN_FILES_H
#define SALLYPORT_AGENT_TLS_OWN_FILES_H

#include "agent/base/strbuf.h"

enum own_files_verdict {
    OWN_FILES_GOOD,    /* nothing is said; also of a file that cannot be read or has no PEM in it */
    OWN_FILES_DOUBT,   /* it can be used, but should be looked at */
    OWN_FILES_USELESS, /* no connection can come of it */
};

/* CA: whether a chain can end there, at a self-signed certificate. */
enum own_files_verdict own_files_ca(const char *ca, struct strbuf *problem);

/* CERTIFICATE: of this gateway; whether it is valid already, and may be used by clients. */
enum own_files_verdict own_files_certificate(const char *certificate, struct strbuf *problem);

/* CRL: whether its lists are of now, and signed by who is in CA (a path, or TLS_CA_SYSTEM). */
enum own_files_verdict own_files_lists(const char *crl, const char *ca, struct strbuf *problem);

#endif
