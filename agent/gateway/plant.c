/* The lines and the pipeline of one configuration generation. */
#include "agent/gateway/plant.h"

#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/flow/pipeline.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/line_set.h"
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
    const struct config *config; /* the generation in force */
    struct intake *intake;
    sd_event *loop;
    plant_changed changed;
    void *context;

    struct line **lines; /* of each bus; NULL for a bus without devices */
    struct pipeline *pipeline;
    struct liveness *liveness;
    sd_event_source *queue_source;
};

static int on_queue(sd_event_source *source, int descriptor, uint32_t events, void *userdata)
{
    struct plant *plant = userdata;
    (void)source, (void)descriptor, (void)events;
    (void)pipeline_drain(plant->pipeline, BATCHES_A_PASS);
    return 0;
}

static void on_line_event(void *context, enum line_event event, size_t owner, int64_t timestamp_ms)
{
    struct plant *plant = context;
    gateway_events_line(plant->intake, plant->config, plant->lines, event, owner, timestamp_ms);
    plant->changed(plant->context);
}

/* --- making and unmaking ---------------------------------------------------------------------- */

static int make(struct plant *plant, const struct config *config)
{
    const struct pipeline_callbacks events = {.line_event = on_line_event, .context = plant};
    plant->config = config;
    plant->lines = memory_zeroed(config->n_buses, sizeof(*plant->lines));
    plant->liveness = liveness_new(config->n_buses);
    plant->pipeline = pipeline_new(config, plant->intake, &events);
    int problem = sd_event_add_io(plant->loop, &plant->queue_source,
                                  pipeline_descriptor(plant->pipeline), EPOLLIN, on_queue, plant);
    if (problem < 0) {
        log_error("gateway", "cannot wait for the lines: %s", strerror(-problem));
        return problem;
    }
    const struct line_callbacks callbacks = {.deliver = pipeline_deliver,
                                             .context = plant->pipeline};
    return line_set_make(config, &callbacks, plant->lines);
}

/* The workers have ended. */
static void unmake(struct plant *plant)
{
    plant->queue_source = sd_event_source_disable_unref(plant->queue_source);
    plant->pipeline = pipeline_free(plant->pipeline);
    plant->liveness = liveness_free(plant->liveness);
    free(plant->lines);
    plant->lines = NULL;
}

int plant_new(const struct config *config, struct intake *intake, sd_event *loop,
              plant_changed changed, void *context, struct plant **ret_plant)
{
    struct plant *plant = memory_zeroed(1, sizeof(*plant));
    plant->intake = intake;
    plant->loop = sd_event_ref(loop);
    plant->changed = changed;
    plant->context = context;
    int problem = make(plant, config);
    if (problem < 0) {
        plant_free(plant);
        return problem;
    }
    *ret_plant = plant;
    return 0;
}

int plant_start(struct plant *plant)
{
    return line_set_start(plant->config, plant->lines);
}

void plant_stop(struct plant *plant)
{
    line_set_stop(plant->config, plant->lines);
    while (pipeline_drain(plant->pipeline, BATCHES_A_PASS) > 0)
        ;
}

struct plant *plant_free(struct plant *plant)
{
    if (!plant)
        return NULL;
    plant_stop(plant);
    unmake(plant);
    sd_event_unref(plant->loop);
    free(plant);
    return NULL;
}

int plant_apply(struct plant *plant, const struct config *fresh)
{
    plant_stop(plant);
    plant_report_refused(plant);
    unmake(plant);
    int problem = make(plant, fresh);
    return problem < 0 ? problem : plant_start(plant);
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
              plant->config->buses[stuck].name, STUCK_MS / 1000);
    return false;
}

int plant_values(void *context, const char *device, struct json_text *json)
{
    struct plant *plant = context;
    return values_json(plant->config, pipeline_values(plant->pipeline), device, json);
}

int plant_read(void *context, const char *bus, const struct driver_request *request,
               line_request_done done, void *done_context)
{
    struct plant *plant = context;
    for (size_t i = 0; i < plant->config->n_buses; i++) {
        if (strcmp(plant->config->buses[i].name, bus) == 0 && plant->lines[i])
            return line_request(plant->lines[i], request, done, done_context);
    }
    return -ENOENT;
}
