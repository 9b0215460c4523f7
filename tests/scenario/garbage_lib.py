"""What a broker that has gone bad may send beside commands: packets that are out of turn, out of
shape, cut off, far too long, or no packets at all. Each row is (name, bytes); after those of
unfinished() nothing else would be understood."""
import struct

import mqtt_wire as m


def rows(random, topic):
    some = bytes(random.randrange(256) for _ in range(300))
    name = topic.encode()
    return [
        ("a second welcome", m.packet(m.CONNACK, b"\0\0")),
        ("a refusal after the welcome", m.packet(m.CONNACK, b"\0\5")),
        ("a welcome without a body", m.packet(m.CONNACK)),
        ("acknowledgements of nothing",
         b"".join(m.packet(m.PUBACK, struct.pack(">H", i)) for i in range(0, 65536, 977))),
        ("an acknowledgement of one byte", m.packet(m.PUBACK, b"\1")),
        ("an acknowledgement without a body", m.packet(m.PUBACK)),
        ("the steps of QoS 2 for nothing", m.packet(m.PUBREC, b"\0\7") + m.packet(m.PUBREL, b"\0\7",
                                                                             2) +
         m.packet(m.PUBCOMP, b"\0\7")),
        ("the steps of QoS 2 without bodies", m.packet(m.PUBREC) + m.packet(m.PUBREL, flags=2) +
         m.packet(m.PUBCOMP)),
        ("an acknowledgement of a subscription that was not made", m.packet(m.SUBACK, b"\0\7\1")),
        ("a subscription acknowledged without a code", m.packet(m.SUBACK, b"\0\1")),
        ("a subscription acknowledged without a body", m.packet(m.SUBACK)),
        ("a hundred codes", m.packet(m.SUBACK, b"\0\1" + bytes(100))),
        ("the end of a subscription", m.packet(m.UNSUBACK, b"\0\1") + m.packet(m.UNSUBACK)),
        ("answers to no ping", m.packet(m.PINGRESP) * 100 + m.packet(m.PINGRESP, b"xyz")),
        ("what only clients send", m.packet(m.CONNECT, some[:60]) + m.packet(m.SUBSCRIBE, some[:9], 2) +
         m.packet(m.UNSUBSCRIBE, some[:9], 2) + m.packet(m.PINGREQ) + m.packet(m.DISCONNECT)),
        ("packets of kinds that do not exist", m.packet(0, some[:9]) + m.packet(15, some[:9])),
        ("a message without a body", m.packet(m.PUBLISH, flags=2)),
        ("a topic of one byte of its length", m.packet(m.PUBLISH, b"\0", 2)),
        ("a topic longer than its packet", m.packet(m.PUBLISH, b"\xff\xff" + name, 2)),
        ("a message without a number", m.packet(m.PUBLISH, struct.pack(">H", len(name)) + name, 2)),
        ("half a number", m.packet(m.PUBLISH, struct.pack(">H", len(name)) + name + b"\1", 2)),
        ("QoS 3", m.packet(m.PUBLISH, struct.pack(">H", len(name)) + name + b"\0\1x", 6)),
        ("number zero", m.publish(topic, b"x", ident=0)),
        ("an empty topic", m.publish(b"", b"x")),
        ("a topic with a NUL", m.publish(name + b"\0x", b"x")),
        ("a topic that is not UTF-8", m.publish(b"\xff\xfe/\xc0\xaf", b"x")),
        ("a topic of 65535 bytes", m.publish(b"t" * 65535, b"x")),
        ("wildcards as a topic", m.publish("#", b"x") + m.publish("+/+/command", b"x")),
        ("a message of a megabyte", m.publish(topic, bytes(1 << 20))),
    ]


def unfinished(random, topic):
    some = bytes(random.randrange(256) for _ in range(300))
    return [
        ("a length of five bytes", b"\x32\xff\xff\xff\xff\x7f" + some),
        ("a quarter of a gigabyte announced", b"\x32\xff\xff\xff\x7f" + some),
        ("a length without its end", b"\x32\xff"),
        ("half a packet", m.publish(topic, some)[:40]),
        ("random bytes", some),
        ("zeros", bytes(4096)),
        ("ones", b"\xff" * 4096),
        ("another protocol", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ]
