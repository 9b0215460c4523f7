/*
 * What custody costs: processor time and flash per message, memory with a long backlog, and how
 * long a start takes with it. A program to run by hand:
 *
 *   bench_outbox [STATE_FOLDER [RUNTIME_FOLDER]]      default: /var/tmp and /dev/shm
 *
 * It prints one line for each measurement and leaves nothing behind.
 */
#include "agent/outbox/outbox.h"
#include "agent/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BODY_BYTES 1000

struct bench {
    char state_dir[512], runtime_dir[512];
    struct outbox *outbox;
    int64_t now_ms;
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A line of /proc/self/FILE: the number after KEY. */
static uint64_t proc_number(const char *file, const char *key)
{
    char path[64], line[256];
    uint64_t value = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/%s", file);
    FILE *stream = fopen(path, "r");
    while (stream && fgets(line, sizeof(line), stream)) {
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtoull(line + strlen(key), NULL, 10);
    }
    if (stream)
        (void)fclose(stream);
    return value;
}

static void open_outbox(struct bench *bench)
{
    struct strbuf warning = STRBUF_EMPTY;
    const struct outbox_settings settings = {.state_dir = bench->state_dir,
                                             .runtime_dir = bench->runtime_dir,
                                             .max_bytes = UINT64_C(1) << 30,
                                             .spill_after_ms = 2000,
                                             .sync_ms = 1000};
    int r = outbox_open(&settings, 1795343987000, &warning, &bench->outbox);
    if (r < 0 || warning.length)
        (void)fprintf(stderr, "outbox_open: %d %s\n", r, strbuf_text(&warning));
    if (r < 0)
        exit(1);
    strbuf_free(&warning);
}

static void take(struct bench *bench, size_t n)
{
    static char body[BODY_BYTES];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(body, sizeof(body), "%zu", i);
        const struct outbox_facts facts = {OUTBOX_DATA, "boiler", 1795343987000 + bench->now_ms};
        (void)outbox_take(bench->outbox, "data/boiler", &facts, body, sizeof(body), bench->now_ms,
                          1795343987000 + bench->now_ms);
    }
    (void)outbox_commit(bench->outbox, bench->now_ms);
}

/* The fast path: link up, acknowledgements one pass later, messages in groups. */
static void bench_fast_path(struct bench *bench, size_t group, size_t n)
{
    struct outbox_message message;
    outbox_link(bench->outbox, true, bench->now_ms);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
    for (size_t done = 0; done < n; done += group) {
        take(bench, group);
        while (outbox_next_live(bench->outbox, &message))
            outbox_release(bench->outbox, message.seq);
        bench->now_ms += 10;
        (void)outbox_tick(bench->outbox, bench->now_ms);
    }
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    printf("fast path, %zu B, groups of %3zu: %5.1f us CPU, %5.1f us wall per message\n",
           (size_t)BODY_BYTES, group, cpu * 1e6 / (double)n, wall * 1e6 / (double)n);
}

static void bench_outage(struct bench *bench, size_t n)
{
    outbox_link(bench->outbox, false, bench->now_ms);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
    uint64_t written = proc_number("io", "write_bytes:");
    for (size_t done = 0; done < n; done += 100) {
        take(bench, 100);
        bench->now_ms += 100;
        (void)outbox_tick(bench->outbox, bench->now_ms);
    }
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    written = proc_number("io", "write_bytes:") - written;
    printf("outage, 1000 messages a transaction: %5.1f us CPU, %5.1f us wall, %.2f bytes of disk "
           "writes per byte\n",
           cpu * 1e6 / (double)n, wall * 1e6 / (double)n,
           (double)written / (double)(n * BODY_BYTES));
}

static void bench_slow_outage(struct bench *bench, size_t n)
{
    uint64_t written = proc_number("io", "write_bytes:");
    for (size_t done = 0; done < n; done++) {
        take(bench, 1);
        bench->now_ms += 1000;
        (void)outbox_tick(bench->outbox, bench->now_ms);
    }
    written = proc_number("io", "write_bytes:") - written;
    printf("outage, 1 message a transaction: %.0f bytes of disk writes each\n",
           (double)written / (double)n);
}

static void bench_drain(struct bench *bench)
{
    struct outbox_message message;
    size_t n = 0;
    outbox_link(bench->outbox, true, bench->now_ms);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
    uint64_t written = proc_number("io", "write_bytes:");
    while (outbox_next_backlog(bench->outbox, &message)) {
        outbox_release(bench->outbox, message.seq);
        if (++n % 1000 == 0)
            bench->now_ms += 1000;
        (void)outbox_tick(bench->outbox, bench->now_ms);
    }
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    written = proc_number("io", "write_bytes:") - written;
    printf("drain of %zu: %5.1f us CPU, %5.1f us wall per message, %.0f bytes of disk writes "
           "each\n",
           n, cpu * 1e6 / (double)n, wall * 1e6 / (double)n, (double)written / (double)n);
}

static void bench_start(struct bench *bench, const char *what)
{
    double wall = seconds_of(CLOCK_MONOTONIC);
    bench->outbox = outbox_close(bench->outbox);
    double closed = seconds_of(CLOCK_MONOTONIC);
    open_outbox(bench);
    struct outbox_stats stats;
    outbox_get_stats(bench->outbox, bench->now_ms, &stats);
    printf("%s, %" PRIu64 " messages, %" PRIu64 " MiB: stop %.0f ms, start %.0f ms\n", what,
           stats.messages, stats.bytes >> 20, (closed - wall) * 1e3,
           (seconds_of(CLOCK_MONOTONIC) - closed) * 1e3);
}

static void report_memory(const char *when)
{
    printf("memory %s: %" PRIu64 " KiB resident, %" PRIu64 " KiB of it our own pages\n", when,
           proc_number("status", "VmRSS:"), proc_number("status", "RssAnon:"));
}

static void remove_all(const char *folder, const char *name)
{
    static const char *const ends[] = {"", "-wal"};
    char path[600];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s%s", folder, name, ends[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    struct bench bench = {.now_ms = 1000};
    (void)snprintf(bench.state_dir, sizeof(bench.state_dir), "%s/bench-outbox-%d",
                   argc > 1 ? argv[1] : "/var/tmp", (int)getpid());
    (void)snprintf(bench.runtime_dir, sizeof(bench.runtime_dir), "%s/bench-outbox-%d-run",
                   argc > 2 ? argv[2] : "/dev/shm", (int)getpid());
    open_outbox(&bench);
    report_memory("at start");
    for (size_t group = 1; group <= 100; group *= 10)
        bench_fast_path(&bench, group, 40000);
    report_memory("after the fast path");
    bench_slow_outage(&bench, 300);
    bench_outage(&bench, 200000);
    report_memory("with the backlog");
    bench_start(&bench, "with the backlog");
    bench_drain(&bench);
    report_memory("after the drain");
    bench_start(&bench, "empty again");
    bench.outbox = outbox_close(bench.outbox);
    remove_all(bench.state_dir, "outbox.db");
    remove_all(bench.runtime_dir, "live.db");
    return 0;
}
