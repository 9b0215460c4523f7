"""What the scenarios of signed commands share: operators with keys, what they sign, and an agent that
runs as a user of its own beside netd of tunnel_lib."""
import os
import subprocess

import lib
import tunnel_lib as t

GATEWAY = "site/gw-1"  # as lib.Agent calls it
BANNER = "SSH-2"


def name_users():
    """ssh-keygen asks for the name of the user that it runs as; the ids here have none."""
    with open("/etc/passwd", encoding="utf-8") as file:
        text = file.read()
    for name, uid in (("scenario-netd", t.NETD_UID), ("scenario-agent", t.AGENT_UID)):
        text += "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n" % (name, uid, uid)
    with open("/run/passwd", "w", encoding="utf-8") as file:
        file.write(text)
    t.run("mount", "--bind", "/run/passwd", "/etc/passwd")
    # netd follows the name servers for the agent: this machine's are nobody's business.
    with open("/run/resolv.conf", "w", encoding="utf-8") as file:
        file.write("nameserver 127.0.0.53\n")
    t.run("mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf")


class Operator:
    """Somebody with a key; NAME is who the gateway says that it was."""

    def __init__(self, place, name, key=None):
        self.name = name
        self.key = place.path("operator-" + (key or name))
        if not os.path.exists(self.key):
            t.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.key)
        with open(self.key + ".pub", encoding="ascii") as file:
            self.public = " ".join(file.read().split()[:2])

    def line(self, *options):
        """For allowed_signers."""
        return " ".join([self.name, ",".join(['namespaces="sallyport"', *options]), self.public])

    def sign(self, text, namespace="sallyport"):
        """TEXT, bytes, followed by the signature."""
        done = subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", self.key],
                              input=text, capture_output=True, check=True)
        return text + done.stdout


def command_text(challenge, ident, action="open", services="ssh", ttl=20, reason="a scenario",
                 gateway=GATEWAY):
    lines = ["sallyport-command: 1", "gateway: " + gateway, "challenge: " + challenge,
             "id: " + ident, "action: " + action]
    if action == "open":
        lines.append("service: " + services)
    if action in ("open", "extend"):
        lines += ["ttl: %s" % ttl, "reason: " + reason]
    return ("\n".join(lines) + "\n").encode()


class Agent(lib.Agent):
    """The agent as the user that netd knows as its agent, polling a built-in plant."""

    def __init__(self, place, authority, world, **more):
        super().__init__(place, authority, [{"name": "try", "driver": "sim"}],
                         [{"name": "d", "bus": "try", "interval_ms": 500, "tags": [{"name": "r"}]}],
                         gateway={"netd_socket": world.socket}, **more)
        for folder in (place.path(self.name), place.path(self.name, "state"),
                       os.path.join(place.runtime, self.name)):
            os.makedirs(folder, exist_ok=True)
            os.chown(folder, t.AGENT_UID, t.AGENT_UID)
        os.chown(self.password_file, t.AGENT_UID, t.AGENT_UID)

    def start(self):
        self.process = self.place.start(self.name, [
            "setpriv", "--reuid=%d" % t.AGENT_UID, "--regid=%d" % t.AGENT_UID, "--clear-groups",
            self.program("sallyportd"), "-c", self.config])
        return self


class World(t.World):
    """The gateway of tunnel_lib, as the agent of lib calls it, with operators that may sign."""

    def __init__(self, place, signers, revoked=(), **settings):
        self.signers, self.revoked = signers, revoked
        super().__init__(place, gateway=GATEWAY, **settings)

    def write_config(self, **changes):
        if not os.path.exists("/run/passwd"):
            name_users()
        files = {"allowed_signers": self.signers, "revoked_keys": self.revoked}
        self.settings["access"] = {
            name: self.place.write(name, "".join(line + "\n" for line in lines))
            for name, lines in files.items()}
        # Their agent's broker is on the gateway itself, some with a tap before it.
        self.settings.setdefault("agent", {"may_reach": [
            {"destination": "localhost", "port": port} for port in (lib.TLS_PORT, lib.TLS_PORT + 1)]})
        super().write_config(**changes)

    def restart(self):
        """A clean restart: it forgets how many commands have failed."""
        lib.end(self.process)
        self.start()
