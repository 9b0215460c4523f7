/*
 * Child processes with a fixed argument vector, never through a shell: run to their end, bounded in
 * time and in output, or started and left to run. Any thread.
 */
#ifndef SALLYPORT_AGENT_BASE_CHILD_H
#define SALLYPORT_AGENT_BASE_CHILD_H

#include "agent/base/strbuf.h"

#include <stddef.h>
#include <sys/types.h>

/*
 * Runs in the child before exec, after its descriptors are set up: calls only functions that are
 * safe after a fork of a program with threads. 0, or a negative errno, and the program is not
 * executed.
 */
typedef int child_preparation(const void *context);

struct child_job {
    const char *const *arguments;   /* NULL-terminated; arguments[0] is an absolute path */
    const char *const *environment; /* NULL-terminated; NULL: an empty environment */
    const void *input;              /* written to its standard input, then closed; may be NULL */
    size_t input_length;
    size_t output_max_bytes;    /* of stdout and stderr together; more ends the child (-E2BIG) */
    int timeout_ms;             /* then it is killed (-ETIMEDOUT); must be positive */
    child_preparation *prepare; /* may be NULL */
    const void *context;
};

/*
 * Runs the job to its end. Appends what it printed (stdout and stderr, as they came) to OUTPUT.
 * Returns its exit status 0..255, 128 + N when signal N ended it, or a negative errno when it
 * could not be started, ran too long or printed too much. No process is left behind: the child is
 * killed when the calling thread dies, stopped or not. If it still runs a second after its time,
 * because the caller was stopped and could not kill it, a timer of its own kills it.
 */
int child_run(const struct child_job *job, struct strbuf *output);

/*
 * Starts ARGUMENTS with an empty environment and lets them run, without input and without a
 * deadline; they may outlive the caller. With RET_OUTPUT their standard output is a pipe whose
 * other end, non-blocking, the caller owns; else it is our standard error. Returns a pidfd that the
 * caller owns, or a negative errno. Whoever starts one reaps it: child_stop(), child_reap().
 */
int child_start(const char *const *arguments, int *ret_output, pid_t *ret_pid);

enum child_errors {
    CHILD_ERRORS_OURS,       /* its standard error is our own */
    CHILD_ERRORS_TO_OUTPUT,  /* the same pipe as its standard output */
    CHILD_ERRORS_TO_NOTHING, /* nobody reads it */
};

struct child_start_job {
    const char *const *arguments; /* as in child_job */
    int input;                    /* its standard input, which stays the caller's; -1: nothing */
    enum child_errors errors;
    child_preparation *prepare; /* may be NULL */
    const void *context;
};

/* The same with more said about the child. */
int child_start_prepared(const struct child_start_job *job, int *ret_output, pid_t *ret_pid);

/* Ends PID and reaps it: SIGTERM, and SIGKILL when it is still there after 500 ms. */
void child_stop(pid_t pid);

/* Reaps PID, which has ended or is about to. Its exit status, 128 + N for signal N, or an errno. */
int child_reap(pid_t pid);

#endif
