/* The audit trail: chained, durable, rotated, and honest about what is missing. */
#include "tunnel/journal/journal.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "tests/support/test.h"
#include "tunnel/journal/journal_chain.h"

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

/* Writes a line with a number in it, or without one when it is negative. */
static int write_line(struct journal *journal, enum event_kind kind, int64_t number)
{
    struct event event;
    event_init(&event, kind, WALL);
    if (number >= 0)
        event_add_number(&event, MEMBER_BYTES, number);
    return journal_write(journal, &event);
}

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
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    struct journal *journal = open_journal("write", 1 << 20, 4);
    struct event event;
    uint64_t lines = 0;
    event_init(&event, EVENT_TUNNEL_OPENING, WALL);
    event_add_text(&event, MEMBER_BY, "root");
    event_add_text(&event, MEMBER_PURPOSE, "drive \"fault\" on pump\\3\nhash=0000");
    event_add_number(&event, MEMBER_TTL_S, 3600);
    CU_ASSERT_EQUAL(journal_write(journal, &event), 0);
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    CU_ASSERT_EQUAL(lines, 2); /* `chain` and ours */
    TEST_CONTAINS(strbuf_text(&all),
                  "\n2 2026-11-22T10:39:47.123Z tunnel_opening by=root "
                  "purpose=\"drive \\\"fault\\\" on pump\\\\3\\\\x0ahash=0000\" ttl_s=3600 hash=");
    CU_ASSERT_EQUAL(journal_lines(journal), 1);
    journal_close(journal);
    struct stat folder, file; /* for netd alone */
    CU_ASSERT_EQUAL(stat(test_path("write"), &folder), 0);
    CU_ASSERT_EQUAL(folder.st_mode & 07777, 0700);
    CU_ASSERT_EQUAL(stat(test_path("write/journal-00000001.log"), &file), 0);
    CU_ASSERT_EQUAL(file.st_mode & 07777, 0600);
}

/* What would not fit on a line is refused whole, and a line before the next says so. */
static void test_too_long(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    static char text[EVENT_TEXT_BYTES + 10];
    struct journal *journal = open_journal("too-long", 1 << 20, 4);
    struct event event;
    uint64_t lines = 0;
    memset(text, 'x', sizeof(text) - 1);
    event_init(&event, EVENT_TUNNEL_OPENING, WALL);
    event_add_text(&event, MEMBER_PURPOSE, text);
    CU_ASSERT_TRUE(event.is_cut);
    CU_ASSERT_EQUAL(journal_write(journal, &event), -E2BIG);
    text[JOURNAL_LINE_BYTES - 100] = '\0';
    event_init(&event, EVENT_TUNNEL_OPENING, WALL);
    event_add_text(&event, MEMBER_PURPOSE, text);
    CU_ASSERT_EQUAL(journal_write(journal, &event), -E2BIG);
    event_init(&event, EVENT_FIREWALL_TAMPERED, WALL);
    for (int i = 0; i <= EVENT_MAX_MEMBERS; i++)
        event_add_number(&event, MEMBER_TO, 0);
    CU_ASSERT_EQUAL(journal_write(journal, &event), -E2BIG); /* a member is missing */
    CU_ASSERT_EQUAL(write_line(journal, EVENT_TUNNEL_CLOSED, -1), 0);
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    TEST_CONTAINS(strbuf_text(&all), "\n3 2026-11-22T10:39:47.123Z journal_gap lines=1 ");
    CU_ASSERT_EQUAL(lines, 5);
    CU_ASSERT_EQUAL(journal_write(NULL, &event), -ENODEV);
    journal_close(journal);
}

static void test_again(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0;
    for (int i = 0; i < 3; i++) {
        struct journal *journal = open_journal("again", 1 << 20, 4);
        CU_ASSERT_EQUAL(write_line(journal, EVENT_NETD_STARTED, -1), 0);
        journal_close(journal);
    }
    CU_ASSERT_PTR_NULL(verify_fresh("again", &all, &lines));
    CU_ASSERT_EQUAL(lines, 4);
}

static void test_rotation(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0, cursor = 0;
    bool starts_file = false;
    struct journal *journal = open_journal("rotation", 2000, 3);
    for (int i = 0; i < 200; i++) {
        CU_ASSERT_EQUAL_FATAL(write_line(journal, EVENT_TUNNEL_CLOSED, i), 0);
    }
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    CU_ASSERT_TRUE(lines > 20 && lines < 60); /* three files of some fifteen lines are left */
    TEST_CONTAINS(strbuf_text(&all), "bytes=199");
    CU_ASSERT_PTR_NULL(strstr(strbuf_text(&all), "bytes=1 "));
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(journal_read(journal, cursor, &line, &cursor, &starts_file), 1);
    CU_ASSERT_TRUE(starts_file);
    journal_close(journal);
}

/* Changes one byte, drops one line, swaps two: each is found. */
static void test_manipulation(void)
{
    static const char *const scripts[] = {"sed -i s/bytes=3/bytes=4/", "sed -i /bytes=3/d",
                                          "sed -i '/bytes=3/{h;d};/bytes=4/G'", "sed -i s/^5/6/",
                                          "sed -i 1d"};
    for (size_t i = 0; i < ARRAY_LENGTH(scripts); i++) {
        CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
        char name[16], command[256];
        uint64_t lines = 0;
        (void)snprintf(name, sizeof(name), "changed-%zu", i);
        struct journal *journal = open_journal(name, 1 << 20, 4);
        for (int n = 0; n < 6; n++)
            (void)write_line(journal, EVENT_TUNNEL_CLOSED, n);
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

static void test_torn(void)
{
    CLEANUP(strbuf_free) struct strbuf all = STRBUF_EMPTY;
    uint64_t lines = 0;
    struct journal *journal = open_journal("torn", 1 << 20, 4);
    (void)write_line(journal, EVENT_TUNNEL_OPENED, 1);
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
    (void)write_line(journal, EVENT_TUNNEL_OPENED, 1);
    journal_close(journal);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/journal-00000002.log", test_path("empty"));
    CLEANUP(descriptor_close) int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    CU_ASSERT_TRUE_FATAL(file >= 0);
    journal = open_journal("empty", 1 << 20, 4);
    (void)write_line(journal, EVENT_TUNNEL_CLOSED, -1);
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
    CU_ASSERT_EQUAL(write_line(journal, EVENT_TUNNEL_OPENED, 1), 0);
    struct stat about;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/journal-00000001.log", test_path("full"));
    CU_ASSERT_EQUAL(stat(path, &about), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_cur = (rlim_t)about.st_size + 20; /* a part of the line fits */
    small.rlim_max = before.rlim_max;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    CU_ASSERT_EQUAL(write_line(journal, EVENT_TUNNEL_CLOSING, 2), -EFBIG);
    CU_ASSERT_EQUAL(write_line(journal, EVENT_TUNNEL_CLOSED, 3), -EFBIG);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    CU_ASSERT_EQUAL(write_line(journal, EVENT_TUNNEL_OPENING, 4), 0);
    CU_ASSERT_PTR_NULL(verify(journal, &all, &lines));
    TEST_CONTAINS(strbuf_text(&all), "bytes=1 ");
    TEST_CONTAINS(strbuf_text(&all), " journal_gap lines=2 ");
    TEST_CONTAINS(strbuf_text(&all), "bytes=4 ");
    CU_ASSERT_EQUAL(lines, 4);
    journal_close(journal);
}

static void test_cursor(void)
{
    struct journal *journal = open_journal("cursor", 1 << 20, 4);
    uint64_t end = 0;
    bool starts_file;
    for (int i = 0; i < 3; i++)
        (void)write_line(journal, EVENT_TUNNEL_OPENED, -1);
    for (;;) {
        CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
        if (journal_read(journal, end, &line, &end, &starts_file) != 1)
            break;
    }
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    uint64_t next = 0;
    CU_ASSERT_EQUAL(journal_read(journal, end, &line, &next, &starts_file), 0);
    (void)write_line(journal, EVENT_TUNNEL_CLOSED, -1);
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
          {"what would not fit on a line is refused, and counted", test_too_long},
          {"every manipulation is found, also after a restart", test_manipulation},
          {"a torn last line is cut off, and that is written down", test_torn},
          {"an empty newest file is no harm", test_empty_file},
          {"a full disk is told, leaves nothing half, and the gap is named", test_full},
          {"a reader goes on where it was", test_cursor})
