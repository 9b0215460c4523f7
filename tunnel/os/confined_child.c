/* netd's helper programs that read what strangers wrote. */
#include "tunnel/os/confined_child.h"

#include "agent/base/macros.h"

#include <assert.h>
#include <errno.h>

struct preparation {
    struct confinement confinement;
    const int *inherited;
};

/* In the child, before exec. */
static int confine(const void *context)
{
    const struct preparation *preparation = context;
    return confinement_enter(&preparation->confinement, preparation->inherited);
}

const char *confined_child_problem(void)
{
    switch (confinement_landlock_abi()) {
    case -ENOSYS:
        return "this kernel has no Landlock";
    case -EOPNOTSUPP:
        return "Landlock is missing in the list lsm= of the kernel's command line";
    default:
        return NULL;
    }
}

int confined_child_run(const struct confined *confined, const struct child_job *job,
                       struct strbuf *output)
{
    assert(!job->environment && !job->prepare);
    struct preparation preparation = {.inherited = confined->inherited};
    int result = confinement_make(confined->kind, job->arguments[0], &preparation.confinement);
    if (result < 0)
        return result;
    struct child_job prepared = *job;
    prepared.prepare = confine;
    prepared.context = &preparation;
    result = child_run(&prepared, output);
    confinement_free(&preparation.confinement);
    return result;
}

int confined_child_start(const struct confined *confined, const char *const *arguments, int input,
                         bool errors_too, int *ret_output, pid_t *ret_pid)
{
    struct preparation preparation = {.inherited = confined->inherited};
    int result = confinement_make(confined->kind, arguments[0], &preparation.confinement);
    if (result < 0)
        return result;
    const struct child_start_job job = {.arguments = arguments,
                                        .input = input,
                                        .errors = errors_too ? CHILD_ERRORS_TO_OUTPUT
                                                             : CHILD_ERRORS_TO_NOTHING,
                                        .prepare = confine,
                                        .context = &preparation};
    result = child_start_prepared(&job, ret_output, ret_pid);
    confinement_free(&preparation.confinement);
    return result;
}
