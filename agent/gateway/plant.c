/* The lines and the pipeline of one configuration generation. */
#include "agent/gateway/plant.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/flow/pipeline.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/generation.h"
#include "agent/gateway/liveness.h"
#include "agent/local/values_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define BATCHES_A_PASS 256
#define STUCK_MS                                                                                   \
    150000 /* a driver may dial and ask in one turn, each for its timeout of up to 60 s */

struct plant {
    struct generation *current; /* the one in force */
    struct intake *intake;
    sd_event *loop;
    plant_changed changed;
    void *context;

    struct line **lines;             /* of each bus; NULL for a bus without devices */
    struct generation **generations; /* that each line was made from */
    struct numbering buses, devices;
    struct pipeline *pipeline;
    struct liveness *liveness;
    sd_event_source *queue_source;
};

/* The next generation, with the lines that have to be made for it. */
struct plant_change {
    struct generation *fresh;
    uint16_t *kept_buses, *kept_devices; /* see numbering_next() */
    struct numbering buses, devices;
    struct line **lines; /* of each bus; NULL where the present line is kept, or none is needed */
};

static int on_queue(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    struct plant *plant = userdata;
    (void)source, (void)descriptor, (void)events;
    (void)pipeline_drain(plant->pipeline, BATCHES_A_PASS);
    return 0;
}

static void on_line_event(void *context, enum line_event event, uint16_t owner,
                          int64_t timestamp_ms)
{
    struct plant *plant = context;
    const struct numbering *numbering =
        gateway_events_is_of_device(event) ? &plant->devices : &plant->buses;
    uint16_t index = numbering_index(numbering, owner);
    if (index == NUMBERING_NONE)
        return; /* it is gone */
    gateway_events_line(plant->intake, plant->current->config, plant->lines, event, index,
                        timestamp_ms);
    plant->changed(plant->context);
}

/* --- the lines of a generation ---------------------------------------------------------------- */

static int make_line(struct plant *plant, struct plant_change *change, size_t bus, size_t phase,
                     size_t total)
{
    const struct config *config = change->fresh->config;
    const struct line_callbacks callbacks = {.deliver = pipeline_deliver,
                                             .context = plant->pipeline};
    int problem = line_new(config, bus, &callbacks, phase, total, &change->lines[bus]);
    if (problem < 0)
        log_error("line", "line=%s: cannot be set up: %s", config->buses[bus].name,
                  strerror(-problem));
    else
        line_set_numbers(change->lines[bus], change->buses.numbers[bus], change->devices.numbers);
    return problem;
}

/* Those that are not kept. What a line polls first is spread over all groups of the gateway. */
static int make_lines(struct plant *plant, struct plant_change *change)
{
    const struct config *config = change->fresh->config;
    size_t total = 0, phase = 0;
    int problem = 0;
    for (size_t bus = 0; bus < config->n_buses; bus++)
        total += line_group_count(config, bus);
    for (size_t bus = 0; bus < config->n_buses && problem >= 0; bus++) {
        size_t groups = line_group_count(config, bus);
        if (groups > 0 && change->kept_buses[bus] == NUMBERING_NONE)
            problem = make_line(plant, change, bus, phase, total);
        phase += groups;
    }
    return problem;
}

/* Stops and frees the lines of LINES, N_LINES long, for which KEPT, where given, has no index. */
static void drop_lines(struct line **lines, size_t n_lines, const bool *kept)
{
    for (size_t i = 0; i < n_lines; i++) {
        if (lines[i] && !(kept && kept[i]))
            line_stop(lines[i]); /* all at once: each may be in a timeout */
    }
    for (size_t i = 0; i < n_lines; i++) {
        if (!(kept && kept[i]))
            lines[i] = line_free(lines[i]);
    }
}

static int start_line(struct line *line)
{
    int problem = line ? line_start(line) : 0;
    if (problem < 0)
        log_error("line", "cannot start its worker: %s", strerror(-problem));
    return problem;
}

/* --- a change --------------------------------------------------------------------------------- */

static uint16_t index_of(const void *found, const void *first, size_t size)
{
    if (!found)
        return NUMBERING_NONE;
    return (uint16_t)((size_t)((const char *)found - (const char *)first) / size);
}

/* What is kept of OLD: the lines that DIFF does not touch, and all devices on them. */
static void find_kept(const struct config *old, struct plant_change *change, const bool *touched)
{
    const struct config *fresh = change->fresh->config;
    for (size_t i = 0; i < fresh->n_buses; i++)
        change->kept_buses[i] = touched[i] ? NUMBERING_NONE
                                           : index_of(config_find_bus(old, fresh->buses[i].name),
                                                      old->buses, sizeof(*old->buses));
    for (size_t i = 0; i < fresh->n_devices; i++)
        change->kept_devices[i] = change->kept_buses[fresh->devices[i].bus] == NUMBERING_NONE
                                      ? NUMBERING_NONE
                                      : index_of(config_find_device(old, fresh->devices[i].name),
                                                 old->devices, sizeof(*old->devices));
}

static struct plant_change *change_new(struct generation *fresh)
{
    struct plant_change *change = memory_zeroed(1, sizeof(*change));
    change->fresh = generation_ref(fresh);
    change->kept_buses = memory_zeroed(fresh->config->n_buses, sizeof(*change->kept_buses));
    change->kept_devices = memory_zeroed(fresh->config->n_devices, sizeof(*change->kept_devices));
    change->lines = memory_zeroed(fresh->config->n_buses, sizeof(struct line *));
    return change;
}

struct plant_change *plant_change_free(struct plant_change *change)
{
    if (!change)
        return NULL;
    drop_lines(change->lines, change->fresh->config->n_buses, NULL);
    numbering_free(&change->buses);
    numbering_free(&change->devices);
    free(change->lines);
    free(change->kept_buses);
    free(change->kept_devices);
    generation_unref(change->fresh);
    free(change);
    return NULL;
}

int plant_prepare(struct plant *plant, struct generation *fresh, const bool *touched,
                  struct plant_change **ret_change)
{
    struct plant_change *change = change_new(fresh);
    find_kept(plant->current->config, change, touched);
    numbering_next(&plant->buses, change->kept_buses, fresh->config->n_buses, &change->buses);
    numbering_next(&plant->devices, change->kept_devices, fresh->config->n_devices,
                   &change->devices);
    int problem = make_lines(plant, change);
    if (problem < 0) {
        plant_change_free(change);
        return problem;
    }
    *ret_change = change;
    return 0;
}

/*
 * The old generations keep what lines that go on were made from, and nothing else: else a gateway
 * of many lines would hold as many whole configurations after as many small changes.
 */
static void shrink(struct plant *plant, const bool *kept)
{
    struct config *old = plant->current->config;
    for (size_t i = 0; i < old->n_buses; i++) {
        struct generation *from = plant->generations[i];
        if (kept[i] && from == plant->current)
            continue;
        config_drop_devices(old, i);
        if (kept[i])
            continue;
        if (from && from != plant->current) {
            const struct config_bus *bus = config_find_bus(from->config, old->buses[i].name);
            config_drop_devices(from->config, (size_t)(bus - from->config->buses));
        }
        plant->generations[i] = generation_unref(from);
    }
}

/* A device that is tripped on a line that ends is still tripped on the one that takes its place. */
static void carry_tripped(struct line *line, const struct plant_change *change)
{
    const struct config *fresh = change->fresh->config;
    size_t n_devices;
    const size_t *devices = line_devices(line, &n_devices);
    for (size_t i = 0; i < n_devices; i++) {
        struct device_health health;
        line_get_device_health(line, devices[i], &health);
        const struct config_device *now =
            config_find_device(fresh, line_config(line)->devices[devices[i]].name);
        if (health.state == UNIT_TRIPPED && now && change->lines[now->bus])
            line_set_tripped(change->lines[now->bus], (size_t)(now - fresh->devices));
    }
}

/* Ends the lines that are not kept, and moves into custody what they have delivered. */
static void end_lines(struct plant *plant, const struct plant_change *change)
{
    const struct config *old = plant->current->config;
    CLEANUP(memory_free_pointer) bool *kept = memory_zeroed(old->n_buses, sizeof(*kept));
    for (size_t i = 0; i < change->fresh->config->n_buses; i++) {
        if (change->kept_buses[i] != NUMBERING_NONE)
            kept[change->kept_buses[i]] = true;
    }
    for (size_t i = 0; i < old->n_buses; i++) {
        if (plant->lines[i] && !kept[i])
            carry_tripped(plant->lines[i], change);
    }
    drop_lines(plant->lines, old->n_buses, kept);
    while (pipeline_drain(plant->pipeline, BATCHES_A_PASS) > 0)
        ;
    plant_report_refused(plant);
    shrink(plant, kept);
}

/* The plant takes over the arrays of the change; lines that are kept move to their new index. */
static void plant_take_over(struct plant *plant, struct plant_change *change)
{
    size_t n_buses = change->fresh->config->n_buses;
    struct generation **generations = memory_zeroed(n_buses, sizeof(struct generation *));
    struct line **lines = memory_zeroed(n_buses, sizeof(struct line *));
    for (size_t i = 0; i < n_buses; i++) {
        uint16_t old = change->kept_buses[i];
        lines[i] = old != NUMBERING_NONE ? plant->lines[old] : TAKE_POINTER(change->lines[i]);
        generations[i] = old != NUMBERING_NONE ? plant->generations[old] : NULL;
        if (lines[i] && !generations[i])
            generations[i] = generation_ref(change->fresh);
    }
    numbering_free(&plant->buses);
    numbering_free(&plant->devices);
    free(plant->lines);
    free(plant->generations);
    generation_unref(plant->current);
    plant->buses = change->buses;
    plant->devices = change->devices;
    change->buses = change->devices = (struct numbering){NULL, 0, NULL, 0};
    plant->lines = lines;
    plant->generations = generations;
    plant->current = generation_ref(change->fresh);
    liveness_free(plant->liveness);
    plant->liveness = liveness_new(n_buses);
}

int plant_commit(struct plant *plant, struct plant_change *change)
{
    size_t n_buses = change->fresh->config->n_buses;
    int problem = 0;
    end_lines(plant, change);
    plant_take_over(plant, change);
    pipeline_apply(plant->pipeline, change->fresh->config, &plant->devices, change->kept_devices);
    for (size_t i = 0; i < n_buses && problem >= 0; i++) {
        if (change->kept_buses[i] == NUMBERING_NONE)
            problem = start_line(plant->lines[i]);
    }
    plant_change_free(change);
    return problem;
}

/* --- making and unmaking ---------------------------------------------------------------------- */

static int watch_queue(struct plant *plant)
{
    int problem = sd_event_add_io(plant->loop, &plant->queue_source,
                                  pipeline_descriptor(plant->pipeline), EPOLLIN, on_queue, plant);
    if (problem < 0)
        log_error("gateway", "cannot wait for the lines: %s", strerror(-problem));
    return problem;
}

/* The first generation: the same as a change in which everything is new. */
static int make_first(struct plant *plant, struct generation *first)
{
    struct plant_change *change = change_new(first);
    for (size_t i = 0; i < first->config->n_buses; i++)
        change->kept_buses[i] = NUMBERING_NONE;
    numbering_begin(&change->buses, first->config->n_buses);
    numbering_begin(&change->devices, first->config->n_devices);
    int problem = make_lines(plant, change);
    if (problem >= 0)
        plant_take_over(plant, change);
    plant_change_free(change);
    return problem;
}

int plant_new(struct generation *first, struct intake *intake, sd_event *loop,
              plant_changed changed, void *context, struct plant **ret_plant)
{
    struct plant *plant = memory_zeroed(1, sizeof(*plant));
    const struct pipeline_callbacks events = {.line_event = on_line_event, .context = plant};
    plant->intake = intake;
    plant->loop = sd_event_ref(loop);
    plant->changed = changed;
    plant->context = context;
    plant->pipeline = pipeline_new(first->config, intake, &events);
    int problem = watch_queue(plant);
    if (problem >= 0)
        problem = make_first(plant, first);
    if (problem < 0) {
        plant_free(plant);
        return problem;
    }
    *ret_plant = plant;
    return 0;
}

int plant_start(struct plant *plant)
{
    int problem = 0;
    for (size_t i = 0; i < plant->current->config->n_buses && problem >= 0; i++)
        problem = start_line(plant->lines[i]);
    return problem;
}

void plant_stop(struct plant *plant)
{
    if (!plant->current)
        return;
    drop_lines(plant->lines, plant->current->config->n_buses, NULL);
    while (pipeline_drain(plant->pipeline, BATCHES_A_PASS) > 0)
        ;
}

struct plant *plant_free(struct plant *plant)
{
    if (!plant)
        return NULL;
    plant_stop(plant);
    plant->queue_source = sd_event_source_disable_unref(plant->queue_source);
    plant->pipeline = pipeline_free(plant->pipeline);
    plant->liveness = liveness_free(plant->liveness);
    for (size_t i = 0; plant->current && i < plant->current->config->n_buses; i++)
        generation_unref(plant->generations[i]);
    free(plant->generations);
    free(plant->lines);
    numbering_free(&plant->buses);
    numbering_free(&plant->devices);
    generation_unref(plant->current);
    sd_event_unref(plant->loop);
    free(plant);
    return NULL;
}

/* --- asking it -------------------------------------------------------------------------------- */

void plant_report_refused(struct plant *plant)
{
    pipeline_report_refused(plant->pipeline);
}

struct line *const *plant_lines(const struct plant *plant)
{
    return plant->lines;
}

bool plant_is_alive(struct plant *plant, int64_t now_ms)
{
    size_t stuck = 0;
    if (liveness_ok(plant->liveness, plant->lines, now_ms, STUCK_MS, &stuck))
        return true;
    log_error("gateway",
              "line=%s: its worker has not moved for %d s; the watchdog is no "
              "longer fed, systemd will restart the agent",
              plant->current->config->buses[stuck].name, STUCK_MS / 1000);
    return false;
}

int plant_values(void *context, const char *device, struct json_text *json)
{
    struct plant *plant = context;
    return values_json(plant->current->config, pipeline_values(plant->pipeline), device, json);
}

int plant_read(void *context, const char *bus, const struct driver_request *request,
               line_request_done done, void *done_context)
{
    struct plant *plant = context;
    const struct config *config = plant->current->config;
    const struct config_bus *found = config_find_bus(config, bus);
    struct line *line = found ? plant->lines[found - config->buses] : NULL;
    return line ? line_request(line, request, done, done_context) : -ENOENT;
}
