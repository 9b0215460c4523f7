/*
 * A disk with a cache that power does not keep, as a plugin of nbdkit(1): what tests/vm/run puts
 * below a machine before it pulls the plug. Half of what is written reaches the file at once, as
 * from a cache that writes back when it likes; the other half is in this process's memory until the
 * machine flushes. Killing the process is the power cut: of what was not flushed some blocks are
 * there, some are as they were before, in no order. Parameter: file=PATH.
 */
#define NBDKIT_API_VERSION 2
#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nbdkit-plugin.h>

#define BLOCK_BYTES 4096 /* what a disk writes whole, and the block of the file system */

static struct {
    char *path;
    int fd;
    uint64_t n_blocks;
    unsigned char **kept; /* one for each block: its content when the file does not have it yet */
    uint64_t *dirty;      /* numbers of blocks that were ever kept since the last flush */
    size_t n_dirty, dirty_size;
    uint64_t dice;
} disk = {.fd = -1, .dice = 0x9e3779b97f4a7c15};

static int complain(const char *what)
{
    int problem = errno;
    nbdkit_error("%s: %s", what, strerror(problem));
    nbdkit_set_error(problem);
    return -1;
}

static bool toss(void) /* xorshift64 */
{
    disk.dice ^= disk.dice << 13;
    disk.dice ^= disk.dice >> 7;
    disk.dice ^= disk.dice << 17;
    return disk.dice >> 63;
}

static int configure(const char *key, const char *value)
{
    if (strcmp(key, "file") == 0) {
        disk.path = nbdkit_realpath(value);
        return disk.path ? 0 : -1;
    }
    nbdkit_error("unknown parameter %s", key);
    return -1;
}

static int get_ready(void)
{
    struct stat about;
    disk.fd = disk.path ? open(disk.path, O_RDWR | O_CLOEXEC) : -1;
    if (disk.fd < 0 || fstat(disk.fd, &about) < 0)
        return complain("file=PATH");
    disk.n_blocks = (uint64_t)about.st_size / BLOCK_BYTES;
    disk.kept = calloc(disk.n_blocks, sizeof(*disk.kept));
    return disk.kept ? 0 : complain("memory");
}

static int write_block(uint64_t block, const unsigned char *content)
{
    if (pwrite(disk.fd, content, BLOCK_BYTES, (off_t)(block * BLOCK_BYTES)) != BLOCK_BYTES)
        return complain("write");
    return 0;
}

static int read_block(uint64_t block, unsigned char *ret_content)
{
    if (disk.kept[block])
        memcpy(ret_content, disk.kept[block], BLOCK_BYTES);
    else if (pread(disk.fd, ret_content, BLOCK_BYTES, (off_t)(block * BLOCK_BYTES)) != BLOCK_BYTES)
        return complain("read");
    return 0;
}

static int keep_block(uint64_t block, const unsigned char *content)
{
    if (!disk.kept[block]) {
        if (disk.n_dirty == disk.dirty_size) {
            size_t size = disk.dirty_size ? disk.dirty_size * 2 : 1024;
            uint64_t *more = realloc(disk.dirty, size * sizeof(*more));
            if (!more)
                return complain("memory");
            disk.dirty = more;
            disk.dirty_size = size;
        }
        disk.kept[block] = malloc(BLOCK_BYTES);
        if (!disk.kept[block])
            return complain("memory");
        disk.dirty[disk.n_dirty++] = block;
    }
    memcpy(disk.kept[block], content, BLOCK_BYTES);
    return 0;
}

static int flush(void *handle, uint32_t flags)
{
    (void)handle;
    (void)flags;
    for (size_t i = 0; i < disk.n_dirty; i++) {
        uint64_t block = disk.dirty[i];
        if (disk.kept[block] && write_block(block, disk.kept[block]) < 0)
            return -1;
        free(disk.kept[block]);
        disk.kept[block] = NULL;
    }
    disk.n_dirty = 0;
    return 0;
}

static int read_disk(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    unsigned char *to = buffer;
    (void)handle;
    (void)flags;
    for (; count > 0; count -= BLOCK_BYTES, offset += BLOCK_BYTES, to += BLOCK_BYTES) {
        if (read_block(offset / BLOCK_BYTES, to) < 0)
            return -1;
    }
    return 0;
}

static int write_disk(void *handle, const void *buffer, uint32_t count, uint64_t offset,
                      uint32_t flags)
{
    const unsigned char *from = buffer;
    for (; count > 0; count -= BLOCK_BYTES, offset += BLOCK_BYTES, from += BLOCK_BYTES) {
        uint64_t block = offset / BLOCK_BYTES;
        /* A block that is kept stays so: the file must not get ahead of what a flush writes. */
        int problem =
            disk.kept[block] || toss() ? keep_block(block, from) : write_block(block, from);
        if (problem < 0)
            return problem;
    }
    return flags & NBDKIT_FLAG_FUA ? flush(handle, 0) : 0;
}

static void *open_disk(int is_readonly)
{
    (void)is_readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t get_size(void *handle)
{
    (void)handle;
    return (int64_t)(disk.n_blocks * BLOCK_BYTES);
}

/* Whole blocks only: qemu sees to that. */
static int block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    (void)handle;
    *minimum = *preferred = BLOCK_BYTES;
    *maximum = UINT32_MAX;
    return 0;
}

static int can(void *handle)
{
    (void)handle;
    return 1;
}

static int can_fua(void *handle)
{
    (void)handle;
    return NBDKIT_FUA_NATIVE;
}

static struct nbdkit_plugin plugin = {
    .name = "volatile",
    .config = configure,
    .get_ready = get_ready,
    .open = open_disk,
    .get_size = get_size,
    .block_size = block_size,
    .can_flush = can,
    .can_write = can,
    .can_fua = can_fua,
    .can_multi_conn = can,
    .pread = read_disk,
    .pwrite = write_disk,
    .flush = flush,
};

NBDKIT_REGISTER_PLUGIN(plugin)
