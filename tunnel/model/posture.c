/* How the firewall is. */
#include "tunnel/model/posture.h"

#include <stddef.h>

const char *const firewall_state_names[] = {"off",      "locked",   "excepted",
                                            "tampered", "fighting", NULL};
