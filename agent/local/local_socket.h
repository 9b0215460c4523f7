/*
 * The agent's local socket, <runtime_dir>/agent.sock, for the command line. One JSON object per
 * line in each direction, one answer to each request, in order:
 *
 *   {"command":"status"}                    -> {"result":"ok","status":{...}}
 *   {"command":"values","device":"boiler"}  -> {"result":"ok","values":[{...},...]}
 *   {"command":"read","bus":"plc1","unit":1,"table":"holding","address":0,"count":2}
 *                                           -> {"result":"ok","values":[17,4]}
 *   {"command":"reload"}                    -> {"result":"ok","changes":["KEY: OLD -> NEW"],
 *                                               "started":["plc1"],"ended":[],"reconnects":false}
 *   anything refused                        -> {"result":"failed","reason":"..."}
 *
 * A refused read also has "absent":true when the agent has no such line, "busy":true while another
 * request is under way on it, "exception":N when the unit refused, and else an "outcome" of
 * local_socket_outcome_names.
 *
 * "device" may be left out for all devices. The socket's mode decides who may connect: owner and
 * group (0660). Nothing that a client sends, and no client that stalls, holds up the main loop.
 */
#ifndef SALLYPORT_AGENT_LOCAL_LOCAL_SOCKET_H
#define SALLYPORT_AGENT_LOCAL_LOCAL_SOCKET_H

#include "agent/payload/json_text.h"
#include "drivers/line/line.h"

#include <systemd/sd-event.h>

#define LOCAL_SOCKET_NAME "agent.sock"
#define LOCAL_SOCKET_REQUEST_MAX 4096 /* bytes of one line */

extern const char *const local_socket_outcome_names[]; /* by enum outcome; NULL-terminated */

struct local_socket; /* opaque */

/* Who answers. Main loop. */
struct local_socket_callbacks {
    void (*status)(void *context, struct json_text *json); /* writes one object */
    void *status_context;

    /* Writes the elements of an array; DEVICE NULL: all. 0, or -ENOENT: no such device. */
    int (*values)(void *plant, const char *device, struct json_text *json);
    /* Starts a read on the line BUS; as line_request(), and -ENOENT: no such line. */
    int (*read)(void *plant, const char *bus, const struct driver_request *request,
                line_request_done done, void *done_context);
    void *plant;

    /*
     * Reads the configuration again and puts it in force. Writes members into the object that is
     * open and returns true, or returns false with one line in REASON.
     */
    bool (*reload)(void *context, struct json_text *json, struct strbuf *reason);
    void *reload_context;
};

/*
 * Listens at PATH, replacing a socket that no process listens on any more; -EADDRINUSE when one
 * does. Returns 0 or a negative errno.
 */
int local_socket_new(const char *path, const struct local_socket_callbacks *callbacks,
                     sd_event *loop, struct local_socket **ret_local);

/* All lines must have been freed before, so that no read can deliver a result any more. Returns
 * NULL. */
struct local_socket *local_socket_free(struct local_socket *local);

#endif
