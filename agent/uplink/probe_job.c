/* One run of the probe in a thread of its own. */
#include "agent/uplink/probe_job.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "agent/uplink/uplink_ring.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL's handshake with certificate verification needs less than a quarter of this. */
#define STACK_BYTES (256 * 1024)

struct probe_job {
    atomic_int owners; /* the starter and the thread */
    atomic_bool ended;
    struct probe_target target; /* its texts are ours */
    int wake;
    enum probe_result result;
    char sentence[PROBE_SENTENCE_BYTES];
};

static void release_text(const char *text)
{
    if (text)
        memory_wipe((char *)text, strlen(text)); /* one of them is a password */
    free((char *)text);
}

static void release(struct probe_job *job)
{
    if (atomic_fetch_sub(&job->owners, 1) > 1)
        return;
    const struct probe_target *target = &job->target;
    const char *texts[] = {target->server, target->ca,           target->crl,  target->certificate,
                           target->key,    target->key_password, target->alpn, target->proxy};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        release_text(texts[i]);
    descriptor_close(&job->wake);
    free(job);
}

static void *probe_job_run(void *context)
{
    struct probe_job *job = context;
    job->result = probe_run(&job->target, job->sentence, sizeof(job->sentence));
    atomic_store(&job->ended, true);
    uplink_ring_wake(job->wake);
    release(job);
    return NULL;
}

static const char *probe_job_copy_text(const char *text)
{
    return text ? memory_text(text) : NULL;
}

static struct probe_target copy_target(const struct probe_target *target)
{
    return (struct probe_target){
        .server = probe_job_copy_text(target->server),
        .ca = probe_job_copy_text(target->ca),
        .crl = probe_job_copy_text(target->crl),
        .certificate = probe_job_copy_text(target->certificate),
        .key = probe_job_copy_text(target->key),
        .key_password = probe_job_copy_text(target->key_password),
        .alpn = probe_job_copy_text(target->alpn),
        .proxy = probe_job_copy_text(target->proxy),
        .timeout_ms = target->timeout_ms,
    };
}

/* Signals are for the main loop: the thread takes none. */
static int probe_job_start_thread(struct probe_job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int problem = pthread_create(&thread, &attributes, probe_job_run, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return problem;
}

struct probe_job *probe_job_start(const struct probe_target *target, int wake)
{
    struct probe_job *job = memory_zeroed(1, sizeof(*job));
    job->target = copy_target(target);
    job->wake = fcntl(wake, F_DUPFD_CLOEXEC, 0);
    atomic_store(&job->owners, 2);
    if (job->wake >= 0 && probe_job_start_thread(job) == 0)
        return job;
    atomic_store(&job->owners, 1);
    release(job);
    return NULL;
}

bool probe_job_result(const struct probe_job *job, enum probe_result *ret_result,
                      const char **ret_sentence)
{
    if (!atomic_load(&job->ended))
        return false;
    *ret_result = job->result;
    *ret_sentence = job->sentence;
    return true;
}

struct probe_job *probe_job_free(struct probe_job *job)
{
    if (job)
        release(job);
    return NULL;
}
