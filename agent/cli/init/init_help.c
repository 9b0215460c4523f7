/* `sallyport init --help`: its options, in the order in which a person needs them. */
#include "agent/cli/init/init_help.h"

#include "agent/base/macros.h"

static const struct {
    const char *option, *help;
} rows[] = {
    {"--from FILE",
     "the enrolment that the central site wrote; what another option says counts more"},
    {"--site NAME, --id NAME", "who this gateway is; both are parts of topics"},
    {"--server URL ...", "the brokers, mqtts://HOST:PORT or wss://HOST:PORT/PATH"},
    {"--ca FILE|system", "the authorities that may have signed the broker's certificate"},
    {"--username NAME, --password-file FILE", "the login at the broker"},
    {"--certificate FILE, --key FILE", "the certificate that this gateway shows"},
    {"--request", "makes a key and a request for such a certificate"},
    {"--prefix WORD", "the first level of all topics; sallyport"},
    {"--bus LINE ...",
     "[NAME=]tcp:HOST[:PORT], [NAME=]rtu:DEVICE[,BAUD[,8E1]], [NAME=]rtu:HOST:PORT or "
     "[NAME=]sim:; udp: as tcp:, ascii: as rtu:"},
    {"--tag VALUE ...", "DEVICE.TAG=LINE/UNIT/TABLE/ADDRESS[/TYPE[/ORDER]]"},
    {"--wan INTERFACE ...", "towards the internet; taken from the routes"},
    {"--plant INTERFACE ...", "towards the plant; taken from the routes"},
    {"--keep-ssh", "an exception in the firewall for where this SSH session comes from"},
    {"--tunnel-address ADDRESS", "of this gateway inside the tunnel"},
    {"--tunnel-source NETWORK ...", "who may use a session, as seen inside the tunnel"},
    {"--hub-key KEY, --hub-endpoint HOST:PORT, --hub-address ADDRESS", "the hub of the tunnel"},
    {"--preshared-key-file FILE", "one more key, shared with the hub"},
    {"--signers FILE", "the operators' public keys, as OpenSSH's allowed_signers"},
    {"--root DIR", "writes below DIR, and neither tests nor arms"},
    {"--force", "replaces files that are there; a copy of each is kept"},
    {"--no-test, --no-start", "leaves out the tests; the arming"},
    {"--test", "tests broker and plant, and nothing else"},
    {"--arm", "shuts the gateway, and undoes it unless confirmed"},
    {"--yes", "arms, and confirms in advance"},
    {"--seconds N", "how long the arming waits for the confirmation, 3 to 600; 60"},
    {"--confirm, --undo", "the answer to an arming that waits"},
};

void init_print_options(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        (void)fprintf(out, "  %s\n            %s\n", rows[i].option, rows[i].help);
    (void)fputs("\nAn option with ... may be given again. What is not given is asked for at a "
                "terminal.\n",
                out);
}
