/* Lines and tags as a person writes them on the command line. Pure. */
#ifndef SALLYPORT_AGENT_CLI_INIT_INIT_NOTATION_H
#define SALLYPORT_AGENT_CLI_INIT_INIT_NOTATION_H

#include "config/schema/value.h"

#include <stdbool.h>

/*
 * [NAME=]KIND:PLACE. The kinds tcp and udp lead to a HOST[:PORT], rtu and ascii to a
 * DEVICE[,BAUD[,8E1]] or to a HOST:PORT (a serial server); sim has no place.
 */
struct init_bus {
    char name[65];
    const char *driver;              /* these are literals */
    const char *framing, *transport; /* NULL: the driver's default */
    const char *place_key;           /* "host" or "device"; NULL for sim */
    char place[257];
    unsigned port; /* 0: the driver's default, as for the others */
    unsigned baud;
    char frame[4]; /* "8E1", or "" */
};

/* DEVICE.TAG=LINE/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]], or DEVICE.TAG=LINE for a line without units */
struct init_tag {
    char device[65], tag[65], bus[65];
    bool has_register;
    unsigned unit, address;
    char table[17], type[17], order[5]; /* type and order: "" unless given */
};

/*
 * COUNT: how many lines of this kind precede it, for the name of a line that was given none. Return
 * 0, or -EINVAL with a sentence in PROBLEM. Pure.
 */
int init_parse_bus(const char *text, unsigned count, struct init_bus *ret_bus,
                   struct problem *ret_problem);
int init_parse_tag(const char *text, struct init_tag *ret_tag, struct problem *ret_problem);

#endif
