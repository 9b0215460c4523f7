"""The machine under test: Debian in qemu, from the disk that build-image made.

Two interfaces, eth0 towards the internet and eth1 towards the plant, are taps in the network
namespace of whoever starts it. The test looks inside by the guest agent, over a virtual serial line
that no firewall sees; what a person would do over the network goes over the network.
"""
import base64
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time

import lib

WAN, PLANT = "tap-wan", "tap-plant"
MAC = {WAN: "52:54:00:5a:11:01", PLANT: "52:54:00:5a:11:02"}
BOOT_S = 420  # emulated, on a machine that has other things to do
AGENT = "org.qemu.guest_agent.0"


def run(*words, **options):
    return subprocess.run(list(words), check=True, capture_output=True, text=True, **options).stdout


class Agent:
    """The guest agent: one JSON object a line."""

    def __init__(self, path):
        self.path = path
        self.socket = None
        self.count = 0

    def end(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def line(self, deadline):
        text = b""
        while not text.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("the guest agent does not answer")
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionError("the machine is gone")
            text += part
        return text

    def call(self, verb, deadline_s=60, **arguments):
        deadline = time.monotonic() + deadline_s
        self.socket.sendall(json.dumps({"execute": verb, "arguments": arguments}).encode() + b"\n")
        answer = json.loads(self.line(deadline))
        if "error" in answer:
            raise RuntimeError("%s: %s" % (verb, answer["error"]["desc"]))
        return answer["return"]

    def greet(self):
        """Whether it is there: what is said before it has started is lost, so it is said anew."""
        self.end()
        self.count += 1
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(self.path)
            self.socket.sendall(b"\xff" + json.dumps({"execute": "guest-sync", "arguments": {
                "id": self.count}}).encode() + b"\n")
            end = time.monotonic() + 2
            while True:
                try:
                    if json.loads(self.line(end)).get("return") == self.count:
                        return True
                except ValueError:
                    pass  # the rest of an earlier talk
        except OSError:
            self.end()
            return False


class Machine:
    def __init__(self, place, image, accelerator, payload, volatile):
        self.place, self.image, self.accelerator = place, image, accelerator
        self.disk = place.path("disk")
        self.payload, self.volatile = payload, volatile
        self.agent = Agent(place.path("agent.sock"))
        self.process = self.cache = None
        self.boots = 0
        run("cp", "--sparse=always", os.path.join(image, "disk"), self.disk)

    # --- power --------------------------------------------------------------------------------

    def drive(self, volatile):
        if not volatile:
            return "file=%s,format=raw" % self.disk
        path = self.place.path("nbd.sock")
        if os.path.exists(path):
            os.unlink(path)
        self.cache = self.place.start("nbdkit", [
            "nbdkit", "-f", "-U", path, self.volatile, "file=" + self.disk])
        lib.wait_for("start of nbdkit", lambda: os.path.exists(path))
        return "file=nbd:unix:%s,format=raw" % path

    def power_on(self, volatile=False):
        """Returns at once. VOLATILE: behind a cache that forgets what was not flushed."""
        self.boots += 1
        network = []
        for index, name in enumerate((WAN, PLANT)):
            network += ["-netdev", "tap,id=n%d,ifname=%s,script=no,downscript=no" % (index, name),
                        "-device", "virtio-net-pci,netdev=n%d,mac=%s,romfile=,addr=0x%d"
                        % (index, MAC[name], 8 + index)]
        self.process = self.place.start("qemu", [
            "qemu-system-x86_64", "-machine", "q35", *self.accelerator, "-m", "1024",
            "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "file:" + self.place.path("console-%d.log" % self.boots),
            "-kernel", os.path.join(self.image, "kernel"),
            "-initrd", os.path.join(self.image, "initrd"),
            "-append", "root=/dev/vda rw console=ttyS0 panic=-1 net.ifnames=0 quiet",
            "-drive", "if=virtio,cache=writeback," + self.drive(volatile),
            "-drive", "if=virtio,readonly=on,format=raw,file=" + self.payload,
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", "socket,id=agent,server=on,wait=off,path=" + self.agent.path,
            "-device", "virtserialport,chardev=agent,name=" + AGENT, *network])

    def is_on(self):
        return self.process is not None and self.process.poll() is None

    def wait_until_up(self):
        end = time.monotonic() + BOOT_S
        while self.is_on() and time.monotonic() < end:
            if self.agent.greet():
                return True
            time.sleep(0.3)
        return lib.check(False, "the machine boots")

    def wait_until_off(self):
        try:
            self.process.wait(BOOT_S)
        except subprocess.TimeoutExpired:
            lib.check(False, "the machine goes down")
            lib.end(self.process, signal.SIGKILL)
        self.stop_cache()
        self.agent.end()

    def stop_cache(self):
        if self.cache:
            lib.end(self.cache, signal.SIGKILL)
            self.cache = None

    def reboot(self):
        """An orderly one, up to the moment where the machine is off: -no-reboot ends qemu."""
        with contextlib.suppress(ConnectionError):  # its agent may be gone before it answers
            self.say("systemctl --no-block reboot")
        self.wait_until_off()

    def cut(self):
        """The power is gone, and with it what the disk had not been told to keep."""
        self.stop_cache()
        if self.process:
            lib.end(self.process, signal.SIGKILL)
        self.agent.end()

    # --- inside -------------------------------------------------------------------------------

    def shell(self, script, deadline_s=180):
        """(exit code, stdout, stderr) of a script, run as root."""
        pid = self.agent.call("guest-exec", path="/bin/bash", arg=["-c", script],
                              **{"capture-output": True})["pid"]
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            state = self.agent.call("guest-exec-status", pid=pid)
            if state["exited"]:
                out, err = (base64.b64decode(state.get(key, "")).decode(errors="replace")
                            for key in ("out-data", "err-data"))
                return state.get("exitcode", 128 + state.get("signal", 0)), out, err
            time.sleep(0.1)
        return 124, "", "not within %d s" % deadline_s

    def say(self, script, deadline_s=180):
        """What it printed, or nothing when it failed."""
        code, out, _ = self.shell(script, deadline_s)
        return out.strip() if code == 0 else ""

    def must(self, what, script, deadline_s=180):
        """A check: the script ends with 0. Returns what it printed."""
        code, out, err = self.shell(script, deadline_s)
        lib.check(code == 0, what if code == 0 else "%s: exit %d: %s" % (
            what, code, (out + err).strip()[-2000:]))
        return out.strip()

    def wait(self, what, script, deadline_s=120):
        """A check: the script ends with 0 some time."""
        end = time.monotonic() + deadline_s
        while True:
            code, out, err = self.shell(script)
            if code == 0 or time.monotonic() > end:
                return lib.check(code == 0, what if code == 0 else "%s: %s" % (
                    what, (out + err).strip()[-1000:]))
            time.sleep(0.5)

    def put(self, path, text, mode=0o600):
        encoded = base64.b64encode(text.encode()).decode()
        self.must("file %s" % path, "umask 077; base64 -d >%s <<<'%s' && chmod %o %s"
                  % (path, encoded, mode, path))
