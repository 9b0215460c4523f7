/* The gateway's configuration changes while it runs. */
#include "agent/gateway/gateway_reload.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "agent/gateway/gateway_events.h"
#include "agent/gateway/gateway_private.h"
#include "config/load/diff.h"

void gateway_reject(struct gateway *gateway, const char *why)
{
    CLEANUP(strbuf_free) struct strbuf summary = STRBUF_EMPTY;
    gateway_events_summary(why, &summary);
    gateway_events_text(gateway->intake, EVENT_CONFIG_REJECTED, MEMBER_REASON,
                        strbuf_text(&summary));
    log_error("gateway",
              "reload refused, the running configuration stays; `sallyport check` has all "
              "findings: %s",
              strbuf_text(&summary));
}

/* The lines and all that is sized by them are replaced; store and session are not touched. */
static int change_plant(struct gateway *gateway, struct config *fresh)
{
    struct config *old = gateway->config;
    int problem = plant_apply(gateway->plant, fresh);
    gateway->config = fresh;
    if (old != gateway->first)
        config_free(old);
    return problem;
}

/* Nothing that a line is made of: the lines go on undisturbed. */
static void change_live(struct gateway *gateway, struct config *fresh)
{
    gateway->config->gateway.log_level = fresh->gateway.log_level;
    config_free(fresh);
}

int gateway_reload(struct gateway *gateway, struct config *fresh)
{
    CLEANUP(strbuf_free) struct strbuf summary = STRBUF_EMPTY;
    CLEANUP(config_diff_free) struct config_diff diff;
    config_diff(gateway->config, fresh, &diff);
    if (diff.changes[RELOAD_UPLINK] || diff.changes[RELOAD_RESTART]) {
        CLEANUP(memory_free_pointer)
        char *why =
            memory_printf("restart the agent for these changes: %s", strbuf_text(&diff.text));
        gateway_reject(gateway, why);
        config_free(fresh);
        return 0;
    }
    int problem = 0;
    if (!diff.changes[RELOAD_LINE])
        change_live(gateway, fresh);
    else
        problem = change_plant(gateway, fresh);
    if (problem < 0)
        return problem;
    log_set_level((enum log_level)gateway->config->gateway.log_level);
    gateway_events_summary(diff.text.length ? diff.text.data : "nothing has changed", &summary);
    gateway_events_text(gateway->intake, EVENT_CONFIG_RELOADED, MEMBER_CHANGES,
                        strbuf_text(&summary));
    log_info("gateway", "configuration reloaded buses=%zu devices=%zu: %s",
             gateway->config->n_buses, gateway->config->n_devices, strbuf_text(&summary));
    announcer_status_soon(gateway->announcer, clock_mono_ns() / CLOCK_NS_PER_MS);
    return 0;
}
