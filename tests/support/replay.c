/*
 * Runs a fuzz target over files and folders without libFuzzer, so that its corpus is an ordinary
 * test with every compiler and sanitizer.
 */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t files;

static int replay(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)walk;
    if (kind != FTW_F)
        return 0;
    size_t size = (size_t)about->st_size;
    uint8_t *data = malloc(size ? size : 1); /* exact size: an overrun is seen */
    FILE *file = fopen(path, "rb");
    if (!data || !file || fread(data, 1, size, file) != size)
        return 1;
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    files++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs", 5) == 0)
            continue;
        if (nftw(argv[i], replay, 16, FTW_PHYS) != 0) {
            (void)fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
    }
    printf("%zu corpus files\n", files);
    return files > 0 ? 0 : 1;
}
