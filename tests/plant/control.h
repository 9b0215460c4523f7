/*
 * The plant and its command language: the same lines in a script, on the command line and on the
 * control socket. One thread.
 */
#ifndef SALLYPORT_PLANT_CONTROL_H
#define SALLYPORT_PLANT_CONTROL_H

#include "agent/base/strbuf.h"
#include "tests/plant/loop.h"

struct plant; /* opaque: every line, and the record */

struct plant *plant_new(struct loop *loop);
struct plant *plant_free(struct plant *plant);

/*
 * Carries out one command line, which is cut up in place. What it has to say is appended to OUT,
 * line by line. Returns 0, or a negative errno; OUT then ends with the reason, without line end.
 */
int plant_command(struct plant *plant, char *text, struct strbuf *out);

/* Appends the list of the commands. */
void plant_help(struct strbuf *out);

/* Takes commands on a Unix stream socket at PATH. 0, or a negative errno. */
int plant_listen(struct plant *plant, const char *path);

#endif
