"""Records: docs/PROTOCOL.md §5, and the session that they carry, from Welcome to Close."""

import select
import socket
import time

import frames
import login
from simproto import ProtocolError, Reader, aes_gcm_open, aes_gcm_seal, expand, u8, u16, u64

SIZES = (512, 1024, 2048, 4096, 8192, 16384)
TAG = 16
REKEY_RECORDS, REKEY_SECONDS = 1 << 20, 3600
PONG_WAIT = 30
PING_AFTER = 30  # seconds without a record from the server
SILENT_AFTER = 75


def size_for(length):
    for size in SIZES:
        if length <= size:
            return size
    raise ValueError("more frames than a record holds")


class _Direction:
    def __init__(self, key):
        self.key = key
        self.number = 0

    def nonce(self):
        return bytes(4) + u64(self.number)

    def rekey(self):
        self.key = expand(self.key, b"sim/1 rekey")
        self.number = 0


class Sealer(_Direction):
    def __init__(self, key, rekey_records=REKEY_RECORDS):
        super().__init__(key)
        self.rekey_records = rekey_records
        self.since = time.monotonic()

    def seal(self, some):
        """The bytes for the wire that carry these frames, in as few records as may be."""
        wire, packed = b"", b""
        for kind, body in some:
            frame = u8(kind) + u16(len(body)) + body
            if len(packed) + len(frame) > SIZES[-1]:
                wire, packed = wire + self._record(packed), b""
            packed += frame
        if packed:
            wire += self._record(packed)
        if self.number >= self.rekey_records or time.monotonic() - self.since >= REKEY_SECONDS:
            wire += self._record(u8(frames.REKEY) + u16(0))
            self.rekey()
            self.since = time.monotonic()
        return wire

    def _record(self, packed):
        plaintext = packed.ljust(size_for(len(packed)), b"\0")
        length = u16(len(plaintext) + TAG)
        record = length + aes_gcm_seal(self.key, self.nonce(), plaintext, length)
        self.number += 1
        return record


class Opener(_Direction):
    def open(self, length, ciphertext):
        """The frames of a record: pairs (type, body). length is its two bytes."""
        plaintext = aes_gcm_open(self.key, self.nonce(), ciphertext, length)
        self.number += 1
        found = []
        reader = Reader(plaintext)
        while reader.at < len(plaintext) and plaintext[reader.at]:
            kind = reader.number(1)
            found.append((kind, reader.take(reader.number(2))))
        if not found or size_for(reader.at) != len(plaintext):
            raise ProtocolError("a record is empty, or longer than need be")
        reader.zeros(len(plaintext) - reader.at)
        kinds = [kind for kind, _ in found]
        if frames.REKEY in kinds[:-1] or frames.CLOSE in kinds[:-1]:
            raise ProtocolError("something follows Rekey or Close")
        if kinds[-1] == frames.REKEY:
            if found.pop()[1]:
                raise ProtocolError("Rekey has a body")
            self.rekey()
        return found


class CutOff(Exception):
    """The connection ended without a Close."""


class Session:
    """A logged-in connection: frames in and out."""

    def __init__(self, sock, keys, rekey_records=REKEY_RECORDS):
        self.keys = keys
        self.rekey_records = rekey_records
        self.connect(sock, keys)
        self.early = []  # frames that came in the same record as one that was waited for

    def connect(self, sock, keys):
        self.sock = sock
        self.sealer = Sealer(keys.record_client, self.rekey_records)
        self.opener = Opener(keys.record_server)
        self.received = b""
        self.heard = self.pinged = time.monotonic()

    def greeting(self):
        """What the first record holds."""
        return [frames.ping(b"hello ok")]

    def start(self):
        """Sends the first record, and returns when its Ping has been answered."""
        self.send(self.greeting())
        deadline = time.monotonic() + PONG_WAIT
        while True:
            some = self.receive(deadline - time.monotonic())
            if some and some[0] == frames.Pong(b"hello ok"):
                self.early = some[1:]
                return
            if some or time.monotonic() >= deadline:
                raise ProtocolError("the server does not answer the first Ping")

    def send(self, some):
        self.send_bytes(self.sealer.seal(some))

    def send_bytes(self, wire):
        try:
            self.sock.settimeout(20)
            self.sock.sendall(wire)
        except OSError as error:
            raise CutOff(str(error)) from None

    def receive(self, seconds=0):
        """The decoded frames of what has come; an empty list when nothing came in that time."""
        if self.early:
            some, self.early = self.early, []
            return some
        deadline = time.monotonic() + seconds
        while True:
            some = self._take_records()
            left = max(0, deadline - time.monotonic())
            if some or not select.select([self.sock], [], [], left)[0]:
                return some
            try:
                piece = self.sock.recv(1 << 16)
            except OSError as error:
                raise CutOff(str(error)) from None
            if not piece:
                raise CutOff("the connection was cut off")
            self.received += piece

    def _take_records(self):
        some = []
        while len(self.received) >= 2:
            length = int.from_bytes(self.received[:2], "big")
            if length - TAG not in SIZES:
                raise ProtocolError("a record of another length")
            if len(self.received) < 2 + length:
                break
            record, self.received = self.received[: 2 + length], self.received[2 + length :]
            for kind, body in self.opener.open(record[:2], record[2:]):
                some += self.took(kind, body)
            self.heard = time.monotonic()
        return some

    def took(self, kind, body):
        """What receive makes of a frame."""
        return [frames.decode(kind, body)]

    def tick(self):
        """Keeps the session alive; to be called now and then."""
        now = time.monotonic()
        if now - self.heard > SILENT_AFTER:
            raise CutOff("the server is silent")
        if now - max(self.heard, self.pinged) > PING_AFTER:
            self.pinged = now
            self.send([frames.ping()])

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


def log_in(address, name, password, rekey_records=REKEY_RECORDS, make=Session):
    sock, keys = login.log_in(address, name, password)
    session = make(sock, keys, rekey_records)
    try:
        session.start()
    except BaseException:
        session.close()
        raise
    return session
