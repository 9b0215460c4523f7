/*
 * What publishing costs: processor time and delay per message over TLS, QoS 1, against a real
 * mosquitto on this machine. A program to run by hand:
 *
 *   bench_uplink [MESSAGES [BYTES [WINDOW [PER_SECOND]]]]     default: 100000 1000 64 0 (flat out)
 *
 * Delay is from uplink_publish() to the acknowledgement.
 */
#include "agent/uplink/uplink.h"
#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/support/broker.h"
#include "tests/support/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct bench {
    struct uplink *uplink;
    sd_event *loop;
    bool up;
    size_t messages, bytes, sent, acknowledged;
    int64_t interval_ns, next_ns;
    char *payload;
    int64_t *sent_ns, *delay_ns;
};

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void send_more(struct bench *bench)
{
    while (bench->sent < bench->messages && uplink_room(bench->uplink) > 0) {
        int64_t now_ns = clock_mono_ns();
        if (now_ns < bench->next_ns)
            return;
        bench->next_ns += bench->interval_ns;
        bench->sent_ns[bench->sent] = now_ns;
        const struct mqtt_message message = {
            .topic = "bench/data", .payload = bench->payload, .length = bench->bytes, .qos = 1};
        if (uplink_publish(bench->uplink, &message, bench->sent + 1) < 0)
            abort();
        bench->sent++;
    }
}

static void on_up(void *context)
{
    ((struct bench *)context)->up = true;
}

static void on_down(void *context, const char *reason)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", reason);
    exit(1);
}

static void on_acknowledged(void *context, uint64_t tag)
{
    struct bench *bench = context;
    bench->delay_ns[tag - 1] = clock_mono_ns() - bench->sent_ns[tag - 1];
    bench->acknowledged++;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void report(struct bench *bench, int64_t wall_ns, double cpu)
{
    double n = (double)bench->messages;
    qsort(bench->delay_ns, bench->messages, sizeof(*bench->delay_ns), compare);
    const int64_t *half = bench->delay_ns + bench->messages / 2;
    const int64_t *most = bench->delay_ns + bench->messages * 99 / 100;
    double p50_ms = (double)*half / 1e6, p99_ms = (double)*most / 1e6;
    printf("%zu messages of %zu bytes: %.0f a second, %.1f us of processor each, "
           "acknowledged after p50 %.2f ms, p99 %.2f ms\n",
           bench->messages, bench->bytes, n / ((double)wall_ns / 1e9), cpu / n, p50_ms, p99_ms);
}

static void run(struct bench *bench)
{
    while (!bench->up)
        (void)sd_event_run(bench->loop, UINT64_MAX);
    int64_t begin_ns = clock_mono_ns();
    double cpu = cpu_us();
    bench->next_ns = begin_ns;
    while (bench->acknowledged < bench->messages) {
        send_more(bench);
        int64_t wait_us = (bench->next_ns - clock_mono_ns()) / CLOCK_NS_PER_US;
        bool paced = bench->interval_ns && bench->sent < bench->messages && wait_us > 0;
        (void)sd_event_run(bench->loop, paced ? (uint64_t)wait_us : 1000000);
    }
    report(bench, clock_mono_ns() - begin_ns, cpu_us() - cpu);
}

static size_t argument(int count, char **arguments, int at, size_t otherwise)
{
    return count > at ? strtoul(arguments[at], NULL, 10) : otherwise;
}

int main(int count, char **arguments)
{
    struct broker broker;
    struct bench bench = {.messages = argument(count, arguments, 1, 100000),
                          .bytes = argument(count, arguments, 2, 1000)};
    size_t per_second = argument(count, arguments, 4, 0);
    char server[64];
    char *servers[] = {server};
    broker_start(&broker, &(struct broker_options){0});
    (void)snprintf(server, sizeof(server), "mqtts://localhost:%u", broker.port);
    struct config_uplink config = {.servers = {.items = servers, .length = 1},
                                   .ca = (char *)pki_path("ca.pem"),
                                   .client_id = "bench",
                                   .prefix = "bench",
                                   .keepalive_s = 30,
                                   .connect_timeout_s = 5,
                                   .ack_timeout_s = 15,
                                   .window = (int64_t)argument(count, arguments, 3, 64),
                                   .reconnect_min_ms = 1000,
                                   .reconnect_max_ms = 1000};
    struct uplink_callbacks callbacks = {
        .up = on_up, .down = on_down, .acknowledged = on_acknowledged, .context = &bench};
    bench.interval_ns = per_second ? CLOCK_NS_PER_S / (int64_t)per_second : 0;
    bench.payload = memory_zeroed(bench.bytes, 1);
    bench.sent_ns = memory_zeroed(bench.messages, sizeof(*bench.sent_ns));
    bench.delay_ns = memory_zeroed(bench.messages, sizeof(*bench.delay_ns));
    if (sd_event_new(&bench.loop) < 0 ||
        uplink_new(&config, &callbacks, bench.loop, &bench.uplink) < 0)
        return 1;
    uplink_start(bench.uplink);
    run(&bench);
    (void)uplink_stop(bench.uplink, 5000);
    uplink_free(bench.uplink);
    sd_event_unref(bench.loop);
    free(bench.payload);
    free(bench.sent_ns);
    free(bench.delay_ns);
    broker_kill(&broker);
    return 0;
}
