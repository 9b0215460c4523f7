/* An uplink for a test. */
#include "tests/support/uplink_bench.h"

#include "agent/base/memory.h"
#include "tests/support/pki.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void on_up(void *context)
{
    ((struct bench *)context)->ups++;
}

static void on_down(void *context, const char *reason)
{
    struct bench *bench = context;
    bench->downs++;
    (void)snprintf(bench->reason, sizeof(bench->reason), "%s", reason);
    if (bench->on_down)
        bench->on_down(bench);
}

static void on_failed(void *context, const char *reason)
{
    struct bench *bench = context;
    bench->failures++;
    CU_ASSERT_TRUE(reason[0] != '\0');
}

static void on_acknowledged(void *context, uint64_t tag)
{
    struct bench *bench = context;
    bench->acknowledged[bench->n_acknowledged++ % BENCH_TAGS] = tag;
}

static void on_open(void *context, struct uplink_opening *opening)
{
    struct bench *bench = context;
    bench->opens++;
    *opening = bench->opening;
}

static void on_received(void *context, const char *topic, const void *payload, size_t length,
                        bool retained)
{
    struct bench *bench = context;
    bench->messages++;
    (void)snprintf(bench->topic, sizeof(bench->topic), "%s", topic);
    size_t kept = length < sizeof(bench->payload) ? length : sizeof(bench->payload) - 1;
    memcpy(bench->payload, payload, kept);
    bench->payload[kept] = '\0';
    bench->length = length;
    bench->retained = retained;
}

void bench_init(struct bench *bench)
{
    *bench = (struct bench){0};
    bench->config = (struct config_uplink){
        .servers = {.items = bench->servers},
        .ca = (char *)pki_path("ca.pem"),
        .client_id = "gw-0042",
        .prefix = "sallyport",
        .keepalive_s = 30,
        .connect_timeout_s = 5,
        .ack_timeout_s = 15,
        .window = 8,
        .reconnect_min_ms = 100,
        .reconnect_max_ms = 200,
    };
    bench->opening.will = (struct mqtt_message){.topic = BENCH_STATUS,
                                                .payload = BENCH_WILL,
                                                .length = strlen(BENCH_WILL),
                                                .qos = 1,
                                                .retained = true};
}

void bench_server(struct bench *bench, const char *host, uint16_t port, const char *path)
{
    bench->servers[bench->config.servers.length++] =
        memory_printf("%s://%s:%u%s", path ? "wss" : "mqtts", host, port, path ? path : "");
}

void bench_free_servers(struct bench *bench)
{
    for (size_t i = 0; i < bench->config.servers.length; i++)
        free(bench->servers[i]);
    bench->config.servers.length = 0;
}

void bench_only_server(struct bench *bench, const char *host, uint16_t port)
{
    bench_free_servers(bench);
    bench_server(bench, host, port, NULL);
}

void bench_subscribe(struct bench *bench, const char *filter, int qos, bool is_optional)
{
    bench->opening.subscriptions[bench->opening.n_subscriptions++] =
        (struct uplink_subscription){.filter = filter, .qos = qos, .is_optional = is_optional};
}

void bench_start(struct bench *bench, const char *subscribe_topic)
{
    struct uplink_callbacks callbacks = {.open = on_open,
                                         .up = on_up,
                                         .down = on_down,
                                         .failed = on_failed,
                                         .acknowledged = on_acknowledged,
                                         .received = on_received,
                                         .context = bench};
    if (subscribe_topic)
        bench_subscribe(bench, subscribe_topic, 1, false);
    CU_ASSERT_FATAL(sd_event_new(&bench->loop) >= 0);
    CU_ASSERT_EQUAL_FATAL(uplink_new(&bench->config, &callbacks, bench->loop, &bench->uplink), 0);
    uplink_start(bench->uplink);
}

int bench_publish(struct bench *bench, const char *topic, const void *payload, size_t length,
                  bool retained, uint64_t tag)
{
    const struct mqtt_message message = {
        .topic = topic, .payload = payload, .length = length, .qos = 1, .retained = retained};
    return uplink_publish(bench->uplink, &message, tag);
}

void bench_stop(struct bench *bench)
{
    CU_ASSERT_TRUE(uplink_stop(bench->uplink, BENCH_DEADLINE_MS));
    bench->uplink = uplink_free(bench->uplink);
    bench->loop = sd_event_unref(bench->loop);
    bench_free_servers(bench);
}

struct uplink_health bench_health(const struct bench *bench)
{
    struct uplink_health now;
    uplink_get_health(bench->uplink, &now);
    return now;
}

void bench_write_secret(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0 || chmod(path, 0600) < 0)
        abort();
}

int bench_each_connection(uint16_t port, void (*visit)(int descriptor))
{
    int found = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct sockaddr_in peer = {0};
        socklen_t size = sizeof(peer);
        int descriptor = atoi(entry->d_name);
        if (getpeername(descriptor, (struct sockaddr *)&peer, &size) < 0 ||
            peer.sin_family != AF_INET || ntohs(peer.sin_port) != port)
            continue;
        found++;
        visit(descriptor);
    }
    closedir(folder);
    return found;
}

long bench_resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1 || fclose(file) != 0)
        abort();
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int bench_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}
