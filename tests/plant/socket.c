/* The plant's control socket: lines in, lines out, each answer ends with "ok" or "error: ...". */
#include "agent/base/memory.h"
#include "tests/plant/control.h"
#include "tests/plant/plant.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct caller {
    struct watch watch;
    struct plant *plant;
    struct caller *next;
    struct strbuf input;
};

static void dismiss(struct caller *caller)
{
    struct caller **at = &caller->plant->callers;
    while (*at != caller)
        at = &(*at)->next;
    *at = caller->next;
    loop_remove(caller->plant->loop, &caller->watch);
    close(caller->watch.fd);
    strbuf_free(&caller->input);
    free(caller);
}

/* Blocking: a caller who asks for the counters of 200 devices reads them, too. */
static void say_all(int descriptor, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = send(descriptor, bytes, length, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        length -= (size_t)n;
    }
}

static void obey(struct caller *caller, char *line)
{
    struct strbuf out CLEANUP(strbuf_free) = STRBUF_EMPTY;
    int error = plant_command(caller->plant, line, &out);
    if (error) {
        struct strbuf whole CLEANUP(strbuf_free) = STRBUF_EMPTY;
        strbuf_addf(&whole, "error: %s\n", strbuf_text(&out));
        say_all(caller->watch.fd, whole.data, whole.length);
        return;
    }
    strbuf_add(&out, "ok\n");
    say_all(caller->watch.fd, out.data, out.length);
}

static void caller_ready(struct watch *watch, uint32_t events)
{
    struct caller *caller = (struct caller *)watch;
    char bytes[4096];
    (void)events;
    ssize_t n = recv(watch->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        dismiss(caller);
        return;
    }
    strbuf_append(&caller->input, bytes, (size_t)n);
    char *end;
    while (caller->input.length > 0 &&
           (end = memchr(caller->input.data, '\n', caller->input.length)) != NULL) {
        size_t length = (size_t)(end - caller->input.data) + 1;
        *end = '\0';
        obey(caller, caller->input.data);
        caller->input.length -= length;
        memmove(caller->input.data, end + 1, caller->input.length);
    }
}

static void door_ready(struct watch *watch, uint32_t events)
{
    struct plant *plant = (struct plant *)((char *)watch - offsetof(struct plant, door));
    (void)events;
    int descriptor = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
    if (descriptor < 0)
        return;
    struct caller *caller = memory_zeroed(1, sizeof(*caller));
    caller->plant = plant;
    caller->watch = (struct watch){.fd = descriptor, .ready = caller_ready};
    caller->next = plant->callers;
    plant->callers = caller;
    loop_add(plant->loop, &caller->watch, EPOLLIN);
}

int plant_listen(struct plant *plant, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -errno;
    (void)unlink(path);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(descriptor, 8) != 0) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    plant->door = (struct watch){.fd = descriptor, .ready = door_ready};
    plant->door_path = memory_text(path);
    loop_add(plant->loop, &plant->door, EPOLLIN);
    return 0;
}

void plant_hang_up(struct plant *plant)
{
    while (plant->callers)
        dismiss(plant->callers);
    if (!plant->door_path)
        return;
    loop_remove(plant->loop, &plant->door);
    close(plant->door.fd);
    (void)unlink(plant->door_path);
    free(plant->door_path);
    plant->door_path = NULL;
}
