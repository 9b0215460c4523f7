"""What the scenarios of the operator's client share: a technician with a home folder, a key, and a
login at the broker."""
import os
import pty
import select
import subprocess
import time

import lib

PASSWORD = "a secret of the technician"
ACL = """topic read sallyport/site/+/#
topic write sallyport/site/+/command
topic read sallyport/quiet/+/#
"""


class Technician:
    """A technician's home folder, and the command line in it; what the broker knows of him."""

    def __init__(self, place, authority, name="tech", acl=ACL):
        """Before the broker starts."""
        self.place, self.name = place, name
        self.program = os.path.join(place.build, "agent", "cli", "sallyport")
        self.home = place.path("home")
        self.folder = os.path.join(self.home, ".config", "sallyport")
        os.makedirs(self.folder)
        os.makedirs(os.path.join(self.home, ".ssh"), 0o700)
        self.runtime = place.path("technician-runtime")
        os.mkdir(self.runtime, 0o700)
        self.key = os.path.join(self.home, ".ssh", "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        with open(self.key + ".pub", encoding="ascii") as file:
            self.signers = place.write("allowed_signers", '%s namespaces="sallyport" ' % name + file.read())
        self.settings = {"servers": ["mqtts://localhost:%d" % lib.TLS_PORT],
                         "ca": authority.certificate, "username": name,
                         "password_file": "password", "ssh_key": "~/.ssh/key"}
        self.secret(PASSWORD)
        self.configure()
        subprocess.run(["mosquitto_passwd", "-b", place.path("passwords"), name, PASSWORD],
                       check=True)
        with open(place.path("acl"), "a", encoding="ascii") as file:
            file.write("user %s\n%s" % (name, acl))

    def secret(self, password):
        path = os.path.join(self.folder, "password")
        with open(path, "w", encoding="ascii") as file:
            file.write(password + "\n")
        os.chmod(path, 0o600)

    def configure(self, **changes):
        text = "".join("%s = %s;\n" % (key, lib.value_text(value))
                       for key, value in {**self.settings, **changes}.items())
        with open(os.path.join(self.folder, "operator.conf"), "w", encoding="ascii") as file:
            file.write(text)

    def environment(self, **more):
        sanitizers = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        return {**sanitizers, "HOME": self.home, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8",
                "XDG_RUNTIME_DIR": self.runtime, **more}

    def run(self, *arguments, **environment):
        return subprocess.run([self.program, "operator", *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=lib.DEADLINE_S, check=False,
                              env=self.environment(**environment))

    def on_terminal(self, arguments, answers):
        """Runs it on a terminal; ANSWERS: (what it asks, what is done about it). Returns
        (exit code, what it printed)."""
        child, terminal = pty.fork()
        if child == 0:
            os.execve(self.program, [self.program, "operator", *arguments], self.environment())
        said, seen, end = "", 0, time.monotonic() + lib.DEADLINE_S
        waiting = list(answers)
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(terminal, 4096)
            except OSError:  # it has ended
                break
            said += part.decode("utf-8", "replace")
            while waiting and waiting[0][0] in said[seen:]:
                seen = said.index(waiting[0][0], seen) + len(waiting[0][0])
                answer = waiting.pop(0)[1]
                os.write(terminal, (answer() if callable(answer) else answer).encode() + b"\n")
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said
