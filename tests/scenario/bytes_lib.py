"""What the scenario `bytes` is made of: taps that write down what passes, the form in which it is kept
in bytes.d/ (a text that can be read and compared line by line), and the comparison.

Only what differs by nature is replaced, each kind by a word of its own: TIME, N (a number that
counts or measures), HEX64 (hashes, challenges), KEY, STREAM, VERSION, PLACE (the temporary folder).
"""
import difflib
import os
import re
import socket
import struct
import threading

import lib
import mqtt_wire as m
import tunnel_lib as t

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bytes.d")

# Members of JSON whose number depends on when one looks.
COUNTING = ("seq", "uptime_s", "polls_ok", "polls_failed", "polls_skipped", "last_ms",
            "messages", "bytes", "next_seq", "failures", "next_attempt_ms", "published",
            "acknowledged", "in_flight", "pid", "changed_by_pid", "dropped_in", "dropped_forward",
            "dropped_out", "spoofed", "in", "forward", "out", "remaining_s", "remaining_ms",
            "idle_left_ms", "limit_left_ms", "undone_in_s")
NUMBER = r"-?[0-9]+(\.[0-9]+)?"
FORMS = [(re.compile(pattern), form) for pattern, form in (
    (r'("stream": ?)"[0-9a-f]{8}"', r'\1"STREAM"'),
    (r'("(?:timestamp|since|from|to|opened)": ?)1[0-9]{12}\b', r"\1TIME"),
    (r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\.[0-9]{3}Z", "TIME"),
    (r"\b[0-9a-f]{64}\b", "HEX64"),
    (r"SHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])", "SHA256:KEY"),
    (r'("(?:%s)": ?)%s(?=[,}\n ])' % ("|".join(COUNTING), NUMBER), r"\1N"),
    (r'("runway_h": ?)(?:null|%s)' % NUMBER, r"\1N"),
    (r'("event":"gap","first":)[0-9]+(,"last":)[0-9]+', r"\1N\2N"),
    (r'("(?:bytes|pid)": ?)"[0-9]+"', r'\1"N"'),  # `journal --json` has texts only
    (r" (bytes|pid)=[0-9]+\b", r" \1=N"),
)]
# The same for what must keep its length: messages of fixed size.
SAME_LENGTH = [(re.compile(pattern), form) for pattern, form in (
    (rb"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\.[0-9]{3}Z", b"T"),
    (rb"\b[0-9a-f]{64}\b", b"h"),
    (rb"(?<=SHA256:)[A-Za-z0-9+/]{43}", b"k"),
    (rb"(?<=-----BEGIN SSH SIGNATURE-----\n)[A-Za-z0-9+/=\n]+?(?=\n-----END)", b"s"),
)]


class Forms:
    def __init__(self, place, version):
        self.place, self.version = place, version

    def text(self, text):
        text = text.replace(self.place.folder, "PLACE")
        text = re.sub(r'(version"?[:=] ?"?)%s\b' % re.escape(self.version), r"\1VERSION", text)
        for pattern, form in FORMS:
            text = pattern.sub(form, text)
        return "".join(c if c.isprintable() or c == "\n" else "<U+%04X>" % ord(c) for c in text)

    def data(self, data):
        """DATA with what differs by nature overwritten; of the same length."""
        data = data.replace(self.version.encode(), b"V" * len(self.version))
        for pattern, form in SAME_LENGTH:
            data = pattern.sub(lambda found, f=form: f * len(found.group()), data)
        return data


def dump(data):
    """Lines of sixteen bytes, in hex and as characters; runs of zeros become one line."""
    lines, zeros = [], False
    for at in range(0, len(data), 16):
        part = data[at:at + 16]
        if not any(part) and 0 < at < len(data) - 16:
            if not zeros:
                lines.append("      *")
            zeros = True
            continue
        zeros = False
        lines.append("  %04x  %-47s  |%s|" % (
            at, part.hex(" "), "".join(chr(b) if 0x20 <= b < 0x7f else "." for b in part)))
    return lines


# --- MQTT -----------------------------------------------------------------------------------------

class MqttTap:
    """Ends the TLS of clients and hands their packets to the broker's plain port and back."""

    def __init__(self, authority, port):
        self.changed = threading.Condition()
        self.port = port
        self.sessions = []  # of packets of the clients, each (first byte, body)
        self.connections = []
        self.listening = None
        self.context = m.ssl.SSLContext(m.ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*authority.issue("localhost", "DNS:localhost,IP:127.0.0.1"))
        self.heal()

    def heal(self):
        self.listening = socket.create_server((lib.HOST, self.port), backlog=16)
        threading.Thread(target=self.accept, args=(self.listening,), daemon=True).start()

    def cut(self):
        """Ends what is connected, and takes nobody until heal()."""
        with self.changed:
            listening, self.listening = self.listening, None
        end_socket(listening)
        for pair in list(self.connections):
            self.drop(pair)

    def drop(self, pair):
        """What is read from a connection after its end is not part of it: Python hands out bytes that
        are still encrypted. So it is taken off the list first."""
        with self.changed:
            if pair in self.connections:
                self.connections.remove(pair)
        pair[0].close()
        end_socket(pair[1])

    def accept(self, listening):
        while True:
            try:
                raw = listening.accept()[0]
            except OSError:
                listening.close()
                return
            try:
                connection = m.Connection(raw, self.context)
                plain = socket.create_connection((lib.HOST, lib.PLAIN_PORT))
            except OSError:
                raw.close()
                continue
            pair, packets = (connection, plain), []
            with self.changed:
                is_open = listening is self.listening  # not cut in the meantime
                if is_open:
                    self.sessions.append(packets)
                    self.connections.append(pair)
            if is_open:
                threading.Thread(target=self.upwards, args=(pair, packets), daemon=True).start()
                threading.Thread(target=self.downwards, args=(pair,), daemon=True).start()
            else:
                self.drop(pair)

    def upwards(self, pair, packets):
        stream = b""
        try:
            while (got := pair[0].read()) and pair in self.connections:
                stream = self.take(stream + got, packets)
                pair[1].sendall(got)
        except (OSError, ValueError):
            pass
        end_socket(pair[1])

    def downwards(self, pair):
        try:
            while got := pair[1].recv(65536):
                pair[0].write(got)
        except (OSError, ValueError):
            pass
        self.drop(pair)

    def take(self, stream, packets):
        while True:
            length, at = 0, 1
            while True:
                if at >= len(stream):
                    return stream
                length |= (stream[at] & 0x7F) << 7 * (at - 1)
                at += 1
                if not stream[at - 1] & 0x80:
                    break
            if len(stream) < at + length:
                return stream
            with self.changed:
                packets.append((stream[0], stream[at:at + length]))
                self.changed.notify_all()
            stream = stream[at + length:]

    def published(self, topic):
        """The payloads under P/TOPIC, in the order in which they came."""
        with self.changed:
            packets = [p for session in self.sessions for p in session]
        return [payload for name, _, payload in map(publication, packets)
                if name == lib.PREFIX + "/" + topic]

    def wait(self, what, predicate, deadline_s=lib.DEADLINE_S):
        if not lib.wait_for(what, predicate, deadline_s):
            lib.finish()


def end_socket(ended):
    """Wakes whoever waits for it; the descriptor stays his."""
    try:
        ended.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def string(body, at):
    size = struct.unpack_from(">H", body, at)[0]
    return body[at + 2:at + 2 + size], at + 2 + size


def publication(packet):
    """(topic, flags as text, payload) of a PUBLISH; (None, ...) of another packet."""
    first, body = packet
    if first >> 4 != m.PUBLISH:
        return None, None, None
    topic, at = string(body, 0)
    qos = first >> 1 & 3
    return topic.decode(), "qos=%d retain=%d" % (qos, first & 1), \
        body[at + (2 if qos else 0):].decode("utf-8", "backslashreplace")


def connect_text(body):
    protocol, at = string(body, 0)
    level, flags, keepalive = struct.unpack_from(">BBH", body, at)
    fields, at = [], at + 4
    for name, wanted in (("client", True), ("will-topic", flags & 4), ("will", flags & 4),
                         ("user", flags & 0x80), ("password", flags & 0x40)):
        if wanted:
            value, at = string(body, at)
            fields.append("%s=%s" % (name, value.decode()))
    if at != len(body):
        fields.append("and %d bytes more" % (len(body) - at))
    return "CONNECT %s level=%d flags=%02x keepalive=%d %s" % (protocol.decode(), level, flags,
                                                              keepalive, " ".join(fields))


def packet_text(first, body):
    """A packet that is not PUBLISH; the identifiers of packets are free. None: not part of the form."""
    kind = first >> 4
    if kind == m.CONNECT:
        return connect_text(body)
    if kind in (m.SUBSCRIBE, m.UNSUBSCRIBE):
        topics, at = [], 2
        while at < len(body):
            topic, at = string(body, at)
            topics.append(topic.decode())
            if kind == m.SUBSCRIBE:
                topics[-1] += " qos=%d" % body[at]
                at += 1
        return "%s %s" % ("SUBSCRIBE" if kind == m.SUBSCRIBE else "UNSUBSCRIBE", ", ".join(topics))
    if kind == m.PUBACK:
        return "PUBACK, %d bytes" % len(body)
    if kind == m.PINGREQ:
        return None  # depends on the clock
    if kind == m.DISCONNECT and not body:
        return "DISCONNECT"
    return "packet %02x %s" % (first, body.hex())


# --- the warden's socket --------------------------------------------------------------------------

class SocketTap:
    """Listens where the warden would, hands all messages on as user UID, and writes them down."""

    def __init__(self, path, world, uid):
        self.world, self.uid = world, uid
        self.messages = []  # (from the client, message)
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind(path)
        os.chmod(path, 0o666)
        self.listening.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.listening.accept()[0]
            warden = t.Peer(self.world, self.uid, greet=False).socket
            if warden is None:
                client.close()
                continue
            warden.settimeout(None)
            for ends in ((client, warden, True), (warden, client, False)):
                threading.Thread(target=self.pass_on, args=ends, daemon=True).start()

    def pass_on(self, source, sink, from_client):
        try:
            while message := source.recv(16384):
                self.messages.append((from_client, message))
                sink.send(message)
        except OSError:
            pass
        end_socket(source)
        end_socket(sink)

    def take(self):
        taken, self.messages = self.messages, []
        return taken


VERBS = ("none", "hello", "status", "counters", "open", "extend", "close", "approve", "verify",
         "acknowledge", "try", "keep", "journal", "subscribe", "changed", "challenge", "signed")
# Fields of replies that are overwritten unless they are zero: (offset in the body, bytes).
FREE = {
    t.STATUS: [(8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (2320, 4), (2516, 4)],  # times, bytes, pid
    t.COUNTERS: [(0, 8), (8, 8), (16, 8), (24, 8), (32, 8)],  # what was dropped, what passed
}


def warden_lines(forms, from_client, message):
    """A message on the warden's socket, as lines of the form."""
    verb = struct.unpack_from("<H", message, 6)[0] if len(message) >= 8 else 0
    data = bytearray(forms.data(message))
    for at, size in FREE.get(verb, ()) if not from_client and len(data) > 16 else ():
        if any(data[16 + at:16 + at + size]):
            data[16 + at:16 + at + size] = b"\xee" * size
    return ["%s %s, %d bytes" % ("->" if from_client else "<-",
                                 VERBS[verb] if verb < len(VERBS) else verb, len(data)),
            *dump(bytes(data))]


def with_number(message, number=0xeeeeeeee):
    """MESSAGE with another number of the request: the agent's depend on how often it has asked."""
    return message[:8] + struct.pack("<I", number) + message[12:]


# --- the comparison -------------------------------------------------------------------------------

class Book:
    """The files of bytes.d: compared, or written when RECORDING."""

    def __init__(self, recording):
        self.recording = recording
        self.files = {}

    def add(self, file, title, lines):
        """A section of FILE; LINES without line ends."""
        self.files.setdefault(file, []).extend(["== %s ==" % title, *lines, ""])

    def close(self):
        for file, lines in self.files.items():
            path = os.path.join(FOLDER, file)
            text = "\n".join(lines)
            if self.recording:
                os.makedirs(FOLDER, exist_ok=True)
                with open(path, "w", encoding="utf-8") as out:
                    out.write(text)
                lib.say("      %s: %d lines" % (path, len(lines)))
            else:
                self.compare(file, path, text)

    @staticmethod
    def compare(file, path, text):
        with open(path, encoding="utf-8") as kept:
            before = kept.read()
        if not lib.check(before == text, "%s is as it was, %d lines" % (file, text.count("\n"))):
            lib.say("\n".join(difflib.unified_diff(before.split("\n"), text.split("\n"),
                                                   "bytes.d/" + file, "now", lineterm="", n=2)))


def once_each(lines):
    """Without the lines that repeat the one before."""
    return [line for i, line in enumerate(lines) if i == 0 or line != lines[i - 1]]
