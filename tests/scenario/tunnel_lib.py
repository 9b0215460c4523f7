"""What the scenarios of the tunnel share: a gateway with netd, a hub, a device behind the gateway.

The gateway is this program's own network namespace; `hub` and `plc` are two more. The hub runs
wireguard-go (as does the gateway where the kernel has no WireGuard) and is also where the operator
sits. netd runs as a user of its own with CAP_NET_ADMIN and nothing else.
"""
import ctypes
import json
import os
import socket
import struct
import subprocess
import threading
import time

import lib

NETD_UID, AGENT_UID, ADMIN_UID, ADMIN_GID, STRANGER_UID = 64001, 64002, 64004, 64003, 64005
GATEWAY, HUB_INSIDE, PLC = "10.254.1.42", "10.254.0.1", "192.168.10.5"
SSH, CLOSED, MODBUS = 22, 23, 502


def run(*words, **options):
    return subprocess.run(list(words), check=True, capture_output=True, text=True, **options).stdout


def prepare():
    """Private places for what is shared by name: namespaces, wireguard-go's sockets, the device."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.makedirs("/run/netns")
    os.makedirs("/run/wireguard")
    os.chmod("/run/wireguard", 0o777)
    os.mknod("/run/tun", 0o666 | 0o020000, os.makedev(10, 200))
    os.chmod("/run/tun", 0o666)
    run("mount", "--bind", "/run/tun", "/dev/net/tun")


def link(here, address, name, peer_address):
    run("ip", "netns", "add", name)
    run("ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "addr", "add", address, "dev", here)
    run("ip", "link", "set", here, "up")
    run("ip", "-n", name, "addr", "add", peer_address, "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "link", "set", "lo", "up")


SERVER = r'''
import socket, sys, threading, time
def talk(connection):
    try:
        connection.sendall(b"SSH-2.0-banner\r\n")
        while True:
            time.sleep(0.02)
            connection.sendall(b"x")
    except OSError:
        pass
def serve(port):
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("0.0.0.0", port))
    listening.listen()
    print("ready", port, flush=True)
    while True:
        threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()
for port in sys.argv[2:]:
    threading.Thread(target=serve, args=(int(port),), daemon=True).start()
serve(int(sys.argv[1]))
'''

# Connects, then prints the time of the last byte whenever one came, until nothing comes for 3 s.
CLIENT = r'''
import socket, sys, time
try:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
    banner = connection.recv(100)
except OSError as error:
    print("refused", error, flush=True)
    sys.exit(1)
print("first", time.monotonic(), banner[:7].decode(), flush=True)
connection.settimeout(float(sys.argv[4]))
last = time.monotonic()
try:
    while connection.recv(1000):
        last = time.monotonic()
except OSError:
    pass
print("last", last, flush=True)
'''


class Client:
    """A connection from the operator's side that lives as long as it is let."""

    def __init__(self, address, port, connect_s=3, quiet_s=3, where="hub"):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", where, "python3", "-c", CLIENT, address, str(port),
             str(connect_s), str(quiet_s)], stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        self.connected = bool(words) and words[0] == "first"
        self.first = float(words[1]) if self.connected else None

    def last(self):
        """When its last byte came; waits until nothing has come for a while."""
        words = self.process.stdout.readline().split()
        self.process.wait()
        return float(words[1])

    def alive(self):
        return self.process.poll() is None

    def end(self):
        lib.end(self.process)


def silence_hub():
    """The hub receives nothing from now on, as if a firewall dropped it."""
    run("ip", "netns", "exec", "hub", "nft", "add table inet deaf; "
        "add chain inet deaf input { type filter hook input priority 0; }; "
        "add rule inet deaf input udp dport 443 drop")


def let_hub_hear():
    run("ip", "netns", "exec", "hub", "nft", "delete", "table", "inet", "deaf")


def reaches(address, port, where="hub", connect_s=1):
    client = Client(address, port, connect_s, where=where)
    client.end()
    return client.connected


class World:
    def __init__(self, place, hub_endpoint="192.0.2.1:443", **settings):
        self.place = place
        self.process = None
        self.settings = settings
        self.hub_endpoint = hub_endpoint
        prepare()
        link("wan0", "192.0.2.2/24", "hub", "192.0.2.1/24")
        link("plant0", "192.168.10.1/24", "plc", PLC + "/24")
        run("ip", "route", "add", "default", "via", "192.0.2.1")
        for name in ("state", "runtime", "keys"):
            os.mkdir(place.path(name))
            os.chown(place.path(name), NETD_UID, NETD_UID)
        self.key = self.make_key("keys/wireguard.key")
        os.chown(place.path("keys/wireguard.key"), NETD_UID, NETD_UID)
        self.hub_key = self.make_key("hub.key")
        self.start_hub()
        self.serve(None, SSH, CLOSED)
        self.serve("plc", MODBUS, CLOSED)
        self.write_config()

    def make_key(self, name):
        key = run("wg", "genkey")
        self.place.write(name, key, 0o600)
        return run("wg", "pubkey", input=key).strip()

    def start_hub(self):
        self.place.start("hub", ["ip", "netns", "exec", "hub", "wireguard-go", "-f", "hub0"])
        lib.wait_for("start of the hub", lambda: os.path.exists("/run/wireguard/hub0.sock"))
        run("ip", "netns", "exec", "hub", "wg", "set", "hub0", "private-key",
            self.place.path("hub.key"), "listen-port", "443", "peer", self.key, "allowed-ips",
            "%s/32,%s/32" % (GATEWAY, PLC))
        run("ip", "-n", "hub", "addr", "add", HUB_INSIDE + "/32", "dev", "hub0")
        run("ip", "-n", "hub", "link", "set", "hub0", "up")
        for address in (GATEWAY, PLC):
            run("ip", "-n", "hub", "route", "add", address, "dev", "hub0")

    def serve(self, where, *ports):
        prefix = ["ip", "netns", "exec", where] if where else []
        name = "server-%s" % (where or "gateway")
        self.place.start(name, [*prefix, "python3", "-c", SERVER, *map(str, ports)])
        lib.wait_for("start of %s" % name,
                     lambda: self.place.log(name).count("ready") == len(ports))

    def write_config(self, **changes):
        self.settings.update(changes)
        tunnel = {
            "gateway": "plant-7/gw-0042", "address": GATEWAY,
            "private_key_file": self.place.path("keys/wireguard.key"),
            "hub": {"public_key": self.hub_key, "endpoint": self.hub_endpoint,
                    "address": HUB_INSIDE},
            "sources": ["10.254.0.0/24"], "max_ttl_s": 60, "idle_close_s": 30,
            "services": [{"name": "ssh", "port": SSH},
                         {"name": "plc1", "port": MODBUS, "target": PLC, "interface": "plant0"}],
            **self.settings,
        }
        groups = {"firewall": {"wan": ["wan0"], "plant": ["plant0"],
                               **tunnel.pop("firewall", {})},
                  "paths": {"state_dir": self.place.path("state"),
                            "runtime_dir": self.place.path("runtime")},
                  "access": {"agent_user": str(AGENT_UID), "admin_group": str(ADMIN_GID),
                             **tunnel.pop("access", {})},
                  **({"agent": tunnel.pop("agent")} if "agent" in tunnel else {}),
                  "tunnel": tunnel}
        self.config = self.place.write("netd.conf", "".join(
            "%s = %s;\n" % (key, lib.group_text(value)) for key, value in groups.items()))

    # --- netd -------------------------------------------------------------------------------

    @property
    def socket(self):
        return self.place.path("runtime", "netd.sock")

    def launch(self):
        """Starts netd and does not wait for it."""
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        program = os.path.join(self.place.build, "tunnel", "sallyport-netd")
        caps = "-all,+net_admin"
        # as root, what the unit does before each start
        subprocess.run([program, "-c", self.config, "--record"], capture_output=True, check=False)
        self.process = self.place.start("netd", [
            "setpriv", "--reuid=%d" % NETD_UID, "--regid=%d" % NETD_UID,
            "--clear-groups", "--inh-caps=" + caps, "--ambient-caps=" + caps,
            "--bounding-set=" + caps, program, "-c", self.config])

    def start(self):
        self.launch()
        if not lib.wait_for("start of netd", lambda: os.path.exists(self.socket), 20):
            lib.finish()
        return self

    def command(self, *words):
        return [os.path.join(self.place.build, "agent", "cli", "sallyport"), "-n", self.config, *words]

    def cli(self, *words, uid=None, gid=None):
        command = self.command(*words)
        if uid is not None:
            command = ["setpriv", "--reuid=%d" % uid, "--regid=%d" % (gid or uid),
                       "--clear-groups", *command]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)

    def open(self, *services, ttl=20, reason="a scenario", **who):
        return self.cli("tunnel", "open", *services, "--ttl", str(ttl), "--reason", reason, **who)

    def must_open(self, *services, **more):
        done = self.open(*services, **more)
        if not lib.check(done.returncode == 0, "%s opens %s" % (",".join(services),
                                                              done.stderr.strip())):
            lib.finish()
        return time.monotonic()

    def status(self):
        return json.loads(self.cli("--json", "tunnel", "status").stdout)

    def state(self):
        return self.status()["state"]

    def wait_state(self, state, deadline_s=30):
        return lib.wait_for("state " + state, lambda: self.state() == state, deadline_s)

    def journal(self):
        return json.loads(self.cli("--json", "journal").stdout)

    def events(self):
        return [entry["event"] for entry in self.journal()]

    def last_event(self, name):
        found = [entry for entry in self.journal() if entry["event"] == name]
        return found[-1] if found else {}

    def nothing_left(self):
        """No interface, no lease, no process of the tunnel."""
        links = run("ip", "-o", "link")
        lib.check("spt" not in links, "no interface is left")
        sets = run("nft", "list", "table", "inet", "sallyport")
        lib.check("elements" not in "".join(
            part.split("}")[0] for part in sets.split("set lease")[1:]), "no lease is left")


# --- speaking the protocol by hand ----------------------------------------------------------------

MAGIC, VERSION = 0x31545053, 1
# setgroups, setresuid, setresgid: glibc's own change the whole process, these one thread.
CREDENTIALS = {"x86_64": (116, 117, 119), "aarch64": (159, 147, 149)}[os.uname().machine]
(HELLO, STATUS, COUNTERS, OPEN_LOCAL, EXTEND, CLOSE, APPROVE, VERIFY, ACKNOWLEDGE, TRY, KEEP,
 JOURNAL, SUBSCRIBE, CHANGED, CHALLENGE, SIGNED, SIGNERS) = range(1, 18)
STATES = ("closed", "waiting", "opening", "open", "closing")
REFUSALS = ("accepted", "malformed", "too-large", "retained", "wrong-gateway", "bad-challenge",
            "replayed", "bad-signature", "unknown-signer", "unknown-service", "bad-ttl",
            "not-approved", "already-open", "not-open", "tampered", "rate-limited",
            "hub-unreachable", "failed", "journal-failed", "not-permitted")


def header(verb, version=VERSION, magic=MAGIC, ident=1, result=0):
    return struct.pack("<IHHIi", magic, version, verb, ident, result)


def text(value, size):
    return value.encode().ljust(size, b"\0")


def open_body(services, ttl, reason="by hand"):
    names = b"".join(text(name, 65) for name in services).ljust(16 * 65, b"\0")
    return struct.pack("<II", ttl, len(services)) + names + text(reason, 804) + bytes(4)


def signed(message, retained=False):
    """The request that couriers MESSAGE."""
    part = message[:8192]
    return header(SIGNED) + struct.pack("<III", len(part), retained, len(message) > 8192) + \
        part.ljust(8192, b"\0")


def signed_answer(answer):
    """(reason, state, id, lines) of the answer to a signed command."""
    result, body = answer
    fields = [part.rstrip(b"\0").decode() for part in (body[4:69], body[69:])]
    return REFUSALS[result], STATES[body[0]], fields[0], fields[1].splitlines()


class Peer:
    """A connection to netd's socket as any user; None as an answer means: dropped."""

    def __init__(self, world, uid, groups=(), greet=True):
        self.socket = None
        libc = ctypes.CDLL(None, use_errno=True)

        def connect():  # the credentials of this thread alone
            setgroups, setresuid, setresgid = CREDENTIALS
            if libc.syscall(setgroups, len(groups), (ctypes.c_uint * len(groups))(*groups)) or \
               libc.syscall(setresgid, uid, uid, uid) or libc.syscall(setresuid, uid, uid, uid):
                raise OSError("the credentials could not be changed")
            made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            made.settimeout(5)
            try:
                made.connect(world.socket)
            except OSError:
                return
            self.socket = made

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        self.greeted = self.ask(header(HELLO)) if greet else None

    def ask(self, message):
        """(result, body) of the answer; None when netd closed the connection instead."""
        try:
            self.socket.send(message)
            answer = self.socket.recv(32768)
        except (ConnectionError, BrokenPipeError):
            return None
        return (struct.unpack("<i", answer[12:16])[0], answer[16:]) if answer else None

    def challenge(self):
        answer = self.ask(header(CHALLENGE))
        return answer[1].rstrip(b"\0").decode()

    def courier(self, message, retained=False, deadline_s=25):
        """What signed_answer() says to a message from the broker."""
        self.socket.settimeout(deadline_s)
        return signed_answer(self.ask(signed(message, retained)))
