/* What is in flight on a session to the broker. */
#include "agent/uplink/uplink_window.h"

#include "agent/base/memory.h"

#include <assert.h>
#include <stdlib.h>

void uplink_window_init(struct uplink_window *window, size_t capacity)
{
    assert(capacity > 0);
    *window = (struct uplink_window){
        .flights = memory_zeroed(capacity, sizeof(struct uplink_flight)), .capacity = capacity};
}

void uplink_window_free(struct uplink_window *window)
{
    free(window->flights);
    *window = (struct uplink_window){0};
}

void uplink_window_clear(struct uplink_window *window)
{
    window->head = 0;
    window->span = 0;
    window->in_flight = 0;
}

bool uplink_window_is_full(const struct uplink_window *window)
{
    return window->span == window->capacity;
}

static struct uplink_flight *flight_at(const struct uplink_window *window, size_t index)
{
    return &window->flights[(window->head + index) % window->capacity];
}

void uplink_window_add(struct uplink_window *window, int token, uint64_t tag, int64_t now_ns)
{
    assert(!uplink_window_is_full(window));
    *flight_at(window, window->span) =
        (struct uplink_flight){.token = token, .tag = tag, .sent_ns = now_ns};
    window->span++;
    window->in_flight++;
}

bool uplink_window_acknowledge(struct uplink_window *window, int token, uint64_t *ret_tag)
{
    size_t at = 0; /* brokers acknowledge in order, so the first is nearly always the one */
    while (at < window->span &&
           (flight_at(window, at)->done || flight_at(window, at)->token != token))
        at++;
    if (at == window->span)
        return false;
    struct uplink_flight *flight = flight_at(window, at);
    *ret_tag = flight->tag;
    flight->done = true;
    window->in_flight--;
    while (window->span > 0 && flight_at(window, 0)->done) {
        window->head = (window->head + 1) % window->capacity;
        window->span--;
    }
    return true;
}

int64_t uplink_window_oldest_ns(const struct uplink_window *window)
{
    return window->span > 0 ? flight_at(window, 0)->sent_ns : INT64_MAX;
}
