/* What control.c and socket.c share: the plant itself. Private to the two. */
#ifndef SALLYPORT_PLANT_PLANT_H
#define SALLYPORT_PLANT_PLANT_H

#include "tests/plant/line.h"

struct plant {
    struct loop *loop;
    struct record *record;
    struct dice dice;
    struct line **lines;
    size_t n_lines;
    struct watch door; /* the control socket; fd 0: none */
    char *door_path;
    struct caller *callers;
};

/* Closes the control socket and removes it. */
void plant_hang_up(struct plant *plant);

#endif
