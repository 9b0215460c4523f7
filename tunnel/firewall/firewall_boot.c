/*
 * The lockdown before the network: a ruleset that was expanded and checked when the configuration
 * was applied, so that nothing is parsed at boot but nft's own language. Its first line carries the
 * SHA-256 of the rest: a file that was cut short by a power cut may still be valid nft, and open.
 */
#include "tunnel/firewall/firewall_boot.h"

#include "agent/base/descriptor.h"
#include "tunnel/firewall/conntrack.h"
#include "tunnel/firewall/nft_run.h"
#include "tunnel/firewall/nft_text.h"
#include "tunnel/journal/sha256.h"

#include <errno.h>
#include <string.h>

#define BOOT_MAX_BYTES (1024 * 1024)
#define BOOT_HEADER "# sallyport boot ruleset, sha256 "

int firewall_write_boot_file(const struct netd_config *config, const char *path,
                             struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf rules = STRBUF_EMPTY, file = STRBUF_EMPTY;
    char hex[SHA256_HEX_BYTES];
    nft_text_write(&(struct nft_text){.config = config}, &rules);
    int result = nft_run_check(strbuf_text(&rules), problem);
    if (result < 0)
        return result;
    sha256_text(strbuf_text(&rules), strlen(strbuf_text(&rules)), hex);
    strbuf_addf(&file, BOOT_HEADER "%s\n%s", hex, strbuf_text(&rules));
    result = file_replace(path, file.data, file.length, 0640);
    if (result < 0)
        strbuf_addf(problem, "%s cannot be written: %s", path, strerror(-result));
    return result;
}

/* Reads the file and returns the ruleset in it, or NULL with the reason in PROBLEM. */
static const char *read_boot_file(const char *path, struct strbuf *file, struct strbuf *problem)
{
    const size_t header = strlen(BOOT_HEADER), whole = header + SHA256_HEX_BYTES;
    char hex[SHA256_HEX_BYTES];
    int result = file_read(path, BOOT_MAX_BYTES, file);
    if (result < 0) {
        strbuf_addf(problem, "it cannot be read: %s", strerror(-result));
        return NULL;
    }
    const char *text = strbuf_text(file);
    if (strlen(text) == file->length && file->length > whole &&
        strncmp(text, BOOT_HEADER, header) == 0 && text[whole - 1] == '\n') {
        sha256_text(text + whole, strlen(text + whole), hex);
        if (memcmp(text + header, hex, SHA256_HEX_BYTES - 1) == 0)
            return text + whole;
    }
    strbuf_add(problem, "it is damaged: not what was written");
    return NULL;
}

/* Before the network there is nothing to cut; but this may be started later, by hand. */
static int load_and_cut(const char *rules, struct strbuf *problem)
{
    int result = nft_run_load(rules, problem);
    if (result == 0)
        (void)conntrack_cut(NULL, 0, true);
    return result;
}

int firewall_lockdown(const char *path, struct strbuf *problem)
{
    CLEANUP(strbuf_free) struct strbuf file = STRBUF_EMPTY;
    const char *rules = read_boot_file(path, &file, problem);
    if (rules && load_and_cut(rules, problem) == 0)
        return 0;
    strbuf_add(problem, "; ");
    int result = load_and_cut(nft_text_built_in, problem);
    if (result < 0)
        return result;
    problem->data[problem->length -= 2] = '\0';
    return 1;
}
