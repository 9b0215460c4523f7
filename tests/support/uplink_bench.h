/*
 * An uplink for a test: with its loop, an owner that counts its callbacks, and settings that work
 * with broker_start()'s defaults.
 */
#ifndef SALLYPORT_TESTS_SUPPORT_UPLINK_BENCH_H
#define SALLYPORT_TESTS_SUPPORT_UPLINK_BENCH_H

#include "agent/base/clock.h"
#include "agent/uplink/uplink.h"

#include <CUnit/CUnit.h>

#define BENCH_DEADLINE_MS 30000
#define BENCH_MAX_SERVERS 3
#define BENCH_TAGS 1100 /* more than a window: as many may come in one turn of the loop */
#define BENCH_STATUS "sallyport/plant-7/gw-0042/status"
#define BENCH_WILL "{\"state\":\"offline\"}"

struct bench {
    sd_event *loop;
    struct uplink *uplink;
    struct config_uplink config;
    char *servers[BENCH_MAX_SERVERS]; /* of `config` */
    unsigned int opens, ups, downs, failures, messages;
    uint64_t acknowledged[BENCH_TAGS]; /* in a ring */
    size_t n_acknowledged;
    char reason[1024];             /* of the last `down` */
    char topic[256], payload[256]; /* of the last message received */
    size_t length;
    bool retained;
    struct uplink_opening opening;        /* what `open` hands over; BENCH_WILL unless changed */
    void (*on_down)(struct bench *bench); /* called besides; may be NULL */
    void *context;                        /* for it */
};

/* The window is 8, the back-off 100 to 200 ms; the servers are missing. */
void bench_init(struct bench *bench);

/* Adds a server; PATH NULL: mqtts, else wss. */
void bench_server(struct bench *bench, const char *host, uint16_t port, const char *path);

/* Replaces the servers by one of mqtts. */
void bench_only_server(struct bench *bench, const char *host, uint16_t port);

void bench_subscribe(struct bench *bench, const char *filter, int qos, bool is_optional);

/* SUBSCRIBE_TOPIC may be NULL. */
void bench_start(struct bench *bench, const char *subscribe_topic);

/* Stops the uplink, which must succeed, and frees all. */
void bench_stop(struct bench *bench);
void bench_free_servers(struct bench *bench);

/* At QoS 1. */
int bench_publish(struct bench *bench, const char *topic, const void *payload, size_t length,
                  bool retained, uint64_t tag);

struct uplink_health bench_health(const struct bench *bench);

/* Runs the loop until CONDITION holds; false when the deadline passes. */
#define BENCH_UNTIL(bench, condition)                                                              \
    __extension__({                                                                                \
        int64_t until_ns_ = clock_mono_ns() + BENCH_DEADLINE_MS * CLOCK_NS_PER_MS;                 \
        while (!(condition) && clock_mono_ns() < until_ns_)                                        \
            (void)sd_event_run((bench)->loop, 20000);                                              \
        (condition);                                                                               \
    })

/* Writes a file that only its owner may read. */
void bench_write_secret(const char *path, const char *text);

/* Calls VISIT for each descriptor of a TCP connection to PORT; returns how many there are. */
int bench_each_connection(uint16_t port, void (*visit)(int descriptor));

/* What this process holds now. */
long bench_resident_kib(void);
int bench_descriptors(void);

#endif
