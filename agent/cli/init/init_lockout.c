/*
 * The guardian of the first arming: a process that survives the session that started it, and undoes
 * the arming unless root confirms it. It runs as root and outside netd, which has no request that
 * removes the lockdown: it stops the services and deletes the table with nft.
 *
 * It listens on a socket that only root can reach. A client sends one byte, INIT_KEEP or
 * INIT_UNDO, or waits; in the end every client receives the outcome: "kept" or "undone", and why.
 */

#include "agent/cli/init/init_lockout.h"

#include "agent/base/child.h"
#include "agent/base/clock.h"
#include "agent/base/descriptor.h"
#include "agent/base/unix_socket.h"
#include "agent/cli/cli.h"
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define FOLDER "/run/sallyport-init"
#define SOCKET FOLDER "/guard.sock"
#define LAST FOLDER "/last"
#define VERDICT_MAX_BYTES 4096
#define CLIENTS_MAX 8
#define UNDO_TRIES 5
#define START_MS 5000
#define SYSTEMD_RUN "/usr/bin/systemd-run"

static void note(int priority, const char *text)
{
    (void)sd_journal_print(priority, "sallyport init: %s", text);
}

/* ---- keeping or undoing ---- */

/* The services run already when the arming is kept, so only starting them at boot is left to do. */
static void enable_units(struct strbuf *verdict)
{
    static const char *const enable[] = {
        INIT_SYSTEMCTL,      "enable", "sallyport-firewall.service", "sallyport-netd.service",
        "sallyport.service", NULL};
    static const char *const start[] = {INIT_SYSTEMCTL, "restart", "sallyport.service", NULL};
    CLEANUP(strbuf_free) struct strbuf output = STRBUF_EMPTY;
    if (init_has_systemd() && (init_run(enable, &output) != 0 || init_run(start, &output) != 0))
        strbuf_addf(verdict,
                    "the rules stay only until this machine restarts: the units could "
                    "not be enabled and started: %.*s",
                    (int)strcspn(strbuf_text(&output), "\n"), strbuf_text(&output));
    else
        strbuf_add(verdict, "kept");
}

static void stop_units(void)
{
    static const char *const disable[] = {INIT_SYSTEMCTL,
                                          "disable",
                                          "--now",
                                          "sallyport-netd.service",
                                          "sallyport-firewall.service",
                                          NULL};
    if (init_has_systemd() && init_run(disable, NULL) != 0)
        note(LOG_ERR, "the services could not be stopped; the table is removed nevertheless");
}

/* netd, if it still runs, would load the table again: delete it until it stays deleted. */
static void undo(const char *why, struct strbuf *verdict)
{
    static const char *const drop[] = {INIT_NFT, "delete", "table", "inet", "sallyport", NULL};
    int tries = 0;
    stop_units();
    while (init_is_armed() && tries++ < UNDO_TRIES) {
        (void)init_run(drop, NULL);
        clock_sleep_until(clock_mono_ns() + CLOCK_NS_PER_S / 5);
    }
    if (init_is_armed())
        strbuf_addf(verdict,
                    "the arming could NOT be undone (%s); run: nft delete table inet sallyport",
                    why);
    else
        strbuf_addf(verdict,
                    "undone: %s; the units are stopped, the table is removed, and this "
                    "machine is as open as before",
                    why);
}

/* ---- the socket ---- */

int init_guard_connect(void)
{
    return unix_socket_connect(SOCKET, SOCK_STREAM);
}

void init_guard_last(struct strbuf *verdict)
{
    (void)file_read(LAST, VERDICT_MAX_BYTES, verdict);
}

bool init_is_guarded(void)
{
    CLEANUP(descriptor_close) int guardian = init_guard_connect();
    return guardian >= 0;
}

static int listen_at_socket(void)
{
    if (mkdir(FOLDER, 0700) < 0 && errno != EEXIST)
        return -errno;
    struct stat about;
    if (lstat(FOLDER, &about) < 0 || !S_ISDIR(about.st_mode) || about.st_uid != geteuid() ||
        (about.st_mode & 077))
        return -EPERM;
    return unix_socket_listen(SOCKET, SOCK_STREAM | SOCK_NONBLOCK, 0600, CLIENTS_MAX);
}

struct guard {
    int listener;
    int clients[CLIENTS_MAX];
    size_t n_clients;
};

static void take_client(struct guard *guard)
{
    int client = accept4(guard->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer;
    socklen_t length = sizeof(peer);
    if (client < 0)
        return;
    if (guard->n_clients == CLIENTS_MAX ||
        getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        close(client);
        return;
    }
    guard->clients[guard->n_clients++] = client;
}

/* The byte of a client: INIT_KEEP, INIT_UNDO, or 0. A client that hung up is removed. */
static char hear_client(struct guard *guard, size_t index)
{
    char word = 0;
    ssize_t got = recv(guard->clients[index], &word, 1, MSG_DONTWAIT);
    if (got == 1)
        return word == INIT_KEEP || word == INIT_UNDO ? word : 0;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    close(guard->clients[index]);
    guard->clients[index] = guard->clients[--guard->n_clients];
    return 0;
}

/* Waits for the byte of a client until the time is over; 0: none came. */
static char await_word(struct guard *guard, int64_t deadline_ns)
{
    for (;;) {
        struct pollfd waits[1 + CLIENTS_MAX] = {{.fd = guard->listener, .events = POLLIN}};
        size_t n_clients = guard->n_clients;
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_NS_PER_MS;
        if (left_ms <= 0)
            return 0;
        for (size_t i = 0; i < n_clients; i++)
            waits[1 + i] = (struct pollfd){.fd = guard->clients[i], .events = POLLIN};
        if (poll(waits, 1 + n_clients, (int)left_ms) <= 0)
            continue;
        for (size_t i = n_clients; i > 0;
             i--) { /* from the end, because a client that hung up is removed from the array */
            char word = waits[i].revents ? hear_client(guard, i - 1) : 0;
            if (word)
                return word;
        }
        if (waits[0].revents)
            take_client(guard);
    }
}

static void tell_clients(struct guard *guard, const struct strbuf *verdict)
{
    take_client(guard); /* a client that connected at the last moment; does not block, see
                           listen_at_socket() */
    for (size_t i = 0; i < guard->n_clients; i++) {
        (void)send(guard->clients[i], verdict->data, verdict->length, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(guard->clients[i]);
    }
}

int init_guard(int seconds)
{
    CLEANUP(strbuf_free) struct strbuf verdict = STRBUF_EMPTY;
    struct guard guard = {.listener = listen_at_socket()};
    if (guard.listener < 0)
        return cli_fail(CLI_FAILED, INIT, SOCKET ": %s", strerror(-guard.listener));
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    char word = await_word(&guard, clock_mono_ns() + seconds * CLOCK_NS_PER_S);
    bool keeps = word == INIT_KEEP && init_is_armed();
    if (keeps)
        enable_units(&verdict);
    else if (word == INIT_KEEP) /* the next start would load rules that were never tried */
        undo("it was confirmed before the rules were loaded", &verdict);
    else
        undo(word == INIT_UNDO ? "it was requested" : "it was not confirmed in time", &verdict);
    note(keeps ? LOG_NOTICE : LOG_WARNING, strbuf_text(&verdict));
    (void)unlink(SOCKET);
    (void)file_replace(LAST, verdict.data, verdict.length, 0600);
    tell_clients(&guard, &verdict);
    close(guard.listener);
    return CLI_DONE;
}

/* ---- its start ---- */

static bool start_by_systemd(const char *program, const char *seconds)
{
    /* systemd restarts a guardian that was killed; its time may double, but the arming is undone.
     */
    const char *const run[] = {SYSTEMD_RUN,
                               "--quiet",
                               "--collect",
                               "--unit=sallyport-init-guard",
                               "--property=Restart=on-failure",
                               "--",
                               program,
                               INIT,
                               "--guard",
                               "--seconds",
                               seconds,
                               NULL};
    return init_has_systemd() && access(SYSTEMD_RUN, X_OK) == 0 && init_run(run, NULL) == 0;
}

/* In a session of its own, and a child of process 1, so that it survives the terminal. */
static int start_by_fork(const char *program, const char *seconds)
{
    const char *const arguments[] = {program, INIT, "--guard", "--seconds", seconds, NULL};
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child > 0)
        return waitpid(child, NULL, 0) == child ? 0 : -errno;
    (void)setsid();
    if (fork() != 0)
        _exit(0);
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(nowhere, STDIN_FILENO);
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
    (void)signal(SIGHUP, SIG_IGN);
    if (chdir("/") == 0)
        (void)execv(program, (char *const *)arguments);
    _exit(1);
}

int init_guard_start(int seconds)
{
    char program[4096], text[12];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (length < 0)
        return -errno;
    program[length] = '\0';
    (void)snprintf(text, sizeof(text), "%d", seconds);
    if (init_is_guarded())
        return -EALREADY;
    int problem = start_by_systemd(program, text) ? 0 : start_by_fork(program, text);
    int64_t deadline_ns = clock_mono_ns() + START_MS * CLOCK_NS_PER_MS;
    while (!problem && !init_is_guarded()) {
        clock_sleep_until(clock_mono_ns() + 20 * CLOCK_NS_PER_MS);
        problem = clock_mono_ns() < deadline_ns ? 0 : -ETIMEDOUT;
    }
    return problem;
}
