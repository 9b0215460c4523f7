/*
 * Asks for the addresses of a name without waiting: a process of its own, without any capability,
 * for one question at a time (resolve.h). Main loop only.
 */
#ifndef SALLYPORT_TUNNEL_OS_RESOLVER_H
#define SALLYPORT_TUNNEL_OS_RESOLVER_H

#include "tunnel/os/resolve.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct resolver; /* opaque */

/* CODE is the process's enum resolve_exit, or anything else when it failed; ANSWER is what it
 * printed, for resolve_read() and resolve_parse(). The resolver is free again. */
typedef void resolver_hook(void *context, int code, const char *answer);

struct resolver *resolver_new(sd_event *loop, resolver_hook *answered, void *context);
struct resolver *resolver_free(struct resolver *resolver); /* as resolver_forget(); NULL */

/* Asks; must not be busy. 0 or a negative errno. Nothing limits its time: resolver_forget(). */
int resolver_ask(struct resolver *resolver, const char *host, uint16_t port);
bool resolver_is_busy(const struct resolver *resolver);

/* Ends the question, whose answer will not come. Repeatable; accepts NULL. */
void resolver_forget(struct resolver *resolver);

#endif
