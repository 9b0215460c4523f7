"""An interpreter of what `nft -j list table` prints, and packets to try on it.

It knows the expressions that sallyport's rules use, as nft(8) and libnftables-json(5) describe them,
and ends with an error at any other: a rule that it does not understand is not passed over. It shares
nothing with the program that writes the rules. Limits are taken as not reached: what is then dropped is
always dropped.
"""
import ipaddress
import json
import socket
import subprocess

ICMP = {"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5,
        "echo-request": 8, "router-advertisement": 9, "router-solicitation": 10,
        "time-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13,
        "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
        "address-mask-request": 17, "address-mask-reply": 18}
ICMP6 = {"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3,
         "parameter-problem": 4, "echo-request": 128, "echo-reply": 129,
         "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132,
         "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
         "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137,
         "router-renumbering": 138, "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142,
         "mld2-listener-report": 143}
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58, "sctp": 132, "udplite": 136,
             "dccp": 33, "esp": 50, "ah": 51, "gre": 47, "igmp": 2}
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
WITH_PORTS = (6, 17, 33, 132, 136)  # what `th` finds ports in
HOOKS = {"input": ("prerouting", "input"), "forward": ("prerouting", "forward", "postrouting"),
         "output": ("output", "postrouting")}


class Packet:
    """One packet with what the kernel knows of it. Fields that it does not have are None."""

    def __init__(self, **fields):
        self.__dict__.update(path="input", iif="eth0", oif=None, family=4, saddr=None, daddr=None,
                             proto=6, sport=None, dport=None, flags=2, icmp=None, code=0, hops=64,
                             state="new", reply=False, uid=0, reverse=True, local=True, chunk=1)
        self.__dict__.update(fields)

    def __repr__(self):
        return " ".join("%s=%s" % item for item in self.__dict__.items() if item[1] is not None)


class NoMatch(Exception):
    """The packet has no such field: the rule does not match, whatever the operator is."""


def is_name(name, pattern):
    return name is not None and (name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern)


class Rules:
    def __init__(self, table="sallyport"):
        done = subprocess.run(["nft", "-j", "list", "table", "inet", table], check=True,
                              capture_output=True, text=True)
        self.chains, self.bases, self.sets = {}, {}, {}
        self.note = None  # for whoever tries packets
        self.ends = None  # if a set: of each rule that was tried, what rule() says that the packet did not match
        for entry in json.loads(done.stdout)["nftables"]:
            if "chain" in entry:
                chain = entry["chain"]
                self.chains[chain["name"]] = []
                if "hook" in chain and chain["type"] == "filter":
                    self.bases.setdefault(chain["hook"], []).append(
                        (chain["prio"], chain["name"], chain["policy"]))
            elif "set" in entry:
                self.sets[entry["set"]["name"]] = [
                    element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element
                    for element in entry["set"].get("elem", [])]
            elif "rule" in entry:
                self.chains[entry["rule"]["chain"]].append(entry["rule"]["expr"])

    # --- values --------------------------------------------------------------------------------

    def payload(self, what, packet):
        if "base" in what:
            if (what["base"], what["offset"], what["len"]) != ("th", 96, 8):
                raise RuntimeError("a raw payload that is not known: %s" % what)
            return packet.chunk
        protocol, field = what["protocol"], what["field"]
        if protocol in ("ip", "ip6"):
            if packet.family != (4 if protocol == "ip" else 6):
                raise NoMatch
            return {"saddr": packet.saddr, "daddr": packet.daddr, "hoplimit": packet.hops, "ttl": packet.hops}[field]
        if protocol in ("icmp", "icmpv6"):
            if packet.proto != (1 if protocol == "icmp" else 58) or packet.family != (4 if protocol == "icmp" else 6):
                raise NoMatch
            return {"type": packet.icmp, "code": packet.code}[field]
        if protocol == "th":
            if packet.proto not in WITH_PORTS:
                raise NoMatch
        elif packet.proto != PROTOCOLS[protocol]:
            raise NoMatch
        return {"sport": packet.sport, "dport": packet.dport, "flags": packet.flags}[field]

    def value(self, left, packet):
        kind, what = next(iter(left.items()))
        if kind == "payload":
            return self.payload(what, packet)
        if kind == "meta":
            return {"iifname": packet.iif, "oifname": packet.oif, "l4proto": packet.proto,
                    "nfproto": packet.family, "skuid": packet.uid}[what["key"]]
        if kind == "ct":
            return {"state": packet.state, "direction": "reply" if packet.reply else "original"}[what["key"]]
        if kind == "fib":
            key = (what["result"], tuple(sorted(what["flags"])))
            return {("oif", ("iif", "saddr")): packet.reverse,
                    ("type", ("daddr", "iif")): "local" if packet.local else "unicast",
                    ("type", ("daddr",)): "local" if packet.local else "unicast"}[key]
        if kind == "&":
            return self.value(what[0], packet) & self.bits(what[1])
        if kind == "concat":
            return [self.value(part, packet) for part in what]
        raise RuntimeError("an expression that is not known: %s" % left)

    @staticmethod
    def bits(names):
        return sum(FLAGS[name] for name in ([names] if isinstance(names, str) else names))

    def is_equal(self, left, have, want):
        """Whether HAVE, the packet's value of LEFT, is WANT, a constant of the rule."""
        if have is None:
            raise NoMatch
        if isinstance(want, dict) and "set" in want:
            return any(self.is_equal(left, have, one) for one in want["set"])
        if isinstance(want, dict) and "range" in want:
            return int(want["range"][0]) <= have <= int(want["range"][1])
        if isinstance(want, dict) and "prefix" in want:
            return have in ipaddress.ip_network("%(addr)s/%(len)d" % want["prefix"])
        if isinstance(want, list):
            return any(self.is_equal(left, have, one) for one in want)
        kind, what = next(iter(left.items()))
        if kind == "&" or (kind == "payload" and what.get("field") == "flags"):
            return have == (self.bits(want) if not isinstance(want, int) else want)
        if kind == "meta" and what["key"] in ("iifname", "oifname"):
            return is_name(have, want)
        if kind == "meta" and what["key"] == "l4proto":
            return have == (PROTOCOLS[want] if isinstance(want, str) else want)
        if kind == "meta" and what["key"] == "nfproto":
            return have == {"ipv4": 4, "ipv6": 6}[want]
        if kind == "payload" and what.get("protocol") in ("icmp", "icmpv6") and isinstance(want, str):
            return have == (ICMP if what["protocol"] == "icmp" else ICMP6)[want]
        if kind == "payload" and what.get("field") in ("saddr", "daddr"):
            return have == ipaddress.ip_address(want)
        if isinstance(want, str) and kind == "payload":
            return have == socket.getservbyname(want)
        return have == want

    def matches(self, match, packet):
        left, right, op = match["left"], match["right"], match["op"]
        try:
            have = self.value(left, packet)
            if isinstance(right, str) and right.startswith("@"):
                parts = left["concat"] if "concat" in left else [left]
                values = have if "concat" in left else [have]
                found = any(all(self.is_equal(part, value, want) for part, value, want in
                                zip(parts, values, element["concat"] if isinstance(element, dict) and "concat" in element else [element]))
                            for element in self.sets[right[1:]])
            else:
                found = self.is_equal(left, have, right)
        except NoMatch:
            return False
        if op not in ("==", "in", "!="):
            raise RuntimeError("an operator that is not known: %s" % match)
        return found != (op == "!=")

    # --- chains --------------------------------------------------------------------------------

    def run(self, chain, packet):
        """accept, drop, or None at the end of the chain."""
        for number, rule in enumerate(self.chains[chain]):
            verdict, end = self.rule(rule, packet)
            if self.ends is not None:
                self.ends.add((chain, number, end))
            if verdict in ("accept", "drop", "end"):
                return None if verdict == "end" else verdict
        return None

    def rule(self, rule, packet):
        """Its verdict, and which of its statements the packet did not match: None if it matched all."""
        for at, statement in enumerate(rule):
            kind, what = next(iter(statement.items()))
            if kind == "match":
                if not self.matches(what, packet):
                    return None, at
            elif kind in ("accept", "drop", "reject"):
                return ("accept" if kind == "accept" else "drop"), None
            elif kind == "return":
                return "end", None
            elif kind in ("jump", "goto"):
                verdict = self.run(what["target"], packet)
                if verdict or kind == "goto":
                    return verdict or "end", None
            elif kind not in ("counter", "limit", "log", "mangle"):
                raise RuntimeError("a statement that is not known: %s" % statement)
        return None, None

    def passes(self, packet):
        for hook in HOOKS[packet.path]:
            for _, chain, policy in sorted(self.bases.get(hook, [])):
                if (self.run(chain, packet) or policy) == "drop":
                    return False
        return True
