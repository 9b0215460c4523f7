/*
 * observer: the benchmark's ear at the broker. Subscribes over plain TCP, notes of every data
 * message when it came and what it says, and writes all of it as CSV when it is told to end
 * (SIGTERM), so that measuring costs little while it lasts. A session of its own that the broker
 * keeps: it loses nothing when the broker is restarted.
 *
 *   observer ADDRESS PORT TOPIC FILE
 *
 * Columns: at_us (CLOCK_REALTIME), device, seq, historical, values, errors, time_us, polls. The
 * last two are the values of the tags "time" and "polls", -1 when absent. Knows just enough of the
 * payload: members in the order that the agent writes, values that are numbers.
 */
#include "agent/base/memory.h"

#include <MQTTAsync.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct row {
    int64_t at_us, time_us, polls;
    uint64_t seq;
    uint32_t stream;
    uint16_t values, errors;
    bool historical;
    char device[24];
};

struct observer {
    MQTTAsync client;
    const char *topic;
    pthread_mutex_t lock; /* of what follows */
    struct row *rows;
    size_t n_rows, capacity;
    bool subscribed;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The number behind KEY, or -1. */
static int64_t number_at(const char *payload, const char *key)
{
    const char *at = strstr(payload, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

/* How many members the object behind KEY has; none of them holds a brace or a colon. */
static uint16_t members_of(const char *payload, const char *key)
{
    const char *at = strstr(payload, key);
    unsigned n_members = 0;
    for (at = at ? at + strlen(key) : ""; *at && *at != '}'; at++)
        n_members += *at == ':';
    return (uint16_t)n_members;
}

static void note(struct observer *observer, const char *topic, const char *payload, int64_t at_us)
{
    const char *stream = strstr(payload, "\"stream\":\"");
    const char *device = strrchr(topic, '/');
    struct row row = {.at_us = at_us,
                      .time_us = number_at(payload, "\"time\":"),
                      .polls = number_at(payload, "\"polls\":"),
                      .seq = (uint64_t)number_at(payload, "\"seq\":"),
                      .values = members_of(payload, "\"values\":{"),
                      .errors = members_of(payload, "\"errors\":{"),
                      .historical = strstr(payload, "\"historical\":true") != NULL};
    row.stream = stream ? (uint32_t)strtoul(stream + 10, NULL, 16) : 0;
    (void)snprintf(row.device, sizeof(row.device), "%s", device ? device + 1 : topic);
    pthread_mutex_lock(&observer->lock);
    if (observer->n_rows == observer->capacity) {
        observer->capacity = 2 * observer->capacity + 65536;
        observer->rows = memory_resize(observer->rows, observer->capacity, sizeof(struct row));
    }
    observer->rows[observer->n_rows++] = row;
    pthread_mutex_unlock(&observer->lock);
}

static int arrived(void *context, char *topic, int topic_length, MQTTAsync_message *message)
{
    int64_t at_us = now_us();
    (void)topic_length; /* 0: the topic is a C string */
    char *payload = memory_text_n(message->payload, (size_t)message->payloadlen);
    note(context, topic, payload, at_us);
    free(payload);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

static void subscribed(void *context, MQTTAsync_successData *response)
{
    struct observer *observer = context;
    (void)response;
    pthread_mutex_lock(&observer->lock);
    bool first = !observer->subscribed;
    observer->subscribed = true;
    pthread_mutex_unlock(&observer->lock);
    if (first) {
        (void)puts("ready");
        (void)fflush(stdout);
    }
}

static void connected(void *context, char *cause)
{
    struct observer *observer = context;
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    (void)cause;
    options.onSuccess = subscribed;
    options.context = observer;
    if (MQTTAsync_subscribe(observer->client, observer->topic, 1, &options) != MQTTASYNC_SUCCESS)
        (void)fprintf(stderr, "observer: cannot subscribe\n");
}

static void refused(void *context, MQTTAsync_failureData *response)
{
    struct observer *observer = context;
    (void)response;
    pthread_mutex_lock(&observer->lock);
    bool first = !observer->subscribed;
    pthread_mutex_unlock(&observer->lock);
    if (!first)
        return; /* the client tries again by itself */
    (void)fprintf(stderr, "observer: cannot connect\n");
    exit(1);
}

static int start(struct observer *observer, const char *address, const char *port)
{
    char *uri = memory_printf("tcp://%s:%s", address, port);
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.keepAliveInterval = 20;
    options.cleansession = 0;
    options.automaticReconnect = 1;
    options.minRetryInterval = 1;
    options.maxRetryInterval = 1;
    options.onFailure = refused;
    options.context = observer;
    int code =
        MQTTAsync_create(&observer->client, uri, "observer", MQTTCLIENT_PERSISTENCE_NONE, NULL);
    free(uri);
    if (code == MQTTASYNC_SUCCESS)
        code = MQTTAsync_setCallbacks(observer->client, observer, NULL, arrived, NULL);
    if (code == MQTTASYNC_SUCCESS)
        code = MQTTAsync_setConnected(observer->client, observer, connected);
    if (code == MQTTASYNC_SUCCESS)
        code = MQTTAsync_connect(observer->client, &options);
    return code;
}

static int write_rows(struct observer *observer, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        perror(path);
        return 1;
    }
    pthread_mutex_lock(&observer->lock);
    (void)fprintf(file, "at_us,device,stream,seq,historical,values,errors,time_us,polls\n");
    for (size_t i = 0; i < observer->n_rows; i++) {
        const struct row *row = &observer->rows[i];
        (void)fprintf(file, "%" PRId64 ",%s,%08x,%" PRIu64 ",%d,%u,%u,%" PRId64 ",%" PRId64 "\n",
                      row->at_us, row->device, row->stream, row->seq, row->historical, row->values,
                      row->errors, row->time_us, row->polls);
    }
    pthread_mutex_unlock(&observer->lock);
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct observer observer = {.topic = argc == 5 ? argv[3] : NULL};
    sigset_t ends;
    int signal_number;
    if (argc != 5) {
        (void)fprintf(stderr, "usage: observer ADDRESS PORT TOPIC FILE\n");
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* inherited by the client's threads */
    pthread_mutex_init(&observer.lock, NULL);
    if (start(&observer, argv[1], argv[2]) != MQTTASYNC_SUCCESS) {
        (void)fprintf(stderr, "observer: cannot start\n");
        return 1;
    }
    (void)sigwait(&ends, &signal_number);
    return write_rows(&observer, argv[4]); /* the client's threads end with the process */
}
