/* How subcommands ask netd. */
#include "agent/cli/netd_call.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/sallyport-netd/netd.sock"

/* Without -n, a default file that is not there or may not be read means the default socket. */
static int netd_call_load(const struct cli_context *context, const char *name,
                          struct netd_call *netd)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY;
    if (!context->netd_file_given && access(context->netd_file, R_OK) < 0) {
        netd->path = memory_text(DEFAULT_SOCKET);
        return CLI_DONE;
    }
    if (netd_config_load(context->netd_file, &findings, &netd->config) < 0) {
        findings_sort(&findings);
        findings_print(&findings, &text);
        cli_print(stderr, "%s", strbuf_text(&text));
        return cli_fail(CLI_FAILED, name, "netd's configuration cannot be used");
    }
    netd->path = memory_printf("%s/netd.sock", netd->config->paths.runtime_dir);
    return CLI_DONE;
}

int netd_call_begin(const struct cli_context *context, const char *name, struct netd_call *ret_netd)
{
    CLEANUP(netd_call_end)
    struct netd_call netd = {
        .name = name, .config_file = context->netd_file, .socket = -1, .json = context->json};
    int code = netd_call_load(context, name, &netd);
    if (code != CLI_DONE)
        return code;
    int problem = netd_client_connect(netd.path, &netd.hello, &netd.socket);
    if (problem == -ECONNRESET || problem == -EPIPE)
        return cli_fail(
            CLI_FAILED, name,
            "netd refuses this user; it accepts root and members of the group sallyport-admin");
    if (problem < 0)
        return cli_fail(CLI_UNREACHABLE, name, "cannot reach netd at %s: %s", netd.path,
                        problem == -ENOENT || problem == -ECONNREFUSED
                            ? "sallyport-netd is not running with this configuration"
                            : strerror(-problem));
    *ret_netd = netd;
    netd = (struct netd_call){.socket = -1};
    return CLI_DONE;
}

void netd_call_end(struct netd_call *netd)
{
    netd_config_free(netd->config);
    free(netd->path);
    descriptor_close(&netd->socket);
}

int netd_call_ask(const struct netd_call *netd, struct wire_message *message, int timeout_ms)
{
    int problem = netd_client_exchange(netd->socket, message, timeout_ms);
    if (problem == -ECONNRESET || problem == -EPIPE)
        return cli_fail(
            CLI_FAILED, netd->name,
            "netd closed the connection: this user is not allowed to make that request");
    if (problem < 0)
        return cli_fail(CLI_FAILED, netd->name, "netd did not answer: %s", strerror(-problem));
    return CLI_DONE;
}

int netd_call_report(const struct netd_call *netd, const struct wire_message *reply)
{
    enum refusal refusal = (enum refusal)reply->header.result;
    const char *text = reply->body.text.text;
    if (netd->json) {
        json_t *document = json_pack("{s:s}", "result", refusal ? "refused" : "accepted");
        if (refusal)
            json_object_set_new(document, "reason", json_string(refusal_names[refusal]));
        if (text[0])
            json_object_set_new(document, "detail", json_string(text));
        (void)cli_print_json(document);
    } else if (!refusal && text[0]) {
        cli_print(stdout, "%s\n", text);
    }
    if (refusal)
        return cli_fail(CLI_FAILED, netd->name, "refused: %s%s%s", refusal_names[refusal],
                        text[0] ? ": " : "", text);
    return CLI_DONE;
}
