/*
 * The plant's event loop: epoll, and timers with the precision that a simulated wire needs. One
 * thread. Watches and timers belong to their makers, who remove them before freeing them.
 */
#ifndef SALLYPORT_PLANT_LOOP_H
#define SALLYPORT_PLANT_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct loop; /* opaque */

struct watch {
    int fd;
    void (*ready)(struct watch *watch, uint32_t events);
};

/* `at_ns` is CLOCK_MONOTONIC; `place` is the loop's own, 0 while the timer is not set. */
struct timer {
    int64_t at_ns;
    void (*fire)(struct timer *timer);
    size_t place;
};

struct loop *loop_new(void);
struct loop *loop_free(struct loop *loop);

/* EVENTS as of epoll. A watch may be removed at any time, from its own callback too. */
void loop_add(struct loop *loop, struct watch *watch, uint32_t events);
void loop_remove(struct loop *loop, struct watch *watch);

/* Sets, or moves, the timer; it fires once, never early. */
void loop_set_timer(struct loop *loop, struct timer *timer, int64_t at_ns);
void loop_clear_timer(struct loop *loop, struct timer *timer);

void loop_run(struct loop *loop); /* until loop_stop() */
void loop_stop(struct loop *loop);

#endif
