/* netd's helper programs. */
#include "tunnel/os/privileged_child.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "tunnel/os/privilege.h"

#define HELPER_TIMEOUT_MS 10000 /* a small machine may have to load modules first */
#define HELPER_OUTPUT_BYTES 262144

int privileged_child_run_within(const char *const *arguments, const void *input,
                                size_t input_length, int timeout_ms, struct strbuf *output)
{
    const struct child_job job = {
        .arguments = arguments,
        .input = input,
        .input_length = input_length,
        .output_max_bytes = HELPER_OUTPUT_BYTES,
        .timeout_ms = timeout_ms,
    };
    int problem = privilege_ambient(true);
    if (problem < 0)
        return problem;
    int status = child_run(&job, output);
    problem = privilege_ambient(false);
    return problem < 0 ? problem : status;
}

int privileged_child_start(const char *const *arguments, int *ret_output, pid_t *ret_pid)
{
    int problem = privilege_ambient(true);
    if (problem < 0)
        return problem;
    int watched = child_start(arguments, ret_output, ret_pid);
    problem = privilege_ambient(false);
    if (problem >= 0 || watched < 0)
        return problem < 0 ? problem : watched;
    descriptor_close(&watched);
    if (ret_output)
        descriptor_close(ret_output);
    child_stop(*ret_pid);
    return problem;
}

int privileged_child_run(const char *const *arguments, const void *input, size_t input_length,
                         struct strbuf *output)
{
    return privileged_child_run_within(arguments, input, input_length, HELPER_TIMEOUT_MS, output);
}
