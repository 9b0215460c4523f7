/*
 * What a helper that reads strangers' bytes is still allowed to do: prepared by netd, entered by
 * the helper's process before exec, and never left again. Landlock decides which files it may
 * read and that it may write none; a list of allowed system calls decides all else. For
 * confined_child.c; main thread only, but for confinement_enter().
 */
#ifndef SALLYPORT_TUNNEL_OS_CONFINEMENT_H
#define SALLYPORT_TUNNEL_OS_CONFINEMENT_H

#include <linux/filter.h>
#include <stdbool.h>

enum confined_kind {
    CONFINED_SSH_KEYGEN, /* no socket of any kind */
    CONFINED_RESOLVER,   /* internet sockets and rtnetlink; TCP to port 53 alone, from ABI 4 on */
};

struct confinement {
    int ruleset;              /* of Landlock; -1: this kernel has none */
    struct sock_fprog filter; /* owned */
};

/*
 * The ABI of this kernel's Landlock, 1 or more; -ENOSYS when the kernel was built without, and
 * -EOPNOTSUPP when it was started without (its parameter lsm=).
 */
int confinement_landlock_abi(void);

/*
 * Prepares the confinement of PROGRAM. 0 or a negative errno. A kernel without Landlock is no
 * error: the helper may then read every file that netd may read, and still write none.
 */
int confinement_make(enum confined_kind kind, const char *program, struct confinement *ret);

/*
 * In the child, before exec: calls only functions that are safe after a fork. INHERITED, which ends
 * with -1, or is NULL, are the descriptors above 2 that the program gets. 0 or a negative errno,
 * after which the child must end.
 */
int confinement_enter(const struct confinement *confinement, const int *inherited);

void confinement_free(struct confinement *confinement); /* fit for CLEANUP() */

#endif
