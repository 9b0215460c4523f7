/* What each verb of the protocol does. netd only; main loop only. */
#ifndef SALLYPORT_TUNNEL_NETD_NETD_REQUESTS_H
#define SALLYPORT_TUNNEL_NETD_NETD_REQUESTS_H

#include "tunnel/model/refusal.h"
#include "tunnel/wire/netd_server.h"

/* Answers one request: struct netd_server_settings.handle. CONTEXT is the struct netd. */
enum netd_server_answer netd_handle(void *context, const struct netd_server_peer *peer,
                                    const struct wire_message *request, struct wire_message *reply);

/* Who waited for the answer to TICKET has gone: struct netd_server_settings.gone. */
void netd_gone(void *context, uint64_t ticket);

/* Answers a signed command: struct netd_signed_settings.decided. */
void netd_decided(void *context, uint64_t ticket, enum refusal refusal, const char *id,
                  bool is_opening);

/* Answers whoever waits for the session to open: struct session_control_hooks.opened. */
void netd_opened(void *context, enum refusal refusal, const char *text);

#endif
