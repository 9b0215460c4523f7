/* A driver without its line. */
#include "tests/support/driven.h"

#include "agent/base/memory.h"
#include "config/load/load.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config *load(const char *buses_and_devices, struct strbuf *ret_said)
{
    static const char head[] = "gateway: { id = \"gw\"; site = \"s\"; };\n"
                               "uplink: { servers = [ \"mqtts://b\" ]; ca = \"system\"; };\n";
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(memory_free_pointer) char *text = memory_printf("%s%s", head, buses_and_devices);
    struct config *config = NULL;
    (void)config_load(test_file("driven.conf", text), drivers_for_config(), &findings, &config);
    findings_sort(&findings);
    strbuf_reset(ret_said);
    for (size_t i = 0; i < findings.length; i++)
        strbuf_addf(ret_said, "%s: %s%s\n", findings.items[i].key,
                    findings.items[i].severity == FINDING_WARNING ? "warning: " : "",
                    findings.items[i].text);
    return config;
}

const char *driven_check(const char *buses_and_devices)
{
    static char said[4096];
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    config_free(load(buses_and_devices, &text));
    (void)snprintf(said, sizeof(said), "%s", strbuf_text(&text));
    return said;
}

static void prepare(struct driven *driven, size_t index)
{
    const struct config_device *device = &driven->config->devices[index];
    uint16_t *tags = memory_zeroed(device->n_tags, sizeof(*tags));
    for (size_t i = 0; i < device->n_tags; i++)
        tags[i] = (uint16_t)i;
    if (driven->driver->prepare(driven->line, device, tags, device->n_tags,
                                &driven->polls[index]) != 0)
        abort();
    free(tags);
}

void driven_open(struct driven *driven, const char *buses_and_devices)
{
    memset(driven, 0, sizeof(*driven));
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    driven->config = load(buses_and_devices, &said);
    if (!driven->config) {
        (void)fprintf(stderr, "%s", strbuf_text(&said));
        abort();
    }
    const struct config_bus *bus = &driven->config->buses[0];
    driven->driver = driver_of(bus->driver);
    driven->host = (struct driver_host){.bus = bus, .stop = &driven->stop, .turn = &driven->turn};
    if (driven->driver->create(&driven->host, &driven->line) != 0)
        abort();
    for (size_t i = 0; i < driven->config->n_devices; i++)
        prepare(driven, i);
    driven->batch.capacity = batch_slots(CONFIG_MAX_TAGS, 4096);
    driven->batch.slots = memory_zeroed(driven->batch.capacity, sizeof(union slot));
}

void driven_close(struct driven *driven)
{
    for (size_t i = 0; i < driven->config->n_devices; i++)
        driven->driver->poll_free(driven->polls[i]);
    driven->driver->free(driven->line);
    config_free(driven->config);
    free(driven->batch.slots);
    strbuf_free(&driven->text);
}

void driven_begin(struct driven *driven, size_t device)
{
    driven->error.text[0] = '\0';
    batch_begin(&driven->batch, (uint16_t)device);
}

enum outcome driven_read(struct driven *driven, size_t device)
{
    driven_begin(driven, device);
    enum outcome outcome =
        driven->driver->read(driven->line, driven->polls[device], &driven->batch, &driven->error);
    if (outcome != OUTCOME_OK || driven->turn.spare_until_ns == 0) /* or else a reply may be late */
        CU_ASSERT_EQUAL(outcome == OUTCOME_OK, driven->error.text[0] == '\0');
    return outcome;
}

static void add_value(struct strbuf *text, const union slot *slot)
{
    char name[24];
    switch ((enum sample_kind)slot->sample.kind) {
    case SAMPLE_NONE:
        strbuf_add(text, quality_name((enum quality)slot->sample.quality, slot->sample.code, name));
        break;
    case SAMPLE_BOOL:
        strbuf_add(text, slot->sample.value.truth ? "true" : "false");
        break;
    case SAMPLE_I64:
        strbuf_add_i64(text, slot->sample.value.i64);
        break;
    case SAMPLE_U64:
        strbuf_add_u64(text, slot->sample.value.u64);
        break;
    case SAMPLE_F64:
        strbuf_addf(text, "%.17g", slot->sample.value.f64);
        break;
    case SAMPLE_TEXT:
        strbuf_append(text, sample_text(slot), slot->sample.length);
        break;
    }
}

const char *driven_values(struct driven *driven, size_t device)
{
    const struct config_device *about = &driven->config->devices[device];
    strbuf_reset(&driven->text);
    for (size_t tag = 0; tag < about->n_tags; tag++) {
        size_t found = 0;
        const union slot *slot = driven->batch.slots + 1;
        const union slot *end = driven->batch.slots + driven->batch.used;
        for (; slot < end; slot += sample_slots(slot)) {
            if (slot->sample.tag != tag)
                continue;
            strbuf_addf(&driven->text, "%s%s=", tag ? " " : "", about->tags[tag].name);
            add_value(&driven->text, slot);
            found++;
        }
        CU_ASSERT_EQUAL(found, 1); /* exactly one sample for each tag */
    }
    return strbuf_text(&driven->text);
}
