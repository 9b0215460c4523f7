/*
 * One run of the probe in a thread of its own, because it blocks. The thread is detached: the name
 * look-up in it cannot be stopped, and no thread waits for it. Started and asked by the main loop.
 */
#ifndef SALLYPORT_AGENT_UPLINK_PROBE_JOB_H
#define SALLYPORT_AGENT_UPLINK_PROBE_JOB_H

#include "agent/tls/probe.h"

#include <stdbool.h>

#define PROBE_SENTENCE_BYTES 512

struct probe_job; /* opaque */

/*
 * Starts a probe of TARGET, which is copied. WAKE is the descriptor of the uplink's
 * ring (copied too): the reader is woken when the result is there. Returns the owned job, or NULL
 * when no thread can be started.
 */
struct probe_job *probe_job_start(const struct probe_target *target, int wake);

/* True when it has ended; RET_SENTENCE is then valid as long as the job. */
bool probe_job_result(const struct probe_job *job, enum probe_result *ret_result,
                      const char **ret_sentence);

/* Accepts NULL, returns NULL. A probe that still runs continues, its result is ignored, and it
 * frees itself. */
struct probe_job *probe_job_free(struct probe_job *job);

#endif
