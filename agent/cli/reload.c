/* `sallyport reload`: the running agent reads its files again, and reports what changed. */
#include "agent/base/descriptor.h"
#include "agent/cli/agent_client.h"
#include "agent/cli/cli.h"

#include <jansson.h>
#include <string.h>

#define NAME "reload"
#define TIMEOUT_MS 60000 /* it takes a second with 20 000 tags; a slow machine gets its time */

static void reload_print_list(const char *head, const json_t *texts, const char *between)
{
    size_t index;
    json_t *text;
    if (json_array_size(texts) == 0)
        return;
    cli_print(stdout, "%s", head);
    json_array_foreach(texts, index, text)
        cli_print(stdout, "%s%s", index > 0 ? between : "", json_string_value(text));
    cli_print(stdout, "\n");
}

static void print_report(const json_t *answer)
{
    const json_t *changes = json_object_get(answer, "changes");
    if (json_array_size(changes) == 0) {
        cli_print(stdout, "nothing has changed\n");
        return;
    }
    reload_print_list("", changes, "\n");
    reload_print_list("lines started: ", json_object_get(answer, "started"), ", ");
    reload_print_list("lines ended: ", json_object_get(answer, "ended"), ", ");
    if (json_is_true(json_object_get(answer, "reconnects")))
        cli_print(stdout, "the agent reconnects to the broker\n");
    if (json_array_size(json_object_get(answer, "started")) == 0 &&
        json_array_size(json_object_get(answer, "ended")) == 0 &&
        !json_is_true(json_object_get(answer, "reconnects")))
        cli_print(stdout, "nothing was restarted\n");
}

static int reload_agent(const struct cli_context *context, int agent)
{
    json_t *answer = agent_ask(agent, NAME, json_pack("{s:s}", "command", "reload"), TIMEOUT_MS);
    if (!answer || !agent_is_ok(answer, NAME)) {
        json_decref(answer);
        return CLI_FAILED;
    }
    if (context->json) {
        (void)json_object_del(answer, "result");
        return cli_print_json(answer);
    }
    print_report(answer);
    json_decref(answer);
    return CLI_DONE;
}

static int run_reload(const struct cli_context *context, int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return cli_usage(context);
    struct config *config = agent_find_config(context);
    if (!config)
        return cli_fail(CLI_FAILED, NAME, "nothing was reloaded: correct the configuration first");
    CLEANUP(descriptor_close) int agent = agent_connect(config);
    int code = agent < 0 ? agent_unreachable(NAME, config, agent) : reload_agent(context, agent);
    config_free(config);
    return code;
}

const struct cli_command command_reload = {
    .name = NAME,
    .usage = "",
    .help = "makes the agent reload its configuration; prints what changed and what was restarted",
    .run = run_reload,
};
