/* The test of the plant: each line, and the units on it. */
#include "agent/cli/init/init_plant.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_report.h"
#include "agent/cli/scan.h"

#include <string.h>

#define FEW_UNITS 3 /* the last unit to try where no device is configured */

/* The unit of a device; -1 when its driver has none. */
static int unit_of(const struct config *config, const struct config_device *device)
{
    const struct config_driver *driver = config->buses[device->bus].driver;
    const struct option *row = option_find(&driver->device, "unit");
    int64_t unit;
    if (!row || row->type != OPTION_INT)
        return -1;
    memcpy(&unit, (const char *)device->options + row->offset, sizeof(unit));
    return (int)unit;
}

/* Returns false when the line itself cannot be reached, after saying so. */
static bool test_unit(struct plant_line *line, unsigned unit, bool expected, unsigned *answered,
                      struct init_report *report)
{
    struct driver_error error;
    unsigned exception;
    const char *bus = line->bus->name;
    switch (scan_unit(line, unit, &exception, &error)) {
    case SCAN_ANSWERS:
        (*answered)++;
        init_say(report, INIT_GOOD, "plant", "%s: unit %u answers", bus, unit);
        break;
    case SCAN_SILENT:
        if (expected)
            init_say(report, INIT_BAD, "plant",
                     "%s: unit %u does not answer; `sallyport scan %s` finds the units that do",
                     bus, unit, bus);
        break;
    case SCAN_GARBLED:
        init_say(report, INIT_BAD, "plant",
                 "%s: the reply of unit %u is not valid (%s); check speed and parity, and whether "
                 "two units have this number",
                 bus, unit, error.text);
        break;
    case SCAN_NO_LINE:
        init_say(report, INIT_BAD, "plant", "%s: %s", bus, error.text);
        return false;
    }
    return true;
}

/* The units of the devices on this line; a few where there are none yet. */
static void test_units(const struct config *config, size_t bus, struct plant_line *line,
                       struct init_report *report)
{
    bool asked[256] = {false}, any = false;
    unsigned answered = 0;
    for (size_t i = 0; i < config->n_devices; i++) {
        int unit = config->devices[i].bus == bus ? unit_of(config, &config->devices[i]) : -1;
        if (unit < 0 || unit > 255 || asked[unit])
            continue;
        asked[unit] = any = true;
        if (!test_unit(line, (unsigned)unit, true, &answered, report))
            return;
    }
    if (any)
        return;
    for (unsigned unit = 1; unit <= FEW_UNITS; unit++) {
        if (!test_unit(line, unit, false, &answered, report))
            return;
    }
    if (answered == 0)
        init_say(report, INIT_NOTE, "plant",
                 "%s: the line can be opened, but units 1 to %d do not answer; `sallyport scan %s` "
                 "tries the others",
                 line->bus->name, FEW_UNITS, line->bus->name);
}

/* A line without registers can only be opened; not while the agent has it open. */
static void test_opening(const struct config *config, const struct config_bus *bus,
                         struct init_report *report)
{
    const struct driver *driver = driver_of(bus->driver);
    atomic_bool stop = false;
    const struct driver_host host = {.bus = bus, .stop = &stop};
    struct driver_error error = {""};
    void *line = NULL;
    CLEANUP(descriptor_close) int agent = agent_connect(config);
    if (agent >= 0) {
        init_say(report, INIT_NOTE, "plant",
                 "%s: the agent is using this line; see sallyport status", bus->name);
        return;
    }
    int problem = driver->create(&host, &line);
    if (problem == 0)
        problem = driver->connect(line, &error);
    if (problem < 0)
        init_say(report, INIT_BAD, "plant", "%s: %s", bus->name,
                 error.text[0] ? error.text : strerror(-problem));
    else
        init_say(report, INIT_GOOD, "plant", "%s: the line can be opened", bus->name);
    driver->free(line);
}

void init_test_plant(const struct config *config, struct init_report *report)
{
    for (size_t i = 0; i < config->n_buses; i++) {
        const struct config_bus *bus = &config->buses[i];
        CLEANUP(plant_close) struct plant_line line = {.agent = -1};
        if (!driver_of(bus->driver)->service)
            test_opening(config, bus, report);
        else if (plant_open(INIT, config, bus, &line) == CLI_DONE)
            test_units(config, i, &line, report);
        else
            init_say(report, INIT_BAD, "plant", "%s: see the reason above", bus->name);
    }
    if (config->n_buses == 0)
        init_say(report, INIT_NOTE, "plant", "no lines are configured yet");
}
