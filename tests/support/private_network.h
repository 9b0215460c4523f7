/*
 * For tests of the firewall and the tunnel: a network of their own, so that nothing they do can be
 * felt on the machine. Linked with sp_tunnel.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_PRIVATE_NETWORK_H
#define SALLYPORT_TESTS_SUPPORT_PRIVATE_NETWORK_H

/*
 * Moves this process into a new network namespace with `lo` up, and gives up every capability but
 * CAP_NET_ADMIN, as netd does. Where that is not permitted, ends the program with status 77,
 * which CTest shows as skipped.
 */
void test_private_network(void);

/* Runs `nft -f -` with TEXT as somebody else would. Returns its exit status. */
int test_nft(const char *text);

/* Runs `ip` with up to eight words, NULL-terminated. Returns its exit status. */
int test_ip(const char *word, ...);

#endif
