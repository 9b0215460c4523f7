/*
 * Runs the firewall of one netd.conf for the scenarios, without tunnel and socket: takes a command
 * per line on standard input, answers each with one line ("ok ...", "error ..."), and prints
 * "event ..." for what the hooks tell. It ends with its input; the rules stay.
 *
 *   lease SOURCE DESTINATION PROTOCOL PORT INTERFACE|- TTL-MS    extend TTL-MS    remove    list
 *   try FILE    confirm    rollback    verify    acknowledge    posture    counters    boot FILE
 *   hub ADDRESS PORT TTL-MS    forget-hub
 */
#include "agent/base/macros.h"
#include "tunnel/firewall/firewall_boot.h"
#include "tunnel/firewall/firewall_leases.h"
#include "tunnel/model/event_text.h"
#include "tunnel/os/privilege.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORDS 8

struct driver {
    struct firewall *firewall;
    struct netd_config *config, *tried;
    struct strbuf problem;
    sd_event *loop;
    char line[512];
    size_t length;
};

static struct netd_config *load(const char *path)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    struct netd_config *config = NULL;
    (void)netd_config_load(path, &findings, &config);
    findings_print(&findings, &text);
    (void)fputs(strbuf_text(&text), stderr);
    return config;
}

static int do_lease(struct driver *driver, char *const *words)
{
    struct firewall_lease lease = {
        .protocol = strcmp(words[3], "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP,
        .port = (uint16_t)atoi(words[4]),
    };
    if (ip_network_parse(words[1], &lease.source) < 0 ||
        ip_network_parse(words[2], &lease.destination) < 0)
        return -EINVAL;
    if (strcmp(words[5], "-") != 0)
        (void)snprintf(lease.interface, sizeof(lease.interface), "%s", words[5]);
    return firewall_add_leases(driver->firewall, &lease, 1, atoll(words[6]), &driver->problem);
}

static int do_extend(struct driver *driver, char *const *words)
{
    return firewall_extend_leases(driver->firewall, atoll(words[1]), &driver->problem);
}

static int do_remove(struct driver *driver, char *const *words)
{
    (void)words;
    return firewall_remove_leases(driver->firewall, &driver->problem);
}

static int do_list(struct driver *driver, char *const *words)
{
    (void)words;
    struct firewall_lease_state leases[FIREWALL_MAX_LEASES];
    int n = firewall_list_leases(driver->firewall, leases, ARRAY_LENGTH(leases));
    for (int i = 0; i < n; i++)
        strbuf_addf(&driver->problem, " port=%u remaining_ms=%" PRId64 " bytes=%" PRIu64,
                    leases[i].lease.port, leases[i].remaining_ms, leases[i].bytes);
    return n;
}

static int do_try(struct driver *driver, char *const *words)
{
    driver->tried = load(words[1]);
    return driver->tried ? firewall_try(driver->firewall, driver->tried, &driver->problem)
                         : -EINVAL;
}

static int do_confirm(struct driver *driver, char *const *words)
{
    (void)words;
    return firewall_confirm(driver->firewall);
}

static int do_rollback(struct driver *driver, char *const *words)
{
    (void)words;
    return firewall_rollback(driver->firewall, &driver->problem);
}

static int do_verify(struct driver *driver, char *const *words)
{
    (void)words;
    return firewall_verify(driver->firewall);
}

static int do_acknowledge(struct driver *driver, char *const *words)
{
    (void)words;
    return firewall_acknowledge(driver->firewall, &driver->problem);
}

static int do_posture(struct driver *driver, char *const *words)
{
    (void)words;
    struct firewall_posture posture;
    firewall_get_posture(driver->firewall, &posture);
    strbuf_addf(&driver->problem, " state=%s leases=%u reloads=%u pid=%d program=%s",
                firewall_state_names[posture.state], posture.leases, posture.reloads,
                posture.changed_by_pid, posture.changed_by);
    return 0;
}

static int do_counters(struct driver *driver, char *const *words)
{
    (void)words;
    struct firewall_counters counters;
    int result = firewall_get_counters(driver->firewall, &counters);
    if (result == 0)
        strbuf_addf(&driver->problem,
                    " in=%" PRIu64 " forward=%" PRIu64 " out=%" PRIu64 " spoofed=%" PRIu64,
                    counters.dropped_in, counters.dropped_forward, counters.dropped_out,
                    counters.spoofed);
    return result;
}

static int do_boot(struct driver *driver, char *const *words)
{
    return firewall_write_boot_file(driver->config, words[1], &driver->problem);
}

static int do_hub(struct driver *driver, char *const *words)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
    struct sockaddr_storage hub = {0};
    if (inet_pton(AF_INET, words[1], &to.sin_addr) != 1)
        return -EINVAL;
    memcpy(&hub, &to, sizeof(to));
    return firewall_allow_hub(driver->firewall, &hub, atoll(words[3]));
}

static int do_forget_hub(struct driver *driver, char *const *words)
{
    (void)words;
    return firewall_forget_hub(driver->firewall);
}

static const struct command {
    const char *name;
    size_t n_words;
    int (*run)(struct driver *driver, char *const *words);
} commands[] = {
    {"lease", 7, do_lease},
    {"extend", 2, do_extend},
    {"remove", 1, do_remove},
    {"list", 1, do_list},
    {"try", 2, do_try},
    {"confirm", 1, do_confirm},
    {"rollback", 1, do_rollback},
    {"verify", 1, do_verify},
    {"posture", 1, do_posture},
    {"counters", 1, do_counters},
    {"boot", 2, do_boot},
    {"hub", 4, do_hub},
    {"forget-hub", 1, do_forget_hub},
    {"acknowledge", 1, do_acknowledge},
};

static void obey(struct driver *driver, char *line)
{
    char *words[MAX_WORDS], *rest = NULL;
    size_t n_words = 0;
    int result = -EBADMSG;
    for (char *word = strtok_r(line, " ", &rest); word && n_words < MAX_WORDS;
         word = strtok_r(NULL, " ", &rest))
        words[n_words++] = word;
    strbuf_reset(&driver->problem);
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (n_words == commands[i].n_words && strcmp(words[0], commands[i].name) == 0)
            result = commands[i].run(driver, words);
    }
    if (result < 0)
        printf("error %s %s\n", strerrorname_np(-result), strbuf_text(&driver->problem));
    else
        printf("ok %d%s\n", result, strbuf_text(&driver->problem));
}

static int on_input(sd_event_source *source, int descriptor, uint32_t revents, void *context)
{
    struct driver *driver = context;
    (void)source, (void)revents;
    ssize_t got =
        read(descriptor, driver->line + driver->length, sizeof(driver->line) - 1 - driver->length);
    if (got <= 0)
        return sd_event_exit(driver->loop, 0);
    driver->length += (size_t)got;
    driver->line[driver->length] = '\0';
    for (char *end; (end = strchr(driver->line, '\n'));) {
        *end = '\0';
        obey(driver, driver->line);
        driver->length -= (size_t)(end + 1 - driver->line);
        memmove(driver->line, end + 1, driver->length + 1);
    }
    return 0;
}

static void print_event(const char *name, const struct event *event)
{
    CLEANUP(strbuf_free) struct strbuf members = STRBUF_EMPTY;
    event_text_write_members(event, &members);
    printf("event %s %s\n", name, strbuf_text(&members));
}

static void on_tampered(void *context, const struct event *event)
{
    (void)context;
    print_event("tampered", event);
}

static void on_repaired(void *context, const struct event *event)
{
    (void)context;
    print_event("repaired", event);
}

int main(int argc, char **argv)
{
    struct driver driver = {.config = argc == 2 ? load(argv[1]) : NULL};
    const struct firewall_hooks hooks = {on_tampered, on_repaired, NULL, &driver};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!driver.config || privilege_reduce() < 0 || sd_event_new(&driver.loop) < 0)
        return EXIT_FAILURE;
    driver.firewall = firewall_new(driver.config, &hooks);
    int leftovers = firewall_start(driver.firewall, &driver.problem);
    firewall_set_tunnel(driver.firewall, if_nametoindex(TUNNEL_INTERFACE)); /* the scenario's */
    if (leftovers < 0 || firewall_watch(driver.firewall, driver.loop) < 0) {
        (void)fprintf(stderr, "%s\n", strbuf_text(&driver.problem));
        return EXIT_FAILURE;
    }
    printf("ready %d\n", leftovers);
    int result = sd_event_add_io(driver.loop, NULL, STDIN_FILENO, EPOLLIN, on_input, &driver);
    if (result >= 0)
        result = sd_event_loop(driver.loop);
    firewall_free(driver.firewall);
    sd_event_unref(driver.loop);
    strbuf_free(&driver.problem);
    netd_config_free(driver.config);
    netd_config_free(driver.tried);
    return result < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
