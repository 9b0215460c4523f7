/*
 * One row declares one configuration key, and is the only place that does. The same rows drive
 * loading, defaults, bounds, the nearest match for an unknown key, `sallyport explain`, the
 * redacted dump, the example file, the reference, and the reload diff. Rows are constants.
 */
#ifndef SALLYPORT_CONFIG_SCHEMA_OPTION_H
#define SALLYPORT_CONFIG_SCHEMA_OPTION_H

#include <stddef.h>
#include <stdint.h>

/* What a key holds, and the C type of the member at the row's offset. */
enum option_type {
    OPTION_BOOL,      /* bool */
    OPTION_INT,       /* int64_t, within min..max */
    OPTION_FLOAT,     /* double, finite, within min..max; a whole number is accepted */
    OPTION_ENUM,      /* int: index into names */
    OPTION_TEXT,      /* char *, min..max bytes long, no control characters */
    OPTION_NAME,      /* char *: [A-Za-z0-9_.-]{1,64} */
    OPTION_ID,        /* char *: [A-Za-z0-9_-]{1,64}, fit for one level of an MQTT topic */
    OPTION_PATH,      /* char *, made absolute: relative to the folder of the file that names it */
    OPTION_TEXT_LIST, /* struct text_list, min..max elements of 1 to 1024 bytes */
    OPTION_PORTS, /* char *: a number within min..max, or two as a text, "FIRST-LAST"; kept without
                     quotes: "22", "5000-5010" */
    OPTION_BYTES, /* char *, min..max bytes long, any but NUL: what goes over a serial line */
};

enum option_flag {
    OPTION_REQUIRED = 1 << 0, /* no default; a file without it is refused */
    OPTION_SECRET = 1 << 1,   /* never printed: dumps show "(secret)" */
    OPTION_SHOWN = 1 << 2,    /* not commented out in the example file, although optional */
};

/* What has to be restarted when the value changes while the agent runs. */
enum reload_class {
    RELOAD_LIVE,    /* nothing */
    RELOAD_LINE,    /* the worker of the line it belongs to */
    RELOAD_UPLINK,  /* the session to the broker */
    RELOAD_RESTART, /* the process; a reload that changes it is refused with that advice */
};
#define RELOAD_CLASSES (RELOAD_RESTART + 1)

/* A list of texts owned by the configuration. */
struct text_list {
    char **items;
    size_t length;
};

/*
 * A number may be optional without a default: its maker (or a fallback) sets it to a value outside
 * of min..max, -1 or NaN. Such a value means "unset" and is never shown. A text is unset when it is
 * NULL. OPTION_TEXT, OPTION_BYTES and OPTION_PATH without bounds: up to 1024 bytes.
 */
struct option {
    const char *key;
    enum option_type type;
    unsigned flags;           /* of enum option_flag */
    const char *unit;         /* "ms", "s", "MiB"; NULL for none */
    double min, max;          /* both inclusive; of the value, the length or the element count */
    const char *const *names; /* OPTION_ENUM: NULL-terminated; the value is the index. OPTION_PATH:
                                 words that are no file name and stay as they are, or NULL */
    const char *fallback;     /* the default, as it would be written in the file (quotes may be left
                                 out); NULL for unset: the member keeps its initial value */
    enum reload_class reload;
    size_t offset;    /* of the member in the table's struct */
    const char *help; /* one sentence for a person, ending with a full stop */
    const char
        *example; /* written like fallback, for the example file where the default says little */
};

/* The keys of one group, or of each element of one list. */
struct option_table {
    const char *path; /* how `explain` names it: "uplink", "buses", "devices.tags" */
    const char *help; /* one sentence */
    const struct option *rows;
    size_t n_rows; /* at most 64: presence is kept as a bit each */
    size_t size;   /* of the struct that the offsets refer to */
};

/* The row of KEY in TABLE, or NULL. */
const struct option *option_find(const struct option_table *table, const char *key);

/* The bit of KEY in a `present` mask; KEY must be in TABLE (asserted). */
uint64_t option_bit(const struct option_table *table, const char *key);

#endif
