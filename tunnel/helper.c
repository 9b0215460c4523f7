/* The warden's helper programs. */
#include "tunnel/helper.h"

#include "agent/base/child.h"
#include "tunnel/privilege.h"

#define HELPER_TIMEOUT_MS 5000
#define HELPER_OUTPUT_BYTES 262144

int helper_run(const char *const *arguments, const void *input, size_t input_length,
               struct strbuf *output)
{
    const struct child_job job = {
        .arguments = arguments,
        .input = input,
        .input_length = input_length,
        .output_max_bytes = HELPER_OUTPUT_BYTES,
        .timeout_ms = HELPER_TIMEOUT_MS,
    };
    int problem = privilege_ambient(true);
    if (problem < 0)
        return problem;
    int status = child_run(&job, output);
    problem = privilege_ambient(false);
    return problem < 0 ? problem : status;
}
