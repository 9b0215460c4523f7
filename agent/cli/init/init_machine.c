/* Programs and services of this machine. */
#include "agent/cli/init/init_machine.h"

#include "agent/base/child.h"

#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM_MS 90000 /* systemctl waits for the unit */
#define OUTPUT_MAX_BYTES 65536

int init_run(const char *const *arguments, struct strbuf *output)
{
    CLEANUP(strbuf_free) struct strbuf ignored = STRBUF_EMPTY;
    static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    const struct child_job job = {.arguments = arguments,
                                  .environment = environment,
                                  .output_max_bytes = OUTPUT_MAX_BYTES,
                                  .timeout_ms = PROGRAM_MS};
    return child_run(&job, output ? output : &ignored);
}

bool init_has_systemd(void)
{
    struct stat about;
    return lstat("/run/systemd/system", &about) == 0 && S_ISDIR(about.st_mode) &&
           access(INIT_SYSTEMCTL, X_OK) == 0; /* sd_booted(3) */
}

bool init_is_armed(void)
{
    static const char *const list[] = {INIT_NFT, "list", "table", "inet", "sallyport", NULL};
    return init_run(list, NULL) == 0;
}
