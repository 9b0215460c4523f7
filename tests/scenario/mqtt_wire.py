"""An MQTT 3.1.1 broker for one client that can be made to lie: it keeps what the client publishes,
and sends whatever the test asks for, well-formed or not, over TLS with the broker's own certificate."""
import select
import socket
import ssl
import struct
import threading

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE,
 UNSUBACK, PINGREQ, PINGRESP, DISCONNECT) = range(1, 15)


def packet(kind, body=b"", flags=0):
    length, size = len(body), b""
    while True:
        size += bytes([length % 128 | (0x80 if length >= 128 else 0)])
        length //= 128
        if not length:
            return bytes([kind << 4 | flags]) + size + body


def publish(topic, payload, ident=1, qos=1, retain=False, dup=False):
    name = topic if isinstance(topic, bytes) else topic.encode()
    body = struct.pack(">H", len(name)) + name
    if qos:
        body += struct.pack(">H", ident)
    return packet(PUBLISH, body + payload, dup << 3 | qos << 1 | retain)


class Connection:
    """A TLS connection that one thread reads while others write: Python's own must not be used so."""

    def __init__(self, raw, context):
        raw.settimeout(10)
        self.lock = threading.Lock()
        self.tls = context.wrap_socket(raw, server_side=True)
        self.tls.setblocking(False)

    def attempt(self, work, *more):
        """WORK done whole, waiting for the peer in between; OSError when the connection is gone."""
        while True:
            try:
                with self.lock:
                    return work(*more)
            except ssl.SSLWantReadError:
                readable, writable = [self.tls], []
            except ssl.SSLWantWriteError:
                readable, writable = [], [self.tls]
            select.select(readable, writable, [], 1)

    def read(self):
        return self.attempt(self.tls.recv, 65536)

    def write(self, data):
        while data:
            data = data[self.attempt(self.tls.send, data):]

    def close(self):
        """For good; whoever reads or writes notices."""
        try:
            self.tls.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Broker:
    """Serves one client at a time; a new one takes the place of the old."""

    def __init__(self, host, port, certificate, key):
        self.changed = threading.Condition()
        self.sessions = 0
        self.connection = None
        self.subscribed = False
        self.published = {}  # topic: everything that the client published, in order
        self.retained = {}
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.listening = socket.create_server((host, port), backlog=16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                raw = self.listening.accept()[0]
            except OSError:
                return
            try:
                connection = Connection(raw, self.context)
            except OSError:
                raw.close()
                continue
            self.drop()
            with self.changed:
                self.connection, self.subscribed = connection, False
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = b""
        try:
            while True:
                got = connection.read()
                if not got:
                    break
                stream = self.take_packets(connection, stream + got)
        except (OSError, ValueError):
            pass
        with self.changed:
            if self.connection is connection:
                self.connection, self.subscribed = None, False
                self.changed.notify_all()

    def take_packets(self, connection, stream):
        while True:
            length, shift, at = 0, 0, 1
            while at < len(stream):
                length |= (stream[at] & 0x7F) << shift
                shift += 7
                at += 1
                if not stream[at - 1] & 0x80:
                    break
            else:
                return stream
            if len(stream) < at + length:
                return stream
            self.take(connection, stream[0] >> 4, stream[0] & 15, stream[at:at + length])
            stream = stream[at + length:]

    def take(self, connection, kind, flags, body):
        if kind == CONNECT:
            connection.write(packet(CONNACK, b"\0\0"))
        elif kind == SUBSCRIBE:
            connection.write(packet(SUBACK, body[:2] + b"\1"))
            with self.changed:
                self.subscribed = True
                self.sessions += 1
                self.changed.notify_all()
        elif kind == PUBREC:
            connection.write(packet(PUBREL, body[:2], 2))
        elif kind == PINGREQ:
            connection.write(packet(PINGRESP))
        elif kind == PUBLISH:
            size = struct.unpack(">H", body[:2])[0]
            topic, rest = body[2:2 + size].decode(), body[2 + size:]
            if flags & 6:
                connection.write(packet(PUBACK, rest[:2]))
                rest = rest[2:]
            with self.changed:
                self.published.setdefault(topic, []).append(rest)
                if flags & 1:
                    self.retained[topic] = rest
                self.changed.notify_all()

    def send(self, data):
        """Sends bytes as they are; False when there is no session."""
        connection = self.connection
        if connection is None:
            return False
        try:
            connection.write(data)
            return True
        except (OSError, ValueError):
            return False

    def drop(self):
        """Cuts the connection."""
        with self.changed:
            connection, self.connection, self.subscribed = self.connection, None, False
        if connection:
            connection.close()

    def count(self, topic):
        with self.changed:
            return len(self.published.get(topic, ()))

    def take_published(self, topic):
        with self.changed:
            return list(self.published.get(topic, ()))

    def wait(self, predicate, deadline_s):
        with self.changed:
            return self.changed.wait_for(predicate, deadline_s)

    def wait_session(self, deadline_s=60):
        return self.wait(lambda: self.subscribed, deadline_s)

    def stop(self):
        self.listening.close()
        self.drop()
