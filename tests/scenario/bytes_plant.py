"""The first act of `bytes`: a plant with fixed contents, an agent, a broker. Every kind of value in
every order, exceptions, silence, a line that goes and comes, reports on change, an outage of the
broker, a loss of memory as after a power cut, a reload; the local socket and the command line."""
import json
import os
import pty
import re
import signal
import socket
import threading
import time
import tty

import bytes_lib as b
import bytes_mqtt as mqtt
import lib

TAP_PORT = 8884
PLC, GONE, MUTE, NOBODY = 5020, 5021, 5022, 5023
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
NUMBERS = {"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int64": 4, "uint64": 4, "float32": 2,
           "float64": 4}
# Registers from which every type makes numbers of its own; ordinary floats in each order.
CONTENT = [0x41BE, 0x9F3B, 0x645A, 0x1CC1, 0xC1BE, 0x645A, 0x9F3B, 0xBE41, 0x8000, 0x0000, 0x0000, 0x0001,
           0x7FFF, 0xFFFF, 0xFFFF, 0xFFFE]
SCALES = ({}, {"scale": 0.1, "offset": -40.0}, {"scale": 0.001, "decimals": 2})
WAVES = ("counter", "sine", "square", "random", "constant", "text")
DEAD = ("mute", "noise", "silent")
TURNS = 4  # so many polls of the built-in plant are compared
TEXT_LINES = {b"P\r": b"ST,GS,+  12.34kg\r\n", None: b"US,NT,-0.5 kg\r\n"}


# --- the plant ------------------------------------------------------------------------------------

def swapped(text):
    data = text.encode()
    data += b"\0" * (len(data) % 2)
    return ["%d" % int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2)]


def plant_commands(place):
    return ["tcp plc 127.0.0.1 %d 1-8" % PLC, "tcp gone 127.0.0.1 %d 1" % GONE,
            "tcp mute 127.0.0.1 %d 1" % MUTE, "rtu wire %s 19200 8E1 1-3" % place.path("ttyW"),
            "unit plc/1 set holding 0 " + " ".join(map(str, CONTENT)),
            "unit plc/1 set input 0 " + " ".join(map(str, reversed(CONTENT))),
            "unit plc/2 set holding 0 100 65526 16828 41728 0",
            "unit plc/3 fault exception 4", "unit plc/4 illegal holding 105-106",
            "unit plc/5 set holding 0 " + " ".join(swapped('a "b" \\ \u00fc\u2028\x01')),
            "unit plc/5 set holding 20 32704 0 32640 0 65408 0 49535 65535",
            "unit mute/1 fault silence", "unit wire/2 fault wrong-checksum"]


class Instrument:
    """A scale on a serial port; QUESTION None: it sends without being asked."""

    def __init__(self, link, question):
        self.question, self.answer = question, TEXT_LINES[question]
        self.ours, theirs = pty.openpty()
        tty.setraw(theirs)
        os.symlink(os.ttyname(theirs), link)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        asked = b""
        while True:
            if self.question is None:
                time.sleep(0.05)
                os.write(self.ours, self.answer)
                continue
            asked += os.read(self.ours, 100)
            while self.question in asked:
                asked = asked.split(self.question, 1)[1]
                os.write(self.ours, self.answer)


# --- the agent's configuration --------------------------------------------------------------------

def device(name, bus, tags, unit=1, **more):
    address = {"unit": unit} if unit else {}
    return {"name": name, "bus": bus, **address, "interval_ms": 100, "report": "change",
            "heartbeat_s": 86400, **more, "tags": tags}


def of_type(kind, size):
    return device(kind, "plc", [
        {"name": "%s%s%d" % (table[0], order, i), "table": table, "address": 4 * i + shift,
         "type": kind, "order": order, **scale}
        for table in ("holding", "input") for order in ORDERS for i, scale in enumerate(SCALES)
        for shift in ((0,) if size == 4 else (4,))])


def devices():
    bits = [{"name": "b%d" % i, "table": "holding", "address": 1, "bit": i} for i in range(0, 16, 3)]
    bits += [{"name": table[0] + str(i), "table": table, "address": i}
             for table in ("coil", "discrete") for i in range(3, 9)]
    change = [{"name": "dead", "table": "holding", "address": 0, "deadband": 5.0},
              {"name": "scaled", "table": "holding", "address": 1, "type": "int16", "scale": 0.1,
               "decimals": 1, "unit": "degC"},
              {"name": "real", "table": "holding", "address": 2, "type": "float32", "deadband": 0.5},
              {"name": "bit", "table": "holding", "address": 4, "bit": 2}]
    odd = [{"name": "text", "table": "holding", "address": 0, "type": "string", "length": 20},
           {"name": "short", "table": "holding", "address": 0, "type": "string", "length": 3,
            "order": "BADC"},
           *({"name": "nan%d" % i, "table": "holding", "address": 20 + 2 * i, "type": "float32"}
             for i in range(4))]
    two = [{"name": "r%d" % i, "table": "holding", "address": i} for i in (2, 3)]
    hole = [{"name": "h%d" % i, "table": "holding", "address": i} for i in range(103, 109)]
    return [
        *(of_type(kind, size) for kind, size in NUMBERS.items()),
        device("bits", "plc", bits),
        device("change", "plc", change, unit=2),
        device("exception", "plc", two, unit=3),
        device("hole", "plc", hole, unit=4),
        device("odd", "plc", odd, unit=5),
        device("modicon", "plc", [{"name": "m%d" % a, "address": a} for a in (40003, 30004, 5, 10006)],
               unit=6, addressing="modicon"),
        device("always", "plc", two, unit=7, report="always"),
        device("gone", "gone", two),
        device("mute", "mute", two, report="always"),
        device("wire", "wire", two, unit=1, interval_ms=200),
        device("noise", "wire", two, unit=2, interval_ms=200, report="always"),
        device("nobody", "nobody", two),
        device("scale", "scale", [
            {"name": "weight", "match": "^ST,GS,([+-][0-9. ]+)kg", "decimals": 2, "unit": "kg"},
            {"name": "mode", "match": "^(ST|US)", "type": "string"},
            {"name": "other", "match": "^XX"}], unit=None),
        device("talker", "talker", [
            {"name": "weight", "match": "([+-][0-9.]+) kg"},
            {"name": "small", "match": "([+-][0-9.]+) kg", "type": "uint16"}], unit=None),
        device("wave", "sim", [{"name": wave, "waveform": wave,
                                **({"text": "a text"} if wave == "text" else {})} for wave in WAVES],
               unit=None, report="always"),
        device("silent", "sim", [{"name": "x"}], unit=None, report="always", silent=True,
               interval_ms=500),
    ]


def buses(place):
    def serial(name, tty_name, **more):
        return {"name": name, "driver": "serial_text", "device": place.path(tty_name),
                "timeout_ms": 5000, **more}
    return [lib.tcp_bus("plc", PLC, timeout_ms=5000), lib.tcp_bus("gone", GONE, timeout_ms=5000),
            lib.tcp_bus("mute", MUTE, timeout_ms=100), lib.tcp_bus("nobody", NOBODY),
            lib.rtu_bus("wire", place.path("ttyW"), timeout_ms=3000),
            serial("scale", "ttyS", poll="P\r"), serial("talker", "ttyT"),
            {"name": "sim", "driver": "sim", "timeout_ms": 50}]


# --- local questions ------------------------------------------------------------------------------

READS = [{"bus": "plc", "unit": 1, "table": "holding", "address": 0, "count": 4},
         {"bus": "plc", "unit": 1, "table": "input", "address": 0, "count": 4},
         {"bus": "plc", "unit": 1, "table": "coil", "address": 0, "count": 9},
         {"bus": "plc", "unit": 1, "table": "discrete", "address": 0, "count": 9},
         {"bus": "plc", "unit": 3, "table": "holding", "address": 0, "count": 1},
         {"bus": "plc", "unit": 4, "table": "holding", "address": 100, "count": 10},
         {"bus": "wire", "unit": 1, "table": "holding", "address": 2, "count": 2},
         {"bus": "mute", "unit": 1, "table": "holding", "address": 0, "count": 1},
         {"bus": "nobody", "unit": 1, "table": "holding", "address": 0, "count": 1},
         {"bus": "sim", "unit": 1, "table": "holding", "address": 0, "count": 1},
         {"bus": "none", "unit": 1, "table": "holding", "address": 0, "count": 1},
         {"unit": 1, "table": "holding", "address": 0, "count": 1},
         {"bus": "plc", "unit": 256, "table": "holding", "address": 0, "count": 1},
         {"bus": "plc", "unit": 1, "table": "register", "address": 0, "count": 1},
         {"bus": "plc", "unit": 1, "table": "holding", "address": 65536, "count": 1},
         {"bus": "plc", "unit": 1, "table": "holding", "address": 0, "count": 126}]
QUESTIONS = [json.dumps({"command": "read", **read}) for read in READS] + [
    '{"command":"values","device":"float32"}', '{"command":"values","device":"odd"}',
    '{"command":"values","device":"change"}', '{"command":"values","device":"hole"}',
    '{"command":"values","device":"scale"}', '{"command":"values","device":"nobody"}',
    '{"command":"values","device":"none"}', '{"command":"frobnicate"}', '{"question":1}', "[]",
    "status", '{"command":"values","command":"status"}', '{"command":7}', ""]


def ask_socket(path, question):
    with socket.socket(socket.AF_UNIX) as local:
        local.settimeout(lib.DEADLINE_S)
        local.connect(path)
        local.sendall(question.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            got = local.recv(65536)
            if not got:
                return answer.decode() + "(closed)"
            answer += got
    return answer.decode()


def ask_agent(book, forms, agent, place):
    path = os.path.join(place.runtime, agent.name, "agent.sock")
    for question in QUESTIONS:
        book.add("agent-socket.txt", question, [forms.text(ask_socket(path, question)).rstrip("\n")])
    whole = ask_socket(path, '{"command":"status"}')
    book.add("agent-socket.txt", '{"command":"status"}', [forms.text(whole).rstrip("\n")])


COMMANDS = [("status",), ("watch", "change", "--count", "1"), ("watch", "odd", "--count", "1"),
            ("watch", "none", "--count", "1"),
            ("read", "plc", "--unit", "1", "--table", "holding", "--address", "0", "--count", "3"),
            ("read", "plc", "--unit", "1", "--table", "input", "--address", "0", "--type", "float32",
             "--order", "CDAB"),
            ("read", "plc", "--unit", "1", "--table", "coil", "--address", "3", "--count", "4"),
            ("read", "plc", "--unit", "3", "--table", "holding", "--address", "0"),
            ("read", "mute", "--unit", "1", "--table", "holding", "--address", "0"),
            ("read", "none", "--unit", "1", "--table", "holding", "--address", "0"),
            ("scan", "plc", "--units", "1-4"), ("check",), ("explain", "outbox.max_mib"),
            ("explain", "nothing"), ("frobnicate",), ("status", "too", "much")]


def give_commands(book, forms, agent, title, commands):
    for words in commands:
        book.add("commands.txt", title + ": " + " ".join(words),
                 b.command_lines(forms, ("--json", *words), agent.cli("--json", *words)))


def is_settled(status, dead, polls=1):
    """Whether the units that are DEAD are tripped, and all others have been asked POLLS times."""
    units = {name: unit for line in status["lines"].values() for name, unit in line["units"].items()}
    return status["lines"]["nobody"]["state"] == "down" and all(
        unit["state"] == "tripped" if name in dead else name == "nobody" or (
            unit["state"] == "ok" and unit["polls_ok"] >= polls) for name, unit in units.items())


def chosen(name, lines):
    """Of the data of a device, what does not depend on chance."""
    if name == "wave":
        return lines[:TURNS]  # a function of how often it was read
    if name in DEAD:
        return sorted(set(lines))  # how often a dead unit is asked depends on chance
    return b.once_each(lines)


# --- the act --------------------------------------------------------------------------------------

class Act:
    def __init__(self, place, book, version):
        self.place, self.book = place, book
        self.forms = b.Forms(place, version)
        self.plant = lib.Plant(place, plant_commands(place))
        for name, question in (("ttyS", b"P\r"), ("ttyT", None)):
            Instrument(place.path(name), question)
        self.authority = lib.Authority(place)
        self.broker = lib.Broker(place, self.authority).start()
        self.tap = mqtt.MqttTap(self.authority, TAP_PORT)
        self.agent = self.make_agent("agent", buses(place), devices())

    def make_agent(self, name, lines, plant, **uplink):
        return lib.Agent(self.place, self.authority, lines, plant, name=name,
                         uplink={"servers": ["mqtts://localhost:%d" % TAP_PORT], "ack_timeout_s": 60,
                                 **uplink},
                         gateway={"netd_socket": self.place.path("no-netd.sock")})

    def data(self, name):
        return [json.loads(p) for p in mqtt.by_number(self.tap.published("data/" + name))]

    def wait_data(self, name, count):
        self.tap.wait("%d messages of %s" % (count, name), lambda: len(self.data(name)) >= count)

    def wait_event(self, name, count=1, **members):
        def found():
            events = map(json.loads, mqtt.by_number(self.tap.published("event")))
            return len([e for e in events if e["event"] == name and members.items() <= e.items()])
        self.tap.wait("event %s %s" % (name, members or ""), lambda: found() >= count)

    def start(self, dead):
        """The broker is away until each unit has been asked: so which messages are marked historical does
        not depend on timing."""
        before = {wanted["name"]: len(self.data(wanted["name"])) for wanted in devices()}
        self.agent.start()
        path = os.path.join(self.place.runtime, self.agent.name, "agent.sock")
        lib.wait_for("the local socket", lambda: os.path.exists(path))
        lib.wait_for("polls of each unit", lambda: is_settled(json.loads(
            ask_socket(path, '{"command":"status"}'))["status"], dead, TURNS))
        self.tap.heal()
        for name, count in before.items():
            self.wait_data(name, count + 1)

    def look(self):
        mqtt.write_status(self.book, "mqtt.txt", self.forms, self.tap, "with dead units",
                          lambda status: is_settled(status, DEAD))
        for name in DEAD:
            self.tap.wait("notice for " + name, lambda n=name: any(
                "tripped" in str(message) and "historical" not in message for message in self.data(n)))
        ask_agent(self.book, self.forms, self.agent, self.place)
        give_commands(self.book, self.forms, self.agent, "running", COMMANDS)

    def change(self):
        """Each step makes one message of what has changed, and of nothing else."""
        steps = ("0 103 65526 16828 41728 4", "0 106 65526 16828 41728 4", "0 106 65436 16830 0 4",
                 "0 106 65436 32704 0 0", "0 106 65436 16831 0 0")
        for number, registers in enumerate(steps):
            self.plant.tell("unit plc/2 set holding " + registers)
            self.wait_data("change", 2 + number)

    def lines_go_and_come(self):
        for down, up, device_name in (
                ("line gone fault refuse", "line gone fault none", "gone"),
                ("line wire unplug", "line wire plug", "wire")):
            line = down.split()[1]
            before = len(self.data(device_name))
            self.plant.tell(down)
            self.wait_event("line_down", line=line)
            self.wait_data(device_name, before + 1)
            if line == "wire":
                self.tap.wait("a notice for the other unit",
                              lambda: "disconnected" in str(self.data("noise")))
            self.plant.tell(up)
            self.wait_event("line_up", 2, line=line)
            self.wait_data(device_name, before + 2)

    def wait_recovered(self):
        for name in ("mute", "noise"):
            self.wait_event("unit_recovered", device=name)

    def wait_live(self):
        self.tap.wait("the end of the backlog", lambda: not self.data("always")[-1].get("historical"))

    def outage(self):
        before = len(self.data("change"))
        self.tap.cut()
        self.plant.tell("unit plc/2 set holding 0 206 65436 16831 0 0")
        lib.wait_for("messages in the store", lambda: json.loads(
            self.agent.cli("--json", "status").stdout)["outbox"]["messages"] > 20)
        self.tap.heal()
        self.wait_data("change", before + 1)
        self.wait_live()
        self.plant.tell("unit plc/2 set holding 0 306 65436 16831 0 0")
        self.wait_data("change", before + 2)

    def power_loss(self):
        """What was in memory is lost, as when the power fails; what was on its way is a gap."""
        self.tap.cut()
        self.agent.kill()
        folder = os.path.join(self.place.runtime, self.agent.name)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        self.start(DEAD[2:])
        self.wait_event("gap")
        self.wait_event("unit_tripped", 2, device="silent")
        self.wait_live()
        mqtt.write_status(self.book, "mqtt.txt", self.forms, self.tap, "after a power loss",
                          lambda status: is_settled(status, DEAD[2:]))

    def stop(self):
        lib.check(self.agent.stop() == 0, "a clean stop")
        self.tap.wait("offline", lambda: json.loads(self.tap.published("status")[-1])["state"] ==
                      "offline")
        give_commands(self.book, self.forms, self.agent, "stopped", [("status",), ("watch",)])

    def requests(self):
        """What the agent asked of the units, whatever asked for it."""
        path = self.place.path("requests.csv")
        self.plant.tell("dump " + path)
        with open(path, encoding="ascii") as file:
            rows = {re.sub(r"^[0-9]+,|,[^,]*$", "", row.strip()) for row in file.readlines()[1:]}
        self.book.add("plant.txt", "line,unit,function,address,count", sorted(rows))

    def play(self):
        self.tap.cut()
        self.start(DEAD)
        self.look()
        self.plant.tell("unit mute/1 fault none", "unit wire/2 fault none")
        self.change()
        self.lines_go_and_come()
        self.wait_recovered()
        self.outage()
        self.power_loss()
        self.stop()
        self.requests()
        mqtt.write_sessions(self.book, "mqtt.txt", self.forms, self.tap)
        mqtt.write_topics(self.book, "mqtt.txt", self.forms, self.tap, chosen)


def reload(act):
    """A small agent of its own, so that what a reload says does not depend on how much it touches; its
    certificate expires soon."""
    tap, name = act.tap, "small"
    line, tag = {"name": "try", "driver": "sim"}, {"name": "c", "waveform": "constant"}
    first = device("d", "try", [tag], unit=None)
    tap.sessions.clear()
    tap.cut()
    pair = dict(zip(("certificate", "key"), act.authority.issue("gw-1", "DNS:gw-1", to_days=10.5)))
    agent = act.make_agent(name, [line], [first], **pair).start()
    lib.wait_for("values", lambda: "100" in agent.cli("--json", "watch", "--count", "1").stdout)
    tap.heal()
    act.wait_data("d", 1)
    for plant, event in (([{**first, "tags": [{**tag, "amplitude": 7.5}]}], "config_reloaded"),
                         ([{**first, "frobnicate": 1}], "config_rejected")):
        fresh = act.make_agent(name, [line], plant, **pair)
        lib.check(fresh.config == agent.config, "the file is replaced")
        agent.process.send_signal(signal.SIGHUP)
        act.wait_event(event)
    act.wait_data("d", 2)
    act.book.add("commands.txt", "a file with a mistake", b.command_lines(
        act.forms, ("--json", "check"), agent.cli("--json", "check")))
    lib.check(agent.stop() == 0, "a clean stop")
    mqtt.write_sessions(act.book, "mqtt-reload.txt", act.forms, tap)
    mqtt.write_topics(act.book, "mqtt-reload.txt", act.forms, tap, chosen)


def play(place, book, version):
    act = Act(place, book, version)
    act.play()
    reload(act)
    act.tap.cut()
