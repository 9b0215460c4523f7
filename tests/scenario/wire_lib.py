"""Packets made by hand, sent and caught at a packet socket: what a kernel would not send by itself."""
import select
import socket
import struct
import time

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86dd
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def ip(source, target, protocol, payload, hops=64, options=b"", fragment=0):
    """A packet of the addresses' family; OPTIONS and FRAGMENT (its 16 bits) with IPv4 alone."""
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + packed(source) + \
            packed(target) + payload
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, 4 * words + len(payload), 7, fragment,
                         hops, protocol, 0, packed(source), packed(target)) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def with_checksum(source, target, protocol, segment, at):
    """SEGMENT with the checksum, which stands at byte AT, over the pseudo header too."""
    pseudo = packed(source) + packed(target) + struct.pack("!II", len(segment), protocol)
    return segment[:at] + struct.pack("!H", checksum(pseudo + segment)) + segment[at + 2:]


def udp(source, target, source_port, port, data=b"hello"):
    return with_checksum(source, target, UDP, struct.pack(
        "!HHHH", source_port, port, 8 + len(data), 0) + data, 6)


def tcp(source, target, source_port, port, flags):
    return with_checksum(source, target, TCP, struct.pack(
        "!HHIIBBHHH", source_port, port, 1000, 2000, 5 << 4, flags, 512, 0, 0), 16)


def icmp(source, target, kind, code=0, body=b"\0\0\0\0question"):
    message = struct.pack("!BBH", kind, code, 0) + body
    if ":" in source:
        return with_checksum(source, target, ICMP6, message, 2)
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def whole(source, target, make, *arguments, **options):
    """IP around udp(), tcp() or icmp()."""
    protocol = {udp: UDP, tcp: TCP}.get(make, ICMP6 if ":" in source else ICMP)
    return ip(source, target, protocol, make(source, target, *arguments), **options)


class Wire:
    """A packet socket at an interface of NET; OWN and OTHER are the MAC addresses of both ends."""

    def __init__(self, net, own, other, interface="eth0"):
        self.own, self.other = (bytes.fromhex(text.replace(":", "")) for text in (own, other))
        self.socket = net.call(self.open, interface)

    @staticmethod
    def open(interface):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind((interface, 0))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        return made

    def send(self, packet, kind=None, to=None):
        kind = kind or (IPV6 if packet[0] >> 4 == 6 else IPV4)
        self.socket.send((to or self.other) + self.own + struct.pack("!H", kind) + packet)

    def take(self, seconds=0.0, wanted=lambda kind, packet: True, enough=0):
        """(ethertype, packet) of what the other end sent, until SECONDS are over or ENOUGH came."""
        taken, end = [], time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
            frame = self.socket.recv(65535)
            kind = struct.unpack("!H", frame[12:14])[0]
            if frame[6:12] == self.other and wanted(kind, frame[14:]):
                taken.append((kind, frame[14:]))
                if len(taken) == enough:
                    break
        return taken


def describe(kind, packet):
    if kind == IPV4:
        at = 4 * (packet[0] & 15)
        return "IPv4 to %s: protocol %d, %s" % (socket.inet_ntoa(packet[16:20]), packet[9],
                                                packet[at:at + 4].hex())
    if kind == IPV6:
        return "IPv6 to %s: next header %d, %s" % (
            socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[6], packet[40:44].hex())
    return "type %#x: %s" % (kind, packet[:28].hex())
