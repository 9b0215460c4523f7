"""What the scenarios share: a place of their own, certificates, broker, plant, agent, subscriber.

A scenario is an executable that begins with `lib.enter()`: it moves itself into fresh network, pid
and mount namespaces, so that ports are free, nothing can reach out, and whatever it leaves
ends with it. The build folder is its one argument. Judgement comes from check(); exit code 1 means
that one of them failed.
"""
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import paho.mqtt.client as mqtt

HOST = "127.0.0.1"
TLS_PORT = 8883
PLAIN_PORT = 1883  # for the judge; the agent never uses it
DEADLINE_S = 60  # for anything that has to happen; nothing here measures time

failures = []


def isolate():
    """Runs this program again inside namespaces of its own; returns there."""
    if os.environ.get("SALLYPORT_SCENARIO") != "inside":
        os.environ["SALLYPORT_SCENARIO"] = "inside"
        os.execvp("unshare", ["unshare", "--net", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, os.path.abspath(sys.argv[0]),
                              *sys.argv[1:]])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.environ.pop("http_proxy", None)
    os.environ.pop("https_proxy", None)


def enter():
    """For a scenario: isolates it and returns the build folder's absolute path."""
    if len(sys.argv) != 2:
        sys.exit("usage: %s BUILD-FOLDER" % sys.argv[0])
    isolate()
    return os.path.abspath(sys.argv[1])


def say(text):
    print(text, flush=True)


def check(passed, text):
    say("%s  %s" % ("ok  " if passed else "FAIL", text))
    if not passed:
        failures.append(text)
    return passed


def finish():
    say("%d failed" % len(failures) if failures else "all as it should be")
    sys.exit(1 if failures else 0)


def wait_for(what, predicate, deadline_s=DEADLINE_S):
    """Whether the predicate became true; a failed check when not."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if predicate():
            return True
        time.sleep(0.02)
    return check(False, "%s within %d s" % (what, deadline_s))


class Place:
    """A temporary folder; ends what was started in it and shows the logs when a check failed."""

    def __init__(self, build):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="sallyport-scenario-")
        os.chmod(self.folder, 0o755)
        self.runtime = os.path.join(self.folder, "run")  # in memory, as /run is
        os.mkdir(self.runtime)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.runtime], check=True)
        self.processes = []

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def start(self, name, arguments, **options):
        """Starts a program; its output goes to NAME.log, appended."""
        with open(self.path(name + ".log"), "ab") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log,
                                       **{"stdin": subprocess.DEVNULL, **options})
        self.processes.append(process)
        return process

    def log(self, name):
        try:
            with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in reversed(self.processes):
            end(process)
        if failures or kind:
            for name in sorted(os.listdir(self.folder)):
                if name.endswith(".log"):
                    say("--- %s" % name)
                    say("\n".join(self.log(name[:-4]).splitlines()[-25:]))
        subprocess.run(["umount", self.runtime], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def end(process, how=signal.SIGTERM, deadline_s=20):
    """Ends a process; returns its exit code, None when it had to be killed."""
    if process.poll() is not None:
        return process.returncode
    process.send_signal(how)
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


# --- certificates ---------------------------------------------------------------------------------

def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, place, name="ca"):
        self.folder = place.path(name)
        os.mkdir(self.folder)
        self.certificate = os.path.join(self.folder, "ca.pem")
        self.key = os.path.join(self.folder, "ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "365", "-subj", "/CN=%s of this test" % name, "-keyout", self.key,
                "-out", self.certificate)
        open(os.path.join(self.folder, "index.txt"), "w", encoding="ascii").close()
        with open(os.path.join(self.folder, "ca.conf"), "w", encoding="ascii") as file:
            file.write("[ca]\ndefault_ca = here\n[here]\ndatabase = %s/index.txt\n"
                       "new_certs_dir = %s\nrand_serial = yes\ndefault_md = sha256\n"
                       "policy = any\nunique_subject = no\n[any]\ncommonName = supplied\n"
                       % (self.folder, self.folder))

    def issue(self, name, alternative, from_days=-1, to_days=90):
        """Returns (certificate, key): valid between two days counted from today."""
        base = os.path.join(self.folder, name)
        with open(base + ".ext", "w", encoding="ascii") as file:
            file.write("subjectAltName=%s\n" % alternative)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=%s" % name, "-keyout", base + ".key", "-out", base + ".csr")
        now = datetime.datetime.now(datetime.timezone.utc)
        dates = [(now + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ")
                 for d in (from_days, to_days)]
        openssl("ca", "-batch", "-notext", "-config", os.path.join(self.folder, "ca.conf"),
                "-cert", self.certificate, "-keyfile", self.key, "-in", base + ".csr",
                "-out", base + ".pem", "-startdate", dates[0], "-enddate", dates[1],
                "-extfile", base + ".ext")
        return base + ".pem", base + ".key"

    def revoke(self, certificate):
        openssl("ca", "-config", os.path.join(self.folder, "ca.conf"), "-cert", self.certificate,
                "-keyfile", self.key, "-revoke", certificate)

    def revocations(self, *until):
        """The current revocation list; UNTIL are options of `openssl ca` about its dates."""
        list_file = os.path.join(self.folder, "crl.pem")
        openssl("ca", "-config", os.path.join(self.folder, "ca.conf"), "-cert", self.certificate,
                "-keyfile", self.key, "-gencrl", "-out", list_file, *(until or ("-crldays", "30")))
        with open(list_file, encoding="ascii") as file:
            return file.read()


# --- the broker -----------------------------------------------------------------------------------

USER, PASSWORD = "gw-1", "a secret of the gateway"
PREFIX = "sallyport/site/gw-1"


class Broker:
    """mosquitto: TLS with password and ACL for the agent, plain on loopback for the judge."""

    def __init__(self, place, authority, certificate=None, extra="", acl=None,
                 log="log_type all\nconnection_messages true\n"):
        self.place = place
        self.process = None
        pem, key = certificate or authority.issue("localhost", "DNS:localhost,IP:127.0.0.1")
        passwords = place.path("passwords")
        open(passwords, "w", encoding="ascii").close()
        subprocess.run(["mosquitto_passwd", "-b", passwords, USER, PASSWORD], check=True)
        folder = place.path("broker")
        os.makedirs(folder, exist_ok=True)
        place.write("acl", acl or
                    "user %s\ntopic write %s/#\ntopic read %s/command\n" % (USER, PREFIX, PREFIX))
        self.config = place.write("mosquitto.conf", """user root
per_listener_settings true
persistence true
persistence_location %s/
autosave_interval 5
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
%slistener %d %s
cafile %s
certfile %s
keyfile %s
allow_anonymous false
password_file %s
acl_file %s
%s
listener %d %s
allow_anonymous true
""" % (folder, log, TLS_PORT, HOST, authority.certificate, pem, key, passwords, place.path("acl"), extra,
       PLAIN_PORT, HOST))

    def start(self):
        self.process = self.place.start("mosquitto", ["mosquitto", "-c", self.config])
        if not wait_for("start of the broker", lambda: listens(PLAIN_PORT)):
            finish()
        return self

    def stop(self, how=signal.SIGTERM):
        end(self.process, how)


def listens(port):
    with open("/proc/net/tcp", encoding="ascii") as file:
        wanted = ":%04X" % port
        return any(line.split()[1].endswith(wanted) and line.split()[3] == "0A"
                   for line in file.readlines()[1:])


class Subscriber:
    """The judge's ear: everything under TOPIC at QoS 1, its session kept by the broker."""

    def __init__(self, topic="sallyport/#", name="judge"):
        self.lock = threading.Lock()
        self.all = []  # (topic, payload as parsed), in order of arrival
        self.by_topic = {}
        self.subscribed = threading.Event()
        self.topic = topic
        self.client = mqtt.Client(name, clean_session=False)
        self.client.on_connect = self.on_connect
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self.on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.max_inflight_messages_set(1000)
        self.client.connect(HOST, PLAIN_PORT)
        self.client.loop_start()
        if not self.subscribed.wait(DEADLINE_S):
            check(False, "the judge could subscribe")
            finish()

    def on_connect(self, client, _data, _flags, _code):
        client.subscribe(self.topic, 1)

    def on_message(self, _client, _data, message):
        text = message.payload.decode("utf-8")
        try:
            payload = json.loads(text)
        except ValueError:
            payload = text
        with self.lock:
            self.all.append((message.topic, payload))
            self.by_topic.setdefault(message.topic, []).append(payload)

    def take(self, topic):
        """What came under one topic, in order of arrival."""
        with self.lock:
            return list(self.by_topic.get(PREFIX + "/" + topic, ()))

    def data(self, device):
        return self.take("data/" + device)

    def events(self, name=None):
        return [e for e in self.take("event") if name in (None, e["event"])]

    def numbered(self):
        """Everything that carries a number: data and events, in order of arrival."""
        with self.lock:
            return [p for t, p in self.all if t.startswith((PREFIX + "/data/", PREFIX + "/event"))]

    def status(self):
        return (self.take("status") or [None])[-1]

    def stop(self):
        self.client.loop_stop()
        self.client.disconnect()


def judge_sequence(messages):
    """Checks what is promised of `seq`: one stream, nothing missing, no number twice unequal."""
    streams = {m["stream"] for m in messages}
    check(len(streams) == 1, "one stream, %s" % ", ".join(sorted(streams)))
    by_seq = {}
    changed = 0
    for message in messages:
        first = by_seq.setdefault(message["seq"], message)
        changed += first != message
    check(changed == 0, "no number came with two contents (%d did)" % changed)
    missing = sorted(set(range(min(by_seq), max(by_seq) + 1)) - set(by_seq))
    check(not missing, "numbers %d to %d: none missing (%d are: %s)"
          % (min(by_seq), max(by_seq), len(missing), missing[:10]))
    say("      %d messages, %d more than once, %d historical" % (
        len(by_seq), len(messages) - len(by_seq),
        sum(1 for m in by_seq.values() if m.get("historical"))))
    return by_seq


# --- plant and agent ------------------------------------------------------------------------------

class Plant:
    """tests/plant; see `plant -h` for the commands."""

    def __init__(self, place, commands, name="plant", before=()):
        """BEFORE: words before the program, such as a scheduling class."""
        self.program = os.path.join(place.build, "tests", "plant", "plant")
        self.socket = place.path(name + ".sock")
        script = place.write(name + ".script", "\n".join(commands) + "\n")
        self.process = place.start(name, [*before, self.program, "-s", script, "-S", self.socket])
        if not wait_for("start of the plant", lambda: "ready" in place.log(name)):
            finish()

    def tell(self, *commands):
        done = subprocess.run([self.program, "-k", self.socket, *commands], check=True,
                              capture_output=True, text=True, timeout=DEADLINE_S)
        return done.stdout

    def stats(self):
        """{(line, unit): counters}, and {line: counters} for the lines themselves."""
        rows = [json.loads(line) for line in self.tell("stats").splitlines()]
        return {(r["line"], r["unit"]) if "unit" in r else r["line"]: r for r in rows}

    @staticmethod
    def register(table, unit, address):
        """What a register holds that nothing was written to; tables: 2 input, 3 holding."""
        return (address * 257 + unit * 4099 + table * 17) & 0xFFFF


def value_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[ %s ]" % ", ".join(value_text(v) for v in value)
    return json.dumps(value)


def group_text(group):
    """A dict as a libconfig group; lists of dicts become libconfig lists of groups."""
    parts = []
    for key, value in group.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "( %s )" % ",\n      ".join(group_text(v) for v in value)
        elif isinstance(value, dict):
            text = group_text(value)
        else:
            text = value_text(value)
        parts.append("%s = %s;" % (key, text))
    return "{ %s }" % " ".join(parts)


def config_text(settings):
    """Dicts and lists of dicts as a configuration file."""
    return "".join("%s = %s;\n" % (key, "(\n  %s )" % ",\n  ".join(group_text(g) for g in value)
                                   if isinstance(value, list) else group_text(value))
                   for key, value in settings.items())


class Agent:
    """sallyportd with a configuration made of dicts; the log is agent.log."""

    def __init__(self, place, authority, buses, devices, uplink=None, outbox=None, gateway=None,
                 name="agent"):
        self.place, self.name = place, name
        self.process = None
        self.password_file = place.write(name + "-password", PASSWORD + "\n", 0o600)
        settings = {
            "gateway": {"id": "gw-1", "site": "site", "state_dir": place.path(name, "state"),
                        "runtime_dir": os.path.join(place.runtime, name), **(gateway or {})},
            "uplink": {"servers": ["mqtts://localhost:%d" % TLS_PORT],
                       "ca": authority.certificate, "username": USER,
                       "password_file": self.password_file, "reconnect_min_ms": 100,
                       "reconnect_max_ms": 1000, **(uplink or {})},
            "outbox": {"max_mib": 256, **(outbox or {})},
            "buses": buses,
            "devices": devices,
        }
        self.config = place.write(name + ".conf", config_text(settings))

    def program(self, *names):
        return os.path.join(self.place.build, "agent", *names)

    def start(self):
        self.process = self.place.start(self.name,
                                        [self.program("sallyportd"), "-c", self.config])
        return self

    def stop(self):
        """A clean stop; returns the exit code."""
        return end(self.process)

    def kill(self):
        end(self.process, signal.SIGKILL)

    def alive(self):
        return self.process.poll() is None

    def log(self):
        return self.place.log(self.name)

    def cli(self, *arguments):
        return subprocess.run([self.program("cli", "sallyport"), "-c", self.config, *arguments],
                              capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def status(self):
        done = self.cli("--json", "status")
        return json.loads(done.stdout) if done.returncode == 0 else None


def tcp_bus(name, port, **more):
    return {"name": name, "driver": "modbus_tcp", "host": HOST, "port": port, **more}


def rtu_bus(name, device, baud=19200, **more):
    return {"name": name, "driver": "modbus_rtu", "device": device, "baud": baud,
            "parity": "even", **more}


def polls_and_registers(table, first, count):
    """Tags: a poll counter at address 0 (make it one with `polls`), then plain registers."""
    return [{"name": "polls", "table": table, "address": 0, "type": "uint32"}] + [
        {"name": "r%d" % a, "table": table, "address": a} for a in range(first, first + count)]
