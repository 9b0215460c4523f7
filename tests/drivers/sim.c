/* The built-in plant, through the table that line.c uses. */
#include "config/load/load.h"
#include "drivers/driver.h"

#include "agent/base/clock.h"
#include "agent/base/memory.h"
#include "tests/support/options.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct driver sim_driver;

enum { COUNTER, SINE, SQUARE, RANDOM, CONSTANT, TEXT };
#define MAX_TAGS 8

/* A plant with one device whose tags a case adds. */
struct plant {
    struct config_bus bus;
    struct config_device device;
    struct config_tag tags[MAX_TAGS];
    atomic_bool stop;
    struct driver_host host;
    uint16_t indexes[MAX_TAGS];
    void *line, *poll;
    union slot slots[256];
    struct batch batch;
    struct driver_error error;
};

static void add_tag(struct plant *plant, int waveform, int type, double amplitude, double period_s)
{
    const struct option_table *table = &sim_driver.config.tag;
    struct config_tag *tag = &plant->tags[plant->device.n_tags];
    void *options = memory_zeroed(1, table->size);
    option_set_enum(table, options, "waveform", waveform);
    option_set_float(table, options, "amplitude", amplitude);
    option_set_float(table, options, "period_s", period_s);
    static char text[] = "pump 3 running";
    option_set_text(table, options, "text", OPTION_TEXT, text);
    *tag = (struct config_tag){.name = "tag",
                               .type = type,
                               .scale = 1,
                               .decimals = -1,
                               .interval_ms = 1000,
                               .options = options};
    plant->indexes[plant->device.n_tags] = (uint16_t)plant->device.n_tags;
    plant->device.n_tags++;
}

static struct plant *plant_new(int64_t delay_ms, double fail_percent, bool silent)
{
    struct plant *plant = memory_zeroed(1, sizeof(*plant));
    const struct config_driver *config = &sim_driver.config;
    plant->bus = (struct config_bus){
        .name = "try", .driver = config, .options = memory_zeroed(1, config->bus.size)};
    option_set_int(&config->bus, plant->bus.options, "delay_ms", delay_ms);
    option_set_int(&config->bus, plant->bus.options, "timeout_ms", 20);
    option_set_float(&config->bus, plant->bus.options, "fail_percent", fail_percent);
    plant->device = (struct config_device){
        .name = "mixer", .tags = plant->tags, .options = memory_zeroed(1, config->device.size)};
    option_set_bool(&config->device, plant->device.options, "silent", silent);
    plant->batch = (struct batch){plant->slots, 256, 0};
    plant->host = (struct driver_host){&plant->bus, &plant->stop, NULL};
    return plant;
}

static void plant_start(struct plant *plant)
{
    CU_ASSERT_EQUAL_FATAL(sim_driver.create(&plant->host, &plant->line), 0);
    CU_ASSERT_EQUAL_FATAL(sim_driver.prepare(plant->line, &plant->device, plant->indexes,
                                             plant->device.n_tags, &plant->poll),
                          0);
    CU_ASSERT_EQUAL_FATAL(sim_driver.connect(plant->line, &plant->error), 0);
}

static void plant_free(struct plant *plant)
{
    sim_driver.poll_free(plant->poll);
    sim_driver.disconnect(plant->line);
    sim_driver.free(plant->line);
    for (size_t i = 0; i < plant->device.n_tags; i++)
        free(plant->tags[i].options);
    free(plant->device.options);
    free(plant->bus.options);
    free(plant);
}

static enum outcome read_once(struct plant *plant)
{
    plant->error.text[0] = 0;
    batch_begin(&plant->batch, 0);
    return sim_driver.read(plant->line, plant->poll, &plant->batch, &plant->error);
}

/* The value of the first tag in the next poll. */
static double next(struct plant *plant)
{
    CU_ASSERT_EQUAL_FATAL(read_once(plant), OUTCOME_OK);
    CU_ASSERT_EQUAL_FATAL(plant->slots[1].sample.kind, SAMPLE_F64);
    return plant->slots[1].sample.value.f64;
}

static void test_counter(void)
{
    struct plant *plant = plant_new(0, 0, false);
    add_tag(plant, COUNTER, VALUE_UINT16, 3, 60);
    plant_start(plant);
    for (uint64_t i = 0; i < 7; i++) {
        CU_ASSERT_EQUAL(read_once(plant), OUTCOME_OK);
        CU_ASSERT_EQUAL(plant->slots[1].sample.kind, SAMPLE_U64);
        CU_ASSERT_EQUAL(plant->slots[1].sample.value.u64, i % 3);
    }
    plant_free(plant);
}

static void test_sine(void)
{
    struct plant *plant = plant_new(0, 0, false);
    add_tag(plant, SINE, VALUE_FLOAT64, 50, 4); /* four polls a wave */
    plant->tags[0].offset = 20;
    plant_start(plant);
    CU_ASSERT_DOUBLE_EQUAL(next(plant), 20, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(next(plant), 70, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(next(plant), 20, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(next(plant), -30, 1e-9);
    plant_free(plant);
}

static void test_square_and_constant(void)
{
    struct plant *plant = plant_new(0, 0, false);
    add_tag(plant, SQUARE, VALUE_BOOL, 1, 4);
    add_tag(plant, CONSTANT, VALUE_INT32, 1234, 60);
    add_tag(plant, SINE, VALUE_INT16, 10, 12);
    plant_start(plant);
    static const bool wave[] = {false, false, true, true, false};
    static const int64_t rounded[] = {0, 5, 9, 10, 9};
    for (size_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(read_once(plant), OUTCOME_OK);
        CU_ASSERT_EQUAL(plant->slots[1].sample.value.truth, wave[i]);
        CU_ASSERT_EQUAL(plant->slots[2].sample.value.i64, 1234);
        CU_ASSERT_EQUAL(plant->slots[3].sample.value.i64, rounded[i]);
    }
    plant_free(plant);
}

static void test_random_repeats(void)
{
    double first[50];
    bool varies = false;
    for (int run = 0; run < 2; run++) {
        struct plant *plant = plant_new(0, 0, false);
        add_tag(plant, RANDOM, VALUE_FLOAT64, 10, 60);
        plant_start(plant);
        for (int i = 0; i < 50; i++) {
            double value = next(plant);
            CU_ASSERT_TRUE(value >= 0 && value < 10);
            if (run == 0)
                first[i] = value;
            else
                CU_ASSERT_EQUAL(value, first[i]);
            varies |= value != first[0];
        }
        plant_free(plant);
    }
    CU_ASSERT_TRUE(varies);
}

static void test_text(void)
{
    struct plant *plant = plant_new(0, 0, false);
    add_tag(plant, TEXT, VALUE_STRING, 0, 60);
    plant_start(plant);
    CU_ASSERT_EQUAL(read_once(plant), OUTCOME_OK);
    CU_ASSERT_EQUAL(plant->slots[1].sample.length, strlen("pump 3 running"));
    CU_ASSERT_EQUAL(memcmp(sample_text(&plant->slots[1]), "pump 3 running", 14), 0);
    plant_free(plant);
}

static void test_silent(void)
{
    struct plant *plant = plant_new(0, 0, true);
    add_tag(plant, CONSTANT, VALUE_FLOAT64, 1, 60);
    add_tag(plant, CONSTANT, VALUE_FLOAT64, 1, 60);
    plant_start(plant);
    int64_t before = clock_mono_ns();
    CU_ASSERT_EQUAL(read_once(plant), OUTCOME_TIMEOUT);
    CU_ASSERT_TRUE(clock_mono_ns() - before >= 20 * CLOCK_NS_PER_MS);
    CU_ASSERT_EQUAL(plant->batch.used, 3); /* a sample for each tag nevertheless */
    CU_ASSERT_EQUAL(plant->slots[2].sample.quality, QUALITY_TIMEOUT);
    TEST_CONTAINS(plant->error.text, "mixer");
    plant_free(plant);
}

static void test_fail_percent(void)
{
    struct plant *plant = plant_new(0, 30, false);
    option_set_int(&sim_driver.config.bus, plant->bus.options, "timeout_ms", 0);
    add_tag(plant, COUNTER, VALUE_FLOAT64, 1e9, 60);
    plant_start(plant);
    int failed = 0, answered = 0;
    for (int i = 0; i < 1000; i++) {
        if (read_once(plant) == OUTCOME_TIMEOUT)
            failed++;
        else if (plant->slots[1].sample.value.f64 == answered) /* the wave waits for answers */
            answered++;
    }
    CU_ASSERT_TRUE(failed > 250 && failed < 350); /* the same in every run */
    CU_ASSERT_EQUAL(answered, 1000 - failed);
    plant_free(plant);
}

static void test_stop_ends_a_wait(void)
{
    struct plant *plant = plant_new(3600 * 1000, 0, false);
    add_tag(plant, CONSTANT, VALUE_FLOAT64, 1, 60);
    plant_start(plant);
    atomic_store(&plant->stop, true);
    (void)read_once(plant); /* an hour otherwise */
    CU_ASSERT_EQUAL(plant->batch.used, 2);
    plant_free(plant);
}

static void test_checks(void)
{
    struct plant *plant = plant_new(0, 0, false);
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    add_tag(plant, TEXT, VALUE_UINT16, 0, 60);
    add_tag(plant, SINE, VALUE_UINT16, 1, 60);
    sim_driver.config.check_device(&plant->bus, &plant->device, &findings);
    CU_ASSERT_EQUAL(findings.errors, 0);
    CU_ASSERT_EQUAL(plant->tags[0].type, VALUE_STRING); /* the types follow the waveform */
    CU_ASSERT_EQUAL(plant->tags[1].type, VALUE_FLOAT64);
    add_tag(plant, COUNTER, VALUE_UINT16, 0.5, 60);
    sim_driver.config.check_device(&plant->bus, &plant->device, &findings);
    CU_ASSERT_EQUAL(findings.errors, 1);
    findings_print(&findings, &text);
    TEST_CONTAINS(strbuf_text(&text), "amplitude: a counter starts again there");
    plant_free(plant);
}

static void test_text_needs_string(void)
{
    struct plant *plant = plant_new(0, 0, false);
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    add_tag(plant, TEXT, VALUE_UINT16, 0, 60);
    add_tag(plant, SINE, VALUE_STRING, 1, 60);
    plant->tags[0].present = UINT64_MAX; /* the file gave the types */
    plant->tags[1].present = UINT64_MAX;
    sim_driver.config.check_device(&plant->bus, &plant->device, &findings);
    CU_ASSERT_EQUAL(findings.errors, 2);
    plant_free(plant);
}

/* The keys as the loader sees them, with all defaults. */
static void test_configuration(void)
{
    static const struct config_driver *const drivers[] = {&sim_driver.config, NULL};
    const char *path = test_file(
        "sim.conf", "gateway: { id = \"gw\"; site = \"plant\"; };\n"
                    "uplink: { servers = [ \"mqtts://broker.example.com\" ]; ca = \"system\"; };\n"
                    "buses: ( { name = \"try\"; driver = \"sim\"; } );\n"
                    "devices: ( { name = \"mixer\"; bus = \"try\"; interval_ms = 100; tags = (\n"
                    "  { name = \"level\"; },\n"
                    "  { name = \"state\"; waveform = \"text\"; },\n"
                    "  { name = \"runs\"; waveform = \"square\"; type = \"bool\"; } ); } );\n");
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct config *config = NULL;
    int result = config_load(path, drivers, &findings, &config);
    findings_print(&findings, &text);
    TEST_TEXT_EQUAL(strbuf_text(&text), "");
    CU_ASSERT_EQUAL_FATAL(result, 0);
    const struct config_tag *tags = config->devices[0].tags;
    CU_ASSERT_EQUAL(tags[0].type, VALUE_FLOAT64);
    CU_ASSERT_EQUAL(tags[1].type, VALUE_STRING);
    CU_ASSERT_EQUAL(tags[2].type, VALUE_BOOL);
    config_free(config);
}

TEST_MAIN("sim", {"a counter counts polls and starts again", test_counter},
          {"a sine follows its period", test_sine},
          {"square, constant and rounded values", test_square_and_constant},
          {"chance repeats itself", test_random_repeats}, {"a text", test_text},
          {"a silent device times out", test_silent},
          {"a share of the polls fails", test_fail_percent},
          {"a stop ends a wait", test_stop_ends_a_wait},
          {"types follow waveforms, and mistakes are found", test_checks},
          {"a text needs the type string, and the other way round", test_text_needs_string},
          {"a configuration with all defaults", test_configuration})
