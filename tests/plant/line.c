/* What the two kinds of lines have in common. */
#include "tests/plant/line.h"

#include "agent/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

void line_init(struct line *line, const struct line_kind *kind, const char *name, struct loop *loop,
               const struct unit_world *world, uint8_t first, uint8_t last)
{
    line->kind = kind;
    (void)snprintf(line->name, sizeof(line->name), "%s", name);
    line->loop = loop;
    line->world = *world;
    line->n_units = (size_t)last - first + 1;
    line->units = memory_zeroed(line->n_units, sizeof(*line->units));
    for (size_t i = 0; i < line->n_units; i++)
        unit_init(&line->units[i], (uint8_t)(first + i));
}

void line_clear(struct line *line)
{
    for (size_t i = 0; i < line->n_units; i++)
        unit_clear(&line->units[i]);
    free(line->units);
    line->units = NULL;
    line->n_units = 0;
}

struct unit *line_unit(const struct line *line, uint8_t number)
{
    if (line->n_units == 0 || number < line->units[0].number)
        return NULL;
    size_t at = (size_t)number - line->units[0].number;
    return at < line->n_units ? &line->units[at] : NULL;
}
