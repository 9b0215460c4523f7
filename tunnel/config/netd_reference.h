/*
 * netd.conf for a reader: the commented example file, the reference of each key, the manual page.
 * Any thread.
 */
#ifndef SALLYPORT_TUNNEL_CONFIG_NETD_REFERENCE_H
#define SALLYPORT_TUNNEL_CONFIG_NETD_REFERENCE_H

#include "agent/base/strbuf.h"

/* Appends the commented example file; what config/netd.conf must equal. */
void netd_reference_example(struct strbuf *out);

/* Appends all keys for netd.conf(5), enclosed by the marks of config/print/manual.h. */
void netd_reference_manual(struct strbuf *out);

/*
 * Appends the reference of KEY ("tunnel.max_ttl_s"; a group's name lists its keys; NULL:
 * everything). Returns 0, or -ENOENT after appending the nearest match.
 */
int netd_reference_explain(const char *key, struct strbuf *out);

#endif
