/*
 * netd's helper programs (nft, wg, ip): run to their end with fixed arguments, an empty
 * environment, a deadline and bounded output. netd only, main thread only.
 *
 * netd keeps its capability out of the ambient set, so that a child has none unless it is
 * started by privileged_child_run(), which raises CAP_NET_ADMIN for exactly that start.
 * privilege_reduce() must have been called before (a test does so as well).
 */
#ifndef SALLYPORT_TUNNEL_OS_PRIVILEGED_CHILD_H
#define SALLYPORT_TUNNEL_OS_PRIVILEGED_CHILD_H

#include "agent/base/strbuf.h"

#include <stddef.h>
#include <sys/types.h>

#define PROGRAM_NFT "/usr/sbin/nft"
#define PROGRAM_WG "/usr/bin/wg"
#define PROGRAM_IP "/usr/bin/ip"
#define PROGRAM_WIREGUARD_GO "/usr/bin/wireguard-go"

/*
 * Runs ARGUMENTS (NULL-terminated, [0] an absolute path) with CAP_NET_ADMIN. INPUT goes to its
 * standard input, what it prints is appended to OUTPUT (at most 256 KiB). Returns its exit status
 * 0..255 (128 + N for signal N), or a negative errno (-ETIMEDOUT after 10 s: it is killed).
 */
int privileged_child_run(const char *const *arguments, const void *input, size_t input_length,
                         struct strbuf *output);

/* The same with another deadline. */
int privileged_child_run_within(const char *const *arguments, const void *input,
                                size_t input_length, int timeout_ms, struct strbuf *output);

/*
 * Starts ARGUMENTS with CAP_NET_ADMIN and lets them run, as child_start(). Returns a pidfd that the
 * caller owns, or a negative errno.
 */
int privileged_child_start(const char *const *arguments, int *ret_output, pid_t *ret_pid);

#endif
