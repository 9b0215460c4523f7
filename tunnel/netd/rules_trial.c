/* Rules on trial. */
#include "tunnel/netd/rules_trial.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/memory.h"
#include "tunnel/config/netd_difference.h"
#include "tunnel/netd/config_trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROLLBACK_RETRY_US 1000000

struct rules_trial {
    const char *config_path;
    const struct netd_config *config; /* of the start */
    struct netd_config *kept;         /* whose rules were kept since; NULL: none */
    struct netd_config *tried;        /* whose rules are on trial; NULL: none */
    bool is_unconfirmed;
    struct firewall *firewall;
    struct rules_trial_hooks hooks;
    sd_event *loop;
    sd_event_source *ends; /* timer of the trial */
    int64_t ends_ms;
};

const struct netd_config *rules_trial_confirmed(const struct rules_trial *trial)
{
    return trial->kept ? trial->kept : trial->config;
}

static void tell_loaded(const struct rules_trial *trial, const struct netd_config *rules)
{
    trial->hooks.loaded(trial->hooks.context, rules);
}

/* ---- The end of one that was not confirmed ---- */

static void roll_back(struct rules_trial *trial)
{
    CLEANUP(strbuf_free) struct strbuf problem = STRBUF_EMPTY;
    int result = firewall_rollback(trial->firewall, &problem);
    if (result < 0) {
        log_error("firewall", "the previous rules cannot be loaded: %s %s; tried again in a second",
                  strerror(-result), strbuf_text(&problem));
        if (trial->ends) { /* until then the firewall keeps using those on trial */
            (void)sd_event_source_set_time_relative(trial->ends, ROLLBACK_RETRY_US);
            (void)sd_event_source_set_enabled(trial->ends, SD_EVENT_ONESHOT);
        }
        return;
    }
    tell_loaded(trial, rules_trial_confirmed(trial));
    trial->ends = sd_event_source_disable_unref(trial->ends);
    trial->tried = netd_config_free(trial->tried);
    trial->hooks.rolled_back(trial->hooks.context);
}

static int on_end(sd_event_source *source, uint64_t usec, void *context)
{
    (void)source, (void)usec;
    roll_back(context);
    return 0;
}

/* ---- The beginning ---- */

static int rules_trial_load(const struct rules_trial *trial, struct netd_config **ret_tried,
                            struct strbuf *text)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    if (netd_config_load(trial->config_path, &findings, ret_tried) == 0)
        return 0;
    findings_sort(&findings);
    findings_print(&findings, text);
    return -EINVAL;
}

/* Puts on record what a restart in the middle of the trial comes back with. */
static int rules_trial_record(struct rules_trial *trial, const struct netd_config *tried,
                              struct strbuf *text)
{
    const char *group = netd_config_difference(trial->config, tried);
    if (group) {
        strbuf_addf(text,
                    "`%s` is not as it was when netd started: a trial is for `firewall` "
                    "alone; restart sallyport-netd for the rest",
                    group);
        return -EINVAL;
    }
    int problem = config_trial_begin(rules_trial_confirmed(trial), tried);
    if (problem < 0)
        strbuf_addf(text, "the rules in force cannot be recorded: %s", strerror(-problem));
    return problem;
}

/* The timer first: once the firewall uses TRIED, nothing can fail any more. */
static int rules_trial_start(struct rules_trial *trial, struct netd_config *tried,
                             uint32_t confirm_s, struct strbuf *text)
{
    trial->ends_ms = clock_mono_ns() / CLOCK_NS_PER_MS + confirm_s * INT64_C(1000);
    int problem = sd_event_add_time_relative(trial->loop, &trial->ends, CLOCK_MONOTONIC,
                                             confirm_s * UINT64_C(1000000), 1000, on_end, trial);
    if (problem >= 0)
        problem = firewall_try(trial->firewall, tried, text);
    if (problem < 0) {
        trial->ends = sd_event_source_disable_unref(trial->ends);
        return problem;
    }
    trial->tried = tried;
    tell_loaded(trial, tried);
    return 0;
}

int rules_trial_begin(struct rules_trial *trial, uint32_t confirm_s, struct strbuf *text)
{
    struct netd_config *tried = NULL;
    int problem = rules_trial_load(trial, &tried, text);
    if (problem == 0)
        problem = rules_trial_record(trial, tried, text);
    if (problem == 0) {
        trial->is_unconfirmed = true;
        problem = rules_trial_start(trial, tried, confirm_s, text);
    }
    if (problem < 0)
        netd_config_free(tried);
    return problem;
}

int rules_trial_keep(struct rules_trial *trial, int64_t now_ms, struct strbuf *text)
{
    if (!trial->tried || now_ms >= trial->ends_ms) {
        strbuf_add(text, "no rules are being tried; the time may be over");
        return -ETIME;
    }
    int problem = config_trial_keep(trial->config);
    if (problem < 0) {
        strbuf_addf(text,
                    "the confirmation cannot be recorded, so the previous rules come back: %s",
                    strerror(-problem));
        return problem;
    }
    (void)firewall_confirm(trial->firewall);
    trial->is_unconfirmed = false;
    trial->ends = sd_event_source_disable_unref(trial->ends);
    netd_config_free(trial->kept);
    trial->kept = TAKE_POINTER(trial->tried);
    return 0;
}

/* ---- Its state ---- */

bool rules_trial_is_running(const struct rules_trial *trial)
{
    return trial->tried != NULL;
}

uint32_t rules_trial_left_s(const struct rules_trial *trial, int64_t now_ms)
{
    int64_t left_ms = trial->ends_ms - now_ms;
    if (!trial->tried)
        return 0;
    return left_ms > 0 ? (uint32_t)((left_ms + 999) / 1000) : 1;
}

bool rules_trial_is_unconfirmed(const struct rules_trial *trial)
{
    return trial->is_unconfirmed && !trial->tried;
}

/* ---- Life ---- */

struct rules_trial *rules_trial_new(const char *config_path, const struct netd_config *config,
                                    bool is_unconfirmed, struct firewall *firewall,
                                    const struct rules_trial_hooks *hooks, sd_event *loop)
{
    struct rules_trial *trial = memory_zeroed(1, sizeof(*trial));
    trial->config_path = config_path;
    trial->config = config;
    trial->is_unconfirmed = is_unconfirmed;
    trial->firewall = firewall;
    trial->hooks = *hooks;
    trial->loop = loop;
    return trial;
}

struct rules_trial *rules_trial_free(struct rules_trial *trial)
{
    if (!trial)
        return NULL;
    trial->ends = sd_event_source_disable_unref(trial->ends);
    if (trial->tried)
        roll_back(trial);
    netd_config_free(trial->tried);
    netd_config_free(trial->kept);
    free(trial);
    return NULL;
}
