/* What the parts of the running netd share. */
#include "tunnel/netd/netd.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "tunnel/firewall/firewall_boot.h"

#include <string.h>

void netd_notify(struct netd *netd)
{
    if (netd->server)
        netd_server_notify(netd->server);
}

/* What closes does not wait for the journal: it may come before that is open, while starting. */
void netd_journal(struct netd *netd, const struct event *event)
{
    (void)journal_write(netd->journal, event);
    netd_notify(netd);
}

void netd_note(struct netd *netd, enum event_kind kind)
{
    struct event event;
    event_init(&event, kind, clock_wall_ms());
    netd_journal(netd, &event);
}

void netd_write_boot_file(const struct netd *netd)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer)
    char *path = memory_printf("%s/lockdown.nft", netd->config->paths.state_dir);
    int result = firewall_write_boot_file(rules_trial_confirmed(netd->trial), path, &problem);
    if (result < 0)
        log_error("firewall", "file=%s %s %s; the next boot may load the built-in rules", path,
                  strerror(-result), strbuf_text(&problem));
}
