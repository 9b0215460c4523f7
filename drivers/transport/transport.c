/* What is the same for every transport. */
#include "drivers/transport/transport.h"

#include <errno.h>
#include <string.h>

struct transport *transport_free(struct transport *transport)
{
    if (transport)
        transport->calls->free(transport);
    return NULL;
}

void transport_explain_loss(const struct transport *transport, int problem,
                            struct driver_error *error)
{
    if (problem == ECANCELED)
        driver_explain(error, "the line is being stopped");
    else
        driver_explain(error, "%s: %s%s", transport->lost,
                       problem == EPIPE ? "closed by the device" : strerror(problem),
                       transport->advice);
}
