/*
 * Every general key of sallyport.conf, one row each: the single declaration that everything else
 * is derived from. The keys of a driver are declared with the driver.
 */
#include "config/schema/config.h"

#include "agent/base/macros.h"

#include <math.h>

#define MEMBER(owner, name) .key = #name, .offset = offsetof(struct owner, name)
#define TABLE(names, owner)                                                                        \
    .rows = (names), .n_rows = ARRAY_LENGTH(names), .size = sizeof(struct owner)

const char *const value_type_names[] = {"bool",   "int16",   "uint16",  "int32",  "uint32", "int64",
                                        "uint64", "float32", "float64", "string", NULL};

static const char *const log_level_names[] = {"error", "warning", "info", "debug", NULL};
#define NAME(constant, name) #name,
static const char *const format_names[] = {PAYLOAD_DIALECTS(NAME) "sparkplug", NULL};
static const char *const report_names[] = {"always", "change", NULL};
static const char *const ca_words[] = {"system", NULL};

static const struct option gateway_rows[] = {
    {MEMBER(config_gateway, id), .type = OPTION_ID, .flags = OPTION_REQUIRED,
     .reload = RELOAD_RESTART, .example = "\"gw-0042\"",
     .help = "The name of this gateway, unique within its site; a level of every topic."},
    {MEMBER(config_gateway, site), .type = OPTION_ID, .flags = OPTION_REQUIRED,
     .reload = RELOAD_RESTART, .example = "\"plant-7\"",
     .help = "The name of the site where it is installed; a level of every topic."},
    {MEMBER(config_gateway, state_dir), .type = OPTION_PATH, .fallback = "\"/var/lib/sallyport\"",
     .reload = RELOAD_RESTART, .help = "The folder for data that must survive a power cut."},
    {MEMBER(config_gateway, runtime_dir), .type = OPTION_PATH, .fallback = "\"/run/sallyport\"",
     .reload = RELOAD_RESTART,
     .help = "The folder in memory for the live store and the local socket."},
    {MEMBER(config_gateway, netd_socket), .type = OPTION_PATH,
     .fallback = "\"/run/sallyport-netd/netd.sock\"", .reload = RELOAD_RESTART,
     .help = "The socket of sallyport-netd."},
    {MEMBER(config_gateway, log_level), .type = OPTION_ENUM, .names = log_level_names,
     .fallback = "\"info\"", .reload = RELOAD_LIVE,
     .help = "The most detailed level that is logged."},
};

static const struct option uplink_rows[] = {
    {MEMBER(config_uplink, servers), .type = OPTION_TEXT_LIST, .flags = OPTION_REQUIRED, .min = 1,
     .max = 16, .reload = RELOAD_UPLINK,
     .example = "[ \"mqtts://broker.example.com:8883\", \"mqtts://broker.example.com:443\" ]",
     .help = "The brokers, mqtts://HOST[:PORT] or wss://HOST[:PORT]/PATH; tried in order, "
             "beginning with the last one that worked."},
    {MEMBER(config_uplink, ca), .type = OPTION_PATH, .names = ca_words, .flags = OPTION_REQUIRED,
     .reload = RELOAD_UPLINK, .example = "\"/etc/sallyport/tls/ca.pem\"",
     .help = "The file with the certificate authorities that may sign the broker's certificate, or "
             "\"system\" "
             "for those of the machine; verification cannot be switched off."},
    {MEMBER(config_uplink, crl), .type = OPTION_PATH, .reload = RELOAD_UPLINK,
     .example = "\"/etc/sallyport/tls/crl.pem\"",
     .help = "The file with the revocation lists (CRLs, PEM) that the broker's certificate is "
             "checked against; the list of its issuer must be there and in date."},
    {MEMBER(config_uplink, certificate), .type = OPTION_PATH, .reload = RELOAD_UPLINK,
     .example = "\"/etc/sallyport/tls/gateway.pem\"",
     .help = "The certificate that this gateway presents to the broker; requires `key`."},
    {MEMBER(config_uplink, key), .type = OPTION_PATH, .reload = RELOAD_UPLINK,
     .example = "\"/etc/sallyport/tls/gateway.key\"",
     .help = "The private key of that certificate."},
    {MEMBER(config_uplink, key_password_file), .type = OPTION_PATH, .reload = RELOAD_UPLINK,
     .example = "\"/etc/sallyport/tls/gateway.key-password\"",
     .help = "The file with the password of an encrypted `key`."},
    {MEMBER(config_uplink, username), .type = OPTION_TEXT, .flags = OPTION_SHOWN, .min = 1,
     .max = 256, .reload = RELOAD_UPLINK, .example = "\"gw-0042\"",
     .help = "The user name with which this gateway logs in."},
    {MEMBER(config_uplink, password_file), .type = OPTION_PATH, .flags = OPTION_SHOWN,
     .reload = RELOAD_UPLINK, .example = "\"/etc/sallyport/tls/mqtt-password\"",
     .help = "The file with the password that belongs to `username`."},
    {MEMBER(config_uplink, client_id), .type = OPTION_TEXT, .min = 1, .max = 256,
     .reload = RELOAD_UPLINK, .example = "\"gw-0042\"",
     .help = "The MQTT client identifier, unique at the broker; gateway.id unless given."},
    {MEMBER(config_uplink, format), .type = OPTION_ENUM, .names = format_names,
     .fallback = "\"json\"", .reload = RELOAD_RESTART, .help = "The form of topics and payloads."},
    {MEMBER(config_uplink, prefix), .type = OPTION_TEXT, .min = 1, .max = 128,
     .fallback = "\"sallyport\"", .reload = RELOAD_RESTART,
     .help = "The first level of all topics of the JSON format, or several: acme/europe."},
    {MEMBER(config_uplink, keepalive_s), .type = OPTION_INT, .unit = "s", .min = 5, .max = 3600,
     .fallback = "30", .reload = RELOAD_UPLINK,
     .help = "After this time without traffic the agent sends a PINGREQ to the broker."},
    {MEMBER(config_uplink, connect_timeout_s), .type = OPTION_INT, .unit = "s", .min = 1,
     .max = 300, .fallback = "10", .reload = RELOAD_UPLINK,
     .help = "How long one attempt to connect may take."},
    {MEMBER(config_uplink, ack_timeout_s), .type = OPTION_INT, .unit = "s", .min = 1, .max = 600,
     .fallback = "15", .reload = RELOAD_UPLINK,
     .help = "A broker that has not acknowledged a message after this time is disconnected."},
    {MEMBER(config_uplink, window), .type = OPTION_INT, .unit = "messages", .min = 1, .max = 1024,
     .fallback = "64", .reload = RELOAD_UPLINK,
     .help = "How many messages may be sent without an acknowledgement."},
    {MEMBER(config_uplink, alpn), .type = OPTION_TEXT, .min = 1, .max = 255,
     .reload = RELOAD_UPLINK, .example = "\"mqtt\"",
     .help =
         "The protocol name offered in the TLS handshake (ALPN), for brokers that share port 443."},
    {MEMBER(config_uplink, proxy), .type = OPTION_TEXT, .flags = OPTION_SECRET, .min = 1,
     .max = 512, .reload = RELOAD_UPLINK, .example = "\"http://proxy.example:3128\"",
     .help = "The HTTP proxy to connect through, http://[USER@]HOST:PORT."},
    {MEMBER(config_uplink, proxy_password_file), .type = OPTION_PATH, .reload = RELOAD_UPLINK,
     .example = "\"/etc/sallyport/tls/proxy-password\"",
     .help = "The file with the password of the user in `proxy`."},
    {MEMBER(config_uplink, reconnect_min_ms), .type = OPTION_INT, .unit = "ms", .min = 100,
     .max = 3600000, .fallback = "1000", .reload = RELOAD_UPLINK,
     .help =
         "The upper limit of the wait before the first new attempt; it doubles with each failure."},
    {MEMBER(config_uplink, reconnect_max_ms), .type = OPTION_INT, .unit = "ms", .min = 100,
     .max = 3600000, .fallback = "60000", .reload = RELOAD_UPLINK,
     .help = "The highest value of that limit; the wait itself is a random time up to the limit."},
};

static const struct option outbox_rows[] = {
    {MEMBER(config_outbox, max_mib), .type = OPTION_INT, .unit = "MiB", .min = 1, .max = 1048576,
     .fallback = "256", .reload = RELOAD_RESTART,
     .help =
         "The size of the store on disk; when it is full, the oldest messages are dropped and a "
         "gap is reported."},
    {MEMBER(config_outbox, spill_after_ms), .type = OPTION_INT, .unit = "ms", .min = 100,
     .max = 600000, .fallback = "2000", .reload = RELOAD_RESTART,
     .help = "A message that is not acknowledged after this time goes from memory to disk."},
    {MEMBER(config_outbox, sync_ms), .type = OPTION_INT, .unit = "ms", .min = 10, .max = 600000,
     .fallback = "1000", .reload = RELOAD_RESTART,
     .help = "While the link is down the disk is written at most this often; a power cut loses no "
             "more than that."},
    {MEMBER(config_outbox, backlog_rate_kib_s), .type = OPTION_INT, .unit = "KiB/s", .min = 0,
     .max = 1048576, .fallback = "0", .reload = RELOAD_RESTART,
     .help = "How fast stored messages are sent once the link is back; 0 sets no limit."},
};

static const struct option bus_rows[] = {
    {MEMBER(config_bus, name), .type = OPTION_NAME, .flags = OPTION_REQUIRED, .reload = RELOAD_LINE,
     .example = "\"bus1\"", .help = "The name of the line, unique; devices refer to it."},
    {.key = "driver",
     .offset = offsetof(struct config_bus, driver_name),
     .type = OPTION_TEXT,
     .flags = OPTION_REQUIRED,
     .min = 1,
     .max = 64,
     .reload = RELOAD_LINE,
     .help = "The driver that talks to the line; it adds keys of its own."},
};

static const struct option device_rows[] = {
    {MEMBER(config_device, name), .type = OPTION_NAME, .flags = OPTION_REQUIRED,
     .reload = RELOAD_LINE, .example = "\"device1\"",
     .help = "The name of the device, unique; the last level of its topic."},
    {.key = "bus",
     .offset = offsetof(struct config_device, bus_name),
     .type = OPTION_NAME,
     .flags = OPTION_REQUIRED,
     .reload = RELOAD_LINE,
     .example = "\"bus1\"",
     .help = "The name of the line it is connected to."},
    {MEMBER(config_device, interval_ms), .type = OPTION_INT, .unit = "ms", .min = 1,
     .max = 86400000, .fallback = "1000", .reload = RELOAD_LINE,
     .help = "How often its tags are read."},
    {MEMBER(config_device, report), .type = OPTION_ENUM, .names = report_names,
     .fallback = "\"always\"", .reload = RELOAD_LINE,
     .help =
         "Whether every reading is sent, or only a tag that changed by more than its deadband."},
    {MEMBER(config_device, heartbeat_s), .type = OPTION_INT, .unit = "s", .min = 1, .max = 86400,
     .fallback = "900", .reload = RELOAD_LINE,
     .help = "With report = \"change\": a tag that did not change is sent after this time anyway."},
    {MEMBER(config_device, tags_file), .type = OPTION_PATH, .reload = RELOAD_LINE,
     .example = "\"boiler.csv\"",
     .help = "A CSV file with more tags; its first row names the keys of the columns."},
};

static const struct option tag_rows[] = {
    {MEMBER(config_tag, name), .type = OPTION_NAME, .flags = OPTION_REQUIRED, .reload = RELOAD_LINE,
     .example = "\"tag1\"", .help = "The name of the value, unique within its device."},
    {MEMBER(config_tag, type), .type = OPTION_ENUM, .names = value_type_names,
     .fallback = "\"uint16\"", .reload = RELOAD_LINE,
     .help = "The type of the value in the device; bool unless given where the address is a single "
             "bit."},
    {MEMBER(config_tag, scale), .type = OPTION_FLOAT, .min = -INFINITY, .max = INFINITY,
     .fallback = "1", .reload = RELOAD_LINE,
     .help =
         "The factor for the raw value; what is sent is the raw value times this, plus `offset`."},
    {MEMBER(config_tag, offset), .type = OPTION_FLOAT, .min = -INFINITY, .max = INFINITY,
     .fallback = "0", .reload = RELOAD_LINE, .help = "The number that is added after scaling."},
    {MEMBER(config_tag, decimals), .type = OPTION_INT, .min = 0, .max = 15, .fallback = "-1",
     .reload = RELOAD_LINE, .example = "2",
     .help =
         "How many digits after the decimal point are kept; without it the value is not rounded."},
    {MEMBER(config_tag, unit), .type = OPTION_TEXT, .min = 1, .max = 32, .reload = RELOAD_LINE,
     .example = "\"degC\"", .help = "The unit of the value, for people."},
    {MEMBER(config_tag, deadband), .type = OPTION_FLOAT, .min = 0, .max = INFINITY, .fallback = "0",
     .reload = RELOAD_LINE,
     .help = "With report = \"change\": a change up to this size is not sent."},
    {MEMBER(config_tag, interval_ms), .type = OPTION_INT, .unit = "ms", .min = 1, .max = 86400000,
     .fallback = "0", .reload = RELOAD_LINE, .example = "60000",
     .help = "How often this tag is read; the device's interval unless given."},
    {MEMBER(config_tag, length), .type = OPTION_INT, .unit = "bytes", .min = 1, .max = 250,
     .fallback = "0", .reload = RELOAD_LINE, .example = "16",
     .help = "The size of a string, which must be given for type = \"string\" and only there; a "
             "register holds two bytes."},
    {MEMBER(config_tag, writable), .type = OPTION_BOOL, .fallback = "false", .reload = RELOAD_LINE,
     .help =
         "Whether the value may be written to the device. It is checked, and has no effect yet."},
    {MEMBER(config_tag, min), .type = OPTION_FLOAT, .min = -INFINITY, .max = INFINITY,
     .reload = RELOAD_LINE, .example = "10.0",
     .help = "The smallest value that may be written, in the unit of the tag."},
    {MEMBER(config_tag, max), .type = OPTION_FLOAT, .min = -INFINITY, .max = INFINITY,
     .reload = RELOAD_LINE, .example = "80.0",
     .help = "The largest value that may be written, in the unit of the tag."},
};

const struct option_table config_gateway_table = {
    .path = "gateway", .help = "Who this gateway is.", TABLE(gateway_rows, config_gateway)};
const struct option_table config_uplink_table = {
    .path = "uplink",
    .help = "The one outbound session to the broker: MQTT over TLS.",
    TABLE(uplink_rows, config_uplink)};
const struct option_table config_outbox_table = {
    .path = "outbox",
    .help = "The store that keeps every message until the broker has acknowledged it.",
    TABLE(outbox_rows, config_outbox)};
const struct option_table config_bus_table = {
    .path = "buses",
    .help = "The lines: a TCP connection or a serial port each, with the devices on it.",
    TABLE(bus_rows, config_bus)};
const struct option_table config_device_table = {
    .path = "devices",
    .help = "The devices: what is read from them, and how often.",
    TABLE(device_rows, config_device)};
const struct option_table config_tag_table = {
    .path = "devices.tags",
    .help = "The values of a device, also as columns of its tags_file.",
    TABLE(tag_rows, config_tag)};

const char *const config_number_keys[] = {"scale", "offset", "decimals", "deadband",
                                          "min",   "max",    NULL};
