/*
 * One signed command and its outcome: what the gateway publishes meanwhile, its reply, and how that
 * is reported. Shared by operator_command.c (what comes before it is sent) and operator_exchange.c
 * (what comes after) only. Main thread only.
 */
#ifndef SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_EXCHANGE_H
#define SALLYPORT_AGENT_CLI_OPERATOR_OPERATOR_EXCHANGE_H

#include "agent/cli/operator/operator_link.h"
#include "agent/cli/operator/operator_shared.h"

/* What was typed. */
struct operator_call {
    const struct cli_context *context;
    char name[32]; /* in front of messages */
    struct operator_gateway gateway;
    struct command command;
    char **words;
    const char *services, *ttl, *reason, *challenge;
    bool is_sure, is_printing;
    long long timeout_s; /* 0: not given */
};

/* What has come from the gateway. */
struct operator_exchange {
    const struct operator_call *call;
    struct operator_link *link;
    char challenge[OPERATOR_CHALLENGE_BYTES]; /* the newest; "": none */
    bool is_garbled;                          /* something else was received in its place */
    bool has_status, is_sent, has_reply;
    int64_t sent_ns;        /* when it was sent last */
    bool is_hearing_status; /* stop waiting when one arrives */
    struct operator_status status;
    struct operator_reply reply;
    char unread[32];  /* why a command was refused whose id the gateway could not read */
    size_t garbage;   /* invalid replies */
    char session[24]; /* its state since: "open", "closed", or "" */
    char end[32];     /* why it was closed */
    bool was_waiting; /* the status has shown the session waiting */
};

/* For an operator_ear, whose context is the exchange. */
void operator_exchange_received(void *context, const struct operator_message *message);

/*
 * Waits for the reply to the command that was sent. Returns true when it has to be signed again:
 * the gateway has replaced its challenge, and the newest one, by then in the call, is another.
 */
bool operator_exchange_is_stale(struct operator_exchange *exchange, struct operator_call *call);

/*
 * Waits for the reply to the command that was sent, and for an approval on site; prints the
 * outcome. Returns an enum cli_exit.
 */
int operator_exchange_finish(struct operator_exchange *exchange);

#endif
