"""A gateway between three networks, for the scenarios of the firewall: this program's own namespace
is the gateway; internet, plant and hub are namespaces at the other ends of eth0, eth1 and spt0.
"""
import ctypes
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import lib

TCP_PORTS = (22, 80, 502, 1883, 8080, 9100)
UDP_PORTS = (53, 123, 161, 5353, 51820)
ALL_PORTS = bool(os.environ.get("SALLYPORT_ALL_PORTS"))  # 1: all 65535, as an auditor would
SCANNED = "1-65535" if ALL_PORTS else "1-1024,1883,3389,4840,5900,8000-8100,8883,9000-9100,51820"

GATEWAY = {"internet": ("192.0.2.1", "2001:db8:1::1"), "plant": ("192.168.10.1", "fd00:10::1"),
           "hub": ("10.254.1.42", "fd00:254::42")}
OTHER = {"internet": ("192.0.2.9", "2001:db8:1::9"), "plant": ("192.168.10.5", "fd00:10::5"),
         "hub": ("10.254.0.7", "fd00:254::7")}
NETD_USER = 64999
INTERFACE = {"internet": "eth0", "plant": "eth1", "hub": "spt0"}


def run(*arguments, text=None, quiet=False):
    done = subprocess.run(arguments, input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0 and not quiet:
        raise RuntimeError("%s: %s%s" % (" ".join(arguments), done.stdout, done.stderr))
    return done.stdout


def ip(*words):
    return run("ip", *words)


def mac(link):
    return json.loads(link)[0]["address"]


def nft(text):
    return run("nft", "-f", "-", text=text)


def switch(name, value):
    with open("/proc/sys/net/" + name, "w", encoding="ascii") as file:
        file.write(str(value))


class Net:
    """A network namespace that lives as long as the process that holds it."""

    def __init__(self, name):
        self.name = name
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        lib.wait_for("a namespace", lambda: os.readlink(self.path()) != own)
        self.run("ip", "link", "set", "lo", "up")

    def path(self):
        return "/proc/%d/ns/net" % self.holder.pid

    def prefix(self):
        return ["nsenter", "--net=" + self.path()]

    def run(self, *arguments, **options):
        return run(*self.prefix(), *arguments, **options)

    def call(self, function, *arguments):
        """Runs a function in a thread inside the namespace: sockets that it makes belong there."""
        result = []

        def inside():
            with open(self.path(), "rb") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            result.append(function(*arguments))

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if not result:
            raise RuntimeError("failed inside " + self.name)
        return result[0]

    def close(self):
        self.holder.kill()
        self.holder.wait()


class World:
    def __init__(self, place):
        self.place = place
        self.nets = {name: Net(name) for name in INTERFACE}
        for name, net in self.nets.items():
            self.connect(net, INTERFACE[name], GATEWAY[name], OTHER[name])
        ip("route", "replace", "10.254.0.0/24", "dev", "spt0")
        self.nets["plant"].run("ip", "addr", "add", "192.168.10.20/24", "dev", "eth0")
        self.nets["plant"].run("ip", "addr", "add", "fd00:10::20/64", "dev", "eth0", "nodad")
        self.nets["hub"].run("ip", "addr", "add", "10.254.0.8/32", "dev", "eth0")
        self.nets["hub"].run("ip", "route", "add", "192.168.10.0/24", "dev", "eth0")
        self.nets["hub"].run("ip", "route", "add", "192.0.2.0/24", "dev", "eth0")
        for name in ("internet", "plant"):
            self.nets[name].run("ip", "route", "add", "default", "via", GATEWAY[name][0])
        ip("route", "add", "default", "via", OTHER["internet"][0])

    @staticmethod
    def connect(net, interface, ours, theirs):
        prefix = "32" if interface == "spt0" else "24"
        ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns",
           str(net.holder.pid))
        ip("addr", "add", ours[0] + "/" + prefix, "dev", interface)
        ip("addr", "add", ours[1] + "/64", "dev", interface, "nodad")
        ip("link", "set", interface, "up")
        net.run("ip", "addr", "add", theirs[0] + "/" + prefix, "dev", "eth0")
        net.run("ip", "addr", "add", theirs[1] + "/64", "dev", "eth0", "nodad")
        net.run("ip", "link", "set", "eth0", "up")
        if interface == "spt0":
            net.run("ip", "route", "add", ours[0], "dev", "eth0")
            # A real tunnel has no neighbours: addresses are found without asking.
            address = mac(net.run("ip", "-j", "link", "show", "dev", "eth0"))
            ip("neigh", "replace", theirs[0], "lladdr", address, "dev", interface)
            ip("neigh", "replace", "10.254.0.8", "lladdr", address, "dev", interface)
            own = mac(ip("-j", "link", "show", "dev", interface))
            for address in (*ours, "192.168.10.5", "192.168.10.20", "192.0.2.9"):
                net.run("ip", "neigh", "replace", address, "lladdr", own, "dev", "eth0")

    def close(self):
        for net in self.nets.values():
            net.close()


class Services:
    """Echo services on every address of the network that they are started in."""

    def __init__(self, tcp=TCP_PORTS, udp=UDP_PORTS):
        self.heard = []  # (protocol, port, source) of everything that came in
        self.stopped = False
        self.lock = threading.Lock()
        self.sockets = [self.listen(socket.SOCK_STREAM, port) for port in tcp]
        self.sockets += [self.listen(socket.SOCK_DGRAM, port) for port in udp]
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def listen(kind, port):
        listener = socket.socket(socket.AF_INET6, kind)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            listener.listen(64)
        return listener

    def note(self, protocol, port, source):
        with self.lock:
            self.heard.append((protocol, port, source.removeprefix("::ffff:")))

    def serve(self):
        while not self.stopped:
            ready, _, _ = select.select(self.sockets, [], [], 0.2)
            for listener in ready:
                port = listener.getsockname()[1]
                if listener.type == socket.SOCK_STREAM:
                    connection, source = listener.accept()
                    self.note("tcp", port, source[0])
                    threading.Thread(target=self.echo, args=(connection,), daemon=True).start()
                else:
                    data, source = listener.recvfrom(2048)
                    self.note("udp", port, source[0])
                    try:
                        listener.sendto(data, source)
                    except OSError:
                        pass

    @staticmethod
    def echo(connection):
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def take_heard(self):
        with self.lock:
            heard, self.heard = self.heard, []
        return heard


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(address, port, source=None, timeout_s=1.0):
    """A connected socket that echoed, or None."""
    connection = socket.socket(family_of(address), socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        if source:
            connection.bind((source, 0))
        connection.connect((address, port))
        connection.sendall(b"hello")
        if connection.recv(5) == b"hello":
            return connection
    except OSError:
        pass
    connection.close()
    return None


def tcp_works(*arguments, **options):
    connection = tcp(*arguments, **options)
    if connection:
        connection.close()
    return connection is not None


def udp_works(address, port, source=None, source_port=0, timeout_s=1.0):
    """Whether a datagram was answered; "refused" counts as an answer."""
    sender = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sender.settimeout(timeout_s)
    try:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source or source_port:
            sender.bind((source or ("::" if ":" in address else "0.0.0.0"), source_port))
        sender.connect((address, port))
        sender.send(b"hello")
        return sender.recv(100) == b"hello"
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        sender.close()


def udp_sweep(address, ports, source_port=0):
    """The ports that answered a datagram, asked all at once."""
    senders = {}
    for port in ports:
        sender = socket.socket(family_of(address), socket.SOCK_DGRAM)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.setblocking(False)
        if source_port:
            sender.bind(("::" if ":" in address else "0.0.0.0", source_port))
        sender.connect((address, port))
        try:
            sender.send(b"hello")
        except OSError:
            pass
        senders[sender] = port
    answered = []
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        ready, _, _ = select.select(list(senders), [], [], 0.1)
        for sender in ready:
            try:
                sender.recv(100)
            except ConnectionRefusedError:
                pass
            except OSError:
                continue
            answered.append(senders[sender])
    for sender in senders:
        sender.close()
    return sorted(set(answered))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def send_spoofed(source, destination, port, source_port=4444, interface="eth0"):
    """A datagram with any source address, past the sender's own checks."""
    payload = struct.pack("!HHHH", source_port, port, 12, 0) + b"hey!"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64,
                         socket.IPPROTO_UDP, 0, socket.inet_aton(source),
                         socket.inet_aton(destination))
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    raw.sendto(header + payload, (destination, 0))
    raw.close()
    return True


def send_frame_spoofed(source, destination, port, target_mac):
    """The same on the wire itself, where the sender's kernel would refuse (127.0.0.0/8)."""
    payload = struct.pack("!HHHH", 4444, port, 12, 0) + b"hey!"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64,
                         socket.IPPROTO_UDP, 0, socket.inet_aton(source),
                         socket.inet_aton(destination))
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    raw.send(bytes.fromhex(target_mac.replace(":", "")) + b"\x02\0\0\0\0\x99" + b"\x08\0" +
             header + payload)
    raw.close()
    return True


def count_from_gateway(net):
    """Counts, inside a network, every packet from the gateway but neighbour discovery."""
    net.run("nft", "-f", "-", text="table inet judge\ndelete table inet judge\n"
            "table inet judge {\n counter answers {\n }\n chain in {\n"
            "  type filter hook prerouting priority raw - 10; policy accept;\n"
            "  iifname != \"eth0\" accept\n"
            "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit,"
            " mld2-listener-report } accept\n"
            "  counter name answers\n }\n}\n")


def counted_from_gateway(net):
    text = net.run("nft", "list", "counter", "inet", "judge", "answers")
    return int(re.search(r"packets (\d+)", text).group(1))


def scan(net, address, how="-sS"):
    """Ports for which nmap got any answer: {port: state}."""
    words = ["nmap", "-n", "-Pn", how, "-p", SCANNED, "--max-retries", "1", "-T5",
             "--min-rate", "4000", "--host-timeout", "120s", "--send-ip", "-oG", "-", address]
    if ":" in address:
        words.insert(1, "-6")
    text = net.run(*words)
    if "Status: Up" not in text or "1 IP address (1 host up) scanned" not in text:
        raise RuntimeError("nmap did not scan: " + text)
    found = {int(number): state for number, state in re.findall(r"[ ,](\d+)/([a-z|]+)/", text)
             if state not in ("filtered", "open|filtered")}
    ignored = re.search(r"Ignored State: (\S+)", text)
    if ignored and ignored.group(1) not in ("filtered", "open|filtered"):
        found["the rest"] = ignored.group(1)
    return found


def pings(net, address, count=1, source=None):
    done = subprocess.run([*net.prefix(), "ping", "-n", "-q", "-c", str(count), "-W", "1",
                           *(("-I", source) if source else ()), address],
                          capture_output=True, check=False)
    return done.returncode == 0


def check_silent(world, services, what, names=("internet", "plant", "hub"), thorough=True):
    """Every port, protocol and family from every network: no answer, and nothing heard."""
    services.take_heard()
    for name in names:
        net = world.nets[name]
        count_from_gateway(net)
        for address in GATEWAY[name]:
            kinds = ("-sS", "-sA") if thorough else ("-sS",)
            found = {kind: scan(net, address, kind) for kind in kinds}
            lib.check(not any(found.values()),
                      "%s: from %s, tcp %s: %s" % (what, name, address, found))
            answered = net.call(udp_sweep, address, UDP_PORTS + (68, 546, 40000))
            answered += net.call(udp_sweep, address, (68,) + UDP_PORTS, 67)
            lib.check(answered == [], "%s: from %s, udp %s: %s" % (what, name, address, answered))
            if thorough:
                lib.check(not pings(net, address), "%s: from %s, ping %s" % (what, name, address))
        if thorough and name == "internet":  # addresses of the other side
            for address in (GATEWAY["plant"][0], GATEWAY["hub"][0], OTHER["plant"][0]):
                reached = net.call(tcp_works, address, 22, None, 0.3)
                lib.check(not reached, "%s: from %s, tcp %s" % (what, name, address))
        answers = counted_from_gateway(net)
        lib.check(answers == 0, "%s: packets that %s got: %d" % (what, name, answers))
    heard = services.take_heard()
    lib.check(heard == [], "%s: services heard %s" % (what, heard[:5]))


class Driver:
    """tests/scenario/firewall_driver.c with one configuration."""

    def __init__(self, place, build, config):
        self.log = open(place.path("driver.log"), "ab")
        self.process = subprocess.Popen([build + "/tests/firewall_driver", config],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.events, self.answers = [], []
        self.arrived = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.leftovers = int(self.answer().split()[1])

    def read(self):
        for line in self.process.stdout:
            with self.arrived:
                (self.events if line.startswith("event") else self.answers).append(line.strip())
                self.arrived.notify_all()

    def answer(self):
        with self.arrived:
            self.arrived.wait_for(lambda: self.answers, 20)
            return self.answers.pop(0)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def do(self, command):
        answer = self.ask(command)
        if not answer.startswith("ok"):
            raise RuntimeError("%s: %s" % (command, answer))
        return answer

    def wait_event(self, part, deadline_s=20):
        with self.arrived:
            return self.arrived.wait_for(lambda: any(part in e for e in self.events), deadline_s)

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()


def conf(extra="", tunnel=True):
    text = 'firewall: { wan = [ "eth0" ]; plant = [ "eth1" ]; %s };\n' % extra
    if tunnel:
        text += """tunnel: {
  gateway = "plant-7/gw-0042"; address = "10.254.1.42"; private_key_file = "wireguard.key";
  hub = { public_key = "jx7FbTTiQsgPhYhIPfn9XQUn9GkUSq2jeBYqRyfVm2o=";
          endpoint = "192.0.2.9:51820"; address = "10.254.0.1"; };
  sources = [ "10.254.0.0/24" ]; max_ttl_s = 3600; idle_close_s = 900;
  services = ( { name = "ssh"; protocol = "tcp"; port = 22; },
    { name = "plc1"; protocol = "tcp"; port = 502; target = "192.168.10.5"; interface = "eth1"; } );
};
"""
    return text


class Netd:
    """The real netd, as a user of its own with CAP_NET_ADMIN and nothing else."""

    def __init__(self, place, build):
        self.place, self.build = place, build
        for name in ("state", "runtime"):
            os.mkdir(place.path(name))
            os.chown(place.path(name), NETD_USER, NETD_USER)
        self.config = place.path("netd.conf")
        self.write()
        self.process = None

    def write(self, extra=""):
        self.place.write("netd.conf", conf(extra, tunnel=False) + """
paths: { state_dir = "%s"; runtime_dir = "%s"; };
access: { agent_user = "64998"; admin_group = "64997"; };
""" % (self.place.path("state"), self.place.path("runtime")), 0o644)

    def prefix(self):
        return ["setpriv", "--reuid=%d" % NETD_USER, "--regid=%d" % NETD_USER, "--clear-groups",
                "--bounding-set=-all,+net_admin", "--inh-caps=-all,+net_admin",
                "--ambient-caps=-all,+net_admin"]

    def lockdown(self, config=None, rules=None):
        """What runs before the network, with this netd.conf, or another file in its place."""
        done = subprocess.run([*self.prefix(), self.build + "/tunnel/sallyport-netd", "-c",
                               config or self.config, "--lockdown", *([rules] if rules else [])],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    def start(self):
        # as root, what the unit does before each start
        run(self.build + "/tunnel/sallyport-netd", "-c", self.config, "--record")
        ready = self.place.log("netd").count(" ready")
        self.process = self.place.start("netd", [*self.prefix(),
                                        self.build + "/tunnel/sallyport-netd", "-c", self.config])
        lib.wait_for("netd is ready",
                     lambda: self.place.log("netd").count(" ready") > ready)

    def end(self, how):
        return lib.end(self.process, how)

    def ask(self, *words):
        done = subprocess.run([self.build + "/agent/cli/sallyport", "-n", self.config, *words],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
