/* `sallyport init --help`: its options, in the order in which a person needs them. */
#include "agent/cli/init/init_help.h"

#include "agent/base/macros.h"
#include "agent/cli/cli_print.h"

static const struct {
    const char *option, *help;
} rows[] = {
    {"--from FILE",
     "the enrolment file from the central site; other options override it. Whom it makes "
     "the gateway trust is shown and asked"},
    {"--fingerprint SHA256:...",
     "the key that must have signed the enrolment; then nothing is asked"},
    {"--accept-signers", "trusts all that is shown, without a question"},
    {"--site NAME, --id NAME", "the names of the site and of this gateway; levels of its topics"},
    {"--server URL ...", "the brokers, mqtts://HOST:PORT or wss://HOST:PORT/PATH"},
    {"--ca FILE|system", "the certificate authorities that may sign the broker's certificate"},
    {"--username NAME, --password-file FILE", "the login for the broker"},
    {"--certificate FILE, --key FILE", "the certificate that this gateway presents"},
    {"--request", "creates a key and a request for such a certificate"},
    {"--prefix WORD", "the first level of all topics, or several: acme/europe; default: sallyport"},
    {"--bus LINE ...",
     "[NAME=]tcp:HOST[:PORT], [NAME=]rtu:DEVICE[,BAUD[,8E1]], [NAME=]rtu:HOST:PORT or "
     "[NAME=]sim:; udp: as tcp:, ascii: as rtu:"},
    {"--tag VALUE ...", "DEVICE.TAG=LINE/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]]"},
    {"--wan INTERFACE ...", "interface towards the internet; default: from the routing table"},
    {"--plant INTERFACE ...", "interface towards the plant; default: from the routing table"},
    {"--keep-ssh", "adds a firewall exception for the address that this SSH session comes from"},
    {"--tunnel-address ADDRESS", "the address of this gateway inside the tunnel"},
    {"--tunnel-source NETWORK ...", "the networks inside the tunnel that may use a session"},
    {"--hub-key KEY, --hub-endpoint HOST:PORT, --hub-address ADDRESS", "the hub of the tunnel"},
    {"--preshared-key-file FILE", "a preshared key, known to the hub as well"},
    {"--signers FILE", "the operators' public keys, in OpenSSH's allowed_signers format"},
    {"--root DIR", "writes below DIR, and neither tests nor arms"},
    {"--force", "replaces existing files, and keeps a copy of each"},
    {"--no-test, --no-start", "skips the tests; skips the arming"},
    {"--test", "tests broker and plant, and does nothing else"},
    {"--arm", "closes every inbound port, and undoes that unless it is confirmed"},
    {"--yes", "arms, and confirms in advance"},
    {"--seconds N", "how long the arming waits for the confirmation, 3 to 600; default: 60"},
    {"--confirm, --undo", "confirms or undoes an arming that waits"},
};

void init_print_options(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        cli_print(out, "  %s\n            %s\n", rows[i].option, rows[i].help);
    cli_print(out, "\nAn option with ... may be repeated. Anything not given is asked for on the "
                   "terminal.\n");
}
