/* What the plant saw, request by request. */
#include "tests/plant/record.h"

#include "agent/base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct record {
    struct record_row *rows;
    size_t n_rows, capacity, max_rows;
    uint64_t dropped;
};

struct record *record_new(size_t max_rows)
{
    struct record *record = memory_zeroed(1, sizeof(*record));
    record->max_rows = max_rows;
    return record;
}

struct record *record_free(struct record *record)
{
    if (record)
        free(record->rows);
    free(record);
    return NULL;
}

void record_add(struct record *record, const struct record_row *row)
{
    if (record->n_rows == record->max_rows) {
        record->dropped++;
        return;
    }
    if (record->n_rows == record->capacity) {
        record->capacity = 2 * record->capacity + 65536;
        record->rows = memory_resize(record->rows, record->capacity, sizeof(*record->rows));
    }
    record->rows[record->n_rows++] = *row;
}

void record_forget(struct record *record)
{
    record->n_rows = 0;
    record->dropped = 0;
}

uint64_t record_dropped(const struct record *record)
{
    return record->dropped;
}

int64_t record_dump(const struct record *record, const char *path, const char *const *names)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    (void)fprintf(file, "at_ns,line,unit,function,address,count,flags\n");
    for (size_t i = 0; i < record->n_rows; i++) {
        const struct record_row *row = &record->rows[i];
        (void)fprintf(file, "%" PRId64 ",%s,%u,%u,%u,%u,%u\n", row->at_ns, names[row->line],
                      row->unit, row->function, row->address, row->count, row->flags);
    }
    int failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return -EIO;
    return (int64_t)record->n_rows;
}
