/*
 * netd's helper programs that read what strangers wrote: ssh-keygen (signatures) and the resolver
 * (answers of a name server). They have netd's user, and this module takes everything else from
 * them before exec: capabilities, descriptors, environment, the right to write, create, remove or
 * rename any file, to read files that they do not need, to make or signal a process, and
 * Unix sockets (confinement.h). netd only, main thread only.
 */
#ifndef SALLYPORT_TUNNEL_OS_CONFINED_CHILD_H
#define SALLYPORT_TUNNEL_OS_CONFINED_CHILD_H

#include "agent/base/child.h"
#include "agent/base/strbuf.h"
#include "tunnel/os/confinement.h"

#include <sys/types.h>

struct confined {
    enum confined_kind kind;
    const int *inherited; /* descriptors that it gets besides 0 to 2, -1 behind the last; or NULL */
};

/* Why this machine's helpers may read more than they need, for a person; NULL: they may not. */
const char *confined_child_problem(void);

/* As child_run(); the environment of JOB must be empty. -errno when it cannot be confined. */
int confined_child_run(const struct confined *confined, const struct child_job *job,
                       struct strbuf *output);

/*
 * Starts ARGUMENTS and lets them run, as child_start(), but killed when the calling thread ends.
 * INPUT is its standard input (which stays the caller's), -1: nothing. Its standard output is
 * a pipe whose other end, non-blocking, the caller owns; with ERRORS_TOO also its standard error,
 * which otherwise nobody reads. Nothing limits its time but 10 s of processor time. Returns a
 * pidfd that the caller owns, or a negative errno. Whoever starts one reaps it.
 */
int confined_child_start(const struct confined *confined, const char *const *arguments, int input,
                         bool errors_too, int *ret_output, pid_t *ret_pid);

#endif
