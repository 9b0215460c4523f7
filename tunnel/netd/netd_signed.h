/*
 * Signed commands in the running netd: the gate with its clock, and what the gate lets through to
 * the session. netd only; main loop only.
 */
#ifndef SALLYPORT_TUNNEL_NETD_NETD_SIGNED_H
#define SALLYPORT_TUNNEL_NETD_NETD_SIGNED_H

#include "tunnel/session/session_control.h"
#include "tunnel/wire/netd_server.h"

#include <systemd/sd-event.h>

struct netd_signed; /* opaque */

struct netd_signed_settings {
    const struct netd_config *config; /* this and the next two must outlive the result */
    struct journal *journal;
    struct session_control *session_control;
    void (*changed)(void *context); /* the challenge, the journal or who may sign changed */
    /*
     * The verdict about the command of TICKET; netd_signed_complete() fills the answer. IS_OPENING:
     * it opens a session and was accepted; the answer comes when the hub has answered.
     */
    void (*decided)(void *context, uint64_t ticket, enum refusal refusal, const char *id,
                    bool is_opening);
    void *context;
};

/* 0 and the result, which is NULL where there is no tunnel; or a negative errno. */
int netd_signed_new(const struct netd_signed_settings *settings, sd_event *loop,
                    struct netd_signed **ret_signed);
struct netd_signed *netd_signed_free(struct netd_signed *commands); /* accepts NULL; NULL */

/* What the next command must carry; "" when there is none. Accepts NULL. */
const char *netd_signed_challenge(const struct netd_signed *commands);

/* Who may sign, as of now. Accepts NULL: nobody. */
const struct signers *netd_signed_signers(struct netd_signed *commands);

/* Fills BODY, which is zero: which keys may sign, as of now. Accepts NULL: none. */
void netd_signed_put_keys(struct netd_signed *commands, struct wire_signers *body);

/*
 * Looks at the command of TICKET. Fills REPLY when it is refused at once; else settings.decided
 * follows, from the loop. Without a tunnel (NULL) it is refused.
 */
enum netd_server_answer netd_signed_command(struct netd_signed *commands, uint64_t ticket,
                                            const struct wire_signed *body,
                                            struct wire_message *reply);

/* TICKET has gone: its command is not looked at any more. */
void netd_signed_forget(struct netd_signed *commands, uint64_t ticket);

/* Fills the body of the REPLY to the command ID; its result is set. */
void netd_signed_complete(const struct netd_signed *commands, const char *id,
                          struct wire_message *reply);

#endif
