/*
 * A configuration while it is being loaded: the result so far, and where everything came from.
 * Shared by load.c, load_tags.c and check.c only.
 */
#ifndef SALLYPORT_CONFIG_LOAD_LOADING_H
#define SALLYPORT_CONFIG_LOAD_LOADING_H

#include "config/load/section.h"
#include "config/schema/config.h"

/* One general group of the main file. */
struct loading_group {
    struct section section;
    struct part part;
};

/* Where a tag came from. */
struct loading_tag {
    const struct config_setting_t *setting; /* its group; NULL: a row of the tags_file */
    bool sound;                             /* all keys known, complete and accepted */
};

struct loading_bus {
    struct section section;
    bool complete; /* has all that it must have: its driver may look at it */
};

struct loading_device {
    struct section section;
    const struct config_driver *driver; /* NULL: its bus is missing or has none */
    bool bus_is_guessed;                /* there is no bus of the name that it gives */
    bool complete;
    struct loading_tag *tags; /* parallel to the device's tags */
};

struct loading {
    const struct config_driver *const *drivers;
    struct findings *findings;
    struct config *config;
    struct source **sources; /* the main file first; NULL: it could not be parsed */
    size_t n_sources;
    bool incomplete; /* a file could not be parsed: it may contain what is missing */
    struct loading_group gateway, uplink, outbox;
    struct loading_bus *buses;      /* parallel to config->buses */
    struct loading_device *devices; /* parallel to config->devices */
};

/* Remembers a file; the returned text lives as long as the configuration. Takes PATH over. */
const char *loading_add_file(struct loading *loading, char *path);

/*
 * Keys that are accepted beside those of the tables: EXTRA (may be NULL), and the keys of all
 * drivers as long as it is not known which driver is meant (DRIVER is NULL). NULL-terminated, owned
 * by the caller.
 */
const char **loading_other_keys(const struct loading *loading, const struct config_driver *driver,
                                enum driver_group group, const char *extra);

#endif
