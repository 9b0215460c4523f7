/* `sallyport init`: the enrolment file, lines and tags in short, interfaces, the files it makes. */
#include "agent/cli/init/init_answers.h"
#include "agent/cli/init/init_enrolment.h"
#include "agent/cli/init/init_guess.h"
#include "agent/cli/init/init_keys.h"
#include "agent/cli/init/init_notation.h"
#include "agent/cli/init/init_print.h"
#include "config/load/load.h"
#include "config/print/dump.h"
#include "tests/support/test.h"
#include "tunnel/config/netd_config.h"
#include "tunnel/model/wireguard_key.h"

#include "agent/base/descriptor.h"
#include "agent/base/memory.h"
#include "drivers/driver.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define KEY "w2h8S6S0yyzcV4X3g1Uq8pGq8qnJzTzYc0m4kq1O1nE="

static const char *const enrolment =
    "enrolment = 1;\n"
    "gateway: { id = \"gw-0042\"; site = \"plant-7\"; };\n"
    "uplink: { servers = [ \"mqtts://b.example:8883\" ]; username = \"u\\\"1\"; password = \"p "
    "w\";\n"
    "  prefix = \"sallyport\"; client_id = \"c-1\"; ca_pem = \"-----BEGIN "
    "CERTIFICATE-----\\nAA==\\n\"; };\n"
    "tunnel: { address = \"10.254.1.42\"; sources = [ \"10.254.0.0/24\" ];\n"
    "  hub: { public_key = \"" KEY "\"; endpoint = \"vpn.example.com:443\";\n"
    "    address = \"10.254.0.1\"; preshared_key = \"" KEY "\"; }; };\n"
    "allowed_signers = \"op ssh-ed25519 AAAA\\n\"; revoked_keys = \"\";\n";

/* Reads TEXT; SAID gets the findings. */
static int read_text(const char *text, struct init_answers *answers, struct strbuf *said)
{
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    *answers = (struct init_answers){.has_tunnel = false};
    int result = init_read_enrolment(test_file("enrolment", text), &findings, answers);
    strbuf_reset(said);
    findings_print(&findings, said);
    return result;
}

static void test_enrolment(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    CLEANUP(init_answers_free) struct init_answers answers;
    CU_ASSERT_EQUAL_FATAL(read_text(enrolment, &answers, &said), 0);
    TEST_TEXT_EQUAL(strbuf_text(&said), "");
    TEST_TEXT_EQUAL(answers.gateway.id, "gw-0042");
    TEST_TEXT_EQUAL(answers.uplink.servers.items[0], "mqtts://b.example:8883");
    TEST_TEXT_EQUAL(answers.uplink.username, "u\"1");
    TEST_TEXT_EQUAL(answers.uplink.ca_pem, "-----BEGIN CERTIFICATE-----\nAA==\n");
    TEST_TEXT_EQUAL(answers.hub.preshared_key, KEY);
    TEST_TEXT_EQUAL(answers.signers.revoked_keys, "");
    CU_ASSERT(answers.has_tunnel);
    CU_ASSERT_PTR_NULL(answers.tunnel.private_key);
}

static void test_enrolment_refused(void)
{
    static const struct {
        const char *old, *fresh, *says;
    } cases[] = {
        {"enrolment = 1", "enrolment = 2", "enrolment: "},
        {"enrolment = 1;", "", "enrolment: "},
        {"gw-0042", "gw/0042", "gateway.id: "},
        {"gw-0042", "gw+", "gateway.id: "},
        {"mqtts://", "mqtt://", "uplink.servers: "},
        {"password = \"p w\";", "", "username and password belong together"},
        {"ca_pem", "ca", "uplink.ca: "},
        {"ca_pem", "key_pem = \"x\"; ca_pem", "belong together"},
        {"public_key = \"w", "public_key = \" ", "tunnel.hub.public_key: "},
        {"address = \"10.254.1.42\";", "", "tunnel.address: "},
        {"allowed_signers", "hook", "hook"},
        {"gateway: {", "gateway: [", ""},
        {"username = \"u", "username = \"\\n", "uplink.username: "},
    };
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *at = strstr(enrolment, cases[i].old);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        CLEANUP(memory_free_pointer)
        char *text = memory_printf("%.*s%s%s", (int)(at - enrolment), enrolment, cases[i].fresh,
                                   at + strlen(cases[i].old));
        struct init_answers answers;
        CU_ASSERT_EQUAL(read_text(text, &answers, &said), -EINVAL);
        TEST_CONTAINS(strbuf_text(&said), cases[i].says);
        CU_ASSERT_PTR_NULL(answers.gateway.id); /* nothing of it is taken */
    }
}

/* A file cut off anywhere, or with any byte changed, is read or refused, and never more. */
static void test_enrolment_damaged(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    CLEANUP(memory_free_pointer) char *text = memory_text(enrolment);
    size_t length = strlen(text), refused = 0;
    for (size_t i = 0; i < length; i++) {
        static const char bytes[] = "\"\\{(;\n\x01\xff=1";
        struct init_answers answers;
        char before = text[i];
        text[i] = i % 2 ? '\0' : bytes[i / 2 % (sizeof(bytes) - 1)];
        int result = read_text(text, &answers, &said);
        CU_ASSERT(result == 0 || (result == -EINVAL && said.length > 0));
        refused += result != 0;
        init_answers_free(&answers);
        text[i] = before;
    }
    CU_ASSERT(refused > length / 2);
}

static void test_enrolment_too_long(void)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY, text = STRBUF_EMPTY;
    struct init_answers answers;
    strbuf_addf(&text, "%s# ", enrolment);
    memset(strbuf_reserve(&text, 300000), 'x', 300000);
    text.length += 300000;
    text.data[text.length] = '\0';
    CU_ASSERT_EQUAL(read_text(text.data, &answers, &said), -EINVAL);
    TEST_CONTAINS(strbuf_text(&said), "too large");
}

/* ---- in short ---- */

static void test_buses(void)
{
    struct init_bus bus;
    struct problem problem;
    CU_ASSERT_EQUAL(init_parse_bus("tcp:192.168.10.5", 0, &bus, &problem), 0);
    TEST_TEXT_EQUAL(bus.name, "plc1");
    TEST_TEXT_EQUAL(bus.place, "192.168.10.5");
    CU_ASSERT_EQUAL(bus.port, 0);
    CU_ASSERT_EQUAL(init_parse_bus("a=tcp:[fd00::5]:503", 0, &bus, &problem), 0);
    TEST_TEXT_EQUAL(bus.place, "fd00::5");
    CU_ASSERT_EQUAL(bus.port, 503);
    CU_ASSERT_EQUAL(init_parse_bus("rtu:/dev/serial/by-path/pci-0:1.0,9600,8N2", 1, &bus, &problem),
                    0);
    TEST_TEXT_EQUAL(bus.name, "line2");
    TEST_TEXT_EQUAL(bus.place, "/dev/serial/by-path/pci-0:1.0");
    TEST_TEXT_EQUAL(bus.frame, "8N2");
    CU_ASSERT_EQUAL(bus.baud, 9600);
    CU_ASSERT_EQUAL(init_parse_bus("try=sim:", 0, &bus, &problem), 0);
    CU_ASSERT_PTR_NULL(bus.place_key);
    CU_ASSERT_EQUAL(init_parse_bus("udp:h:503", 0, &bus, &problem), 0);
    TEST_TEXT_EQUAL(bus.transport, "udp");
    CU_ASSERT_PTR_NULL(bus.framing);
    CU_ASSERT_EQUAL(init_parse_bus("rtu:h:4001", 0, &bus, &problem), 0); /* a serial server */
    TEST_TEXT_EQUAL(bus.driver, "modbus_tcp");
    TEST_TEXT_EQUAL(bus.place_key, "host");
    TEST_TEXT_EQUAL(bus.framing, "rtu");
    CU_ASSERT_EQUAL(init_parse_bus("ascii:/dev/x,9600,7E1", 0, &bus, &problem), 0);
    TEST_TEXT_EQUAL(bus.driver, "modbus_rtu");
    TEST_TEXT_EQUAL(bus.framing, "ascii");
    TEST_TEXT_EQUAL(bus.frame, "7E1");
    static const char *const bad[] = {"",
                                      "tcp:",
                                      "tcp:h:0",
                                      "tcp:h:65536",
                                      "tcp:fd00::5",
                                      "tcp:[fd0",
                                      "rtu:ttyS1",
                                      "rtu:/dev/x,fast",
                                      "rtu:/dev/x,9600,9E1",
                                      "udp:",
                                      "ascii:/dev/x,9600,9E1",
                                      "ascii:h",
                                      "rtu:h:0",
                                      "morse:h",
                                      "a b=tcp:h",
                                      "tcp:h:1x",
                                      "sim:x",
                                      "rtu:/dev/x,",
                                      "tcp:h:502:1",
                                      "rtu:/dev/x,9600,7E1"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        problem.text[0] = '\0';
        CU_ASSERT_EQUAL(init_parse_bus(bad[i], 0, &bus, &problem), -EINVAL);
        CU_ASSERT(problem.text[0]);
    }
}

static void test_tags(void)
{
    struct init_tag tag;
    struct problem problem;
    CU_ASSERT_EQUAL(init_parse_tag("a.b.t=plc1/7/holding/100/float32/CDAB", &tag, &problem), 0);
    TEST_TEXT_EQUAL(tag.device, "a.b");
    TEST_TEXT_EQUAL(tag.tag, "t");
    TEST_TEXT_EQUAL(tag.type, "float32");
    TEST_TEXT_EQUAL(tag.order, "CDAB");
    CU_ASSERT_EQUAL(tag.unit, 7);
    CU_ASSERT_EQUAL(init_parse_tag("d.t=try", &tag, &problem), 0);
    CU_ASSERT_FALSE(tag.has_register);
    static const char *const bad[] = {"",
                                      "t=plc1",
                                      "d.=p",
                                      ".t=p",
                                      "d.t",
                                      "d.t=",
                                      "d.t=p/1",
                                      "d.t=p/1/holding",
                                      "d.t=p/256/holding/1",
                                      "d.t=p/1/holding/70000",
                                      "d.t=p/1/holding/1/a/b/c",
                                      "d t.x=p/1/holding/1"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        CU_ASSERT_EQUAL(init_parse_tag(bad[i], &tag, &problem), -EINVAL);
}

/* ---- interfaces ---- */

static void test_routes(void)
{
    /* As the kernel of a little-endian machine writes it; the numbers of others are turned over. */
    CLEANUP(memory_free_pointer)
    char *text = memory_printf(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "wwan0\t00000000\t%08X\t0003\t0\t0\t700\t00000000\t0\t0\t0\n"
        "eth0\t00000000\t%08X\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        "eth1\t%08X\t00000000\t0001\t0\t0\t0\t%08X\t0\t0\t0\n"
        "eth2\t%08X\t00000000\t0201\t0\t0\t0\t%08X\t0\t0\t0\n"
        "spt0\t%08X\t00000000\t0001\t0\t0\t0\t%08X\t0\t0\t0\n"
        "eth3\tgarbage\n",
        htonl(0x0a000001), htonl(0x0a000001), htonl(0xc0a80a00), htonl(0xffffff00),
        htonl(0xac100000), htonl(0xffff0000), htonl(0xc0a80a05), htonl(0xffffffff));
    struct init_route routes[8];
    size_t n_routes = init_parse_routes(text, routes, ARRAY_LENGTH(routes));
    CU_ASSERT_EQUAL(n_routes, 3);
    TEST_TEXT_EQUAL(init_guess_wan(routes, n_routes), "eth0");
    TEST_TEXT_EQUAL(init_interface_to(routes, n_routes, 0xc0a80a05), "eth1");
    TEST_TEXT_EQUAL(init_interface_to(routes, n_routes, 0x08080808), "eth0");
    CU_ASSERT_EQUAL(init_parse_routes(text, routes, 1), 1); /* never more than there is room */
    CU_ASSERT_PTR_NULL(init_guess_wan(routes, 0));
}

/* ---- the files ---- */

static void fill(struct init_answers *answers)
{
    CLEANUP(strbuf_free) struct strbuf said = STRBUF_EMPTY;
    CU_ASSERT_EQUAL_FATAL(read_text(enrolment, answers, &said), 0);
    init_add(&answers->wan, "eth0");
    init_add(&answers->plant, "eth1");
    init_add(&answers->buses, "tcp:192.168.10.5:503");
    init_add(&answers->buses, "rtu:/dev/ttyS1,9600,8O2");
    init_add(&answers->buses, "try=sim:");
    init_add(&answers->buses, "old=ascii:/dev/ttyS2,9600,7E1");
    init_add(&answers->buses, "server=rtu:192.168.10.6:4001");
    init_add(&answers->buses, "udp:192.168.10.7");
    init_add(&answers->tags, "boiler.temperature=plc1/3/holding/100/float32/CDAB");
    init_add(&answers->tags, "drive.running=line2/7/coil/3");
    init_add(&answers->tags, "boiler.alarm=plc1/3/input/7");
    init_add(&answers->tags, "demo.wave=try");
    init_add(&answers->tags, "meter.a=old/1/holding/1");
    init_add(&answers->tags, "far.a=server/1/holding/1");
    init_add(&answers->tags, "datagrams.a=plc6/1/holding/1");
    init_set(&answers->ssh_from, "192.0.2.9");
    init_set(&answers->ssh_interface, "eth0");
    answers->ssh_port = 22;
}

static void test_agent_file(void)
{
    CLEANUP(init_answers_free) struct init_answers answers;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, said = STRBUF_EMPTY;
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct problem problem;
    struct config *config = NULL;
    fill(&answers);
    CU_ASSERT_EQUAL_FATAL(init_print_agent_file(&answers, &text, &problem), 0);
    (void)config_load(test_file("sallyport.conf", text.data), drivers_for_config(), &findings,
                      &config);
    findings_print(&findings, &said);
    TEST_TEXT_EQUAL(strbuf_text(&said), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    TEST_TEXT_EQUAL(config->uplink.username, "u\"1"); /* quoted as it has to be */
    TEST_CONTAINS(config->uplink.ca, "/tls/ca.pem");
    TEST_TEXT_EQUAL(config->uplink.client_id, "c-1");
    CU_ASSERT_EQUAL(config->n_buses, 6);
    TEST_TEXT_EQUAL(config->buses[1].name, "line2");
    CU_ASSERT_EQUAL_FATAL(config->n_devices, 6);
    CU_ASSERT_EQUAL(config->devices[0].n_tags, 2);
    TEST_TEXT_EQUAL(config->devices[1].bus_name, "line2");
    CLEANUP(strbuf_free) struct strbuf dump = STRBUF_EMPTY;
    config_dump(config, &dump);
    TEST_CONTAINS(dump.data, "parity = \"odd\"");
    TEST_CONTAINS(dump.data, "stop_bits = 2");
    TEST_CONTAINS(dump.data, "port = 503");
    TEST_CONTAINS(dump.data, "framing = \"ascii\"");
    TEST_CONTAINS(dump.data, "data_bits = 7");
    TEST_CONTAINS(dump.data, "framing = \"rtu\"");
    TEST_CONTAINS(dump.data, "transport = \"udp\"");
    TEST_CONTAINS(text.data, "#keepalive_s = 30;"); /* every other key is there as a comment */
    config_free(config);
}

static void test_agent_file_bare(void)
{
    CLEANUP(init_answers_free) struct init_answers answers;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, said = STRBUF_EMPTY;
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct problem problem;
    struct config *config = NULL;
    CU_ASSERT_EQUAL_FATAL(read_text(enrolment, &answers, &said), 0);
    CU_ASSERT_EQUAL_FATAL(init_print_agent_file(&answers, &text, &problem), 0);
    (void)config_load(test_file("bare.conf", text.data), drivers_for_config(), &findings, &config);
    findings_print(&findings, &said);
    TEST_TEXT_EQUAL(strbuf_text(&said), "");
    TEST_CONTAINS(text.data, "Write here what is to be read");
    config_free(config);
    init_add(&answers.tags, "d.a=plc1/1/holding/1");
    init_add(&answers.tags, "d.b=plc1/2/holding/1");
    CU_ASSERT(init_print_agent_file(&answers, &text, &problem) < 0);
    TEST_CONTAINS(problem.text, "two units");
}

static void test_netd_file(void)
{
    CLEANUP(init_answers_free) struct init_answers answers;
    CLEANUP(strbuf_free) struct strbuf text = STRBUF_EMPTY, said = STRBUF_EMPTY;
    CLEANUP(findings_free) struct findings findings = FINDINGS_EMPTY;
    struct netd_config *config = NULL;
    fill(&answers);
    init_print_netd_file(&answers, &text);
    (void)netd_config_load(test_file("netd.conf", text.data), &findings, &config);
    findings_print(&findings, &said);
    TEST_TEXT_EQUAL(strbuf_text(&said), "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(config);
    TEST_TEXT_EQUAL(config->firewall.wan[0].text, "eth0");
    TEST_TEXT_EQUAL(config->firewall.plant[0].text, "eth1");
    CU_ASSERT_EQUAL(config->firewall.n_exceptions, 1);
    CU_ASSERT_EQUAL(config->firewall.exceptions[0].port, 22);
    TEST_TEXT_EQUAL(config->tunnel.gateway, "plant-7/gw-0042");
    TEST_CONTAINS(config->tunnel.hub.preshared_key_file, "/netd/preshared.key");
    CU_ASSERT_EQUAL(config->tunnel.n_services, 1);
    netd_config_free(config);
}

static void test_keys(void)
{
    CLEANUP(strbuf_free) struct strbuf key = STRBUF_EMPTY, text = STRBUF_EMPTY;
    CU_ASSERT_EQUAL(init_make_wireguard_key(&key, &text), 0);
    CU_ASSERT(wireguard_key_is_valid(strbuf_text(&key)));
    CU_ASSERT(wireguard_key_is_valid(strbuf_text(&text)));
    strbuf_reset(&key);
    strbuf_reset(&text);
    CU_ASSERT_EQUAL_FATAL(init_make_request("gw-0042", &key, &text), 0);
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.length);
    X509_REQ *request = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    CU_ASSERT_EQUAL(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(request), NID_commonName, name,
                              sizeof(name));
    TEST_TEXT_EQUAL(name, "gw-0042");
    X509_REQ_free(request);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key.data, (int)key.length);
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL(pair);
    CU_ASSERT_EQUAL(EVP_PKEY_get_bits(pair), 256);
    EVP_PKEY_free(pair);
    BIO_free(bio);
}

TEST_MAIN("init", {"an enrolment file is taken as it is", test_enrolment},
          {"what does not fit is refused with its key", test_enrolment_refused},
          {"a damaged one harms nobody", test_enrolment_damaged},
          {"one without end is not read", test_enrolment_too_long}, {"lines in short", test_buses},
          {"tags in short", test_tags}, {"interfaces are guessed from the routes", test_routes},
          {"the agent's file loads, and holds what was answered", test_agent_file},
          {"without lines it loads too, and shows how to go on", test_agent_file_bare},
          {"netd's file loads, and holds what was answered", test_netd_file},
          {"keys and requests are what others read", test_keys})
