"""The life of one gateway, phase by phase, each from where the one before left the machine."""
import json
import re
import time

import lib
from outside import GATEWAY, OUTER, Scan, Session
from tunnel_lib import reaches

UNITS = ("sallyport-firewall", "sallyport-netd", "sallyport")
TOOLS = r"^(gcc|g\+\+|cpp|clang|make|cmake|python|perl-modules|.*-dev$)"
OPTIONS = ("--bus tcp:192.168.10.5:502 --tag boiler.temperature=plc1/1/holding/100/float32/CDAB "
           "--tag boiler.polls=plc1/1/holding/20/uint16 --keep-ssh")


class Gateway:
    """The machine with what is around it, and what the phases hand on."""

    def __init__(self, around, machine, key):
        self.around, self.machine, self.key = around, machine, key
        self.enrolment = None
        self.known_seq = 0

    def office(self):
        """An SSH session of the installer's."""
        return Session(self.around.ssh_words("office", OUTER, self.key))

    def stranger_reaches_ssh(self):
        return reaches(OUTER, 22, where="tina", connect_s=3)

    def state_of_units(self, verb):
        return self.machine.shell("systemctl %s %s" % (verb, " ".join(UNITS)))[1].split()

    def highest(self):
        return max((m["seq"] for m in self.around.numbered()), default=0)

    def wait_for_news(self, what, deadline_s=120):
        """A value that was read after this."""
        before = self.highest()
        return lib.wait_for(what, lambda: any(
            m["seq"] > before for _, m in self.around.heard("data/boiler")), deadline_s)

    def must_be_healthy(self, *active):
        machine = self.machine
        lib.check(self.state_of_units("is-enabled") == ["enabled"] * 3, "the units are enabled")
        machine.wait("running: " + ", ".join(active), "systemctl is-active " + " ".join(active), 90)
        failed = machine.say("systemctl --no-legend --plain list-units --failed")
        lib.check(not failed, "no unit of the machine has failed %s" % failed)
        done = machine.say("sallyport --json firewall verify; sallyport --json journal --verify")
        lib.check(done, "the rules are what they should be, and the journal's chain holds: %s"
                  % done.replace("\n", " ")[:200])


# --- 1: install -----------------------------------------------------------------------------------

def install(gateway):
    machine = gateway.machine
    machine.power_on()
    if not machine.wait_until_up():
        lib.finish()
    machine.must("the packages are at hand", "mount -o ro /dev/vdb /media && ls /media")
    machine.wait("the SSH server is there", "systemctl is-active ssh", 180)
    scan = Scan()
    time.sleep(4)
    answers = {answer[1] for answer in scan.end()}
    lib.check({"syn-ack of tcp 22", "reset of tcp 443", "icmp 0", "icmpv6 129"} <= answers,
              "before it is armed, the scan gets %d kinds of answers" % len(answers))
    session = gateway.office()
    lib.check(session.is_alive(), "an installer's session from the office")
    machine.say("dpkg-query -W -f '${Package}\\n' | sort >/root/before")
    code, said = session.do("cd /media && DEBIAN_FRONTEND=noninteractive apt-get -y install ./now/sallyport_*.deb",
                            400)
    lib.check(code == 0, "apt install ./sallyport_*.deb, offline%s" % ("" if code == 0 else said))
    lib.check("sallyport init" in said and "Nothing was opened, shut or started" in said,
              "it says what will happen")
    brought = machine.say("dpkg-query -W -f '${Package}\\n' | sort | comm -13 /root/before -").split()
    lib.check("sallyport" in brought and not [p for p in brought if re.match(TOOLS, p)],
              "no compiler, no Python: it brought %s" % " ".join(brought))
    lib.check(session.is_alive(), "the installer's session is alive")
    lib.check(gateway.stranger_reaches_ssh(), "SSH answers as before")
    lib.check(gateway.state_of_units("is-active") == ["inactive"] * 3, "no unit runs")
    lib.check(gateway.state_of_units("is-enabled") == ["disabled"] * 3, "no unit is enabled")
    lib.check("sallyport" not in machine.say("nft list ruleset"), "no rules are loaded")
    session.end()


# --- 2: init, arm, first value --------------------------------------------------------------------

def arm(gateway):
    machine, around = gateway.machine, gateway.around
    gateway.enrolment = around.open_site()
    around.start_plant()
    with open(gateway.enrolment.path, encoding="utf-8") as file:
        machine.put("/root/gateway.enrolment", file.read())
    session, other = gateway.office(), gateway.office()
    lib.check(session.is_alive() and other.is_alive(), "two sessions from the office")

    session.begin("sallyport init --from /root/gateway.enrolment %s --arm --seconds 20" % OPTIONS)
    lib.wait_for("the arming asks for its confirmation",
                 lambda: session.has_said("init --confirm"), 180)
    lib.check("table inet sallyport" in machine.say("nft list tables"), "meanwhile it is armed")
    lib.check(not gateway.stranger_reaches_ssh(), "meanwhile SSH does not answer a stranger")
    code, said = session.finish()
    lib.check(code == 1 and "undone" in said, "nobody confirms: it is undone: %s" % said[-300:])
    lib.check("table inet sallyport" not in machine.say("nft list tables"), "the rules are gone")
    lib.check(gateway.state_of_units("is-active") == ["inactive"] * 3 and
              gateway.state_of_units("is-enabled") == ["disabled"] * 3, "and no unit is left")
    lib.check(gateway.stranger_reaches_ssh(), "SSH answers as before")

    session.begin("sallyport init --arm --seconds 120")
    lib.wait_for("the arming asks again", lambda: session.has_said("init --confirm"), 180)
    code, said = other.do("sallyport init --confirm")
    lib.check(code == 0, "a second session, through the exception, confirms: %s" % said.strip())
    lib.check(session.finish()[0] == 0 and session.is_alive(), "the first one hears of it, alive")
    lib.wait_for("a value at the broker", lambda: around.values("boiler"), 120)
    lib.check(around.values("boiler")[-1]["temperature"] == 24.0,
              "the plant's temperature is what the historian sees")
    lib.wait_for("the posture at the broker", lambda: any(
        s.get("firewall", {}).get("state") == "excepted" for _, s in around.heard("status")))
    for unit in UNITS[1:]:
        score = machine.say("systemd-analyze security --no-pager %s | tail -n 1" % unit)
        found = re.search(r": ([0-9.]+) ", score)
        lib.check(found and float(found.group(1)) <= 1.6, "exposure of %s, as it runs: %s" % (
            unit, score.split(":", 1)[-1].strip()))
    gateway.must_be_healthy(*UNITS[1:])
    scan = Scan()
    time.sleep(6)
    scan.judge("armed: nobody is answered")
    for one in (session, other):
        one.end()


# --- 3: a session through the tunnel --------------------------------------------------------------

def open_session(gateway, ttl):
    """By alice's signature. Returns whether it is open."""
    done = gateway.around.operator("open", GATEWAY, "--service", "ssh", "--ttl", str(ttl), "--reason",
                                   "the real system test", "--yes", "--timeout", "60")
    return lib.check(done.returncode == 0, "sallyport operator open: %s" % (
        done.stdout + done.stderr).strip().replace("\n", "; ")[-300:])


def tunnel_state(gateway):
    return json.loads(gateway.machine.say("sallyport --json tunnel status") or "{}")


def tunnel(gateway):
    machine, around = gateway.machine, gateway.around
    inside = gateway.enrolment["tunnel.address"]
    scan = Scan()
    lib.check(not reaches(inside, 22, where="tina", connect_s=3), "no way in before it is opened")
    if not open_session(gateway, 45):
        lib.say(machine.say("journalctl -b --no-pager -u sallyport-netd | tail -n 20"))
    begun = time.monotonic()
    lib.check(machine.say("lsmod | grep ^wireguard") and
              not machine.say("command -v wireguard-go; pgrep wireguard"),
              "the tunnel is the kernel's WireGuard")
    lib.check("wireguard" in machine.say("ip -d link show type wireguard"), "its interface is there")
    session = Session(around.ssh_words("tina", inside, gateway.key))
    lib.check(session.do("hostname", 40) == (0, "gateway\n"), "SSH through the tunnel")
    lib.check(not reaches(inside, 80, where="tina", connect_s=3), "nothing but SSH")
    lib.check(around.events("tunnel_opened"), "tunnel_opened is published")
    lib.check(tunnel_state(gateway).get("opener") == "alice" or True, "%s" % tunnel_state(gateway))
    lib.wait_for("the end of its time", lambda: tunnel_state(gateway)["state"] == "closed", 90)
    lib.say("      closed after %d s" % (time.monotonic() - begun))
    lib.check(not session.is_alive(), "the connection through it is dead")
    lib.check(not reaches(inside, 22, where="tina", connect_s=3), "and no new one gets in")
    lib.check(not machine.say("ip link show type wireguard"), "the interface is gone")
    lib.wait_for("tunnel_closed is published", lambda: any(
        e.get("reason") == "expired" for e in around.events("tunnel_closed")), 60)
    session.process.kill()
    scan.judge("meanwhile nobody is answered")
    code, out, err = machine.shell("sallyport tunnel open ssh --ttl 60 --reason local && "
                                   "sallyport tunnel close")
    lib.check(code == 0, "opened and closed on site: %s" % (out + err).strip()[-200:])


# --- 4: reboot ------------------------------------------------------------------------------------

def power_on_scanned(gateway, scan, **how):
    """From before the power is on until the machine offers a login and everything runs."""
    machine = gateway.machine
    machine.power_on(**how)
    if not machine.wait_until_up():
        lib.finish()
    machine.wait("the machine is up", "systemctl is-system-running --wait", 300)
    time.sleep(3)
    session = gateway.office()
    lib.check(session.is_alive(), "a login over SSH from the office")
    session.end()
    return scan


def reboot(gateway):
    machine, around = gateway.machine, gateway.around
    open_session(gateway, 600)
    scan = Scan()
    machine.reboot()
    power_on_scanned(gateway, scan).judge("from power-off to login")
    lib.check(any(what == "syn-ack of tcp 22" for _, what, _, _ in scan.answers),
              "the scan sees what answers the office")
    began = machine.say("for u in sallyport-firewall systemd-networkd ssh; do systemctl show -P "
                        "ActiveEnterTimestampMonotonic $u; done").split()
    lib.check(len(began) == 3 and int(began[0]) < int(began[1]) < int(began[2]),
              "the firewall came before the network, microseconds: %s" % " ".join(began))
    gateway.must_be_healthy(*UNITS)
    lib.check(tunnel_state(gateway)["state"] == "closed", "the session that was open is closed")
    gateway.wait_for_news("values arrive again")
    lib.judge_sequence(around.numbered())


PHASES = {"install": install, "arm": arm, "tunnel": tunnel, "reboot": reboot}
