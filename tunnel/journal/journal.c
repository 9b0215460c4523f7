/*
 * The audit trail. Files journal-00000001.log and on, in one folder; the newest is open for
 * appending. What could not be written (a full disk while a session is being closed) is counted,
 * and the first line that can be written again says how many are missing.
 */
#include "tunnel/journal/journal.h"

#include "agent/base/descriptor.h"
#include "agent/base/macros.h"
#include "agent/base/memory.h"
#include "agent/base/text.h"
#include "tunnel/wire/wire.h"

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

#define HASH_MARK " hash="
#define HASH_BYTES (sizeof(HASH_MARK) - 1 + SHA256_HEX_BYTES - 1)
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

/* ---- One line ---- */

static void put_time(struct strbuf *line, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strbuf_addf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(wall_ms % 1000));
}

static void hash_line(const char *previous, const char *line, size_t length,
                      char ret_hex[SHA256_HEX_BYTES])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, previous, strlen(previous));
    sha256_update(&hash, "\n", 1);
    sha256_update(&hash, line, length);
    sha256_final(&hash, ret_hex);
}

void journal_add_i64(struct strbuf *detail, const char *key, int64_t value)
{
    strbuf_addf(detail, "%s%s=%" PRId64, detail->length ? " " : "", key, value);
}

void journal_add(struct strbuf *detail, const char *key, const char *value)
{
    bool is_number = strspn(value, "-0123456789") == strlen(value);
    bool is_plain = !is_number && !strpbrk(value, " \"\\="); /* a quoted number stays a text */
    strbuf_addf(detail, "%s%s=%s", detail->length ? " " : "", key, is_plain ? "" : "\"");
    for (const char *at = value; *at;) {
        size_t step = text_printable(at);
        if (*at == '"' || *at == '\\')
            strbuf_add_char(detail, '\\');
        if (step > 0)
            strbuf_append(detail, at, step);
        else
            strbuf_add_char(detail, '?'); /* nobody forges a line, and no reader alters one */
        at += step ? step : 1;
    }
    if (!is_plain)
        strbuf_add_char(detail, '"');
}

/* ---- The chain ---- */

void journal_chain_init(struct journal_chain *chain)
{
    *chain = (struct journal_chain){.seq = 0};
}

/* The number at the start of a line, 0 when there is none. */
static uint64_t line_seq(const char *line, size_t length)
{
    uint64_t seq = 0;
    size_t at = 0;
    for (; at < length && at < 18 && line[at] >= '0' && line[at] <= '9'; at++)
        seq = seq * 10 + (uint64_t)(line[at] - '0');
    return at > 0 && at < length && line[at] == ' ' && line[0] != '0' ? seq : 0;
}

/* The hash that a `chain` line says the file before ended with; false for another event. */
static bool chain_previous(const char *line, size_t length, char ret_hex[SHA256_HEX_BYTES])
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    CLEANUP(strbuf_free) struct strbuf value = STRBUF_EMPTY;
    strbuf_append(&text, line, length);
    if (!journal_line_event(strbuf_text(&text), &value) ||
        strcmp(strbuf_text(&value), "chain") != 0)
        return false;
    strbuf_reset(&value);
    if (!journal_line_value(strbuf_text(&text), "previous", &value) ||
        value.length != SHA256_HEX_BYTES - 1)
        return false;
    memcpy(ret_hex, value.data, SHA256_HEX_BYTES);
    return true;
}

const char *journal_chain_check(struct journal_chain *chain, const char *line, size_t length)
{
    uint64_t seq = line_seq(line, length);
    if (seq == 0 || length < HASH_BYTES + 2)
        return "is not a line of this journal";
    size_t content = length - HASH_BYTES;
    if (memcmp(line + content, HASH_MARK, sizeof(HASH_MARK) - 1) != 0)
        return "carries no hash";
    char previous[SHA256_HEX_BYTES], actual[SHA256_HEX_BYTES];
    if (chain_previous(line, length, previous)) {
        if (chain->hash[0] && strcmp(previous, chain->hash) != 0)
            return "does not continue the file before it";
    } else if (!chain->hash[0]) {
        return "is not the first line of a file";
    } else {
        memcpy(previous, chain->hash, sizeof(previous));
    }
    if (chain->lines > 0 && seq != chain->seq + 1)
        return "has the wrong number: lines are missing";
    hash_line(previous, line, content, actual);
    if (memcmp(actual, line + content + sizeof(HASH_MARK) - 1, SHA256_HEX_BYTES - 1) != 0)
        return "was changed, or the line before it was";
    memcpy(chain->hash, actual, sizeof(actual));
    chain->seq = seq;
    chain->lines++;
    return NULL;
}

/* ---- Files ---- */

static void file_name(uint32_t number, char ret_name[32])
{
    (void)snprintf(ret_name, 32, NAME_FORMAT, number);
}

static uint32_t name_number(const char *name)
{
    uint32_t number;
    char same[32];
    if (sscanf(name, "journal-%8" SCNu32 ".log", &number) != 1)
        return 0;
    file_name(number, same);
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

static int write_all(int file, const char *bytes, size_t length)
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
static int append(struct journal *journal, const char *event, const char *detail, int64_t wall_ms)
{
    CLEANUP(strbuf_free) struct strbuf line = STRBUF_EMPTY;
    char hash[SHA256_HEX_BYTES];
    strbuf_add_u64(&line, journal->chain.seq + 1);
    strbuf_add_char(&line, ' ');
    put_time(&line, wall_ms);
    strbuf_addf(&line, " %s%s%s", event, detail[0] ? " " : "", detail);
    hash_line(journal->chain.hash, line.data, line.length, hash);
    strbuf_addf(&line, HASH_MARK "%s\n", hash);
    if (line.length > JOURNAL_LINE_BYTES + 1)
        return -E2BIG;
    int problem = write_all(journal->file, line.data, line.length);
    if (!problem && fsync(journal->file) < 0)
        problem = -errno;
    if (problem) {
        if (ftruncate(journal->file, journal->size) < 0)
            return problem; /* a part may stay: the next start cuts it off */
        return problem;
    }
    journal->size += (off_t)line.length;
    memcpy(journal->chain.hash, hash, sizeof(hash));
    journal->chain.seq++;
    journal->chain.lines++;
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
        file_name(oldest, name);
        (void)unlinkat(journal->folder_file, name, 0);
    }
}

/* Begins file NUMBER with a `chain` line; the journal is unchanged when that fails. */
static int begin_file(struct journal *journal, uint32_t number, int64_t wall_ms)
{
    char name[32], detail[96];
    file_name(number, name);
    int file = openat(journal->folder_file, name,
                      O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0640);
    if (file < 0)
        return -errno;
    struct journal before = *journal;
    (void)snprintf(detail, sizeof(detail), "previous=%s", journal->chain.hash);
    journal->file = file;
    journal->size = 0;
    journal->number = number;
    int problem = append(journal, "chain", detail, wall_ms);
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
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    journal_add(&detail, "file", name);
    return journal_write(journal, "journal_damaged", strbuf_text(&detail), wall_ms);
}

/* A file that does not even hold its first line was never used: the one before is the newest. */
static int take_up(struct journal *journal, uint32_t number, int64_t wall_ms)
{
    CLEANUP(strbuf_free) struct strbuf content = STRBUF_EMPTY;
    char name[32];
    file_name(number, name);
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
    CLEANUP(strbuf_free) struct strbuf detail = STRBUF_EMPTY;
    journal_add_i64(&detail, "bytes_cut", (int64_t)(content.length - tail.whole));
    return journal_write(journal, "journal_repaired", strbuf_text(&detail), wall_ms);
}

static int open_files(struct journal *journal, int64_t wall_ms)
{
    int problem = folder_make(journal->folder);
    if (problem < 0)
        return problem;
    journal->folder_file = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->folder_file < 0)
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

static int write_line(struct journal *journal, const char *event, const char *detail,
                      int64_t wall_ms)
{
    if ((uint64_t)journal->size >= journal->file_bytes) {
        int problem = begin_file(journal, journal->number + 1, wall_ms);
        if (problem < 0)
            return problem;
    }
    return append(journal, event, detail, wall_ms);
}

int journal_write(struct journal *journal, const char *event, const char *detail, int64_t wall_ms)
{
    int problem = 0;
    if (journal->lost > 0) {
        char text[40];
        (void)snprintf(text, sizeof(text), "lines=%" PRIu64, journal->lost);
        problem = write_line(journal, "journal_gap", text, wall_ms);
        if (!problem)
            journal->lost = 0;
    }
    if (!problem)
        problem = write_line(journal, event, detail, wall_ms);
    if (problem < 0)
        journal->lost++;
    return problem;
}

uint64_t journal_lines(const struct journal *journal)
{
    return journal->written;
}

/* ---- Reading ---- */

/* The line of FILE at OFFSET: the whole of it, or the first JOURNAL_LINE_BYTES of a damaged one. */
static int read_line(int file, off_t offset, struct strbuf *line, off_t *ret_next)
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
        file_name(number, name);
        CLEANUP(descriptor_close)
        int file = openat(journal->folder_file, name, O_RDONLY | O_CLOEXEC);
        if (file < 0 && errno == ENOENT)
            continue;
        if (file < 0)
            return -errno;
        off_t at = mend_offset(file, offset), next = at;
        int got = read_line(file, at, line, &next);
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

/* ---- The parts of a line ---- */

/* The place behind the COUNTth space of LINE, or its end. */
static const char *skip_words(const char *line, int count)
{
    for (; count > 0; count--) {
        line += strcspn(line, " ");
        line += *line == ' ';
    }
    return line;
}

bool journal_line_event(const char *line, struct strbuf *out)
{
    const char *event = skip_words(line, 2);
    size_t length = strcspn(event, " ");
    strbuf_append(out, event, length);
    return length > 0;
}

/* Copies the value at TEXT to OUT unless that is NULL; returns what stands behind it. */
static const char *take_value(const char *text, struct strbuf *out)
{
    bool is_quoted = *text == '"';
    for (text += is_quoted; *text && *text != (is_quoted ? '"' : ' '); text++) {
        if (is_quoted && text[0] == '\\' && text[1])
            text++;
        if (out)
            strbuf_add_char(out, *text);
    }
    return text + (is_quoted && *text == '"');
}

bool journal_line_value(const char *line, const char *key, struct strbuf *out)
{
    const char *at = skip_words(line, 3);
    while (*at) {
        size_t length = strcspn(at, "= ");
        if (at[length] != '=') {
            at += length + (at[length] == ' ');
            continue;
        }
        bool is_wanted = strlen(key) == length && memcmp(at, key, length) == 0;
        at = take_value(at + length + 1, is_wanted ? out : NULL);
        if (is_wanted)
            return true;
        at += *at == ' ';
    }
    return false;
}
