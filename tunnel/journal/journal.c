/*
 * The audit trail. Files journal-00000001.log and on, in one folder; the newest is open for
 * appending. What could not be written (a full disk while a session is being closed) is counted,
 * and the first line that can be written again says how many are missing.
 */
#include "tunnel/journal/journal.h"

#include "agent/base/descriptor.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "tunnel/journal/journal_chain.h"
#include "tunnel/model/event_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"
#define NAME_FORMAT "journal-%08" PRIu32 ".log"

struct journal {
    char *folder;
    uint64_t file_bytes;
    uint32_t files;
    uint32_t number; /* of the newest file, from 1 */
    int file;
    int folder_file; /* for fsync and openat */
    off_t size;      /* of the newest file */
    struct journal_chain chain;
    uint64_t written, lost;
};

/* ---- Files ---- */

static void journal_file_name(uint32_t number, char ret_name[32])
{
    (void)snprintf(ret_name, 32, NAME_FORMAT, number);
}

static uint32_t name_number(const char *name)
{
    uint32_t number;
    char same[32];
    if (sscanf(name, "journal-%8" SCNu32 ".log", &number) != 1)
        return 0;
    journal_file_name(number, same);
    return strcmp(same, name) == 0 ? number : 0;
}

/* The oldest and the newest file in the folder; 0 and 0 for none. */
static int find_files(const struct journal *journal, uint32_t *ret_oldest, uint32_t *ret_newest)
{
    DIR *folder = opendir(journal->folder);
    if (!folder)
        return -errno;
    uint32_t oldest = 0, newest = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        uint32_t number = name_number(entry->d_name);
        if (number == 0)
            continue;
        newest = number > newest ? number : newest;
        oldest = oldest == 0 || number < oldest ? number : oldest;
    }
    (void)closedir(folder);
    *ret_oldest = oldest;
    *ret_newest = newest;
    return 0;
}

static int journal_write_all(int file, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t put = write(file, bytes, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

/* Appends one line and makes it durable, or leaves the file as it was. */
static int journal_append(struct journal *journal, const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    char hash[SHA256_HEX_BYTES];
    event_text_write(event, journal->chain.seq + 1, &line);
    journal_chain_seal(&journal->chain, &line, hash);
    if (event->is_cut || line.length > JOURNAL_LINE_BYTES)
        return -E2BIG;
    strbuf_add_char(&line, '\n');
    int problem = journal_write_all(journal->file, line.data, line.length);
    if (!problem && fsync(journal->file) < 0)
        problem = -errno;
    if (problem) {
        if (ftruncate(journal->file, journal->size) < 0)
            return problem; /* a part may stay: the next start cuts it off */
        return problem;
    }
    journal->size += (off_t)line.length;
    journal_chain_advance(&journal->chain, hash);
    journal->written++;
    return 0;
}

static void drop_old_files(const struct journal *journal)
{
    uint32_t oldest, newest;
    if (find_files(journal, &oldest, &newest) < 0 || oldest == 0)
        return;
    for (; newest - oldest + 1 > journal->files; oldest++) {
        char name[32];
        journal_file_name(oldest, name);
        (void)unlinkat(journal->folder_file, name, 0);
    }
}

/* Begins file NUMBER with a `chain` line; the journal is unchanged when that fails. */
static int begin_file(struct journal *journal, uint32_t number, int64_t wall_ms)
{
    struct event event;
    char name[32];
    journal_file_name(number, name);
    int file = openat(journal->folder_file, name,
                      O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0)
        return -errno;
    struct journal before = *journal;
    event_init(&event, EVENT_CHAIN, wall_ms);
    event_add_text(&event, MEMBER_PREVIOUS, journal->chain.hash);
    journal->file = file;
    journal->size = 0;
    journal->number = number;
    int problem = journal_append(journal, &event);
    if (!problem && fsync(journal->folder_file) < 0)
        problem = -errno;
    if (problem) {
        *journal = before;
        (void)unlinkat(journal->folder_file, name, 0);
        descriptor_close(&file);
        return problem;
    }
    descriptor_close(&before.file);
    drop_old_files(journal);
    return 0;
}

/* ---- Opening ---- */

/* What was found in the newest file. */
struct tail {
    size_t good;        /* bytes of whole lines that follow each other */
    size_t whole;       /* bytes of whole lines */
    const char *damage; /* NULL: good == whole */
};

static struct tail check_tail(const struct strbuf *content, struct journal_chain *chain)
{
    struct tail tail = {0};
    const char *text = strbuf_text(content);
    size_t at = 0;
    for (;;) {
        const char *end = memchr(text + at, '\n', content->length - at);
        if (!end)
            break;
        size_t length = (size_t)(end - text) - at;
        if (!tail.damage)
            tail.damage = journal_chain_check(chain, text + at, length);
        at += length + 1;
        if (!tail.damage)
            tail.good = at;
    }
    tail.whole = at;
    return tail;
}

/* Opens the newest file for appending, and cuts off a torn last line. */
static int open_newest(struct journal *journal, const char *name, size_t whole, size_t length)
{
    journal->file = openat(journal->folder_file, name, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (journal->file < 0)
        return -errno;
    journal->size = (off_t)whole;
    if (whole < length && (ftruncate(journal->file, (off_t)whole) < 0 || fsync(journal->file) < 0))
        return -errno;
    return 0;
}

static int report_damage(struct journal *journal, const char *name, int64_t wall_ms)
{
    struct event event;
    event_init(&event, EVENT_JOURNAL_DAMAGED, wall_ms);
    event_add_text(&event, MEMBER_FILE, name);
    return journal_write(journal, &event);
}

/* A file that does not even hold its first line was never used: the one before is the newest. */
static int take_up(struct journal *journal, uint32_t number, int64_t wall_ms)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    char name[32];
    journal_file_name(number, name);
    CLEANUP(memory_free_pointer) char *path = memory_printf("%s/%s", journal->folder, name);
    int problem = file_read(path, (size_t)journal->file_bytes * 2 + 65536, &content);
    if (problem < 0)
        return problem;
    struct tail tail = check_tail(&content, &journal->chain);
    if (tail.whole == 0)
        return unlinkat(journal->folder_file, name, 0) < 0 ? -errno : -EAGAIN;
    journal->number = number;
    problem = open_newest(journal, name, tail.whole, content.length);
    if (problem < 0)
        return problem;
    if (tail.damage) { /* it stays as it is, and is found by every verification */
        if (!journal->chain.hash[0])
            strcpy(journal->chain.hash, NO_HASH);
        problem = begin_file(journal, number + 1, wall_ms);
        return problem ? problem : report_damage(journal, name, wall_ms);
    }
    if (tail.whole == content.length)
        return 0;
    struct event event;
    event_init(&event, EVENT_JOURNAL_REPAIRED, wall_ms);
    event_add_number(&event, MEMBER_BYTES_CUT, (int64_t)(content.length - tail.whole));
    return journal_write(journal, &event);
}

static int open_files(struct journal *journal, int64_t wall_ms)
{
    int problem = folder_make(journal->folder);
    if (problem < 0)
        return problem;
    journal->folder_file = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->folder_file < 0 || fchmod(journal->folder_file, 0700) < 0)
        return -errno;
    for (;;) {
        uint32_t oldest, newest;
        problem = find_files(journal, &oldest, &newest);
        if (problem < 0)
            return problem;
        if (newest == 0) {
            strcpy(journal->chain.hash, NO_HASH);
            return begin_file(journal, 1, wall_ms);
        }
        journal_chain_init(&journal->chain);
        problem = take_up(journal, newest, wall_ms);
        if (problem != -EAGAIN)
            return problem;
    }
}

int journal_open(const struct journal_settings *settings, int64_t wall_ms, struct strbuf *problem,
                 struct journal **ret_journal)
{
    struct journal *journal = memory_zeroed(1, sizeof(*journal));
    journal->folder = memory_text(settings->folder);
    journal->file_bytes = settings->file_bytes;
    journal->files = settings->files < 2 ? 2 : settings->files;
    journal->file = journal->folder_file = -1;
    int result = open_files(journal, wall_ms);
    if (result < 0) {
        strbuf_addf(problem, "the journal in %s cannot be opened: %s", settings->folder,
                    strerror(-result));
        journal_close(journal);
        return result;
    }
    journal->written = 0;
    *ret_journal = journal;
    return 0;
}

struct journal *journal_close(struct journal *journal)
{
    if (!journal)
        return NULL;
    descriptor_close(&journal->file);
    descriptor_close(&journal->folder_file);
    free(journal->folder);
    free(journal);
    return NULL;
}

/* ---- Writing ---- */

static int journal_write_line(struct journal *journal, const struct event *event)
{
    if ((uint64_t)journal->size >= journal->file_bytes) {
        int problem = begin_file(journal, journal->number + 1, event->time_ms);
        if (problem < 0)
            return problem;
    }
    return journal_append(journal, event);
}

/* Says first how many lines are missing, if any are. */
static int write_gap(struct journal *journal, int64_t wall_ms)
{
    struct event gap;
    if (journal->lost == 0)
        return 0;
    event_init(&gap, EVENT_JOURNAL_GAP, wall_ms);
    event_add_number(&gap, MEMBER_LINES, (int64_t)journal->lost);
    int problem = journal_write_line(journal, &gap);
    if (!problem)
        journal->lost = 0;
    return problem;
}

int journal_write(struct journal *journal, const struct event *event)
{
    int problem = journal ? write_gap(journal, event->time_ms) : -ENODEV;
    if (!problem)
        problem = journal_write_line(journal, event);
    if (!problem)
        return 0;
    if (journal)
        journal->lost++;
    log_error("journal", "event=%s cannot be written: %s; nothing will be opened until it can",
              event_name(event), strerror(-problem));
    return problem;
}

uint64_t journal_lines(const struct journal *journal)
{
    return journal->written;
}

/* ---- Reading ---- */

/* The line of FILE at OFFSET: the whole of it, or the first JOURNAL_LINE_BYTES of a damaged one. */
static int journal_read_line(int file, off_t offset, struct strbuf *line, off_t *ret_next)
{
    char chunk[JOURNAL_LINE_BYTES + 1];
    bool is_first = true;
    for (;;) {
        ssize_t got = pread(file, chunk, sizeof(chunk), offset);
        if (got < 0)
            return -errno;
        if (got == 0)
            return is_first ? 0 : 1;
        const char *end = memchr(chunk, '\n', (size_t)got);
        size_t length = end ? (size_t)(end - chunk) : (size_t)got;
        if (is_first)
            strbuf_append(line, chunk, length < sizeof(chunk) ? length : sizeof(chunk) - 1);
        is_first = false;
        offset += (off_t)length + (end ? 1 : 0);
        *ret_next = offset;
        if (end)
            return 1;
    }
}

/* A cursor that does not point at the start of a line (from before the files were replaced). */
static off_t mend_offset(int file, uint64_t offset)
{
    char before;
    struct stat about;
    if (offset == 0 || fstat(file, &about) < 0 || offset > (uint64_t)about.st_size)
        return 0;
    return pread(file, &before, 1, (off_t)offset - 1) == 1 && before == '\n' ? (off_t)offset : 0;
}

int journal_read(struct journal *journal, uint64_t cursor, struct strbuf *line, uint64_t *ret_next,
                 bool *ret_starts_file)
{
    uint32_t oldest = 0, newest = 0, number = (uint32_t)(cursor >> 32);
    uint64_t offset = cursor & UINT32_MAX;
    int problem = find_files(journal, &oldest, &newest);
    if (problem < 0)
        return problem;
    if (number < oldest || number > newest) {
        number = oldest;
        offset = 0;
    }
    for (; number <= newest; number++, offset = 0) {
        char name[32];
        journal_file_name(number, name);
        CLEANUP(descriptor_close)
        int file = openat(journal->folder_file, name, O_RDONLY | O_CLOEXEC);
        if (file < 0 && errno == ENOENT)
            continue;
        if (file < 0)
            return -errno;
        off_t at = mend_offset(file, offset), next = at;
        int got = journal_read_line(file, at, line, &next);
        if (got < 0)
            return got;
        if (got == 0)
            continue;
        *ret_next = (uint64_t)number << 32 | (uint64_t)next;
        *ret_starts_file = at == 0 && number == oldest;
        return 1;
    }
    return 0;
}
