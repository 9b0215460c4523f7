/* The address of a broker as the configuration writes it. Pure. */
#ifndef SALLYPORT_CONFIG_LOAD_BROKER_URL_H
#define SALLYPORT_CONFIG_LOAD_BROKER_URL_H

#include "config/schema/value.h"

#include <stdbool.h>
#include <stdint.h>

struct broker_url {
    bool websocket; /* wss:// */
    char host[256]; /* a name or an address; IPv6 without its brackets */
    uint16_t port;  /* 8883, or 443 for wss:// unless given */
    char path[512]; /* of wss://, with the slash; "" otherwise */
};

/*
 * Takes mqtts://HOST[:PORT] or wss://HOST[:PORT]/PATH apart. Returns 0, or -EINVAL with a sentence
 * that says what to write instead.
 */
int broker_url_parse(const char *text, struct broker_url *ret_server, struct problem *ret_problem);

#endif
