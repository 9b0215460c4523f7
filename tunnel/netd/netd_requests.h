/* What each verb of the protocol does. netd only; main loop only. */
#ifndef SALLYPORT_TUNNEL_NETD_NETD_REQUESTS_H
#define SALLYPORT_TUNNEL_NETD_NETD_REQUESTS_H

#include "tunnel/wire/netd_server.h"

/* Answers one request: struct netd_server_settings.handle. CONTEXT is the struct netd. */
enum netd_server_answer netd_handle(void *context, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply);

/* Fills the body of a reply that comes later: struct netd_server_settings.complete. */
void netd_complete(void *context, struct wire_message *reply, const char *text);

#endif
