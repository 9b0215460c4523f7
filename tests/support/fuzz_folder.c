/* Files for fuzz targets, in memory. */
#include "tests/support/fuzz_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[sizeof(folder) + 256];
    (void)snprintf(path, sizeof(path), "%s/%.250s", folder, name);
    return path;
}

void fuzz_folder_clear(void)
{
    DIR *all = folder[0] ? opendir(folder) : NULL;
    for (const struct dirent *at; all && (at = readdir(all));) {
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0)
            (void)unlink(path_of(at->d_name));
    }
    if (all)
        (void)closedir(all);
}

static void remove_folder(void)
{
    fuzz_folder_clear();
    (void)rmdir(folder);
}

const char *fuzz_folder(void)
{
    if (folder[0])
        return folder;
    (void)snprintf(folder, sizeof(folder), "%s/sallyport-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        abort();
    }
    (void)atexit(remove_folder);
    return folder;
}

const char *fuzz_file(const char *name, const void *bytes, size_t length)
{
    (void)fuzz_folder();
    FILE *file = fopen(path_of(name), "we");
    if (!file || fchmod(fileno(file), 0600) < 0 ||
        (length > 0 && fwrite(bytes, 1, length, file) != length) || fclose(file) != 0) {
        perror(name);
        abort();
    }
    return path_of(name);
}
