/*
 * The agent's configuration, loaded: one immutable generation with one owner. Readers of any
 * thread may share it until its owner frees it.
 */
#ifndef SALLYPORT_CONFIG_SCHEMA_CONFIG_H
#define SALLYPORT_CONFIG_SCHEMA_CONFIG_H

#include "config/schema/finding.h"
#include "config/schema/option.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type { /* names in value_type_names[], same order */
                  VALUE_BOOL,
                  VALUE_INT16,
                  VALUE_UINT16,
                  VALUE_INT32,
                  VALUE_UINT32,
                  VALUE_INT64,
                  VALUE_UINT64,
                  VALUE_FLOAT32,
                  VALUE_FLOAT64,
                  VALUE_STRING,
};
extern const char *const value_type_names[]; /* NULL-terminated */

enum report_mode {
    REPORT_ALWAYS, /* every poll sends every tag */
    REPORT_CHANGE, /* a tag is sent when it changed by more than its deadband, or when its heartbeat
                      is due */
};

/*
 * The dialects, one row each: its constant FORMAT_... and its name, which is a value of
 * `uplink.format` and ends the name of its `const struct dialect_type dialect_...`.
 */
#define PAYLOAD_DIALECTS(row) row(JSON, json)

#define PAYLOAD_FORMAT(constant, name) FORMAT_##constant,
enum payload_format {
    PAYLOAD_DIALECTS(PAYLOAD_FORMAT) FORMAT_SPARKPLUG, /* known, but there is no dialect: refused */
};
#undef PAYLOAD_FORMAT

struct config_gateway {
    char *id, *site;
    char *state_dir, *runtime_dir, *netd_socket;
    int log_level; /* enum log_level */
};

struct config_uplink {
    struct text_list servers; /* mqtts://HOST[:PORT] or wss://HOST[:PORT]/PATH, checked */
    char *ca;                 /* absolute path, or the word "system" */
    char *crl;                /* NULL when unset */
    char *certificate, *key, *key_password_file; /* NULL when unset */
    char *username, *password_file;              /* NULL when unset */
    char *client_id;                             /* never NULL after loading */
    int format;                                  /* enum payload_format */
    char *prefix;
    int64_t keepalive_s, connect_timeout_s, ack_timeout_s, window;
    char *alpn, *proxy, *proxy_password_file; /* NULL when unset */
    int64_t reconnect_min_ms, reconnect_max_ms;
};

struct config_outbox {
    int64_t max_mib, spill_after_ms, sync_ms, backlog_rate_kib_s;
};

struct config_bus {
    char *name, *driver_name;
    const struct config_driver *driver; /* what `driver = "..."` named */
    void *options;                      /* the driver's struct: driver->bus */
    struct where where;
};

struct config_tag {
    char *name;
    int type; /* enum value_type */
    double scale, offset;
    int64_t decimals; /* -1: not rounded */
    char *unit;       /* NULL when unset */
    double deadband;
    int64_t interval_ms; /* never 0 after loading: the device's unless given */
    int64_t length;      /* of a string, in bytes; 0 unless type is string */
    bool writable;
    double min, max;  /* limits of what may be written; NaN when unset */
    void *options;    /* the driver's struct: driver->tag */
    uint64_t present; /* bit per row of config_tag_table that the file gave */
    struct where where;
};

struct config_device {
    char *name, *bus_name;
    size_t bus; /* index into buses */
    int64_t interval_ms;
    int report; /* enum report_mode */
    int64_t heartbeat_s;
    char *tags_file; /* NULL when unset */
    void *options;   /* the driver's struct: driver->device */
    struct config_tag *tags;
    size_t n_tags; /* at most CONFIG_MAX_TAGS */
    struct where where;
};

#define CONFIG_MAX_TAGS 10000    /* of one device */
#define CONFIG_MAX_DEVICES 1000  /* of one gateway */
#define CONFIG_MAX_BUSES 1000    /* of one gateway */
#define CONFIG_MAX_BYTES 8388608 /* of one file */

struct config {
    struct config_gateway gateway;
    struct config_uplink uplink;
    struct config_outbox outbox;
    struct config_bus *buses;
    size_t n_buses;
    struct config_device *devices;
    size_t n_devices;
    char **files; /* every file read, absolute; `where` points into these */
    size_t n_files;
    unsigned uplink_lines[64]; /* the places of the keys of `uplink` in files[0], by row */
};

/*
 * What a driver adds to the configuration: its keys of a bus, a device and a tag, and the checks
 * that only it can make. Part of struct driver; the loader is given a list of these.
 */
struct config_driver {
    const char *name;                     /* as in `driver = "modbus_tcp"` */
    const char *help;                     /* one sentence */
    struct option_table bus, device, tag; /* their keys must not repeat a general one */

    /*
     * Checks one device with its tags after all keys were read, and fills what depends on other
     * keys (the default type of a coil). May be NULL. Adds to FINDINGS with the `where` of the tag
     * or device; as key the bare name ("address", "") will do: the loader completes it to
     * "devices.boiler.tags.alarm.address", and moves the line to where that key stands. Tags with
     * a mistake of their own are not among device->tags, and no device is passed that lacks a
     * required key; so every member is as its row says.
     */
    void (*check_device)(const struct config_bus *bus, struct config_device *device,
                         struct findings *findings);

    /* The same for a bus, also one without devices. May be NULL. */
    void (*check_bus)(const struct config_bus *bus, struct findings *findings);
};

/* The general tables, in the order of the example file. */
extern const struct option_table config_gateway_table, config_uplink_table, config_outbox_table,
    config_bus_table, config_device_table, config_tag_table;

/* The keys of a tag that apply to numbers only; NULL-terminated. */
extern const char *const config_number_keys[];

/* What DRIVER adds to that group; a table without rows when DRIVER is NULL. */
enum driver_group { DRIVER_BUS, DRIVER_DEVICE, DRIVER_TAG };
const struct option_table *config_driver_table(const struct config_driver *driver,
                                               enum driver_group group);

/* Whether the file gave KEY for this tag (a default does not count). */
bool config_tag_has(const struct config_tag *tag, const char *key);

/* By name; NULL when there is none, or NAME is NULL. */
const struct config_bus *config_find_bus(const struct config *config, const char *name);
const struct config_device *config_find_device(const struct config *config, const char *name);

/*
 * Frees the devices on bus BUS with their tags, of a configuration that is not in force any more:
 * nobody may use them. What else there is keeps its index.
 */
void config_drop_devices(struct config *config, size_t bus);

/* Always returns NULL; accepts NULL. Wipes nothing: secrets stay in their own files. */
struct config *config_free(struct config *config);

#endif
