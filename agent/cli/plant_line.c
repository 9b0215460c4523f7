/* One request after another to the units of a line: through the agent, or without it. */
#include "agent/cli/plant_line.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/cli/agent_client.h"
#include "agent/local/local_socket.h"

#include <errno.h>
#include <string.h>

#define TIMEOUT_MS 70000 /* longer than the longest timeout of a line */
#define BUSY_TRIES 50
#define BUSY_PAUSE_MS 100

int plant_open(const char *name, const struct config *config, const struct config_bus *bus,
               struct plant_line *line)
{
    *line = (struct plant_line){
        .name = name, .bus = bus, .driver = driver_of(bus->driver), .agent = agent_connect(config)};
    if (line->agent < 0 && line->agent != -ENOENT && line->agent != -ECONNREFUSED)
        return agent_unreachable(name, config, line->agent);
    if (line->driver->service != &modbus_service)
        return cli_fail(CLI_FAILED, name, "line %s: driver %s has no registers", bus->name,
                        bus->driver->name);
    return CLI_DONE;
}

void plant_close(struct plant_line *line)
{
    if (line->instance)
        line->driver->free(line->instance);
    line->instance = NULL;
    if (line->driver)
        descriptor_close(&line->agent);
}

bool plant_is_shared(const struct plant_line *line)
{
    return line->agent >= 0;
}

/* ---- without the agent ---- */

static enum outcome ask_directly(struct plant_line *line, struct modbus_call *call,
                                 struct driver_error *error)
{
    line->host = (struct driver_host){.bus = line->bus, .stop = &line->stop};
    int problem = line->instance ? 0 : line->driver->create(&line->host, &line->instance);
    if (problem < 0) {
        driver_explain(error, "%s", strerror(-problem));
        return OUTCOME_DISCONNECTED;
    }
    if (!line->connected) {
        problem = line->driver->connect(line->instance, error);
        if (problem < 0 && !error->text[0])
            driver_explain(error, "cannot connect: %s", strerror(-problem));
        if (problem < 0)
            return OUTCOME_DISCONNECTED;
    }
    enum outcome outcome = line->driver->request(line->instance, call, error);
    bool lost =
        outcome == OUTCOME_DISCONNECTED ||
        (outcome == OUTCOME_TIMEOUT && !line->driver->link(line->instance).outlives_timeout);
    if (lost) /* a late answer must not be taken for the next one */
        line->driver->disconnect(line->instance);
    line->connected = !lost;
    return outcome;
}

/* ---- through the agent ---- */

static enum outcome outcome_of(const json_t *answer)
{
    const char *name = agent_ask_text(answer, "outcome", "");
    for (int i = 0; local_socket_outcome_names[i]; i++) {
        if (strcmp(local_socket_outcome_names[i], name) == 0)
            return (enum outcome)i;
    }
    return OUTCOME_UNSUPPORTED; /* an agent of another version may answer this */
}

static enum outcome plant_line_read_answer(const json_t *answer, struct modbus_call *call,
                                           struct driver_error *error)
{
    struct modbus_values *reply = &call->reply;
    size_t count = call->request.count;
    const json_t *values = json_object_get(answer, "values");
    long long exception = agent_ask_number(answer, "exception");
    if (exception > 0 && exception < 256) {
        reply->exception = (uint8_t)exception;
        return OUTCOME_OK;
    }
    if (strcmp(agent_ask_text(answer, "result", ""), "ok") == 0 &&
        json_array_size(values) == count) {
        for (size_t i = 0; i < count; i++)
            reply->values[i] = (uint16_t)json_integer_value(json_array_get(values, i));
        reply->exception = 0;
        return OUTCOME_OK;
    }
    driver_explain(error, "%s",
                   agent_ask_text(answer, "reason", "the agent's answer cannot be used"));
    enum outcome outcome = outcome_of(answer);
    return outcome == OUTCOME_OK ? OUTCOME_BAD_REPLY : outcome;
}

static json_t *ask_agent(const struct plant_line *line, const struct modbus_call *call)
{
    const struct modbus_request *request = &call->request;
    return agent_ask(line->agent, line->name,
                     json_pack("{s:s,s:s,s:i,s:s,s:i,s:i}", "command", "read", "bus",
                               line->bus->name, "unit", request->unit, "table",
                               modbus_table_names[modbus_request_table(request)], "address",
                               request->address, "count", request->count),
                     TIMEOUT_MS);
}

/* The agent is busy with another client's request. */
static json_t *ask_in_turn(const struct plant_line *line, const struct modbus_call *call)
{
    json_t *answer = ask_agent(line, call);
    for (int i = 0; i < BUSY_TRIES && json_is_true(json_object_get(answer, "busy")); i++) {
        json_decref(answer);
        clock_sleep_until(clock_mono_ns() + BUSY_PAUSE_MS * CLOCK_NS_PER_MS);
        answer = ask_agent(line, call);
    }
    return answer;
}

enum outcome plant_ask(struct plant_line *line, struct modbus_call *call,
                       struct driver_error *error)
{
    *error = (struct driver_error){""};
    if (line->agent < 0)
        return ask_directly(line, call, error);
    json_t *answer = ask_in_turn(line, call);
    if (!answer) {
        driver_explain(error, "the agent did not answer");
        return OUTCOME_UNSUPPORTED;
    }
    bool absent = json_is_true(json_object_get(answer, "absent"));
    enum outcome outcome =
        absent ? OUTCOME_UNSUPPORTED : plant_line_read_answer(answer, call, error);
    json_decref(answer);
    if (!absent)
        return outcome;
    descriptor_close(&line->agent); /* the agent does not have this line, so we use it directly */
    return ask_directly(line, call, error);
}
