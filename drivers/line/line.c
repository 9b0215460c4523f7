/*
 * Making, ending and questioning a line: everything but its worker, which is line_worker.c. A poll
 * group is made for each interval of each device; everything is allocated here.
 */
#include "drivers/line/line.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "agent/base/min_max.h"
#include "drivers/line/line_worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STACK_BYTES (256 * 1024) /* getaddrinfo() takes the most; untouched pages are free */

static int by_interval(const void *a, const void *b, void *tags)
{
    uint16_t first = *(const uint16_t *)a, second = *(const uint16_t *)b;
    const struct config_tag *list = tags;
    if (list[first].interval_ms != list[second].interval_ms)
        return list[first].interval_ms < list[second].interval_ms ? -1 : 1;
    return first < second ? -1 : 1;
}

/* The indexes of all tags of DEVICE, those with the same interval side by side. */
static uint16_t *sorted_tags(const struct config_device *device)
{
    uint16_t *sorted = memory_zeroed(device->n_tags, sizeof(*sorted));
    for (size_t i = 0; i < device->n_tags; i++)
        sorted[i] = (uint16_t)i;
    qsort_r(sorted, device->n_tags, sizeof(*sorted), by_interval, device->tags);
    return sorted;
}

/* How many of the sorted tags, from FROM on, share an interval. */
static size_t run_length(const struct config_device *device, const uint16_t *sorted, size_t from)
{
    size_t end = from + 1;
    while (end < device->n_tags &&
           device->tags[sorted[end]].interval_ms == device->tags[sorted[from]].interval_ms)
        end++;
    return end - from;
}

static size_t count_groups(const struct config_device *device)
{
    CLEANUP(memory_free_pointer) uint16_t *sorted = sorted_tags(device);
    size_t groups = 0;
    for (size_t i = 0; i < device->n_tags; i += run_length(device, sorted, i))
        groups++;
    return groups;
}

size_t line_group_count(const struct config *config, size_t bus)
{
    size_t groups = 0;
    for (size_t i = 0; i < config->n_devices; i++) {
        if (config->devices[i].bus == bus)
            groups += count_groups(&config->devices[i]);
    }
    return groups;
}

static size_t slots_of(const struct config_device *device, const struct group *group)
{
    size_t text_bytes = 0;
    for (size_t i = 0; i < group->n_tags; i++) {
        if (device->tags[group->tags[i]].type == VALUE_STRING)
            text_bytes += SAMPLE_TEXT_MAX;
    }
    return batch_slots(group->n_tags, text_bytes);
}

static int add_group(struct line *line, const struct config_device *device, const uint16_t *tags,
                     size_t n_tags)
{
    size_t index = line->schedule.n_groups++;
    struct group *group = &line->groups[index];
    line->schedule.groups[index].unit = line->schedule.n_units - 1;
    line->schedule.groups[index].interval_ns = device->tags[tags[0]].interval_ms * CLOCK_NS_PER_MS;
    group->tags = memory_zeroed(n_tags, sizeof(*tags));
    group->n_tags = n_tags;
    memcpy(group->tags, tags, n_tags * sizeof(*tags));
    int result = line->driver->prepare(line->instance, device, group->tags, n_tags, &group->poll);
    if (result < 0)
        return result;
    if (line->driver->cost_us)
        group->cost_us = line->driver->cost_us(line->instance, group->poll);
    size_t slots = slots_of(device, group);
    line->batch.capacity = max_size(line->batch.capacity, slots);
    return 0;
}

static int add_unit(struct line *line, size_t index)
{
    const struct config_device *device = &line->config->devices[index];
    CLEANUP(memory_free_pointer) uint16_t *sorted = sorted_tags(device);
    line->devices[line->schedule.n_units] = index;
    line->numbers[line->schedule.n_units] = (uint16_t)index;
    struct schedule_device *unit = &line->schedule.units[line->schedule.n_units++];
    unit->first_group = line->schedule.n_groups;
    size_t length;
    for (size_t i = 0; i < device->n_tags; i += length) {
        length = run_length(device, sorted, i);
        int result = add_group(line, device, sorted + i, length);
        if (result < 0)
            return result;
    }
    unit->n_groups = line->schedule.n_groups - unit->first_group;
    return 0;
}

static size_t count_units(const struct config *config, size_t bus)
{
    size_t units = 0;
    for (size_t i = 0; i < config->n_devices; i++)
        units += config->devices[i].bus == bus;
    return units;
}

static int plan(struct line *line)
{
    size_t n_groups = line_group_count(line->config, line->bus);
    size_t n_units = count_units(line->config, line->bus);
    line->groups = memory_zeroed(n_groups, sizeof(*line->groups));
    line->schedule.groups = memory_zeroed(n_groups, sizeof(*line->schedule.groups));
    line->schedule.units = memory_zeroed(n_units, sizeof(*line->schedule.units));
    line->units = memory_zeroed(n_units, sizeof(*line->units));
    line->devices = memory_zeroed(n_units, sizeof(*line->devices));
    line->numbers = memory_zeroed(n_units, sizeof(*line->numbers));
    int result = line->driver->create(&line->host, &line->instance);
    if (result >= 0)
        line->link = line->driver->link(line->instance);
    for (size_t i = 0; i < line->config->n_devices && result >= 0; i++) {
        if (line->config->devices[i].bus == line->bus)
            result = add_unit(line, i);
    }
    line->batch.slots = memory_zeroed(line->batch.capacity, sizeof(*line->batch.slots));
    return result;
}

int line_new(const struct config *config, size_t bus, const struct line_callbacks *callbacks,
             size_t phase, size_t total, struct line **ret_line)
{
    struct line *line = memory_zeroed(1, sizeof(*line));
    line->config = config;
    line->bus = bus;
    line->number = (uint16_t)bus;
    line->driver = driver_of(config->buses[bus].driver);
    line->host = (struct driver_host){&config->buses[bus], &line->stop, &line->turn};
    line->callbacks = *callbacks;
    line->phase = phase;
    line->total = total;
    if (getrandom(&line->chance, sizeof(line->chance), 0) < 0)
        line->chance = (uint64_t)clock_mono_ns();
    line->chance |= 1; /* zero would stay zero */
    if (pthread_mutex_init(&line->lock, NULL) != 0 || pthread_cond_init(&line->wake, NULL) != 0)
        abort();
    int result = plan(line);
    if (result < 0) {
        line_free(line);
        return result;
    }
    *ret_line = line;
    return 0;
}

void line_set_numbers(struct line *line, uint16_t number, const uint16_t *devices)
{
    assert(!line->started);
    line->number = number;
    for (size_t i = 0; i < line->schedule.n_units; i++)
        line->numbers[i] = devices[line->devices[i]];
}

void line_set_tripped(struct line *line, size_t device)
{
    assert(!line->started);
    for (size_t i = 0; i < line->schedule.n_units; i++) {
        if (line->devices[i] != device)
            continue;
        line->schedule.units[i].breaker =
            (struct breaker){.state = UNIT_TRIPPED, .failures = BREAKER_TRIPS_AFTER};
        atomic_store(&line->units[i].state, UNIT_TRIPPED);
    }
}

/* The thread inherits a mask with every signal blocked: signals are the main loop's business. */
static int line_start_thread(struct line *line)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int result = pthread_attr_init(&attributes);
    if (result != 0)
        return -result;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&line->thread, &attributes, line_work, line);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return -result;
}

int line_start(struct line *line)
{
    assert(!line->started);
    int result = line_start_thread(line);
    line->started = result == 0;
    return result;
}

void line_stop(struct line *line)
{
    pthread_mutex_lock(&line->lock);
    atomic_store(&line->stop, true);
    pthread_cond_signal(&line->wake);
    pthread_mutex_unlock(&line->lock);
}

struct line *line_free(struct line *line)
{
    if (!line)
        return NULL;
    line_stop(line);
    if (line->started)
        (void)pthread_join(line->thread, NULL);
    for (size_t i = 0; i < line->schedule.n_groups; i++) {
        line->driver->poll_free(line->groups[i].poll);
        free(line->groups[i].tags);
    }
    line->driver->free(line->instance);
    pthread_cond_destroy(&line->wake);
    pthread_mutex_destroy(&line->lock);
    free(line->batch.slots);
    free(line->devices);
    free(line->numbers);
    free(line->units);
    free(line->schedule.units);
    free(line->schedule.groups);
    free(line->groups);
    free(line);
    return NULL;
}

/* ---- what others may ask ---- */

const struct config *line_config(const struct line *line)
{
    return line->config;
}

const size_t *line_devices(const struct line *line, size_t *ret_length)
{
    *ret_length = line->schedule.n_units;
    return line->devices;
}

static uint64_t value_of(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void line_get_health(struct line *line, struct line_health *ret_health)
{
    ret_health->state = (enum line_state)atomic_load(&line->state);
    ret_health->polls_ok = value_of(&line->polls_ok);
    ret_health->polls_failed = value_of(&line->polls_failed);
    ret_health->polls_skipped = value_of(&line->polls_skipped);
    ret_health->batches_refused = value_of(&line->batches_refused);
    ret_health->heartbeat = value_of(&line->heartbeat);
    pthread_mutex_lock(&line->lock);
    memcpy(ret_health->error, line->error, sizeof(ret_health->error));
    pthread_mutex_unlock(&line->lock);
}

void line_get_device_health(struct line *line, size_t device, struct device_health *ret_health)
{
    size_t index = 0;
    while (index < line->schedule.n_units && line->devices[index] != device)
        index++;
    assert(index < line->schedule.n_units);
    struct unit *unit = &line->units[index];
    ret_health->state = (enum device_state)atomic_load(&unit->state);
    ret_health->polls_ok = value_of(&unit->polls_ok);
    ret_health->polls_failed = value_of(&unit->polls_failed);
    ret_health->polls_late = value_of(&unit->polls_late);
    ret_health->is_late = atomic_load(&unit->is_late);
    ret_health->failures_in_row = atomic_load(&unit->failures_in_row);
    ret_health->last_us = atomic_load(&unit->last_us);
    pthread_mutex_lock(&line->lock);
    memcpy(ret_health->error, unit->error, sizeof(ret_health->error));
    pthread_mutex_unlock(&line->lock);
}

int line_request(struct line *line, const struct driver_request *request, line_request_done done,
                 void *context)
{
    int result = 0;
    pthread_mutex_lock(&line->lock);
    if (!line->started || atomic_load(&line->stop)) {
        result = -ENOTCONN;
    } else if (line->mailbox.full) {
        result = -EBUSY;
    } else {
        line->mailbox = (struct mailbox){true, *request, done, context};
        atomic_store_explicit(&line->mail, true, memory_order_release);
        pthread_cond_signal(&line->wake);
    }
    pthread_mutex_unlock(&line->lock);
    return result;
}

void line_get_budget(struct line *line, struct line_budget *ret_budget)
{
    double cycle_us = 0, load = 0, worst_us = 0;
    for (size_t i = 0; i < line->schedule.n_units; i++) {
        const struct schedule_device *unit = &line->schedule.units[i];
        double unit_us = 0;
        for (size_t k = unit->first_group; k < unit->first_group + unit->n_groups; k++) {
            unit_us += (double)line->groups[k].cost_us;
            load += (double)line->groups[k].cost_us * (double)CLOCK_NS_PER_US /
                    (double)line->schedule.groups[k].interval_ns;
        }
        cycle_us += unit_us;
        double silent_us = (double)line->link.timeout_us * (double)unit->n_groups - unit_us;
        worst_us = silent_us > worst_us ? silent_us : worst_us;
    }
    *ret_budget = (struct line_budget){cycle_us / 1e6, load, (cycle_us + worst_us) / 1e6};
}
