/* Why there is no session to the broker. */
#include "agent/uplink/uplink_reasons.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"

#include <stdlib.h>
#include <string.h>

#define REPEAT_NS (UPLINK_REASONS_REPEAT_S * CLOCK_NS_PER_S)

static void set_text(char **place, const char *text)
{
    char *copy =
        text ? memory_text(text) : NULL; /* before the old one goes: they may be the same */
    free(*place);
    *place = copy;
}

void uplink_reasons_clear(struct uplink_reasons *reasons)
{
    set_text(&reasons->text, NULL);
    for (size_t i = 0; i < reasons->n_servers; i++)
        set_text(&reasons->logged[i].sentence, NULL);
}

void uplink_reasons_free(struct uplink_reasons *reasons)
{
    uplink_reasons_clear(reasons);
    free(reasons->logged);
    *reasons = (struct uplink_reasons){0};
}

void uplink_reasons_reset(struct uplink_reasons *reasons, size_t n_servers)
{
    uplink_reasons_free(reasons);
    reasons->logged = memory_zeroed(n_servers, sizeof(*reasons->logged));
    reasons->n_servers = n_servers;
}

static void log_once(struct uplink_logged *logged, const char *sentence, int64_t now_ns)
{
    if (logged->sentence && strcmp(logged->sentence, sentence) == 0 &&
        now_ns - logged->at_ns < REPEAT_NS)
        return;
    log_warning("uplink", "%s; trying again until it works", sentence);
    set_text(&logged->sentence, sentence);
    logged->at_ns = now_ns;
}

void uplink_reasons_add(struct uplink_reasons *reasons, size_t server, const char *sentence,
                        int64_t now_ns)
{
    log_once(&reasons->logged[server], sentence, now_ns);
    set_text(&reasons->text, sentence);
}

const char *uplink_reasons_text(const struct uplink_reasons *reasons)
{
    return reasons->text ? reasons->text : "";
}
