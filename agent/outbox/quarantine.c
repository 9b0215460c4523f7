/* Moves damaged files out of the way. */
#include "agent/outbox/quarantine.h"

#include "agent/base/macros.h"
#include "agent/base/memory.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAMAGED_FILES_KEPT 2

void quarantine_remove(const char *path)
{
    CLEANUP(memory_free_pointer) char *log = memory_printf("%s-wal", path);
    (void)remove(path);
    (void)remove(log);
}

/* The seconds in NAME when it is FILE.damaged-SECONDS, else -1. */
static int64_t damaged_seconds(const char *name, const char *file)
{
    static const char mark[] = ".damaged-";
    size_t length = strlen(file);
    if (strncmp(name, file, length) != 0 || strncmp(name + length, mark, sizeof(mark) - 1) != 0)
        return -1;
    const char *digits = name + length + sizeof(mark) - 1;
    size_t n_digits = strspn(digits, "0123456789");
    if (n_digits == 0 || n_digits > 12 || digits[n_digits])
        return -1;
    return strtoll(digits, NULL, 10);
}

/* Counts what was set aside; *RET_OLDEST is the lowest of the seconds. */
static size_t count_damaged(const char *folder, const char *file, int64_t *ret_oldest)
{
    DIR *entries = opendir(folder);
    size_t count = 0;
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        int64_t seconds = damaged_seconds(entry->d_name, file);
        if (seconds < 0)
            continue;
        if (count == 0 || seconds < *ret_oldest)
            *ret_oldest = seconds;
        count++;
    }
    if (entries)
        (void)closedir(entries);
    return count;
}

static void remove_oldest_damaged(const char *path)
{
    CLEANUP(memory_free_pointer) char *folder = memory_text(path);
    char *slash = strrchr(folder, '/');
    assert(slash); /* the outbox builds the path from a folder and a name */
    *slash = '\0';
    int64_t oldest = 0;
    for (int i = 0; i < 100 && count_damaged(folder, slash + 1, &oldest) > DAMAGED_FILES_KEPT;
         i++) {
        CLEANUP(memory_free_pointer)
        char *victim = memory_printf("%s.damaged-%" PRId64, path, oldest);
        quarantine_remove(victim);
    }
}

int quarantine_move(const char *path, int64_t wall_ms, char **ret_name)
{
    CLEANUP(memory_free_pointer) char *log = memory_printf("%s-wal", path);
    CLEANUP(memory_free_pointer) char *name = NULL;
    int64_t seconds = wall_ms > 0 ? wall_ms / 1000 : 0;
    do { /* a name that is still free */
        free(name);
        name = memory_printf("%s.damaged-%" PRId64, path, seconds++);
    } while (access(name, F_OK) == 0);
    CLEANUP(memory_free_pointer) char *log_name = memory_printf("%s-wal", name);
    if (rename(path, name) < 0)
        return -errno;
    if (rename(log, log_name) < 0 && errno != ENOENT)
        (void)unlink(log); /* must not be taken for the log of the new file */
    remove_oldest_damaged(path);
    *ret_name = TAKE_POINTER(name);
    return 0;
}
