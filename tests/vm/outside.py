"""What is around the machine: the internet, the central site, an office, a technician, the plant, and
scanners on both sides that count every answer.

The test's own namespace is the internet and, on the other tap, the plant's network. The central
site is hub_lib's: the kit with the real broker and WireGuard.
"""
import errno
import json
import os
import socket
import struct
import subprocess
import threading
import time

import lib
from hub_lib import Client, Hub
from machine import MAC, PLANT, WAN
from tunnel_lib import link, run

GATEWAY = "plant-7/gw-0042"
PREFIX = "sallyport/" + GATEWAY
OUTER, INNER, GLOBAL6 = "198.51.100.2", "192.168.10.1", "2001:db8:100::2"
LOCAL6 = {WAN: "fe80::5054:ff:fe5a:1101", PLANT: "fe80::5054:ff:fe5a:1102"}
OFFICE, PLC = "203.0.113.2", "192.168.10.5"
TCP_PORTS = (21, 22, 23, 80, 443, 502, 1883, 4840, 5900, 8080, 8883, 51820)
UDP_PORTS = (53, 67, 68, 123, 161, 443, 546, 5353, 51820)


class Around:
    def __init__(self, place):
        self.place = place
        self.hub = Hub(place)
        self.ear = self.plant = None
        for device, addresses in ((WAN, ("198.51.100.1/24", "2001:db8:100::1/64")),
                                  (PLANT, (PLC + "/24",))):
            run("ip", "tuntap", "add", "dev", device, "mode", "tap")
            for address in addresses:
                run("ip", "addr", "add", address, "dev", device, *["nodad"] * (":" in address))
            run("ip", "link", "set", device, "up")
        for name, net in (("office", "203.0.113"), ("tina", "198.51.30")):
            link(name, net + ".1/24", name, net + ".2/24")
            run("ip", "-n", name, "route", "add", "default", "via", net + ".1")
        for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            with open("/proc/sys/net/" + path, "w", encoding="ascii") as file:
                file.write("1")

    # --- the central site -----------------------------------------------------------------------

    def open_site(self):
        """Broker and hub; alice, who may sign, a historian, tina inside the tunnel. Returns the
        gateway's enrolment."""
        place, hub = self.place, self.hub
        hub.init("--no-ssh")
        os.makedirs(place.path("home/.config"))
        os.makedirs(place.path("home/.ssh"), 0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place.path("home/.ssh/alice"))
        hub.must("add-operator", "alice", "--site", "plant-7", "--ssh-key",
                 place.path("home/.ssh/alice.pub"), "--out", place.path("home/.config/sallyport"))
        hub.must("add-operator", "historian", "--site", "plant-7", "--read-only", "--out",
                 place.path("historian"))
        enrolment = hub.gateway(GATEWAY)
        tina = place.write("tina.conf", hub.must("add-technician", "tina"), 0o600)
        hub.start_broker()
        hub.start_wireguard()
        hub.must("apply")
        run("ip", "netns", "exec", "tina", "wg-quick", "up", tina, stdin=subprocess.DEVNULL)
        self.listen()
        return enrolment

    def listen(self):
        folder = self.place.path("historian")
        with open(folder + "/password", encoding="ascii") as file:
            password = file.read().strip()
        self.ear = Client("historian", password,
                          [folder + "/" + name for name in ("ca.pem", "operator.pem", "operator.key")])
        lib.check(self.ear.is_in, "the historian has a session with the broker")
        self.ear.hear(PREFIX + "/#")

    def heard(self, *topics):
        """Every message below these topics as (topic, parsed)."""
        wanted = tuple(PREFIX + "/" + topic for topic in topics)
        return [(topic, json.loads(text)) for topic, text, _ in self.ear.heard()
                if topic.startswith(wanted)]

    def numbered(self):
        return [message for _, message in self.heard("data/", "event")]

    def values(self, device):
        return [message["values"] for _, message in self.heard("data/" + device)
                if message.get("values")]

    def events(self, name):
        return [message for _, message in self.heard("event") if message["event"] == name]

    def cut_uplink(self):
        """The broker is out of reach, without an answer; the tunnel's packets pass."""
        run("nft", "add table inet outage; "
            "add chain inet outage f { type filter hook forward priority 0; }; "
            "add rule inet outage f tcp dport { 443, 8883 } drop; "
            "add rule inet outage f tcp sport { 443, 8883 } drop")

    def mend_uplink(self):
        run("nft", "delete", "table", "inet", "outage")

    def start_plant(self):
        self.plant = lib.Plant(self.place, ["tcp plc1 %s 502 1" % PLC,
                                            "unit plc1/1 set holding 100 0 16832",
                                            "unit plc1/1 polls holding 20"])

    # --- people -----------------------------------------------------------------------------------

    def operator(self, *words):
        program = os.path.join(self.place.build, "agent", "cli", "sallyport")
        os.makedirs(self.place.path("technician-run"), 0o700, exist_ok=True)
        return subprocess.run([program, "operator", *words], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=120, check=False,
                              env={"HOME": self.place.path("home"), "PATH": os.environ["PATH"],
                                   "XDG_RUNTIME_DIR": self.place.path("technician-run")})

    def ssh_words(self, where, address, key):
        return ["ip", "netns", "exec", where, "ssh", "-F", "/dev/null", "-i", key,
                "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", "-o", "BatchMode=yes",
                "root@" + address]


class Session:
    """Somebody's SSH session: a shell in which one command after the other is run."""

    def __init__(self, words):
        self.process = subprocess.Popen([*words, "bash"], stdin=subprocess.PIPE, text=True, bufsize=1,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.watch = threading.Thread(target=self.read, daemon=True)
        self.lines, self.news = [], threading.Condition()
        self.count = 0
        self.watch.start()

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()
        with self.news:
            self.lines.append(None)
            self.news.notify_all()

    def begin(self, script):
        """Types it, and does not wait."""
        self.count += 1
        try:
            self.process.stdin.write("( %s ) </dev/null; echo \"==%d $?\"\n" % (script, self.count))
            self.process.stdin.flush()
        except OSError:
            pass

    def has_said(self, text):
        with self.news:
            return any(line and text in line for line in self.lines)

    def finish(self, deadline_s=180):
        """(exit code, what it printed) of what was begun; None when the session does not answer."""
        mark, end = "==%d " % self.count, time.monotonic() + deadline_s
        with self.news:
            while not any(line is None or line.startswith(mark) for line in self.lines):
                if not self.news.wait(end - time.monotonic()):
                    return None, "".join(line for line in self.lines if line)
            said = self.lines
            self.lines = []
        if None in said:
            return None, "".join(said[:said.index(None)])
        return int(said[-1].split()[1]), "".join(said[:-1])

    def do(self, script, deadline_s=180):
        self.begin(script)
        return self.finish(deadline_s)

    def is_alive(self):
        return self.do("echo there", 30) == (0, "there\n")

    def end(self):
        self.process.stdin.close()
        lib.end(self.process)


# --- scanning -------------------------------------------------------------------------------------

def answer_in(frame):
    """(what, its address, asked by) when a frame from the machine answers a stranger; or None."""
    kind, = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        family, protocol, head = socket.AF_INET, frame[23], 14 + (frame[14] & 15) * 4
        source, target = frame[26:30], frame[30:34]
    elif kind == 0x86DD:
        family, protocol, head = socket.AF_INET6, frame[20], 54
        source, target = frame[22:38], frame[38:54]
    else:
        return None
    what = None
    if protocol == socket.IPPROTO_TCP:
        port, asking, flags = *struct.unpack_from("!HH", frame, head), frame[head + 13]
        if flags & 0x12 == 0x12:
            what = "syn-ack of tcp %d" % port
        elif flags & 0x04 and asking not in (443, 8883):  # those are its own connections
            what = "reset of tcp %d" % port
    elif protocol == socket.IPPROTO_UDP:
        port, asking = struct.unpack_from("!HH", frame, head)
        if port in UDP_PORTS and asking > 1024:
            what = "udp %d" % port
    elif protocol == socket.IPPROTO_ICMP and frame[head] in (0, 3, 14):
        what = "icmp %d" % frame[head]
    elif protocol == socket.IPPROTO_ICMPV6 and frame[head] in (1, 129):
        what = "icmpv6 %d" % frame[head]
    return what and (what, socket.inet_ntop(family, source), socket.inet_ntop(family, target))


class Scan:
    """Asks every address of the machine on both sides, from when it is begun until it is ended, and
    writes down what comes back on the wire, by whatever it was caused."""

    def __init__(self):
        self.over = threading.Event()
        self.answers = []  # (seconds since the begin, what, its address, asked by)
        self.asked = 0
        self.begun = time.monotonic()
        # Without waiting for a machine that does not say who it is: it may be off.
        for device, addresses in ((WAN, (OUTER, GLOBAL6)), (PLANT, (INNER,))):
            for address in (*addresses, LOCAL6[device]):
                run("ip", "neigh", "replace", address, "lladdr", MAC[device], "dev", device, "nud",
                    "permanent")
        self.threads = [threading.Thread(target=self.listen, args=(device,)) for device in MAC]
        self.threads.append(threading.Thread(target=self.ask))
        for thread in self.threads:
            thread.start()

    def listen(self, device):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        wire.bind((device, 0))
        wire.settimeout(0.3)
        theirs = bytes.fromhex(MAC[device].replace(":", ""))
        while not self.over.is_set():
            try:
                frame = wire.recv(2048)
            except TimeoutError:
                continue
            if frame[6:12] == theirs:
                answer = answer_in(frame)
                if answer:
                    self.answers.append((time.monotonic() - self.begun, *answer))
            elif frame[0:6] == theirs:
                self.asked += 1
        wire.close()

    @staticmethod
    def targets():
        for family, address, scope in (
                (socket.AF_INET, OUTER, 0), (socket.AF_INET, INNER, 0),
                (socket.AF_INET6, GLOBAL6, 0),
                (socket.AF_INET6, LOCAL6[WAN], socket.if_nametoindex(WAN)),
                (socket.AF_INET6, LOCAL6[PLANT], socket.if_nametoindex(PLANT))):
            for kind, ports in ((socket.SOCK_STREAM, TCP_PORTS), (socket.SOCK_DGRAM, UDP_PORTS)):
                for port in ports:
                    yield family, kind, ((address, port, 0, scope) if family == socket.AF_INET6
                                         else (address, port))
            yield family, socket.SOCK_RAW, ((address, 0, 0, scope) if family == socket.AF_INET6
                                            else (address, 0))

    @staticmethod
    def ping(family):
        kind = 8 if family == socket.AF_INET else 128
        text = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xFFFF, 1)
        if family == socket.AF_INET:  # the kernel sums up that of IPv6
            total = sum(struct.unpack("!4H", text))
            total = (total & 0xFFFF) + (total >> 16)
            text = struct.pack("!BBHHH", kind, 0, ~total & 0xFFFF, os.getpid() & 0xFFFF, 1)
        return text

    def ask(self):
        while not self.over.is_set():
            open_now = []
            for family, kind, where in self.targets():
                try:
                    if kind == socket.SOCK_RAW:
                        asking = socket.socket(family, kind, socket.IPPROTO_ICMP if
                                               family == socket.AF_INET else socket.IPPROTO_ICMPV6)
                        asking.sendto(self.ping(family), where)
                    else:
                        asking = socket.socket(family, kind)
                        asking.setblocking(False)
                        asking.connect(where)
                        asking.send(b"?")
                except OSError as error:
                    if error.errno not in (errno.EINPROGRESS, errno.EAGAIN, errno.ECONNREFUSED,
                                           errno.ENOBUFS, errno.ENETDOWN, errno.EIO, errno.EPIPE):
                        raise
                open_now.append(asking)
            self.over.wait(0.7)
            for asking in open_now:
                asking.close()

    def end(self):
        """Returns the answers."""
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.answers

    def judge(self, what):
        """Ends it; a check that nobody was answered but the office, at the port of SSH."""
        wrong = [answer for answer in self.end()
                 if answer[3] != OFFICE or not answer[1].endswith("tcp 22")]
        lib.check(not wrong and self.asked > 100, "%s: %d packets asked for %d s, %d answers%s" % (
            what, self.asked, time.monotonic() - self.begun, len(wrong),
            "".join("; %.1f s %s %s -> %s" % answer for answer in wrong[:5])))
