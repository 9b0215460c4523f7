/* The TLS part of the probe. Any thread; blocking until the deadline of the attempt. */
#ifndef SALLYPORT_AGENT_TLS_PROBE_TLS_H
#define SALLYPORT_AGENT_TLS_PROBE_TLS_H

#include "agent/tls/probe_attempt.h"

/* The handshake over the open connection; appends what it found to PROBE->text. */
enum probe_result probe_tls(struct probe_attempt *probe);

#endif
