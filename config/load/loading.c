/* What the parts of the loader share while a configuration is being loaded. */
#include "config/load/loading.h"

#include "agent/base/memory.h"

const char *loading_add_file(struct loading *loading, char *path)
{
    struct config *config = loading->config;
    config->files = memory_resize(config->files, config->n_files + 1, sizeof(*config->files));
    config->files[config->n_files++] = path;
    return path;
}

const char **loading_other_keys(const struct loading *loading, const struct config_driver *driver,
                                enum driver_group group, const char *extra)
{
    size_t length = 0;
    const char **keys = memory_zeroed(2, sizeof(*keys));
    if (extra)
        keys[length++] = extra;
    for (size_t i = 0; !driver && loading->drivers[i]; i++) {
        const struct option_table *table = config_driver_table(loading->drivers[i], group);
        keys = memory_resize(keys, length + table->n_rows + 1, sizeof(*keys));
        for (size_t j = 0; j < table->n_rows; j++)
            keys[length++] = table->rows[j].key;
    }
    keys[length] = NULL;
    return keys;
}
