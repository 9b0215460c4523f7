/*
 * Instruments that send lines of text, played by this program at the other end of a
 * pseudo-terminal.
 */
#include "config/load/load.h"
#include "drivers/driver.h"

#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/line/line.h"
#include "tests/support/options.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

extern const struct driver serial_text_driver;

#define MAX_TAGS 4
#define DEADLINE_S 20

struct bench {
    struct config config;
    struct config_bus bus;
    struct config_device device;
    struct config_tag tags[MAX_TAGS];
    uint16_t indexes[MAX_TAGS];
    char device_path[128], poll[64], terminator[16];
    char match[MAX_TAGS][64];
    atomic_bool stop;
    struct driver_host host;
    void *line, *plan;
    union slot slots[256];
    struct batch batch;
    struct driver_error error;

    int instrument; /* the other end; -1: unplugged */
    pthread_t player;
    char question[64]; /* what the instrument was asked */
    const char *answer;
    atomic_bool flood_ends;
};

static void add_tag(struct bench *bench, const char *match, int type)
{
    const struct option_table *table = &serial_text_driver.config.tag;
    size_t index = bench->device.n_tags++;
    void *options = memory_zeroed(1, table->size);
    (void)snprintf(bench->match[index], sizeof(bench->match[0]), "%s", match);
    option_set_text(table, options, "match", OPTION_TEXT, bench->match[index]);
    bench->tags[index] = (struct config_tag){.name = "weight",
                                             .type = type,
                                             .scale = 1,
                                             .decimals = -1,
                                             .interval_ms = 20,
                                             .options = options};
    bench->indexes[index] = (uint16_t)index;
}

/* A port with a fresh instrument at its other end, as PATH. */
static void plug_in(struct bench *bench, const char *path)
{
    int port;
    char name[64];
    CU_ASSERT_EQUAL_FATAL(openpty(&bench->instrument, &port, name, NULL, NULL), 0);
    (void)unlink(path);
    CU_ASSERT_EQUAL_FATAL(symlink(name, path), 0);
    close(port);
}

/* POLL may be NULL: the instrument talks by itself. */
static struct bench *bench_new(const char *poll, const char *terminator, int64_t timeout_ms)
{
    const struct option_table *table = &serial_text_driver.config.bus;
    struct bench *bench = memory_zeroed(1, sizeof(*bench));
    void *options = memory_zeroed(1, table->size);
    (void)snprintf(bench->device_path, sizeof(bench->device_path), "%s", test_path("port"));
    (void)snprintf(bench->terminator, sizeof(bench->terminator), "%s", terminator);
    (void)snprintf(bench->poll, sizeof(bench->poll), "%s", poll ? poll : "");
    option_set_text(table, options, "device", OPTION_PATH, bench->device_path);
    option_set_text(table, options, "poll", OPTION_BYTES, poll ? bench->poll : NULL);
    option_set_text(table, options, "terminator", OPTION_BYTES, bench->terminator);
    option_set_int(table, options, "baud", 19200);
    option_set_int(table, options, "data_bits", 8);
    option_set_int(table, options, "stop_bits", 1);
    option_set_int(table, options, "timeout_ms", timeout_ms);
    bench->bus = (struct config_bus){
        .name = "scale", .driver = &serial_text_driver.config, .options = options};
    bench->device = (struct config_device){.name = "weigher", .tags = bench->tags};
    bench->config = (struct config){
        .buses = &bench->bus, .n_buses = 1, .devices = &bench->device, .n_devices = 1};
    bench->host = (struct driver_host){&bench->bus, &bench->stop, NULL};
    bench->batch = (struct batch){bench->slots, 256, 0};
    plug_in(bench, bench->device_path);
    return bench;
}

static void bench_open(struct bench *bench)
{
    const struct driver *driver = &serial_text_driver;
    CU_ASSERT_EQUAL_FATAL(driver->create(&bench->host, &bench->line), 0);
    CU_ASSERT_EQUAL_FATAL(driver->prepare(bench->line, &bench->device, bench->indexes,
                                          bench->device.n_tags, &bench->plan),
                          0);
    CU_ASSERT_EQUAL_FATAL(driver->connect(bench->line, &bench->error), 0);
}

static void bench_free(struct bench *bench)
{
    serial_text_driver.poll_free(bench->plan);
    serial_text_driver.free(bench->line);
    for (size_t i = 0; i < bench->device.n_tags; i++)
        free(bench->tags[i].options);
    descriptor_close(&bench->instrument);
    (void)unlink(test_path("port"));
    free(bench->bus.options);
    free(bench);
}

static void say(struct bench *bench, const char *text)
{
    CU_ASSERT_EQUAL(write(bench->instrument, text, strlen(text)), (ssize_t)strlen(text));
}

/* Hears one question, up to its CR, and answers it. */
static void *play(void *argument)
{
    struct bench *bench = argument;
    size_t used = 0;
    while (used < sizeof(bench->question) - 1) {
        struct pollfd wait = {.fd = bench->instrument, .events = POLLIN};
        if (poll(&wait, 1, DEADLINE_S * 1000) != 1 ||
            read(bench->instrument, bench->question + used, 1) != 1)
            return NULL;
        if (bench->question[used++] == '\r')
            break;
    }
    bench->question[used] = 0;
    if (bench->answer)
        (void)!write(bench->instrument, bench->answer, strlen(bench->answer));
    return NULL;
}

static enum outcome read_once(struct bench *bench)
{
    bench->error.text[0] = 0;
    batch_begin(&bench->batch, 0);
    return serial_text_driver.read(bench->line, bench->plan, &bench->batch, &bench->error);
}

/* A poll that the instrument answers with ANSWER, or not at all (NULL). */
static enum outcome ask(struct bench *bench, const char *answer)
{
    bench->answer = answer;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&bench->player, NULL, play, bench), 0);
    enum outcome outcome = read_once(bench);
    pthread_join(bench->player, NULL);
    return outcome;
}

/* The sample of tag INDEX in the last batch. */
static const union slot *sample_of(struct bench *bench, uint16_t index)
{
    for (size_t at = 1; at < bench->batch.used; at += sample_slots(&bench->slots[at])) {
        if (bench->slots[at].sample.tag == index)
            return &bench->slots[at];
    }
    CU_FAIL_FATAL("no sample for this tag");
    return NULL;
}

static double value_of(struct bench *bench, uint16_t index)
{
    const union slot *sample = sample_of(bench, index);
    CU_ASSERT_EQUAL(sample->sample.quality, QUALITY_GOOD);
    CU_ASSERT_EQUAL_FATAL(sample->sample.kind, SAMPLE_F64);
    return sample->sample.value.f64;
}

static enum quality quality_of(struct bench *bench, uint16_t index)
{
    return (enum quality)sample_of(bench, index)->sample.quality;
}

/* ---- an instrument that is asked ---- */

static void test_answer(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    add_tag(bench, "^ST,GS,([+-][0-9. ]+)kg", VALUE_FLOAT64);
    add_tag(bench, "^[A-Z]+,[A-Z]+", VALUE_STRING);
    add_tag(bench, "^ST,GS,([+-][0-9. ]+)kg", VALUE_FLOAT64);
    bench->tags[2].scale = 1000;
    bench->tags[2].offset = -40;
    bench->tags[2].decimals = 0;
    bench_open(bench);
    CU_ASSERT_EQUAL(ask(bench, "ST,GS,+   12.3456kg\r\n"), OUTCOME_OK);
    TEST_TEXT_EQUAL(bench->question, "P\r");
    CU_ASSERT_EQUAL(value_of(bench, 0), 12.3456);
    CU_ASSERT_EQUAL(value_of(bench, 2), 12306);
    const union slot *text = sample_of(bench, 1);
    CU_ASSERT_EQUAL(text->sample.length, 5);
    CU_ASSERT_EQUAL(memcmp(sample_text(text), "ST,GS", 5), 0);
    CU_ASSERT_EQUAL(ask(bench, "\r\n\r\nST,GS,-0000.50kg\r\nST,GS,+7kg\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), -0.5); /* empty lines say nothing; the first one counts */
    CU_ASSERT_EQUAL(ask(bench, "ST,GS,+1kg\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 1);
    bench_free(bench);
}

static void test_bad_values(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    add_tag(bench, "^W(.*)", VALUE_INT16);
    add_tag(bench, "^W([0-9]+)?", VALUE_FLOAT64);
    bench_open(bench);
    CU_ASSERT_EQUAL(ask(bench, "OVERLOAD\r\n"), OUTCOME_OK); /* the instrument lives */
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_NO_MATCH);
    CU_ASSERT_EQUAL(ask(bench, "Whello\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_NOT_A_NUMBER);
    CU_ASSERT_EQUAL(quality_of(bench, 1), QUALITY_NOT_A_NUMBER); /* its group matched nothing */
    CU_ASSERT_EQUAL(ask(bench, "W40000\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_OUT_OF_RANGE);
    CU_ASSERT_EQUAL(value_of(bench, 1), 40000);
    bench_free(bench);
}

static void test_silence(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 30);
    add_tag(bench, "(.*)", VALUE_FLOAT64);
    add_tag(bench, "(.*)", VALUE_FLOAT64);
    bench_open(bench);
    CU_ASSERT_EQUAL(ask(bench, NULL), OUTCOME_TIMEOUT);
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_TIMEOUT);
    CU_ASSERT_EQUAL(quality_of(bench, 1), QUALITY_TIMEOUT);
    TEST_CONTAINS(bench->error.text, bench->device_path);
    TEST_CONTAINS(bench->error.text, "30 ms");
    bench_free(bench);
}

static void test_late_answer_is_dropped(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    add_tag(bench, "(.*)", VALUE_FLOAT64);
    bench_open(bench);
    say(bench, "111\r\n22"); /* of an earlier question, and half of another */
    CU_ASSERT_EQUAL(ask(bench, "333\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 333);
    bench_free(bench);
}

static void test_garbage(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 200);
    add_tag(bench, "^([0-9]+)$", VALUE_FLOAT64);
    bench_open(bench);
    CU_ASSERT_EQUAL(ask(bench, "\x80\xff\x01 no end"), OUTCOME_BAD_REPLY);
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_BAD_REPLY);
    TEST_CONTAINS(bench->error.text, "terminator");
    char endless[3001];
    memset(endless, '7', sizeof(endless));
    endless[3000] = 0;
    CU_ASSERT_EQUAL(ask(bench, endless), OUTCOME_BAD_REPLY);
    memcpy(endless + 2900, "\r\n42\r\n", 7); /* what is too long is dropped, not what follows */
    CU_ASSERT_EQUAL(ask(bench, endless), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 42);
    CU_ASSERT_EQUAL(ask(bench, "\xfe\xff\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_NO_MATCH);
    CU_ASSERT_EQUAL(ask(bench, "5\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 5);
    bench_free(bench);
}

static void *flood(void *argument)
{
    struct bench *bench = argument;
    char text[512];
    memset(text, '7', sizeof(text));
    while (!atomic_load(&bench->flood_ends)) {
        struct pollfd wait = {.fd = bench->instrument, .events = POLLOUT};
        if (poll(&wait, 1, 10) > 0)
            (void)!write(bench->instrument, text, sizeof(text));
    }
    return NULL;
}

/* An instrument that never stops sending: polls end long before their timeout, and are bad ones. */
static void test_flood(void)
{
    static const char *const questions[] = {"P\r", NULL};
    for (size_t i = 0; i < 2; i++) {
        struct bench *bench = bench_new(questions[i], "\r\n", DEADLINE_S * 1000);
        add_tag(bench, "^([0-9]+)$", VALUE_FLOAT64);
        bench_open(bench);
        CU_ASSERT_EQUAL(fcntl(bench->instrument, F_SETFL, O_NONBLOCK), 0);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&bench->player, NULL, flood, bench), 0);
        for (int poll = 0; poll < 4; poll++) {
            CU_ASSERT_EQUAL(read_once(bench), OUTCOME_BAD_REPLY);
            CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_BAD_REPLY);
            TEST_CONTAINS(bench->error.text, "never stops sending");
        }
        atomic_store(&bench->flood_ends, true);
        pthread_join(bench->player, NULL);
        bench_free(bench);
    }
}

/* A zero byte is noise like any other: it does not hide what follows. */
static void test_zero_byte(void)
{
    struct bench *bench = bench_new(NULL, "\r\n", 5000);
    add_tag(bench, "^([0-9]+)", VALUE_FLOAT64);
    add_tag(bench, "([0-9]+)$", VALUE_FLOAT64);
    bench_open(bench);
    CU_ASSERT_EQUAL(write(bench->instrument,
                          "\r\n12\0"
                          "34\r\n",
                          9),
                    9);
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 1), 34);
    bench_free(bench);
}

static void test_longest_line(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 200);
    add_tag(bench, "x([0-9]+)$", VALUE_FLOAT64);
    add_tag(bench, "x+", VALUE_STRING);
    bench_open(bench);
    char line[1026];
    memset(line, 'x', sizeof(line));
    memcpy(line + 1020, "12\r\n", 5); /* 1024 bytes in all */
    CU_ASSERT_EQUAL(ask(bench, line), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 12);
    CU_ASSERT_EQUAL(sample_of(bench, 1)->sample.length, SAMPLE_TEXT_MAX);
    memcpy(line + 1020, "x12\r\n", 6); /* 1025 */
    CU_ASSERT_EQUAL(ask(bench, line), OUTCOME_BAD_REPLY);
    bench_free(bench);
}

static void test_terminator(void)
{
    struct bench *bench = bench_new("P\r", "\x03", 5000);
    add_tag(bench, "\x02(.*)", VALUE_FLOAT64);
    bench_open(bench);
    CU_ASSERT_EQUAL(ask(bench, "\x02"
                               "1.5\x03"),
                    OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 1.5);
    bench_free(bench);
}

static void test_string_length(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    add_tag(bench, "model (.*)", VALUE_STRING);
    bench->tags[0].length = 4;
    bench_open(bench);
    CU_ASSERT_EQUAL(ask(bench, "model XR-2000\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(sample_of(bench, 0)->sample.length, 4);
    bench_free(bench);
}

/* ---- an instrument that talks by itself ---- */

static void test_talk(void)
{
    struct bench *bench = bench_new(NULL, "\r\n", 300);
    add_tag(bench, "^A=(.*)", VALUE_FLOAT64);
    add_tag(bench, "^B=(.*)", VALUE_FLOAT64);
    bench_open(bench);
    say(bench, "=9\r\nA=1\r\nB=10\r\nA=2\r\nA="); /* it was in the middle of a line */
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 2); /* the latest one */
    CU_ASSERT_EQUAL(value_of(bench, 1), 10);
    say(bench, "3\r\n");
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 3); /* the line that had begun before */
    CU_ASSERT_EQUAL(quality_of(bench, 1), QUALITY_NO_MATCH);
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_TIMEOUT); /* no line is used twice */
    bench_free(bench);
}

static void test_talk_begins_within_a_line(void)
{
    struct bench *bench = bench_new(NULL, "\r\n", 200);
    add_tag(bench, "([0-9.]+)kg", VALUE_FLOAT64);
    bench_open(bench);
    say(bench, "2.5kg\r\n");
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_BAD_REPLY); /* it may have been 112.5 */
    say(bench, "112.5kg\r\n");
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 112.5);
    bench_free(bench);
}

/* A full buffer holds old lines; the latest are lost. */
static void test_talk_overflow(void)
{
    struct bench *bench = bench_new(NULL, "\r\n", 300);
    add_tag(bench, "((old|new) [0-9])", VALUE_STRING);
    bench_open(bench);
    CU_ASSERT_NOT_EQUAL(fcntl(bench->instrument, F_SETFL, O_NONBLOCK), -1);
    while (write(bench->instrument, "old 1\r\n", 7) == 7)
        continue;
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_TIMEOUT);
    say(bench, "old 2\r\nnew 3\r\n"); /* what was in the middle of a line still is */
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_OK);
    CU_ASSERT_EQUAL(memcmp(sample_text(sample_of(bench, 0)), "new 3", 5), 0);
    bench_free(bench);
}

/* ---- the port ---- */

static size_t count_descriptors(void)
{
    size_t open = 0;
    for (int i = 0; i < 256; i++)
        open += fcntl(i, F_GETFD) >= 0;
    return open;
}

static void test_unplugged(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    add_tag(bench, "(.*)", VALUE_FLOAT64);
    bench_open(bench);
    size_t before = count_descriptors();
    descriptor_close(&bench->instrument);
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_DISCONNECTED);
    CU_ASSERT_EQUAL(quality_of(bench, 0), QUALITY_DISCONNECTED);
    serial_text_driver.disconnect(bench->line);
    CU_ASSERT_EQUAL(count_descriptors(), before - 2);
    CU_ASSERT_TRUE(serial_text_driver.connect(bench->line, &bench->error) < 0);
    plug_in(bench, bench->device_path);
    CU_ASSERT_EQUAL(serial_text_driver.connect(bench->line, &bench->error), 0);
    CU_ASSERT_EQUAL(ask(bench, "5\r\n"), OUTCOME_OK);
    CU_ASSERT_EQUAL(value_of(bench, 0), 5);
    bench_free(bench);
}

static void *unplug(void *argument)
{
    struct bench *bench = argument;
    char byte;
    (void)!read(bench->instrument, &byte, 1); /* the question has come */
    descriptor_close(&bench->instrument);
    return NULL;
}

static void test_unplugged_while_waiting(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 60000);
    add_tag(bench, "(.*)", VALUE_FLOAT64);
    bench_open(bench);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&bench->player, NULL, unplug, bench), 0);
    CU_ASSERT_EQUAL(read_once(bench), OUTCOME_DISCONNECTED);
    pthread_join(bench->player, NULL);
    bench_free(bench);
}

static void test_port_refused(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    bench_open(bench);
    void *other;
    struct driver_error error;
    CU_ASSERT_EQUAL_FATAL(serial_text_driver.create(&bench->host, &other), 0);
    CU_ASSERT_EQUAL(serial_text_driver.connect(other, &error), -EBUSY);
    TEST_CONTAINS(error.text, "another program uses it");
    size_t before = count_descriptors();
    strcpy(bench->device_path, test_file("plain", "no port"));
    CU_ASSERT_EQUAL(serial_text_driver.connect(other, &error), -ENOTTY);
    TEST_CONTAINS(error.text, "this is not a serial port");
    strcpy(bench->device_path, "/dev/ttyUSB-none");
    CU_ASSERT_EQUAL(serial_text_driver.connect(other, &error), -ENOENT);
    TEST_CONTAINS(error.text, "/dev/ttyUSB-none: ");
    TEST_CONTAINS(error.text, "plugged in");
    CU_ASSERT_EQUAL(count_descriptors(), before);
    serial_text_driver.free(other);
    bench_free(bench);
}

static void test_settings(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    option_set_int(&serial_text_driver.config.bus, bench->bus.options, "stop_bits", 2);
    bench_open(bench);
    struct termios settings; /* a pseudo-terminal keeps no parity and no seven bits */
    CU_ASSERT_EQUAL(tcgetattr(bench->instrument, &settings), 0);
    CU_ASSERT_EQUAL(cfgetospeed(&settings), B19200);
    CU_ASSERT_EQUAL(cfgetispeed(&settings), B19200);
    CU_ASSERT_TRUE(settings.c_cflag & CSTOPB);
    CU_ASSERT_FALSE(settings.c_lflag & (ICANON | ECHO | ISIG));
    CU_ASSERT_FALSE(settings.c_iflag & (IXON | ICRNL | INLCR));
    CU_ASSERT_FALSE(settings.c_oflag & OPOST);
    bench_free(bench);
}

static void test_stop(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 60000);
    add_tag(bench, "(.*)", VALUE_FLOAT64);
    bench_open(bench);
    atomic_store(&bench->stop, true);
    (void)read_once(bench); /* a minute otherwise */
    CU_ASSERT_EQUAL(bench->batch.used, 2);
    bench_free(bench);
}

/* ---- checks ---- */

static void test_checks(void)
{
    struct bench *bench = bench_new("P\r", "\r\n", 5000);
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    add_tag(bench, "^ST,([0-9", VALUE_FLOAT64);
    add_tag(bench, "(.*)", VALUE_UINT16);
    bench->tags[0].where = (struct where){"plant.conf", 12};
    bench->bus.where = (struct where){"plant.conf", 3};
    option_set_int(&serial_text_driver.config.bus, bench->bus.options, "baud", 9601);
    serial_text_driver.config.check_bus(&bench->bus, &findings);
    serial_text_driver.config.check_device(&bench->bus, &bench->device, &findings);
    findings_sort(&findings);
    findings_print(&findings, &text);
    CU_ASSERT_EQUAL(findings.errors, 2);
    TEST_CONTAINS(strbuf_text(&text), "plant.conf:3: baud: 9601 is not a standard baud rate");
    TEST_CONTAINS(strbuf_text(&text),
                  "plant.conf:12: match: no POSIX extended regular expression: ");
    CU_ASSERT_EQUAL(bench->tags[1].type, VALUE_FLOAT64); /* unless the file says otherwise */
    bench_free(bench);
}

/* The keys as the loader sees them. */
static void test_configuration(void)
{
    static const struct config_driver *const drivers[] = {&serial_text_driver.config, NULL};
    const char *path = test_file(
        "text.conf",
        "gateway: { id = \"gw\"; site = \"plant\"; };\n"
        "uplink: { servers = [ \"mqtts://broker.example.com\" ]; ca = \"system\"; };\n"
        "buses: ( { name = \"scale\"; driver = \"serial_text\"; device = \"/dev/ttyS2\";\n"
        "           poll = \"P\\r\"; } );\n"
        "devices: ( { name = \"weigher\"; bus = \"scale\"; interval_ms = 500; tags = (\n"
        "  { name = \"weight\"; match = \"^ST,GS,([+-][0-9. ]+)kg\"; },\n"
        "  { name = \"state\"; match = \"^[A-Z]+\"; type = \"string\"; } ); } );\n");
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct config *config = NULL;
    int result = config_load(path, drivers, &findings, &config);
    findings_print(&findings, &text);
    TEST_TEXT_EQUAL(strbuf_text(&text), "");
    CU_ASSERT_EQUAL_FATAL(result, 0);
    const struct option_table *table = &serial_text_driver.config.bus;
    void *options = config->buses[0].options;
    TEST_TEXT_EQUAL(*(char **)option_place(table, options, "poll", OPTION_BYTES), "P\r");
    TEST_TEXT_EQUAL(*(char **)option_place(table, options, "terminator", OPTION_BYTES), "\r\n");
    CU_ASSERT_EQUAL(config->devices[0].tags[0].type, VALUE_FLOAT64);
    config_free(config);
}

/* ---- with the worker of a line ---- */

static void *say_later(void *argument)
{
    struct bench *bench = argument;
    while (!atomic_load(&bench->stop)) {
        (void)!write(bench->instrument, "new 7\r\n", 7);
        clock_sleep_until(clock_mono_ns() + 5 * CLOCK_NS_PER_MS);
    }
    return NULL;
}

struct counts {
    atomic_uint up, down, good;
};

static bool count_batches(void *context, const union slot *slots, size_t n_slots)
{
    struct counts *counts = context;
    if (slots[0].header.kind == BATCH_EVENT) {
        counts->up += slots[0].header.event == LINE_EVENT_UP;
        counts->down += slots[0].header.event == LINE_EVENT_DOWN;
    } else {
        counts->good += n_slots > 1 && slots[1].sample.quality == QUALITY_GOOD;
    }
    return true;
}

static bool reaches(atomic_uint *counter, unsigned value)
{
    int64_t end = clock_mono_ns() + DEADLINE_S * CLOCK_NS_PER_S;
    while (*counter < value && clock_mono_ns() < end)
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_MS);
    return *counter >= value;
}

static void test_replugged(void)
{
    struct bench *bench = bench_new(NULL, "\r\n", 5000);
    add_tag(bench, "^new ([0-9])", VALUE_FLOAT64);
    struct counts counts = {0};
    const struct line_callbacks callbacks = {count_batches, &counts};
    struct line *line;
    CU_ASSERT_EQUAL_FATAL(line_new(&bench->config, 0, &callbacks, 0, 1, &line), 0);
    CU_ASSERT_EQUAL_FATAL(line_start(line), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&bench->player, NULL, say_later, bench), 0);
    CU_ASSERT_TRUE(reaches(&counts.good, 5));
    atomic_store(&bench->stop, true);
    pthread_join(bench->player, NULL);
    descriptor_close(&bench->instrument);
    CU_ASSERT_TRUE(reaches(&counts.down, 1));
    plug_in(bench, bench->device_path);
    unsigned before = counts.good;
    atomic_store(&bench->stop, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&bench->player, NULL, say_later, bench), 0);
    CU_ASSERT_TRUE(reaches(&counts.good, before + 5));
    CU_ASSERT_EQUAL(counts.up, 2);
    atomic_store(&bench->stop, true);
    pthread_join(bench->player, NULL);
    line_free(line);
    bench_free(bench);
}

TEST_MAIN(
    "serial_text", {"a question and its answer", test_answer},
    {"what is no value says why", test_bad_values}, {"silence", test_silence},
    {"a late answer is not taken for the next one", test_late_answer_is_dropped},
    {"garbage is survived", test_garbage},
    {"an instrument that never stops sending ends no poll well", test_flood},
    {"a zero byte in a line", test_zero_byte}, {"a line has 1024 bytes at most", test_longest_line},
    {"other terminators", test_terminator}, {"a text is cut at its length", test_string_length},
    {"talk: the latest lines count", test_talk},
    {"talk: half a line is no line", test_talk_begins_within_a_line},
    {"talk: a full buffer is old", test_talk_overflow}, {"an unplugged adapter", test_unplugged},
    {"an adapter unplugged while waited for", test_unplugged_while_waiting},
    {"a port that cannot be had says why", test_port_refused},
    {"the port is set as configured", test_settings}, {"a stop ends a wait", test_stop},
    {"mistakes are found", test_checks}, {"a configuration as in the manual", test_configuration},
    {"unplugged and plugged in again: the line comes back", test_replugged})
