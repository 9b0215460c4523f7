/*
 * plant: a simulated plant of Modbus devices, serial servers and serial lines that misbehave on
 * command.
 * For tests and measurements; shares no Modbus code with the agent.
 */
#include "agent/base/memory.h"
#include "agent/base/strbuf.h"
#include "tests/plant/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct loop *signalled_loop; /* of the one loop of this program */

static void stop(struct watch *watch, uint32_t events)
{
    (void)watch, (void)events;
    loop_stop(signalled_loop);
}

static int run_command(struct plant *plant, const char *text)
{
    char *copy CLEANUP(memory_free_pointer) = memory_text(text);
    struct strbuf out CLEANUP(strbuf_free) = STRBUF_EMPTY;
    if (plant_command(plant, copy, &out) != 0) {
        (void)fprintf(stderr, "plant: %s: %s\n", text, strbuf_text(&out));
        return -EINVAL;
    }
    (void)fputs(strbuf_text(&out), stdout);
    return 0;
}

static int run_script(struct plant *plant, const char *path)
{
    char *line CLEANUP(memory_free_pointer) = NULL;
    size_t capacity = 0;
    int error = 0;
    FILE *file = fopen(path, "re");
    if (!file) {
        (void)fprintf(stderr, "plant: %s: %s\n", path, strerror(errno));
        return -errno;
    }
    while (!error && getline(&line, &capacity, file) >= 0)
        error = run_command(plant, line);
    (void)fclose(file);
    return error;
}

/* Every device takes a listening socket and a connection. */
static void allow_many_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve_plant(const char *script, const char *socket_path, char **command_lines)
{
    struct loop *loop = loop_new();
    struct plant *plant = plant_new(loop);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    struct watch signals = {.fd = signalfd(-1, &ends, SFD_CLOEXEC), .ready = stop};
    signalled_loop = loop;
    loop_add(loop, &signals, EPOLLIN);
    int error = script ? run_script(plant, script) : 0;
    for (; !error && *command_lines; command_lines++)
        error = run_command(plant, *command_lines);
    if (!error && socket_path && (error = plant_listen(plant, socket_path)) != 0)
        (void)fprintf(stderr, "plant: %s: %s\n", socket_path, strerror(-error));
    if (!error) {
        (void)puts("ready");
        (void)fflush(stdout);
        loop_run(loop);
    }
    plant_free(plant);
    close(signals.fd);
    loop_free(loop);
    return error ? 1 : 0;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -errno;
    if (connect(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    return descriptor;
}

/* Sends each command line to a running plant and prints the answers; 1 when one was refused. */
static int control_plant(const char *path, char **command_lines)
{
    char *line CLEANUP(memory_free_pointer) = NULL;
    size_t capacity = 0;
    int descriptor = connect_to(path);
    if (descriptor < 0) {
        (void)fprintf(stderr, "plant: %s: %s\n", path, strerror(-descriptor));
        return 1;
    }
    FILE *stream = fdopen(descriptor, "r+");
    if (!stream)
        return 1;
    for (; *command_lines; command_lines++) {
        (void)dprintf(descriptor, "%s\n", *command_lines);
        for (;;) {
            if (getline(&line, &capacity, stream) < 0)
                return strcmp(*command_lines, "quit") == 0 ? 0 : 1;
            if (strcmp(line, "ok\n") == 0)
                break;
            if (strncmp(line, "error: ", 7) == 0) {
                (void)fprintf(stderr, "plant: %s: %s", *command_lines, line);
                return 1;
            }
            (void)fputs(line, stdout);
        }
    }
    (void)fclose(stream);
    return 0;
}

static int usage(int status)
{
    struct strbuf help CLEANUP(strbuf_free) = STRBUF_EMPTY;
    plant_help(&help);
    (void)fprintf(status ? stderr : stdout,
                  "usage: plant [-s SCRIPT] [-S SOCKET] [COMMAND]...   runs a plant\n"
                  "       plant -k SOCKET COMMAND...                   commands a running one\n"
                  "A COMMAND is one argument. \"ready\" is printed when every line is there.\n%s",
                  strbuf_text(&help));
    return status;
}

int main(int argc, char **argv)
{
    const char *script = NULL, *socket_path = NULL, *control = NULL;
    for (int option; (option = getopt(argc, argv, "s:S:k:h")) != -1;) {
        switch (option) {
        case 's':
            script = optarg;
            break;
        case 'S':
            socket_path = optarg;
            break;
        case 'k':
            control = optarg;
            break;
        case 'h':
            return usage(0);
        default:
            return usage(2);
        }
    }
    if (control)
        return control_plant(control, argv + optind);
    allow_many_descriptors();
    (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    return serve_plant(script, socket_path, argv + optind);
}
