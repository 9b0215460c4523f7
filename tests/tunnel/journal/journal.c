/* The audit trail: chained, durable, rotated, and honest about what is missing. */
#include "tunnel/journal/journal.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/text.h"
#include "tests/support/test.h"
#include "tunnel/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALL INT64_C(1795343987123) /* 2026-11-22T10:39:47.123Z */

static struct journal *open_journal(const char *name, uint64_t file_bytes, unsigned files)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    struct journal *journal = NULL;
    const struct journal_settings settings = {
        .folder = test_path(name), .file_bytes = file_bytes, .files = files};
    CU_ASSERT_EQUAL_FATAL(journal_open(&settings, WALL, &problem, &journal), 0);
    return journal;
}

/* Reads everything; returns NULL when the chain holds, else what is wrong. */
static const char *verify(struct journal *journal, struct strbuf *all, uint64_t *ret_lines)
{
    struct journal_chain chain;
    uint64_t cursor = 0;
    bool starts_file;
    journal_chain_init(&chain);
    for (;;) {
        CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
        if (journal_read(journal, cursor, &line, &cursor, &starts_file) != 1)
            break;
        const char *wrong = journal_chain_check(&chain, strbuf_text(&line), line.length);
        if (wrong)
            return wrong;
        strbuf_addf(all, "%s\n", strbuf_text(&line));
    }
    *ret_lines = chain.lines;
    return NULL;
}

static const char *verify_fresh(const char *name, struct strbuf *all, uint64_t *ret_lines)
{
    struct journal *journal = open_journal(name, 1 << 20, 4);
    const char *wrong = verify(journal, all, ret_lines);
    journal_close(journal);
    return wrong;
}

static void test_write(void)
{
    CLEANUP(strbuf_free)
    struct strbuf all = STRBUF_EMPTY, detail = STRBUF_EMPTY, value = STRBUF_EMPTY;
    struct journal *journal = open_journal("write", 1 << 20, 4);
    uint64_t lines = 0;
    journal_add(&detail, "by", "root");
    journal_add(&detail, "purpose", "drive \"fault\" on pump\\3\nhash=0000");
    journal_add_i64(&detail, "ttl_s", 3600);
    CU_ASSERT_EQUAL(journal_write(journal, "tunnel_opening", strbuf_text(&detail), WALL), 0);
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    CU_ASSERT_EQUAL(lines, 2); /* `chain` and ours */
    TEST_CONTAINS(strbuf_text(&all),
                  "\n2 2026-11-22T10:39:47.123Z tunnel_opening by=root purpose=");
    const char *line = strchr(strbuf_text(&all), '\n') + 1;
    CU_ASSERT_TRUE(journal_line_event(line, &value));
    TEST_TEXT_EQUAL(strbuf_text(&value), "tunnel_opening");
    strbuf_reset(&value);
    CU_ASSERT_TRUE(journal_line_value(line, "purpose", &value));
    TEST_TEXT_EQUAL(strbuf_text(&value), "drive \"fault\" on pump\\3?hash=0000");
    strbuf_reset(&value);
    CU_ASSERT_TRUE(journal_line_value(line, "ttl_s", &value));
    TEST_TEXT_EQUAL(strbuf_text(&value), "3600");
    CU_ASSERT_FALSE(journal_line_value(line, "fault", &value));
    CU_ASSERT_EQUAL(journal_lines(journal), 1);
    journal_close(journal);
}

static void test_again(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0;
    for (int i = 0; i < 3; i++) {
        struct journal *journal = open_journal("again", 1 << 20, 4);
        CU_ASSERT_EQUAL(journal_write(journal, "netd_started", "", WALL), 0);
        journal_close(journal);
    }
    CU_ASSERT_PTR_NULL(verify_fresh("again", &all, &lines));
    CU_ASSERT_EQUAL(lines, 4);
}

/* A program or an interface may have any name: what is read over the socket is still the line. */
static void test_any_bytes(void)
{
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    char read[WIRE_LINE_BYTES];
    journal_add(&detail, "program", "gr\xc3\xb6\xc3\x9f \xff\xc3\xe2\x80\xae\x1b");
    TEST_TEXT_EQUAL(strbuf_text(&detail), "program=\"gr\xc3\xb6\xc3\x9f ??????\"");
    text_put(read, sizeof(read), strbuf_text(&detail));
    TEST_TEXT_EQUAL(read, strbuf_text(&detail));
}

static void test_rotation(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0, cursor = 0;
    bool starts_file = false;
    struct journal *journal = open_journal("rotation", 2000, 3);
    for (int i = 0; i < 200; i++) {
        char detail[32];
        (void)snprintf(detail, sizeof(detail), "number=%d", i);
        CU_ASSERT_EQUAL_FATAL(journal_write(journal, "tunnel_opened", detail, WALL), 0);
    }
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    CU_ASSERT_TRUE(lines > 20 && lines < 60); /* three files of some fifteen lines are left */
    TEST_CONTAINS(strbuf_text(&all), "number=199");
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&all), "number=1 "));
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(journal_read(journal, cursor, &line, &cursor, &starts_file), 1);
    CU_ASSERT_TRUE(starts_file);
    journal_close(journal);
}

/* Changes one byte, drops one line, swaps two: each is found. */
static void test_manipulation(void)
{
    static const char *const scripts[] = {"sed -i s/number=3/number=4/", "sed -i /number=3/d",
                                          "sed -i '/number=3/{h;d};/number=4/G'", "sed -i s/^5/6/",
                                          "sed -i 1d"};
    for (size_t i = 0; i < ARRAY_LENGTH(scripts); i++) {
        CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
        char name[16], command[256];
        uint64_t lines = 0;
        (void)snprintf(name, sizeof(name), "changed-%zu", i);
        struct journal *journal = open_journal(name, 1 << 20, 4);
        for (int n = 0; n < 6; n++) {
            char detail[32];
            (void)snprintf(detail, sizeof(detail), "number=%d", n);
            (void)journal_write(journal, "tunnel_opened", detail, WALL);
        }
        (void)snprintf(command, sizeof(command), "%s %s/journal-00000001.log", scripts[i],
                       test_path(name));
        CU_ASSERT_EQUAL_FATAL(system(command), 0);
        CU_ASSERT_PTR_NOT_NULL(verify(journal, &all, &lines));
        journal_close(journal);
        /* A restart does not make it good again, and says what it found. */
        journal = open_journal(name, 1 << 20, 4);
        CU_ASSERT_PTR_NOT_NULL(verify(journal, &all, &lines));
        journal_close(journal);
        (void)snprintf(command, sizeof(command), "grep -q journal_damaged %s/journal-00000002.log",
                       test_path(name));
        CU_ASSERT_EQUAL(system(command), 0);
    }
}

/* A line whose hash is right and whose number is not: somebody wrote a chain of his own. */
static void test_wrong_number(void)
{
    struct journal_chain chain;
    char line[256], previous[SHA256_HEX_BYTES] = "";
    memset(previous, '0', sizeof(previous) - 1);
    journal_chain_init(&chain);
    for (int number = 1; number < 6; number += number) { /* 1, 2, 4: no 3 */
        struct sha256 hash;
        char hex[SHA256_HEX_BYTES];
        if (number == 1)
            (void)snprintf(line, sizeof(line), "1 T chain previous=%s", previous);
        else
            (void)snprintf(line, sizeof(line), "%d T tunnel_opened", number);
        sha256_init(&hash);
        sha256_update(&hash, previous, strlen(previous));
        sha256_update(&hash, "\n", 1);
        sha256_update(&hash, line, strlen(line));
        sha256_final(&hash, hex);
        memcpy(previous, hex, sizeof(previous));
        size_t length = strlen(line);
        (void)snprintf(line + length, sizeof(line) - length, " hash=%s", hex);
        const char *wrong = journal_chain_check(&chain, line, strlen(line));
        if (number < 4) {
            CU_ASSERT_PTR_NULL(wrong);
        } else {
            TEST_CONTAINS(wrong, "lines are missing");
        }
    }
}

static void test_torn(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0;
    struct journal *journal = open_journal("torn", 1 << 20, 4);
    (void)journal_write(journal, "tunnel_opened", "number=1", WALL);
    journal_close(journal);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/journal-00000001.log", test_path("torn"));
    CLEANUP(descriptor_close) int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(write(file, "3 2026-11-22T10:39:47.123Z tunnel_o", 35), 35);
    CU_ASSERT_PTR_NULL(verify_fresh("torn", &all, &lines));
    CU_ASSERT_EQUAL(lines, 3);
    TEST_CONTAINS(strbuf_text(&all), " journal_repaired bytes_cut=35 hash=");
}

/* A file that was made, but whose first line never came: the power went in between. */
static void test_empty_file(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0;
    struct journal *journal = open_journal("empty", 1 << 20, 4);
    (void)journal_write(journal, "tunnel_opened", "number=1", WALL);
    journal_close(journal);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/journal-00000002.log", test_path("empty"));
    CLEANUP(descriptor_close) int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    CU_ASSERT_TRUE_FATAL(file >= 0);
    journal = open_journal("empty", 1 << 20, 4);
    (void)journal_write(journal, "tunnel_closed", "", WALL);
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    CU_ASSERT_EQUAL(lines, 3);
    journal_close(journal);
}

/* A disk that takes no more: the writer is told, nothing half is left, and the gap is named. */
static void test_full(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    struct rlimit before, small = {0};
    uint64_t lines = 0;
    struct journal *journal = open_journal("full", 1 << 20, 4);
    CU_ASSERT_EQUAL(journal_write(journal, "tunnel_opened", "number=1", WALL), 0);
    struct stat about;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/journal-00000001.log", test_path("full"));
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_cur = (rlim_t)about.st_size + 20; /* a part of the line fits */
    small.rlim_max = before.rlim_max;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    CU_ASSERT_EQUAL(journal_write(journal, "tunnel_closing", "number=2", WALL), -EFBIG);
    CU_ASSERT_EQUAL(journal_write(journal, "tunnel_closed", "number=3", WALL), -EFBIG);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    CU_ASSERT_EQUAL(journal_write(journal, "tunnel_opening", "number=4", WALL), 0);
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    TEST_CONTAINS(strbuf_text(&all), "number=1 ");
    TEST_CONTAINS(strbuf_text(&all), " journal_gap lines=2 ");
    TEST_CONTAINS(strbuf_text(&all), "number=4 ");
    CU_ASSERT_EQUAL(lines, 4);
    journal_close(journal);
}

static void test_cursor(void)
{
    struct journal *journal = open_journal("cursor", 1 << 20, 4);
    uint64_t end = 0;
    bool starts_file;
    for (int i = 0; i < 3; i++)
        (void)journal_write(journal, "tunnel_opened", "", WALL);
    for (;;) {
        CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
        if (journal_read(journal, end, &line, &end, &starts_file) != 1)
            break;
    }
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    uint64_t next = 0;
    CU_ASSERT_EQUAL(journal_read(journal, end, &line, &next, &starts_file), 0);
    (void)journal_write(journal, "tunnel_closed", "", WALL);
    CU_ASSERT_EQUAL(journal_read(journal, end, &line, &next, &starts_file), 1);
    TEST_CONTAINS(strbuf_text(&line), " tunnel_closed ");
    CU_ASSERT_FALSE(starts_file);
    /* One that fits nowhere (the files were replaced) leads to a line, not to nonsense. */
    static const uint64_t odd[] = {5, UINT64_MAX, UINT64_C(1) << 32 | 3, UINT64_C(1) << 32 | 99999};
    for (size_t i = 0; i < ARRAY_LENGTH(odd); i++) {
        strbuf_reset(&line);
        CU_ASSERT_EQUAL(journal_read(journal, odd[i], &line, &next, &starts_file), 1);
        TEST_CONTAINS(strbuf_text(&line), " chain previous=");
    }
    journal_close(journal);
}

TEST_MAIN("journal", {"a line carries what was said, and cannot be forged by it", test_write},
          {"the chain goes on over restarts", test_again},
          {"the chain goes on from file to file, and old ones go", test_rotation},
          {"any name can be on record, and is read as it was written", test_any_bytes},
          {"every manipulation is found, also after a restart", test_manipulation},
          {"a chain with a number left out is found", test_wrong_number},
          {"a torn last line is cut off, and that is written down", test_torn},
          {"an empty newest file is no harm", test_empty_file},
          {"a full disk is told, leaves nothing half, and the gap is named", test_full},
          {"a reader goes on where it was", test_cursor})
