/* One loaded configuration with a count of its users. */
#include "agent/gateway/generation.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>

struct generation *generation_new(struct config *config)
{
    struct generation *generation = memory_zeroed(1, sizeof(*generation));
    *generation = (struct generation){.config = config, .users = 1};
    return generation;
}

struct generation *generation_ref(struct generation *generation)
{
    generation->users++;
    return generation;
}

struct generation *generation_unref(struct generation *generation)
{
    if (!generation)
        return NULL;
    assert(generation->users > 0);
    if (--generation->users == 0) {
        config_free(generation->config);
        free(generation);
    }
    return NULL;
}
