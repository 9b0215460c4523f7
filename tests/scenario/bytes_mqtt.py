"""The part of `bytes` that is about MQTT: a tap between a client and the broker, the form of what the
client sends, and all topics as sections of a file."""
import json
import socket
import struct
import threading

import bytes_lib as b
import lib
import mqtt_wire as m


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
        """Closes all connections, and accepts none until heal()."""
        with self.changed:
            listening, self.listening = self.listening, None
        b.end_socket(listening)
        for pair in list(self.connections):
            self.drop(pair)

    def drop(self, pair):
        """What is read from a connection after its end is not part of it: Python hands out bytes that
        are still encrypted. So it is taken off the list first."""
        with self.changed:
            if pair in self.connections:
                self.connections.remove(pair)
        pair[0].close()
        b.end_socket(pair[1])

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
        b.end_socket(pair[1])

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


def string(body, at):
    size = struct.unpack_from(">H", body, at)[0]
    return body[at + 2:at + 2 + size], at + 2 + size


def publication(packet):
    """(topic, flags as text, payload) of a PUBLISH; (None, ...) of another packet. Whether it is a
    repetition, and the packet's identifier, are free."""
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


# --- what came to the broker ----------------------------------------------------------------------

def by_number(payloads):
    """PAYLOADS by rising number, each once: a message may be repeated, never with another content."""
    found = {}
    for payload in payloads:
        number = json.loads(payload)["seq"]
        if found.setdefault(number, payload) != payload:
            lib.check(False, "number %d came with two contents" % number)
    return [payload for _, payload in sorted(found.items())]


def owner_of(payload):
    """Events of different owners come in any order, those of one in theirs."""
    event = json.loads(payload)
    if "line" in event:
        return " of ".join(event[key] for key in ("device", "line") if key in event)
    return "the journal" if "hash" in event else "the agent"


def write_sessions(book, file, forms, tap):
    """What is neither PUBLISH nor a matter of the clock, of each session."""
    for number, session in enumerate(s for s in tap.sessions if s):
        lines = [packet_text(*packet) for packet in session if packet[0] >> 4 != m.PUBLISH]
        book.add(file, "session %d" % (number + 1),
                 b.once_each([forms.text(line) for line in lines if line]))


def write_topics(book, file, forms, tap, choose):
    """All that was published, by topic; of data what CHOOSE(device, lines) returns. What P/status says
    while the gateway is online is compared where it is settled, by write_status()."""
    topics = {}
    for topic, flags, payload in map(publication, (p for s in tap.sessions for p in s)):
        if topic and not (topic == lib.PREFIX + "/status" and "online" in payload):
            topics.setdefault("%s, %s" % (topic, flags), []).append(payload)
    for title, payloads in sorted(topics.items()):
        kind, device = (title.split(",")[0][len(lib.PREFIX) + 1:] + "/").split("/")[:2]
        if kind == "event":
            events = by_number(payloads)
            for owner in sorted(set(map(owner_of, events))):
                book.add(file, "%s, of %s" % (title, owner),
                         [forms.text(e) for e in events if owner_of(e) == owner])
        elif kind == "data":
            lines = choose(device, [forms.text(p) for p in by_number(payloads)])
            if lines:
                book.add(file, title, lines)
        else:
            book.add(file, title, [forms.text(p) or "(empty)" for p in payloads])


def write_status(book, file, forms, tap, title, predicate):
    """The latest status, once PREDICATE is true of it."""
    def fitting():
        return [p for p in tap.published("status")[-1:] if "online" in p and predicate(json.loads(p))]
    tap.wait("status, " + title, fitting)
    book.add(file, "status, " + title, [forms.text(fitting()[0])])
