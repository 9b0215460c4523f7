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
import tunnel_lib as t

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bytes.d")

# Members of JSON whose number depends on when one looks.
COUNTING = ("seq", "uptime_s", "polls_ok", "polls_failed", "polls_skipped", "last_ms",
            "messages", "bytes", "next_seq", "backlog", "next_attempt_ms", "published",
            "acknowledged", "in_flight", "pid", "changed_by_pid", "dropped_in", "dropped_forward",
            "dropped_out", "spoofed", "in", "forward", "out", "remaining_s", "remaining_ms",
            "idle_left_ms", "limit_left_ms", "undone_in_s")
NUMBER = r"-?[0-9]+(\.[0-9]+)?"
FORMS = [(re.compile(pattern), form) for pattern, form in (
    (r'("stream": ?)"[0-9a-f]{8}"', r'\1"STREAM"'),
    (r'("(?:timestamp|since|from|to|opened|last_seen)": ?)1[0-9]{12}\b', r"\1TIME"),
    (r"\b20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}\.[0-9]{3}Z", "TIME"),
    (r"\b[0-9a-f]{64}\b", "HEX64"),
    (r"\b[0-9a-f]{32}\b", "HEX32"),
    (r"(?<=client=tech-)[0-9a-f]{16}\b", "HEX16"),
    (r'("connects": ?[0-9]+,\s*"failures": ?)[0-9]+', r"\1N"),
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
    (rb"\b[0-9a-f]{32}\b", b"i"),
    (rb"(?<=SHA256:)[A-Za-z0-9+/]{43}", b"k"),
)]
SIGNATURE = re.compile(r"(?<=-----BEGIN SSH SIGNATURE-----\n)[A-Za-z0-9+/=\n]+(?=-----END)")


def hide_signature(text):
    """Its lines keep their lengths."""
    return SIGNATURE.sub(lambda found: re.sub("[^\n]", "s", found.group()), text)


class Forms:
    def __init__(self, place, version):
        self.place, self.version = place, version

    def text(self, text):
        text = text.replace(self.place.folder, "PLACE")
        text = re.sub(r'(version"?[:=] ?"?)%s\b' % re.escape(self.version), r"\1VERSION", text)
        for pattern, form in FORMS:
            text = pattern.sub(form, text)
        text = hide_signature(text)
        return "".join(c if c.isprintable() or c == "\n" else "<U+%04X>" % ord(c) for c in text)

    def data(self, data):
        """DATA with what differs by nature overwritten; of the same length."""
        data = data.replace(self.version.encode(), b"V" * len(self.version))
        for pattern, form in SAME_LENGTH:
            data = pattern.sub(lambda found, f=form: f * len(found.group()), data)
        return hide_signature(data.decode("latin-1")).encode("latin-1")


def command_lines(forms, words, done):
    """A command's exit code and what it says, as lines of the form."""
    lines = ["$ sallyport %s -> %d" % (" ".join(words), done.returncode)]
    for name, text in (("out", done.stdout), ("err", done.stderr)):
        lines += ["%s| %s" % (name, line) for line in forms.text(text).split("\n") if line]
    return lines


def dump(data):
    """Lines of sixteen bytes, in hex and as characters; a line like the one before is a star."""
    lines, before = [], None
    for at in range(0, len(data), 16):
        part = data[at:at + 16]
        if part == before and at + 16 < len(data):
            if lines[-1] != "  *":
                lines.append("  *")
            continue
        before = part
        lines.append("  %04x  %-47s  |%s|" % (
            at, part.hex(" "), "".join(chr(b) if 0x20 <= b < 0x7f else "." for b in part)))
    return lines


# --- netd's socket --------------------------------------------------------------------------

def end_socket(ended):
    """Ends the connection; the thread that reads from it notices, and its descriptor stays valid."""
    try:
        ended.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class SocketTap:
    """Listens at PATH in place of netd, passes all messages on to netd as user UID, and keeps them."""

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
            netd = t.Peer(self.world, self.uid, greet=False).socket
            if netd is None:
                client.close()
                continue
            netd.settimeout(None)
            for ends in ((client, netd, True), (netd, client, False)):
                threading.Thread(target=self.pass_on, args=ends, daemon=True).start()

    def pass_on(self, source, sink, from_client):
        try:
            while message := source.recv(32768):
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
         "acknowledge", "try", "keep", "journal", "subscribe", "changed", "challenge", "signed", "signers")
# Fields of replies that are overwritten: (offset in the body, bytes, also when they are zero).
FREE = {
    t.STATUS: [(8, 8, False), (16, 8, False), (24, 8, False), (32, 8, False),  # times
               (40, 8, True), (2320, 4, False), (2516, 4, False)],  # bytes, a process, seconds
    t.COUNTERS: [(at, 8, True) for at in range(0, 40, 8)],  # what was dropped, what passed
    t.SIGNERS: [(at, 32, False) for at in range(4, 16388, 32)],  # fingerprints of fresh keys
}
# Fields of replies that are sentences for people: (offset in the body, bytes).
SENTENCES = {verb: [(0, 512)] for verb in (t.OPEN_LOCAL, t.EXTEND, t.CLOSE, t.APPROVE, t.ACKNOWLEDGE,
                                           t.TRY, t.KEEP)}
SENTENCES.update({t.VERIFY: [(8, 512)], t.STATUS: [(2028, 160), (2356, 160)]})


def take_sentences(verb, data):
    """Clears the sentences in DATA and returns them as lines, so that a change of words is a change of
    one line. What follows the NUL has to be zero, or the field stays in the dump."""
    lines = []
    for at, size in SENTENCES.get(verb, ()):
        text, _, rest = bytes(data[16 + at:16 + at + size]).partition(b"\0")
        if text and not any(rest):
            lines.append('  text at %04x: "%s"' % (16 + at, text.decode()))
            data[16 + at:16 + at + size] = bytes(size)
    return lines


def netd_lines(forms, from_client, message):
    """A message on netd's socket, as lines of the form."""
    verb = struct.unpack_from("<H", message, 6)[0] if len(message) >= 8 else 0
    data, sentences = bytearray(forms.data(message)), []
    if not from_client:
        for at, size, always in FREE.get(verb, ()):
            if always or any(data[16 + at:16 + at + size]):
                data[16 + at:16 + at + size] = b"\xee" * size
        sentences = take_sentences(verb, data)
    return ["%s %s, %d bytes" % ("->" if from_client else "<-",
                                 VERBS[verb] if verb < len(VERBS) else verb, len(data)),
            *sentences, *dump(bytes(data))]


def without_number(message):
    """MESSAGE with most of its request's number overwritten: the agent's depend on how often it asked."""
    return message[:8] + b"\xee\xee\xee" + bytes([message[11] & 0xc0]) + message[12:]


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
        kept = set(os.listdir(FOLDER))
        lib.check(self.recording or kept == set(self.files), "bytes.d has the files that are compared")
        for file, lines in self.files.items():
            path = os.path.join(FOLDER, file)
            text = "\n".join(lines)
            if self.recording:
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
            lib.say("If this difference is intended: tests/scenario/bytes --record BUILD, and read "
                    "`git diff tests/scenario/bytes.d` before you commit it.")


def once_each(lines):
    """Without the lines that repeat the one before."""
    return [line for i, line in enumerate(lines) if i == 0 or line != lines[i - 1]]
