"""The second act of `bytes`: netd, a hub, an agent that passes signed commands on, a person on site
and an operator far away. Requests by hand, commands of the command line, signed commands good and bad,
rules on trial, tampering, a journal that was damaged."""
import glob
import hashlib
import json
import os
import signal
import struct
import subprocess

import paho.mqtt.client

import bytes_lib as b
import bytes_mqtt as mqtt
import command_lib as c
import lib
import operator_lib
import tunnel_lib as t

AGENT_PORT, OPERATOR_PORT = 8884, 8885
REASON = 'drive "fault" on pump 3 \u2013 gr\u00f6\u00dfer'


# --- by hand --------------------------------------------------------------------------------------

def opening(ttl, services=("ssh",), reason=REASON):
    return t.header(t.OPEN_LOCAL, ident=7) + t.open_body(services, ttl, reason)


def extension(ttl, reason="longer"):
    return t.header(t.EXTEND, ident=8) + struct.pack("<I", ttl) + t.text(reason, 804)


BY_HAND = [  # (who, what, message), in this order
    ("agent", "status before hello", t.header(t.STATUS)),
    ("agent", "hello", t.header(t.HELLO, ident=0x01020304)),
    ("agent", "status", t.header(t.STATUS)),
    ("agent", "counters", t.header(t.COUNTERS)),
    ("agent", "challenge", t.header(t.CHALLENGE)),
    ("agent", "signers", t.header(t.SIGNERS)),
    ("agent", "the first line of the journal", t.header(t.JOURNAL) + bytes(8)),
    ("agent", "a cursor in the midst of a line", t.header(t.JOURNAL) + struct.pack("<Q", 5)),
    ("agent", "a cursor that leads nowhere", t.header(t.JOURNAL) + b"\xff" * 8),
    ("agent", "subscribe", t.header(t.SUBSCRIBE)),
    ("agent", "close", t.header(t.CLOSE)),
    ("agent", "nonsense to courier", t.signed(b"nonsense")),
    ("agent", "an open that is not its to ask", opening(10)),
    ("agent", "another magic", t.header(t.HELLO, magic=0x32545053)),
    ("agent", "another version", t.header(t.HELLO, version=2)),
    ("agent", "an unknown verb", t.header(99)),
    ("agent", "a message that is netd's", t.header(t.CHANGED)),
    ("agent", "a result in a request", t.header(t.HELLO, result=1)),
    ("agent", "a body too many", t.header(t.STATUS) + b"x"),
    ("stranger", "hello", t.header(t.HELLO)),
    ("root", "hello", t.header(t.HELLO)),
    ("root", "challenge", t.header(t.CHALLENGE)),
    ("root", "signers", t.header(t.SIGNERS)),
    ("root", "extend without a session", extension(10)),
    ("root", "close without a session", t.header(t.CLOSE)),
    ("root", "approve without a session", t.header(t.APPROVE) + struct.pack("<Q", 1)),
    ("root", "an unknown service", opening(10, ("telnet",))),
    ("root", "the same service twice", opening(10, ("ssh", "ssh"))),
    ("root", "no service", opening(10, ())),
    ("root", "no time", opening(0)),
    ("root", "too much time", opening(601)),
    ("root", "an empty reason", opening(10, reason="")),
    ("root", "a control character", opening(10, reason="a\nb")),
    ("root", "keep without a trial", t.header(t.KEEP)),
    ("root", "try for no time", t.header(t.TRY) + struct.pack("<I", 0)),
    ("root", "try", t.header(t.TRY) + struct.pack("<I", 60)),
    ("root", "status of the trial", t.header(t.STATUS)),
    ("root", "try once more", t.header(t.TRY) + struct.pack("<I", 60)),
    ("root", "keep", t.header(t.KEEP)),
    ("root", "verify", t.header(t.VERIFY)),
    ("root", "acknowledge", t.header(t.ACKNOWLEDGE)),
    ("root", "open", opening(60, ("ssh", "plc1"))),
    ("root", "status of the session", t.header(t.STATUS)),
    ("root", "open once more", opening(60)),
    ("root", "extend by less", extension(1)),
    ("root", "extend", extension(90)),
    ("root", "approve what is open", t.header(t.APPROVE) + struct.pack("<Q", 1)),
    ("agent", "hello", t.header(t.HELLO)),
    ("agent", "close", t.header(t.CLOSE)),
    ("root", "status after the session", t.header(t.STATUS)),
]
USERS = {"agent": t.AGENT_UID, "root": 0, "stranger": t.STRANGER_UID}


def by_hand(book, forms, world):
    peers = {}
    for who, what, message in BY_HAND:
        if who not in peers:
            greets = message[6:8] != struct.pack("<H", t.HELLO) and "before hello" not in what
            peers[who] = t.Peer(world, USERS[who], greet=greets).socket
            peers[who].settimeout(lib.DEADLINE_S)
        lines, answer = b.netd_lines(forms, True, message), b""
        try:
            peers[who].send(message)
            answer = peers[who].recv(32768)
            while answer[6:8] == struct.pack("<H", t.CHANGED):  # unasked, at any time
                answer = peers[who].recv(32768)
        except ConnectionError:
            pass
        lines += b.netd_lines(forms, False, answer) if answer else ["<- end of the connection"]
        if not answer:
            peers.pop(who).close()
        book.add("netd-socket.txt", "%s: %s" % (who, what), lines)


# --- the command line -----------------------------------------------------------------------------

OPEN = ("tunnel", "open", "ssh", "--ttl", "30", "--reason", REASON)
ON_SITE = [("tunnel", "status"), ("tunnel", "open", "telnet", "--ttl", "30", "--reason", "x"), OPEN,
           ("tunnel", "status"), OPEN, ("tunnel", "extend", "--ttl", "1m"),
           ("tunnel", "extend", "--ttl", "9h", "--reason", "much longer"), ("tunnel", "close"),
           ("tunnel", "status"), ("tunnel", "close"), ("tunnel", "approve"), ("tunnel", "open", "ssh"),
           ("tunnel", "open", "ssh", "--ttl", "soon", "--reason", "x"), ("firewall", "status"),
           ("firewall", "verify"), ("firewall", "apply", "--confirm", "60"), ("firewall", "status"),
           ("firewall", "apply", "--confirm", "60"), ("firewall", "confirm"), ("firewall", "confirm"),
           ("firewall", "apply"), ("journal", "frobnicate")]


class Act:
    def __init__(self, place, book, version):
        self.place, self.book = place, book
        self.forms = b.Forms(place, version)
        self.authority = lib.Authority(place)
        broker = lib.Broker(place, self.authority)
        self.technician = operator_lib.Technician(place, self.authority, "tech")
        self.technician.configure(servers=["mqtts://localhost:%d" % OPERATOR_PORT])
        broker.start()
        self.anna, self.carol, self.dave, self.eve = (
            c.Operator(place, name) for name in ("anna", "carol", "dave", "eve"))
        with open(self.technician.signers, encoding="ascii") as file:
            signers = [self.anna.line(), self.carol.line('valid-before="20200101"'), self.dave.line(),
                       file.read().strip()]
        self.world = c.World(place, signers, revoked=[self.dave.public], max_ttl_s=600).start()
        self.tap, self.remote = (mqtt.MqttTap(self.authority, port)
                                 for port in (AGENT_PORT, OPERATOR_PORT))
        self.courier = b.SocketTap(place.path("agent-netd.sock"), self.world, t.AGENT_UID)
        os.mkdir(place.path("site"))
        self.site = b.SocketTap(place.path("site", "netd.sock"), self.world, 0)
        self.agent = Agent(self)
        self.desk = paho.mqtt.client.Client("desk")
        self.desk.connect(lib.HOST, lib.PLAIN_PORT)
        self.desk.loop_start()

    # --- on site ---

    def on_site(self, *words):
        """A command of the command line, and what it says to netd."""
        with open(self.world.config, encoding="utf-8") as file:
            config = self.place.write("site.conf", file.read().replace(
                self.place.path("runtime"), self.place.path("site")))
        self.site.take()
        done = subprocess.run(
            [os.path.join(self.place.build, "agent", "cli", "sallyport"), "--json", "-n", config,
             *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        lines = b.command_lines(self.forms, ("--json", *words), done)
        messages = self.site.take()
        for message in messages[:4] if words[0] == "journal" else messages:  # the rest is more of it
            lines += b.netd_lines(self.forms, *message)
        self.book.add("on-site.txt", " ".join(words), lines)

    def trials(self):
        """Rules that are kept, rules that are undone, and a file whose trial is refused."""
        self.world.write_config(firewall={"exceptions": [
            {"interface": "plant0", "source": "192.168.10.20/32", "protocol": "tcp", "port": 22}]})
        self.on_site("firewall", "apply", "--confirm", "60")
        self.on_site("firewall", "status")
        self.on_site("firewall", "confirm")  # names another file than netd reads: see on_site()
        subprocess.run([os.path.join(self.place.build, "tunnel", "sallyport-netd"), "--record", "-c",
                        self.world.config], check=True)
        self.on_site("firewall", "verify")
        self.world.write_config(firewall={})
        lines = len(self.lines())
        self.on_site("firewall", "apply", "--confirm", "1")
        lib.wait_for("the end of the trial", lambda: len(self.lines()) >= lines + 2)
        self.on_site("firewall", "status")
        self.world.write_config(max_ttl_s=500)
        self.on_site("firewall", "apply", "--confirm", "60")
        self.world.write_config(max_ttl_s=600)
        self.world.restart()  # comes back with what was confirmed
        self.on_site("firewall", "status")
        self.on_site("firewall", "apply", "--confirm", "60")
        self.on_site("firewall", "confirm")

    def killed(self):
        """With a session open; netd finds what is left of it."""
        self.on_site(*OPEN)
        lib.end(self.world.process, signal.SIGKILL)
        self.world.start()
        self.on_site("tunnel", "status")

    # --- the journal ---

    def lines(self):
        found = []
        for name in sorted(glob.glob(self.place.path("state", "journal", "journal-*.log"))):
            with open(name, encoding="utf-8", errors="replace") as file:
                found += file.read().split("\n")[:-1]
        return found

    def write_journal(self):
        """Every line. The hash of each is computed here once more: SHA-256 over the hash before it, a line
        end, and the line up to its own hash."""
        lines, before = self.lines(), None
        for line in lines:
            content, mark, value = line.rpartition(" hash=")
            if " chain previous=" in content:
                before = content.rpartition("=")[2]
            good = hashlib.sha256(("%s\n%s" % (before, content)).encode()).hexdigest()
            if not mark or good != value:
                lib.check(False, "the hash of: " + line)
            before = value
        self.book.add("journal.txt", "journal", [self.forms.text(line) for line in lines])

    # --- from far ---

    def challenges(self):
        return self.tap.published("challenge")

    def wait_challenge(self, before):
        """Waits until more than BEFORE challenges were published and the last one is not empty."""
        self.tap.wait("a challenge", lambda: len(self.challenges()) > before and self.challenges()[-1])

    def restart(self):
        """Then the next refusal renews the challenge at once."""
        before = len(self.challenges())
        self.world.restart()
        self.wait_challenge(before + 1)  # after one that is empty

    def send(self, signed, retain=False):
        """Sends a command; returns its reply once the next challenge is published: at once, for whatever
        a signer sent, and for the first refusal."""
        replies, before = len(self.tap.published("reply")), len(self.challenges())
        self.desk.publish(lib.PREFIX + "/command", signed, 1, retain).wait_for_publish()
        self.tap.wait("a reply", lambda: len(self.tap.published("reply")) > replies)
        reply = json.loads(self.tap.published("reply")[-1])
        if reply.get("reason") != "failed":  # netd was not there
            self.wait_challenge(before)
        return reply

    def fresh(self, operator, ident, **more):
        return operator.sign(c.command_text(self.challenges()[-1], ident, **more))

    def start_agent(self):
        """The broker is away until the agent has read the journal: see bytes_plant.Act.start()."""
        self.tap.cut()
        self.agent.start()
        lib.wait_for("the lines of the journal in the store", lambda: (self.agent.status() or {}).get(
            "outbox", {}).get("messages", 0) > len(self.lines()) + 1)
        self.tap.heal()
        self.wait_challenge(0)

    def sessions(self):
        signed = self.fresh(self.anna, "job-1", services="ssh,plc1", ttl=60, reason=REASON)
        self.send(signed)
        mqtt.write_status(self.book, "mqtt-signed.txt", self.forms, self.tap, "with a session",
                          lambda status: status["tunnel"]["state"] == "open")
        self.send(self.fresh(self.anna, "job-2"))
        self.send(self.fresh(self.anna, "job-3", action="extend", ttl=120, reason="longer"))
        self.send(self.fresh(self.anna, "job-4", action="extend", ttl=3600))
        self.send(self.fresh(self.anna, "job-5", action="close"))
        self.world.wait_state("closed")
        mqtt.write_status(self.book, "mqtt-signed.txt", self.forms, self.tap, "after a session",
                          lambda status: status["tunnel"].get("last_end") == "closed-by-operator")
        return signed

    def refusals(self, signed):
        armour = signed[signed.index(b"-----BEGIN"):]
        makers = [
            lambda: signed,
            lambda: self.fresh(self.anna, "w", gateway="site/gw-2"),
            lambda: self.anna.sign(c.command_text("0" * 64, "b")),
            lambda: self.fresh(self.eve, "u"),
            lambda: self.fresh(self.carol, "expired"),
            lambda: self.fresh(self.dave, "revoked"),
            lambda: c.command_text(self.challenges()[-1], "f") + armour,
            lambda: self.anna.sign(c.command_text(self.challenges()[-1], "n"), "file"),
            lambda: self.fresh(self.anna, "l") + b"\n" * 9000,
            lambda: b"open the door",
            lambda: self.anna.sign(b"open the door\n"),
            lambda: self.fresh(self.anna, "s", services="telnet"),
            lambda: self.fresh(self.anna, "t", ttl=0),
            lambda: self.fresh(self.anna, "c", action="close"),
        ]
        for make in makers:
            self.restart()
            self.send(make())

    def retained(self):
        """Kept by the broker, and handed to the agent when it comes back."""
        self.restart()
        replies, before = len(self.tap.published("reply")), len(self.challenges())
        signed = self.fresh(self.anna, "kept")
        self.wait_events()
        lib.wait_for("an empty store", lambda: self.agent.status()["outbox"]["messages"] == 0)
        self.tap.cut()
        self.desk.publish(lib.PREFIX + "/command", signed, 1, True).wait_for_publish()
        self.tap.heal()
        self.tap.wait("a reply", lambda: len(self.tap.published("reply")) > replies)
        self.wait_challenge(before + 1)
        self.desk.publish(lib.PREFIX + "/command", b"", 1, True).wait_for_publish()

    def wait_line(self, event, since):
        lib.wait_for(event, lambda: any(" %s " % event in line for line in self.lines()[since:]))

    def tampering(self):
        self.restart()
        lines = len(self.lines())
        t.run("nft", "flush", "table", "inet", "sallyport")
        self.wait_line("firewall_repaired", lines)
        self.send(self.fresh(self.anna, "tampered"))
        self.on_site(*OPEN)
        self.on_site("firewall", "status")
        self.on_site("firewall", "verify")
        self.on_site("firewall", "verify")
        lines = len(self.lines())
        t.run("ip", "link", "add", "spt1", "type", "veth", "peer", "name", "stranger")
        self.wait_line("firewall_tampered", lines)
        self.on_site("firewall", "verify")

    def approval(self):
        self.world.write_config(approval="local")
        self.restart()
        self.send(self.fresh(self.anna, "ask"))
        self.on_site("tunnel", "status")
        self.on_site("tunnel", "approve")
        self.send(self.fresh(self.anna, "thanks", action="close"))
        self.on_site(*OPEN)
        peer = t.Peer(self.world, 0)
        peer.socket.send(t.header(t.APPROVE) + struct.pack("<Q", 99))
        self.book.add("netd-socket.txt", "root: approve another request", b.netd_lines(
            self.forms, False, peer.socket.recv(32768)))
        self.on_site("tunnel", "close")

    def ends(self):
        self.world.write_config(approval="none")
        self.restart()
        self.on_site("tunnel", "open", "plc1", "--ttl", "1", "--reason", "short")
        self.world.wait_state("closed")
        self.on_site("tunnel", "status")
        self.world.write_config(idle_close_s=2)
        self.restart()
        self.on_site(*OPEN)
        self.world.wait_state("closed")
        self.on_site("tunnel", "status")
        self.world.write_config(idle_close_s=30)
        self.restart()

    def by_client(self):
        def operator(*words):
            done = self.technician.run("--json", *words)
            self.book.add("operator.txt", " ".join(words), b.command_lines(
                self.forms, ("operator", "--json", *words), done))
        before = len(self.challenges())
        operator("open", c.GATEWAY, "--service", "ssh", "--ttl", "50s", "--reason", REASON, "--yes")
        mqtt.write_status(self.book, "mqtt-signed.txt", self.forms, self.tap, "opened by the client",
                          lambda status: status["tunnel"].get("opener") == "tech" and
                          status["tunnel"]["state"] == "open")
        operator("open", c.GATEWAY, "--service", "ssh", "--ttl", "50s", "--reason", "x", "--yes")
        operator("list")
        operator("close", c.GATEWAY, "--print", "--challenge", "0" * 64)
        operator("extend", c.GATEWAY, "--ttl", "60", "--reason", "longer", "--yes")
        operator("close", c.GATEWAY, "--yes")
        self.wait_challenge(before + 3)
        self.world.wait_state("closed")

    def no_hub(self):
        self.world.hub_endpoint = "203.0.113.5:443"
        t.run("ip", "route", "del", "default")
        self.world.write_config()
        self.restart()
        self.send(self.fresh(self.anna, "no-hub"))
        self.on_site(*OPEN)

    def wait_events(self):
        lines = len(self.lines())
        self.tap.wait("all lines as events", lambda: len(mqtt.by_number(
            e for e in self.tap.published("event") if '"hash"' in e)) >= lines)

    def end(self):
        self.wait_events()
        lib.end(self.world.process)
        self.tap.wait("removal of the challenge", lambda: not self.challenges()[-1])
        self.send(b"is anybody there")
        lib.check(self.agent.stop() == 0, "a clean stop")
        self.tap.wait("offline", lambda: "offline" in self.tap.published("status")[-1])
        self.desk.loop_stop()

    def damage(self):
        """What netd says of a journal that ends in the midst of a line, and of an altered one."""
        name = glob.glob(self.place.path("state", "journal", "journal-*.log"))[-1]
        with open(name, "ab") as file:
            file.write(b"99 torn")
        self.world.start()
        self.on_site("journal")
        self.on_site("journal", "--verify")
        lib.end(self.world.process)
        with open(name, "r+b") as file:
            content = file.read()
            file.seek(content.rindex(b" version=") + len(b" version="))
            file.write(b"9")
        self.world.start()
        self.on_site("journal", "--verify")
        self.book.add("journal.txt", "after an altered line",
                      [self.forms.text(line) for line in self.lines()[-3:]])
        lib.end(self.world.process)

    def write(self):
        mqtt.write_sessions(self.book, "mqtt-signed.txt", self.forms, self.tap)
        mqtt.write_topics(self.book, "mqtt-signed.txt", self.forms, self.tap, lambda *_: ())
        mqtt.write_sessions(self.book, "operator.txt", self.forms, self.remote)
        mqtt.write_topics(self.book, "operator.txt", self.forms, self.remote, lambda *_: ())
        asked, signed = set(), []
        for from_client, message in self.courier.take():
            verb = struct.unpack_from("<H", message, 6)[0]
            if not from_client:
                continue
            lines = b.netd_lines(self.forms, True, b.without_number(message))
            if verb == t.JOURNAL:
                lines = lines[:2]  # the cursor depends on how long the lines were
            if verb == t.SIGNED:
                signed.append(lines)
            else:
                asked.add(tuple(lines))
        for lines in sorted(asked) + signed:
            self.book.add("agent-netd.txt", lines[0], lines[1:])

    def play(self):
        by_hand(self.book, self.forms, self.world)
        for words in ON_SITE:
            self.on_site(*words)
        self.trials()
        self.killed()
        self.start_agent()
        signed = self.sessions()
        self.refusals(signed)
        self.retained()
        self.tampering()
        self.approval()
        self.ends()
        self.by_client()
        self.no_hub()
        self.end()
        self.write_journal()
        self.damage()
        self.write()


class Agent(c.Agent):
    """The agent of command_lib, behind both taps."""

    def __init__(self, act):
        class Tapped:
            socket = act.place.path("agent-netd.sock")
        super().__init__(act.place, act.authority, Tapped, uplink={
            "servers": ["mqtts://localhost:%d" % AGENT_PORT], "ack_timeout_s": 60})


def play(place, book, version):
    Act(place, book, version).play()
