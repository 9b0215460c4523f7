/* A real broker for a test. */
#include "tests/support/broker.h"

#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "tests/support/net.h"
#include "tests/support/pki.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 15000
#define TRIES 5

static void fail(const char *what)
{
    (void)fprintf(stderr, "broker: %s\n", what);
    abort();
}

static void run_tool(const char *const *arguments, int timeout_ms, struct strbuf *output)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "HOME=/nonexistent", NULL};
    struct child_job job = {.arguments = arguments,
                            .environment = environment,
                            .output_max_bytes = 1 << 20,
                            .timeout_ms = timeout_ms};
    if (child_run(&job, output) < 0)
        fail(arguments[0]);
}

static void add_login(struct strbuf *text, const char *prefix, const char *login)
{
    char user[100], file[1024];
    struct strbuf output = STRBUF_EMPTY;
    (void)snprintf(user, sizeof(user), "%.*s", (int)strcspn(login, ":"), login);
    (void)snprintf(file, sizeof(file), "%s.passwords", prefix);
    const char *arguments[] = {"/usr/bin/mosquitto_passwd", "-b", "-c", file, user,
                               strchr(login, ':') + 1,      NULL};
    run_tool(arguments, 10000, &output);
    strbuf_addf(text, "allow_anonymous false\npassword_file %s\n", file);
    strbuf_free(&output);
}

static void add_access(struct strbuf *text, const char *prefix, const char *access)
{
    char name[1024];
    (void)snprintf(name, sizeof(name), "%s.acl", prefix);
    FILE *file = fopen(name, "w");
    if (!file || fputs(access, file) < 0 || fclose(file) != 0)
        fail("the ACL file cannot be written");
    strbuf_addf(text, "acl_file %s\n", name);
}

static void write_configuration(const struct broker *broker, const struct broker_options *options)
{
    struct strbuf text = STRBUF_EMPTY;
    const char *name = options->certificate ? options->certificate : "good";
    char certificate[64], key[64];
    (void)snprintf(certificate, sizeof(certificate), "%s.pem", name);
    (void)snprintf(key, sizeof(key), "%s.key", name);
    strbuf_addf(&text,
                "user root\nper_listener_settings true\npersistence false\nlog_type all\nlog_dest "
                "file %s.log\n"
                "set_tcp_nodelay true\n"
                "listener %u 127.0.0.1\nallow_anonymous true\n"
                "listener %u 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\n",
                broker->configuration, broker->plain_port, broker->port, pki_path("ca.pem"),
                pki_path(certificate), pki_path(key));
    if (options->wants_client)
        strbuf_add(&text, "require_certificate true\n");
    if (options->login)
        add_login(&text, broker->configuration, options->login);
    else
        strbuf_add(&text, "allow_anonymous true\n");
    if (options->access)
        add_access(&text, broker->configuration, options->access);
    FILE *file = fopen(broker->configuration, "w");
    if (!file || fputs(strbuf_text(&text), file) < 0 || fclose(file) != 0)
        fail("the configuration cannot be written");
    strbuf_free(&text);
}

static bool spawn_and_wait(struct broker *broker)
{
    /* It must not outlive a test that crashes. */
    char *const arguments[] = {"setpriv", "--pdeathsig",         "KILL", "/usr/sbin/mosquitto",
                               "-c",      broker->configuration, NULL};
    char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int problem =
        posix_spawn(&broker->pid, "/usr/bin/setpriv", &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    if (problem)
        fail("mosquitto cannot be started");
    int64_t until_ns = clock_mono_ns() + START_MS * CLOCK_NS_PER_MS;
    while (clock_mono_ns() < until_ns) {
        int plain = net_connect(broker->plain_port), tls = net_connect(broker->port);
        bool ready = plain >= 0 && tls >= 0;
        if (plain >= 0)
            close(plain);
        if (tls >= 0)
            close(tls);
        if (ready)
            return true;
        if (waitpid(broker->pid, NULL, WNOHANG) == broker->pid)
            break; /* a port was taken meanwhile */
        clock_sleep_until(clock_mono_ns() + 5 * CLOCK_NS_PER_MS);
    }
    broker->pid = 0;
    return false;
}

void broker_start(struct broker *broker, const struct broker_options *options)
{
    static unsigned int number;
    for (int i = 0; i < TRIES; i++) {
        *broker = (struct broker){0};
        (void)snprintf(broker->configuration, sizeof(broker->configuration), "%s/broker-%u",
                       test_folder(), number++);
        int first = net_listen(&broker->port), second = net_listen(&broker->plain_port);
        close(first);
        close(second);
        write_configuration(broker, options);
        if (spawn_and_wait(broker))
            return;
    }
    fail("mosquitto does not listen");
}

void broker_restart(struct broker *broker)
{
    if (!spawn_and_wait(broker))
        fail("mosquitto does not listen again");
}

void broker_kill(struct broker *broker)
{
    if (broker->pid <= 0)
        return;
    (void)kill(broker->pid, SIGKILL);
    (void)waitpid(broker->pid, NULL, 0);
    broker->pid = 0;
}

void broker_pause(const struct broker *broker)
{
    (void)kill(broker->pid, SIGSTOP);
}

void broker_continue(const struct broker *broker)
{
    (void)kill(broker->pid, SIGCONT);
}

void broker_publish(const struct broker *broker, const char *topic, const char *payload,
                    bool retained)
{
    char port[8];
    struct strbuf output = STRBUF_EMPTY;
    (void)snprintf(port, sizeof(port), "%u", broker->plain_port);
    const char *arguments[] = {"/usr/bin/mosquitto_pub",
                               "-h",
                               "127.0.0.1",
                               "-p",
                               port,
                               "-q",
                               "1",
                               "-t",
                               topic,
                               "-m",
                               payload,
                               NULL,
                               NULL};
    if (retained)
        arguments[11] = "-r";
    run_tool(arguments, 10000, &output);
    strbuf_free(&output);
}

void broker_listen(const struct broker *broker, const char *topic, int timeout_ms,
                   struct strbuf *out)
{
    char port[8], seconds[16];
    (void)snprintf(port, sizeof(port), "%u", broker->plain_port);
    (void)snprintf(seconds, sizeof(seconds), "%d", (timeout_ms + 999) / 1000);
    const char *arguments[] = {"/usr/bin/mosquitto_sub",
                               "-h",
                               "127.0.0.1",
                               "-p",
                               port,
                               "-t",
                               topic,
                               "-C",
                               "1",
                               "-F",
                               "%r %t %p",
                               "-W",
                               seconds,
                               NULL};
    struct strbuf output = STRBUF_EMPTY;
    run_tool(arguments, timeout_ms + 5000, &output);
    size_t length = strcspn(strbuf_text(&output), "\n");
    if (output.length > 0 && (output.data[0] == '0' || output.data[0] == '1'))
        strbuf_append(out, output.data, length);
    strbuf_free(&output);
}
