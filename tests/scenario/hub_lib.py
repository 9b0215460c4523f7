"""What the scenarios of the hub share: a server on which sallyport-hub is at home, and the internet.

The server is the network namespace `hub`, with the real mosquitto, WireGuard and nftables, each from
the files that the kit made; the internet is this program's own namespace. MQTT clients are at home
here; gateways and technicians inside the tunnel are further namespaces, routed through here.
"""
import ctypes
import os
import queue
import select
import socket
import ssl
import subprocess
import sys
import threading

import paho.mqtt.client as mqtt

import lib
from tunnel_lib import SERVER, link, prepare, run

NAME, ADDRESS, SEEN_AS = "hub.test", "192.0.2.1", "192.0.2.2"
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "..", "..", "packaging",
                       "hub", "sallyport-hub")


class Enrolment:
    """The file that add-gateway writes, read by libconfig itself."""

    def __init__(self, path):
        self.path = path
        self.library = ctypes.CDLL("libconfig.so.9")
        self.config = ctypes.create_string_buffer(1024)  # struct config_t is much smaller
        self.library.config_init(self.config)
        self.library.config_lookup.restype = ctypes.c_void_p
        self.library.config_setting_get_string_elem.restype = ctypes.c_char_p
        self.is_valid = bool(self.library.config_read_file(self.config, path.encode()))

    def __getitem__(self, path):
        text = ctypes.c_char_p()
        if not self.library.config_lookup_string(self.config, path.encode(), ctypes.byref(text)):
            raise KeyError(path)
        return text.value.decode()

    def number(self, path):
        number = ctypes.c_int()
        found = self.library.config_lookup_int(self.config, path.encode(), ctypes.byref(number))
        return number.value if found else None

    def list(self, path):
        setting = ctypes.c_void_p(self.library.config_lookup(self.config, path.encode()))
        texts = []
        while True:
            text = self.library.config_setting_get_string_elem(setting, len(texts))
            if text is None:
                return texts
            texts.append(text.decode())

    def files(self, place, name):
        """(ca, certificate, key) as files."""
        return [place.write("%s-%s.pem" % (name, what), self["uplink.%s_pem" % what], 0o600)
                for what in ("ca", "certificate", "key")]


class Hub:
    def __init__(self, place):
        self.place = place
        self.root = place.path("sallyport-hub")
        self.broker = None
        prepare()
        link("wan0", SEEN_AS + "/24", "hub", ADDRESS + "/24")
        run("ip", "-n", "hub", "route", "add", "default", "via", SEEN_AS)
        hosts = place.write("hosts", "127.0.0.1 localhost\n%s %s\n" % (ADDRESS, NAME))
        run("mount", "--bind", hosts, "/etc/hosts")

    def call(self, *words):
        return subprocess.run(["ip", "netns", "exec", "hub", PROGRAM, "--root", self.root, *words],
                              capture_output=True, text=True, timeout=60, check=False)

    def must(self, *words):
        """What it printed; a failed check when it failed."""
        done = self.call(*words)
        lib.check(done.returncode == 0, "sallyport-hub %s%s" % (
            " ".join(words[:2]), "" if done.returncode == 0 else ": " + done.stderr.strip()))
        return done.stdout

    def init(self, *options):
        return self.must("init", "--name", NAME, "--address", ADDRESS, *options)

    def gateway(self, name, *options):
        out = self.place.path(name.replace("/", "_") + ".enrolment")
        for old in (out, out + ".sig"):
            if os.path.exists(old):
                os.unlink(old)
        verb = "renew-gateway" if "renew" in options else "add-gateway"
        self.must(verb, name, "--out", out, *[o for o in options if o != "renew"])
        lib.check(os.stat(out).st_mode & 0o777 == 0o600, "the enrolment is for its owner alone")
        enrolment = Enrolment(out)
        lib.check(enrolment.is_valid, "libconfig reads the enrolment of " + name)
        return enrolment

    def start_broker(self):
        """As its unit does: never root, with a file that includes what is in conf.d."""
        data = self.place.path("mosquitto")
        os.makedirs(data + "/conf.d")
        run("chown", "-R", "mosquitto:", data)
        os.symlink(self.root + "/broker/mosquitto.conf", data + "/conf.d/sallyport-hub.conf")
        config = self.place.write("mosquitto.conf", "persistence true\npersistence_location %s/\n"
                                  "log_type all\ninclude_dir %s/conf.d\n" % (data, data))
        self.broker = self.place.start("mosquitto", [
            "ip", "netns", "exec", "hub", "setpriv", "--reuid=mosquitto", "--regid=mosquitto",
            "--clear-groups", "--inh-caps=-all,+net_bind_service",
            "--ambient-caps=-all,+net_bind_service", "--bounding-set=-all,+net_bind_service",
            "mosquitto", "-c", config])
        hook = self.root + "/reload-broker"
        self.place.write("sallyport-hub/reload-broker",
                         "#!/bin/sh\nexec kill -HUP %d\n" % self.broker.pid, 0o755)
        lib.check(os.access(hook, os.X_OK), "a hook tells the broker")
        if not lib.wait_for("start of the broker",
                            lambda: "running" in self.place.log("mosquitto"), 15):
            lib.finish()

    def start_wireguard(self):
        run("ip", "netns", "exec", "hub", "wg-quick", "up", self.root + "/wireguard/sphub.conf",
            stdin=subprocess.DEVNULL)

    def serve(self, where, *ports):
        name = "server-" + where
        self.place.start(name, ["ip", "netns", "exec", where, "python3", "-c", SERVER,
                                *map(str, ports)])
        lib.wait_for("start of " + name, lambda: self.place.log(name).count("ready") == len(ports))


class Client:
    """A session with the broker, with any credentials."""

    count = 0

    def __init__(self, user, password, files, will=None, client_id=None, port=8883):
        Client.count += 1
        self.id = client_id or "client-%d" % Client.count
        self.messages, self.lock = [], threading.Lock()
        self.code, self.error = None, None
        self.answered, self.gone = threading.Event(), threading.Event()
        self.subscribed, self.published = threading.Event(), threading.Event()
        ca, certificate, key = files
        self.mqtt = mqtt.Client(self.id)
        self.mqtt.tls_set(ca, certificate, key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.mqtt.username_pw_set(user, password)
        if will:
            self.mqtt.will_set(*will)
        self.mqtt.on_connect = self.on_connect
        self.mqtt.on_disconnect = lambda *_: self.gone.set()
        self.mqtt.on_subscribe = lambda *_: self.subscribed.set()
        self.mqtt.on_publish = lambda *_: self.published.set()
        self.mqtt.on_message = self.on_message
        self.to_do, (self.bell, self.hand) = queue.SimpleQueue(), socket.socketpair()
        threading.Thread(target=self.run, args=(port,), daemon=True).start()
        self.answered.wait(lib.DEADLINE_S)

    def run(self, port):
        """Until the session ends; a second one is not tried. The library is called here alone."""
        try:
            self.mqtt.connect(NAME, port)
            while self.mqtt.socket():
                self.turn(self.mqtt.socket())
        except OSError as error:
            self.error = error
        self.gone.set()
        self.answered.set()

    def turn(self, wire):
        if not wire.pending():
            writes = [wire] if self.mqtt.want_write() else []
            readable, writable, _ = select.select([wire, self.bell], writes, [], 10)
            if self.bell in readable:
                self.bell.recv(1)
                self.to_do.get()()
            if writable:
                self.mqtt.loop_write()
            if wire not in readable:
                self.mqtt.loop_misc()
                return
        self.mqtt.loop_read()

    def do(self, what):
        self.to_do.put(what)
        self.hand.send(b"!")

    def on_connect(self, _client, _data, _flags, code):
        self.code = code
        self.answered.set()

    def on_message(self, _client, _data, message):
        with self.lock:
            self.messages.append((message.topic, message.payload.decode(), bool(message.retain)))

    @property
    def is_in(self):
        return self.code == 0 and not self.gone.is_set()

    def hear(self, *topics):
        for topic in topics:
            self.subscribed.clear()
            self.do(lambda: self.mqtt.subscribe(topic, 1))  # before TOPIC is the next one
            if not self.subscribed.wait(lib.DEADLINE_S):
                lib.check(False, "%s may ask for %s" % (self.id, topic))
        return self

    def tell(self, topic, text, retain=False):
        """Returns when the broker has taken it, or silently thrown it away."""
        self.published.clear()
        self.do(lambda: self.mqtt.publish(topic, text, 1, retain))
        if not self.published.wait(lib.DEADLINE_S):
            lib.check(False, "the broker acknowledges what goes to " + topic)

    def heard(self, text=None):
        with self.lock:
            return [m for m in self.messages if text in (None, m[1])]

    def vanish(self):
        """The connection breaks without a goodbye, so that the broker sends the will."""
        self.do(lambda: self.mqtt.socket().shutdown(socket.SHUT_RDWR))

    def leave(self):
        self.do(self.mqtt.disconnect)
        self.gone.wait(lib.DEADLINE_S)
