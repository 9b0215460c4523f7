/* The list of used commands as anyone left it: broken and known to be, or sound and kept. */
#include "tunnel/command/used_commands.h"

#include "tests/support/fuzz_folder.h"

#include <assert.h>
#include <stdint.h>

#define CHALLENGE "1111111111111111111111111111111111111111111111111111111111111111"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("used-commands", data, size);
    struct used_commands *used = used_commands_open(path);
    int added = used_commands_add(used, "one-more", CHALLENGE);
    assert((added == 0) == (used_commands_problem(used) == NULL));
    used_commands_free(used);
    if (added < 0)
        return 0;
    used = used_commands_open(path);
    assert(!used_commands_problem(used));
    assert(used_commands_has(used, "one-more", "2"));
    assert(used_commands_has(used, "2", CHALLENGE));
    used_commands_free(used);
    return 0;
}
