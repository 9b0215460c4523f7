/*
 * `sallyportd`, the composition root: options, configuration, start, run, stop in reverse.
 */
#include "agent/base/log.h"
#include "agent/gateway/gateway.h"
#include "agent/gateway/gateway_reload.h"
#include "config/load/load.h"
#include "config/schema/config.h"
#include "drivers/driver.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/sallyport/sallyport.conf"

struct options {
    const char *file;
    bool test; /* -t: check the file and exit */
};

static void print_help(FILE *out)
{
    (void)fprintf(out, "usage: sallyportd [-c FILE] [-t]\n\n"
                       "Reads plant data and publishes it over one outbound TLS MQTT session.\n\n"
                       "  -c FILE  the configuration, " DEFAULT_FILE "\n"
                       "  -t       check the configuration and exit: 0 when it is good\n"
                       "  -h, -V   this help; the version\n");
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(int argc, char **argv, struct options *options)
{
    int letter;
    while ((letter = getopt(argc, argv, "c:thV")) != -1) {
        switch (letter) {
        case 'c':
            options->file = optarg;
            break;
        case 't':
            options->test = true;
            break;
        case 'h':
            print_help(stdout);
            return 0;
        case 'V':
            (void)printf("sallyportd " SALLYPORT_VERSION "\n");
            return 0;
        default:
            print_help(stderr);
            return 2;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "sallyportd: unexpected argument \"%s\"\n", argv[optind]);
        print_help(stderr);
        return 2;
    }
    return -1;
}

/* Loads FILE and puts every finding into TEXT; returns NULL when the file cannot be used. */
static struct config *load(const char *file, struct strbuf *text)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct config *config = NULL;
    int problem = config_load(file, drivers_for_config(), &findings, &config);
    findings_sort(&findings);
    findings_print(&findings, text);
    return problem < 0 ? NULL : config;
}

static struct config *load_first(const char *file)
{
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct config *config = load(file, &text);
    (void)fputs(strbuf_text(&text), stderr);
    if (!config)
        (void)fputs("sallyportd: not started: the configuration has errors\n", stderr);
    return config;
}

/*
 * A wish to reload must not end a process that is still starting: it waits for the loop. Every
 * other signal ends it as ever.
 */
static void hold_hangup(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *signal, void *userdata)
{
    struct gateway **gateway = userdata;
    CLEANUP(reload_report_free) struct reload_report report = RELOAD_REPORT_EMPTY;
    (void)source, (void)signal;
    gateway_reload(*gateway, &report);
    return 0;
}

/* Signals are taken by the loop; every thread that starts later inherits the mask. */
static int take_signals(sd_event *loop, struct gateway **gateway)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return -1;
    int problem = sd_event_add_signal(loop, NULL, SIGTERM, NULL, NULL); /* NULL: end the loop */
    if (problem >= 0)
        problem = sd_event_add_signal(loop, NULL, SIGINT, NULL, NULL);
    return problem < 0 ? problem : sd_event_add_signal(loop, NULL, SIGHUP, on_hangup, gateway);
}

static int run(struct config *config)
{
    sd_event *loop = NULL;
    struct gateway *gateway = NULL;
    if (sd_event_default(&loop) < 0 || take_signals(loop, &gateway) < 0) {
        log_error("gateway", "the event loop cannot be created; not started");
        return 1;
    }
    if (gateway_start(config, loop, &gateway) < 0)
        return 1;
    (void)sd_notify(false, "READY=1");
    int outcome = sd_event_loop(loop);
    if (outcome < 0)
        log_error("gateway", "the event loop failed: %s; stopping, systemd restarts the agent",
                  strerror(-outcome));
    (void)sd_notify(false, "STOPPING=1");
    bool clean = gateway_stop(gateway);
    log_info("gateway", "stopped");
    if (!clean)
        _exit(outcome != 0); /* the MQTT client's threads cannot be joined */
    sd_event_unref(loop);
    return outcome != 0; /* 0 after a signal; else it gave up, see gateway_reload() */
}

int main(int argc, char **argv)
{
    struct options options = {.file = DEFAULT_FILE};
    int code = parse_options(argc, argv, &options);
    if (code >= 0)
        return code;
    (void)umask(027);
    hold_hangup();
    (void)mallopt(M_ARENA_MAX, 2); /* saves memory with hundreds of threads */
    struct config *config = load_first(options.file);
    if (!config)
        return 1;
    if (options.test) {
        config_free(config);
        return 0;
    }
    log_open((enum log_level)config->gateway.log_level);
    return run(config);
}
