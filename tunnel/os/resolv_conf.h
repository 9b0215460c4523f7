/*
 * The name servers in the text of a resolv.conf (man 5 resolv.conf). DHCP clients write that file,
 * so that the text is a stranger's. Pure; any thread.
 */
#ifndef SALLYPORT_TUNNEL_OS_RESOLV_CONF_H
#define SALLYPORT_TUNNEL_OS_RESOLV_CONF_H

#include "tunnel/model/address.h"

#define RESOLV_CONF_BYTES 65536 /* the largest file that is read */

/*
 * Reads LENGTH bytes at TEXT, which may hold anything. Writes the servers in their order, none of
 * them twice, and returns how many; those after the first ROOM, and lines that are no address of a
 * host, are left out. An IPv6 zone ("%eth0") is not kept.
 */
size_t resolv_conf_read(const char *text, size_t length, struct ip_network *servers, size_t room);

#endif
