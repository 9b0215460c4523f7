/* An enrolment file that somebody altered: refused with a finding, or read into sound answers. */
#include "agent/cli/init/init_enrolment.h"

#include "tests/support/fuzz_folder.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct init_answers answers = {0};
    const char *path = fuzz_file("gateway.enrolment", data, size);
    int result = init_read_enrolment(path, &findings, &answers);
    assert((result < 0) == (findings.errors > 0));
    if (result == 0)
        assert(answers.gateway.id && answers.gateway.site);
    init_answers_free(&answers);
    return 0;
}
