/* How the firewall is. */
#include "tunnel/model/posture.h"

const char *const firewall_state_names[] = {"off",      "locked",   "excepted",
                                            "tampered", "fighting", "exposed"};
const char *const agent_reach_names[] = {"unknown", "local", "bound"};
