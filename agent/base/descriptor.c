/* File descriptors and whole small files. */
#include "agent/base/descriptor.h"

#include "agent/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void descriptor_close(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

int descriptor_take(int *descriptor)
{
    int taken = *descriptor;
    *descriptor = -1;
    return taken;
}

int file_read(const char *path, size_t max_bytes, struct strbuf *content)
{
    /* O_NONBLOCK: a FIFO in place of a file must not hang the start. */
    CLEANUP(descriptor_close) int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat about;
    if (file < 0 || fstat(file, &about) < 0)
        return -errno;
    if (S_ISDIR(about.st_mode))
        return -EISDIR;
    if (!S_ISREG(about.st_mode))
        return -EINVAL;
    if (about.st_size < 0 || (size_t)about.st_size > max_bytes)
        return -EFBIG;
    size_t before = content->length;
    for (;;) {
        char *place = strbuf_reserve(content, 65536);
        ssize_t got = read(file, place, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        int problem = got < 0 ? -errno : 0;
        if (got > 0)
            content->length += (size_t)got;
        if (!problem && content->length - before > max_bytes)
            problem = -EFBIG; /* it grew while we read */
        if (problem)
            content->length = before;
        if (problem || got == 0) {
            content->data[content->length] = '\0';
            return problem;
        }
    }
}

static int descriptor_write_all(int file, const char *bytes, size_t length)
{
    while (length) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        bytes += written;
        length -= (size_t)written;
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    CLEANUP(memory_free_pointer) char *folder = memory_text(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    CLEANUP(descriptor_close)
    int file = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file < 0 || fsync(file) < 0 ? -errno : 0;
}

int file_replace(const char *path, const void *bytes, size_t length, mode_t mode)
{
    CLEANUP(memory_free_pointer) char *fresh = memory_printf("%s.new", path);
    (void)unlink(fresh); /* left by a kill in the middle of an earlier call */
    CLEANUP(descriptor_close)
    int file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (file < 0)
        return -errno;
    int problem = descriptor_write_all(file, bytes, length);
    if (!problem && fsync(file) < 0)
        problem = -errno;
    if (!problem && rename(fresh, path) < 0)
        problem = -errno;
    if (problem) {
        (void)unlink(fresh);
        return problem;
    }
    return sync_folder_of(path);
}

int file_in_memory(const void *bytes, size_t length)
{
    CLEANUP(descriptor_close) int file = memfd_create("sallyport", 0);
    int problem = file < 0 ? -errno : descriptor_write_all(file, bytes, length);
    return problem < 0 ? problem : descriptor_take(&file);
}

int file_remove(const char *path)
{
    return unlink(path) < 0 ? -errno : sync_folder_of(path);
}

int folder_make(const char *path)
{
    CLEANUP(memory_free_pointer) char *partial = memory_text(path);
    for (char *at = partial + 1; *partial && *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(partial, 0750) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    if (mkdir(partial, 0750) < 0 && errno != EEXIST)
        return -errno;
    struct stat about;
    if (stat(partial, &about) < 0)
        return -errno;
    return S_ISDIR(about.st_mode) ? 0 : -ENOTDIR;
}
