/*
 * Whether the kernel routes IPv4 packets that arrive at an interface. Only the interfaces of a
 * lease to a device behind the gateway do, and only while it lives; the machine's own ip_forward
 * is never switched. Warden only, main thread.
 */
#ifndef SALLYPORT_TUNNEL_FORWARDING_H
#define SALLYPORT_TUNNEL_FORWARDING_H

#include <stdbool.h>

/*
 * Switches it over netlink, which CAP_NET_ADMIN suffices for even where /proc/sys is read-only.
 * -ENODEV when there is no such interface, or another negative errno.
 */
int forwarding_set(const char *interface, bool is_on);

#endif
