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
        """An SSH session of the installer's. While a scan keeps the server busy it turns people
        away at random (MaxStartups), so he tries more than once."""
        for _ in range(5):
            session = Session(self.around.ssh_words("office", OUTER, self.key))
            if session.is_alive():
                break
            session.process.kill()
        return session

    def stranger_reaches_ssh(self, tries=1):
        return any(reaches(OUTER, 22, where="tina", connect_s=3) for _ in range(tries))

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
    lib.check("sallyport init" in said and "Nothing was opened, closed or started" in said,
              "it says what will happen")
    brought = machine.say("dpkg-query -W -f '${Package}\\n' | sort | comm -13 /root/before -").split()
    lib.check("sallyport" in brought and not [p for p in brought if re.match(TOOLS, p)],
              "no compiler, no Python: it brought %s" % " ".join(brought))
    lib.check(session.is_alive(), "the installer's session is alive")
    lib.check(gateway.stranger_reaches_ssh(tries=5), "SSH answers as before")
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

    session.begin("sallyport init --from /root/gateway.enrolment --accept-signers %s --arm --seconds 20" % OPTIONS)
    lib.wait_for("the arming asks for its confirmation",
                 lambda: session.has_said("init --confirm"), 180)
    lib.check("table inet sallyport" in machine.say("nft list tables"), "meanwhile it is armed")
    lib.check(not gateway.stranger_reaches_ssh(), "meanwhile SSH does not answer a stranger")
    code, said = session.finish()
    lib.check(code == 1 and "undone" in said, "nobody confirms: it is undone: %s" % said[-300:])
    lib.check("table inet sallyport" not in machine.say("nft list tables"), "the rules are gone")
    lib.check(gateway.state_of_units("is-active") == ["inactive"] * 3 and
              gateway.state_of_units("is-enabled") == ["disabled"] * 3, "and no unit is left")
    lib.check(gateway.stranger_reaches_ssh(tries=5), "SSH answers as before")

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
        "accepted" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-1000:]))


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
    lib.check(tunnel_state(gateway)["by"] == "alice", "netd knows whose it is")
    lib.wait_for("the end of its time", lambda: tunnel_state(gateway)["state"] == "closed", 90)
    lib.say("      closed after %d s" % (time.monotonic() - begun))
    lib.check(not session.is_alive(), "the connection through it is dead")
    lib.check(not reaches(inside, 22, where="tina", connect_s=3), "and no new one gets in")
    lib.check(not machine.say("ip link show type wireguard"), "the interface is gone")
    lib.wait_for("tunnel_closed is published", lambda: any(
        e.get("reason") == "expired" for e in around.events("tunnel_closed")), 60)
    session.process.kill()
    scan.judge("meanwhile nobody is answered")
    machine.must("opened and closed on site", "sallyport tunnel open ssh --ttl 60 --reason local && "
                 "sallyport tunnel close")
    # Otherwise it is chance whether kernel or netd is first at the end of the time.
    machine.must("netd sleeps through the end of a session", "netd=$(systemctl show -P "
                 "MainPID sallyport-netd); sallyport tunnel open ssh --ttl 4 --reason local && "
                 "kill -STOP $netd; sleep 8; kill -CONT $netd")
    lib.wait_for("the session is closed all the same",
                 lambda: tunnel_state(gateway)["state"] == "closed", 30)
    machine.must("and the next one can be opened", "sallyport tunnel open ssh --ttl 60 --reason "
                 "again && sallyport tunnel close")
    gateway.must_be_healthy(*UNITS[1:])


# --- 4: reboot ------------------------------------------------------------------------------------

def power_on_scanned(gateway, scan, **how):
    """From before the power is on until the machine offers a login and everything runs. Returns
    SCAN, which goes on."""
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


# --- 5: upgrade -----------------------------------------------------------------------------------

def outbox(gateway):
    return json.loads(gateway.machine.say("sallyport --json status"))["outbox"]


def netd_is_old(machine):
    """Whether the program that runs is no longer the one on the disk."""
    return "deleted" in machine.say("readlink /proc/$(systemctl show -P MainPID sallyport-netd)/exe")


def upgrade(gateway):
    machine, around = gateway.machine, gateway.around
    machine.must("the higher version is at hand", "mount -o ro /dev/vdb /media && ls /media/next")
    open_session(gateway, 900)
    session = Session(around.ssh_words("tina", gateway.enrolment["tunnel.address"], gateway.key))
    lib.check(session.is_alive(), "a session is open, and SSH in it")
    around.cut_uplink()
    lib.wait_for("a backlog", lambda: outbox(gateway)["messages"] > 15, 120)
    before = outbox(gateway)
    scan = Scan()
    code, said = session.do("DEBIAN_FRONTEND=noninteractive apt-get -y install "
                            "/media/next/sallyport_*.deb", 400)
    lib.check(code == 0, "upgraded through the tunnel, with a backlog of %d messages%s" % (
        before["messages"], "" if code == 0 else ": " + said[-1000:]))
    machine.wait("the agent runs", "systemctl is-active sallyport", 90)
    lib.check(machine.say("sallyportd -V").endswith("9.0.0"), "it is the new one")
    lib.wait_for("its answer", lambda: machine.say("sallyport --json status"))
    after = outbox(gateway)
    lib.check(after["stream"] == before["stream"] and after["messages"] >= before["messages"],
              "the backlog is there: %d messages" % after["messages"])
    lib.check(session.is_alive() and tunnel_state(gateway)["state"] == "open",
              "the session is open, and SSH in it alive")
    lib.check(netd_is_old(machine), "the old netd keeps it")
    machine.must("closed on site", "sallyport tunnel close")
    lib.check(not session.is_alive(), "SSH in it is dead")
    session.process.kill()
    lib.wait_for("the new netd", lambda: not netd_is_old(machine), 120)
    machine.wait("the new netd answers", "sallyport firewall verify", 90)
    scan.judge("from before the upgrade until the new netd runs")
    around.mend_uplink()
    lib.wait_for("the end of the backlog", lambda: around.events("started") and
                 outbox(gateway)["messages"] == 0 and outbox(gateway)["next_seq"] > 1, 180)
    gateway.wait_for_news("live values")
    lib.judge_sequence(around.numbered())
    lib.check(around.events("started")[-1]["version"] == "9.0.0", "the new version says hello")
    gateway.must_be_healthy(*UNITS)


# --- 6: power cut ---------------------------------------------------------------------------------

LOAD = """buses: ( { name = "load"; driver = "sim"; } );
devices: ( %s );
""" % ",\n".join("""{ name = "load%d"; bus = "load"; interval_ms = 200;
  tags = ( { name = "a"; waveform = "counter"; }, { name = "b"; waveform = "random"; } ); }""" % i
                for i in range(8))


def judge_power_loss(gateway):
    """Nothing with two contents, and what is missing is what a gap says."""
    messages = gateway.around.numbered()
    by_seq = {}
    for message in messages:
        by_seq.setdefault(message["seq"], []).append(message)
    lib.check(len({m["stream"] for m in messages}) == 1, "one stream, the same as ever")
    two = [seq for seq, found in by_seq.items() if any(m != found[0] for m in found)]
    lib.check(not two, "no number came with two contents: %s" % two[:5])
    excused = {seq for gap in gateway.around.events("gap")
               for seq in range(gap["first"], gap["last"] + 1)}
    missing = set(range(1, max(by_seq) + 1)) - set(by_seq)
    lib.check(missing <= excused, "of %d numbers %d are missing, all of them told in a gap: %s" % (
        max(by_seq), len(missing), sorted(missing - excused)[:10]))
    reasons = {gap["reason"] for gap in gateway.around.events("gap")}
    lib.check(reasons <= {"power-loss"}, "the reason of gaps: %s" % ", ".join(reasons))
    return by_seq


def cut_power(gateway):
    machine, around = gateway.machine, gateway.around
    machine.put("/etc/sallyport/conf.d/load.conf", LOAD, 0o644)
    machine.must("check passes the load", "sallyport check")
    machine.say("systemctl --no-block poweroff")
    machine.wait_until_off()

    machine.power_on(volatile=True)
    machine.wait_until_up()
    lib.wait_for("load", lambda: len(around.values("load7")) > 20, 180)
    lib.say("      cut with the link up")
    machine.cut()
    scan = Scan()
    power_on_scanned(gateway, scan, volatile=True).judge("after the cut, from power-on to login")
    lib.check("recovery complete" in machine.say("journalctl -b -k --no-pager"),
              "the file system had to be recovered")
    gateway.wait_for_news("values arrive again")
    judge_power_loss(gateway)
    gateway.must_be_healthy(*UNITS)

    around.cut_uplink()
    lib.wait_for("a backlog", lambda: outbox(gateway)["messages"] > 300, 180)
    stored = outbox(gateway)
    time.sleep(5)  # longer than sync_ms: what was there then is on the disk
    lib.say("      cut with the link down and a backlog")
    machine.cut()
    power_on_scanned(gateway, Scan(), volatile=True).judge("after the second cut")
    around.mend_uplink()
    gateway.wait_for_news("values arrive again")
    lib.wait_for("the end of the backlog", lambda: outbox(gateway)["messages"] < 50, 300)
    by_seq = judge_power_loss(gateway)
    first, last = stored["next_seq"] - stored["messages"], stored["next_seq"] - 1
    kept = sum(seq in by_seq for seq in range(first, last + 1))
    lib.check(kept == last - first + 1, "of the %d messages stored 5 s before the cut %d arrived" % (
        last - first + 1, kept))
    gateway.must_be_healthy(*UNITS)
    machine.must("the load ends", "rm /etc/sallyport/conf.d/load.conf; systemctl restart sallyport")


# --- 7: remove and purge --------------------------------------------------------------------------

LEFT = ("find / -xdev -path /root -prune -o \\( -iname '*sallyport*' -o -user sallyport -o -user "
        "sallyport-netd \\) -print")


def remove(gateway):
    machine = gateway.machine
    scan = Scan()
    code, out, err = machine.shell("DEBIAN_FRONTEND=noninteractive apt-get -y remove sallyport", 400)
    lib.check(code == 0 and "STAYS CLOSED" in out and "nft delete table inet sallyport" in out,
              "removed; it says that it stays shut, and how to open it%s" % (
                  "" if code == 0 else ": " + (out + err)[-1000:]))
    machine.reboot()
    power_on_scanned(gateway, scan).judge("removed: from before that until after a reboot")
    lib.check("/var/lib/sallyport-netd" in machine.say(LEFT).split(), "its files are there")
    code, out, err = machine.shell("DEBIAN_FRONTEND=noninteractive apt-get -y purge sallyport", 400)
    lib.check(code == 0 and "stays closed until" in out, "purged; it says what is left in the kernel%s"
              % ("" if code == 0 else ": " + (out + err)[-1000:]))
    lib.check(not gateway.stranger_reaches_ssh(), "still shut")
    machine.must("opened as it says", "nft delete table inet sallyport")
    lib.check(gateway.stranger_reaches_ssh(tries=5), "SSH answers everybody again")
    left = machine.say(LEFT)
    lib.check(not left, "no file is left %s" % left)
    failed = machine.say("systemctl --no-legend --plain list-units --failed; systemctl --no-legend "
                         "--plain list-unit-files '*sallyport*'")
    lib.check(not failed, "no unit either %s" % failed)
    machine.reboot()
    scan = Scan()
    power_on_scanned(gateway, scan)
    answers = scan.end()
    lib.check(answers, "open after a reboot, the first of %d answers %.0f s after power-on" % (
        len(answers), answers[0][0] if answers else 0))


PHASES = {"install": install, "arm": arm, "tunnel": tunnel, "reboot": reboot, "upgrade": upgrade,
          "power cut": cut_power, "remove": remove}
