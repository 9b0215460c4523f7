/* Asks for the addresses of a name in a process of its own. */
#include "tunnel/os/resolver.h"

#include "agent/base/child.h"
#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "tunnel/os/confined_child.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct resolver {
    sd_event *loop;
    resolver_hook *answered;
    void *context;
    pid_t pid; /* 0: none */
    int watched, output;
    sd_event_source *ended;
};

struct resolver *resolver_new(sd_event *loop, resolver_hook *answered, void *context)
{
    struct resolver *resolver = memory_zeroed(1, sizeof(*resolver));
    *resolver = (struct resolver){
        .loop = loop, .answered = answered, .context = context, .watched = -1, .output = -1};
    return resolver;
}

void resolver_forget(struct resolver *resolver)
{
    if (!resolver)
        return;
    resolver->ended = sd_event_source_disable_unref(resolver->ended);
    if (resolver->pid > 0) {
        (void)kill(resolver->pid, SIGKILL);
        (void)child_reap(resolver->pid);
    }
    resolver->pid = 0;
    descriptor_close(&resolver->watched);
    descriptor_close(&resolver->output);
}

struct resolver *resolver_free(struct resolver *resolver)
{
    resolver_forget(resolver);
    free(resolver);
    return NULL;
}

bool resolver_is_busy(const struct resolver *resolver)
{
    return resolver->pid > 0;
}

static int on_ended(sd_event_source *source, int descriptor, uint32_t events, void *context)
{
    struct resolver *resolver = context;
    char answer[RESOLVE_ANSWER_BYTES];
    (void)source, (void)descriptor, (void)events;
    ssize_t got = read(resolver->output, answer, sizeof(answer) - 1);
    answer[got > 0 ? got : 0] = '\0';
    int code = child_reap(resolver->pid);
    resolver->pid = 0;
    resolver_forget(resolver);
    resolver->answered(resolver->context, code, answer);
    return 0;
}

int resolver_ask(struct resolver *resolver, const char *host, uint16_t port)
{
    assert(!resolver_is_busy(resolver));
    char number[8];
    const char *const arguments[] = {"/proc/self/exe", "--resolve", host, number, NULL};
    (void)snprintf(number, sizeof(number), "%u", port);
    resolver->watched =
        confined_child_start(&(struct confined){.kind = CONFINED_RESOLVER}, arguments, -1, false,
                             &resolver->output, &resolver->pid);
    int result = resolver->watched;
    if (result >= 0)
        result = sd_event_add_io(resolver->loop, &resolver->ended, resolver->watched, EPOLLIN,
                                 on_ended, resolver);
    if (result < 0)
        resolver_forget(resolver);
    return result < 0 ? result : 0;
}
