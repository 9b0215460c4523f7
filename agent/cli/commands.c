/* The table of subcommands: a new one is one file and one row. */
#include "agent/cli/cli.h"

const struct cli_command cli_commands[] = {
    {"init",
     "[--from FILE | --site NAME --id NAME --server URL --ca FILE ...] [--bus LINE] [--tag VALUE] "
     "| --test | --arm | --confirm | --undo",
     "a first configuration: asks, or takes everything as options; tests it and arms the edge",
     cli_init, cli_init_print_options},
    {"status", "", "one screen: uplink, lines, units, outbox, firewall, tunnel", cli_status, NULL},
    {"watch", "[DEVICE] [--interval MS] [--count N]", "live table of values", cli_watch, NULL},
    {"read",
     "BUS --unit N --table coil|discrete|input|holding --address N [--count N] [--type T] "
     "[--order O]",
     "reads registers or coils, through the running agent where it owns the line", cli_read, NULL},
    {"scan", "BUS [--units 1-247]", "which units answer on a line", cli_scan, NULL},
    {"tunnel",
     "open SERVICE... --ttl 1h --reason TEXT | close | extend --ttl 1h [--reason TEXT] | approve | "
     "status",
     "the maintenance session", cli_tunnel, NULL},
    {"firewall", "status | verify | apply --confirm SECONDS | confirm",
     "what is open, whether it is as it should be, and new rules on trial", cli_firewall, NULL},
    {"journal", "[--verify]", "the audit trail", cli_journal, NULL},
    {"operator", "keygen | list | watch | open | extend | close",
     "on a technician's computer: sees gateways through the broker, signs commands to them",
     cli_operator, cli_operator_print_actions},
    {"check", "[-c FILE] [-n FILE]", "every finding in the configuration; seconds per poll cycle",
     cli_check, NULL},
    {"explain", "[KEY]", "the reference of a configuration key", cli_explain, NULL},
    {.name = NULL},
};
