/* The plant's event loop: epoll, a timerfd, and a binary heap of timers. */
#include "tests/plant/loop.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64

struct loop {
    int epoll;
    bool running;
    struct epoll_event events[EVENTS_AT_ONCE];
    int n_events; /* of the round that is being worked off */
    struct watch alarm;
    int64_t armed_ns;    /* what the timerfd is set to; 0: not set */
    struct timer **heap; /* heap[0] is unused, heap[1] the earliest */
    size_t n_timers, capacity;
};

static void ignore_expirations(struct watch *watch, uint32_t events)
{
    uint64_t count;
    (void)events;
    if (read(watch->fd, &count, sizeof(count)) < 0)
        return; /* set anew since: not due yet */
}

struct loop *loop_new(void)
{
    struct loop *loop = memory_zeroed(1, sizeof(*loop));
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->alarm.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    loop->alarm.ready = ignore_expirations;
    if (loop->epoll < 0 || loop->alarm.fd < 0)
        abort();
    loop_add(loop, &loop->alarm, EPOLLIN);
    return loop;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    close(loop->alarm.fd);
    close(loop->epoll);
    free(loop->heap);
    free(loop);
    return NULL;
}

void loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) != 0)
        abort();
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    if (epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL) != 0)
        abort();
    for (int i = 0; i < loop->n_events; i++) { /* its event may still wait in this round */
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
    }
}

static void put(struct loop *loop, size_t place, struct timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct loop *loop, size_t place, struct timer *timer)
{
    for (; place > 1 && loop->heap[place / 2]->at_ns > timer->at_ns; place /= 2)
        put(loop, place, loop->heap[place / 2]);
    put(loop, place, timer);
}

static void sift_down(struct loop *loop, size_t place, struct timer *timer)
{
    for (size_t child; (child = 2 * place) <= loop->n_timers; place = child) {
        if (child < loop->n_timers && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
            child++;
        if (loop->heap[child]->at_ns >= timer->at_ns)
            break;
        put(loop, place, loop->heap[child]);
    }
    put(loop, place, timer);
}

void loop_set_timer(struct loop *loop, struct timer *timer, int64_t at_ns)
{
    loop_clear_timer(loop, timer);
    if (loop->n_timers + 2 > loop->capacity) {
        loop->capacity = 2 * loop->capacity + 16;
        loop->heap = memory_resize(loop->heap, loop->capacity, sizeof(*loop->heap));
    }
    timer->at_ns = at_ns;
    loop->n_timers++;
    sift_up(loop, loop->n_timers, timer);
}

void loop_clear_timer(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    assert(loop->heap[place] == timer);
    timer->place = 0;
    struct timer *last = loop->heap[loop->n_timers--];
    if (last == timer)
        return;
    if (place > 1 && loop->heap[place / 2]->at_ns > last->at_ns)
        sift_up(loop, place, last);
    else
        sift_down(loop, place, last);
}

static void fire_what_is_due(struct loop *loop)
{
    while (loop->n_timers > 0 && loop->heap[1]->at_ns <= clock_mono_ns()) {
        struct timer *timer = loop->heap[1];
        loop_clear_timer(loop, timer);
        timer->fire(timer);
    }
}

static void arm(struct loop *loop)
{
    int64_t next = loop->n_timers > 0 ? loop->heap[1]->at_ns : 0;
    if (next == loop->armed_ns && next > clock_mono_ns())
        return;
    struct itimerspec when = {
        .it_value = {.tv_sec = next / CLOCK_NS_PER_S, .tv_nsec = next % CLOCK_NS_PER_S}};
    if (timerfd_settime(loop->alarm.fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        abort();
    loop->armed_ns = next;
}

void loop_run(struct loop *loop)
{
    loop->running = true;
    while (loop->running) {
        fire_what_is_due(loop);
        arm(loop);
        int n_events = epoll_wait(loop->epoll, loop->events, EVENTS_AT_ONCE, -1);
        loop->n_events = n_events > 0 ? n_events : 0;
        for (int i = 0; i < loop->n_events; i++) {
            struct watch *watch = loop->events[i].data.ptr;
            if (watch)
                watch->ready(watch, loop->events[i].events);
        }
        loop->n_events = 0;
    }
}

void loop_stop(struct loop *loop)
{
    loop->running = false;
}
