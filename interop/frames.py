"""Frames: docs/PROTOCOL.md §6. Builders for what a client sends, strict decoding of what a server sends.

A frame is a pair (type, body) here.
"""

from collections import namedtuple

from simproto import ProtocolError, Reader, pad_name, u32, u64

(PING, PONG, LIST, USERS, WATCH, PRESENCE, RELAY, RELAYED, UNDELIVERABLE, GONE, INTRO, TICKET) = range(0x01, 0x0D)
(PASSWORD_BEGIN, PASSWORD_SALT, PASSWORD_SET, DONE, LOGOUT, LOGGED_OUT, NOTICE, REKEY, CLOSE, SEEN) = range(0x0D, 0x17)

OFFLINE, FULL, GONE_AWAY = 1, 2, 3  # reasons of Undeliverable
LOGGED_OUT_REASON, REPLACED_REASON, LOST_REASON = 1, 2, 3  # reasons of Gone
ISSUED, BUSY, REFUSED = 0, 1, 2  # status of Ticket
STOPPING, CHOOSE_PASSWORD = 1, 2  # codes of Notice
CLOSE_DONE, CLOSE_REPLACED, CLOSE_STOPPING, CLOSE_IDLE, CLOSE_PROTOCOL_ERROR, CLOSE_STALLED, CLOSE_REMOVED = range(7)

NOT_NUMBERED = (PING, PONG, SEEN, REKEY, CLOSE)  # §4.6

NO_TAG = bytes(8)
INTRO_BOX = 352

Pong = namedtuple("Pong", "data")
Users = namedtuple("Users", "more names")
Presence = namedtuple("Presence", "online")  # a dict from name to bool
Relayed = namedtuple("Relayed", "sender tag message")
Undeliverable = namedtuple("Undeliverable", "ref reason")
Gone = namedtuple("Gone", "name tag reason")
Ticket = namedtuple("Ticket", "cid status box")
PasswordSalt = namedtuple("PasswordSalt", "salt parameters b body")
Done = namedtuple("Done", "status m2")
LoggedOut = namedtuple("LoggedOut", "")
Notice = namedtuple("Notice", "code")
Close = namedtuple("Close", "reason")
Seen = namedtuple("Seen", "number")


# What a client sends


def ping(data=bytes(8)):
    return PING, data


def list_users(prefix="", after=""):
    return LIST, prefix.encode("ascii").ljust(32, b"\0") + after.encode("ascii").ljust(32, b"\0")


def watch(names):
    return WATCH, b"".join(pad_name(name) for name in names)


def relay(ref, to, tag, message):
    return RELAY, u32(ref) + pad_name(to) + tag + message


def intro(body):
    return INTRO, body


def logout():
    return LOGOUT, b""


def close(reason):
    return CLOSE, bytes([reason])


def seen(number):
    return SEEN, u64(number)


# What a server sends


def decode(kind, body):
    reader = Reader(body)
    if kind not in _DECODERS:
        raise ProtocolError("a frame of unknown type, or in the wrong direction")
    frame = _DECODERS[kind](reader)
    reader.end()
    return frame


def _code(reader, first, last):
    code = reader.number(1)
    if not first <= code <= last:
        raise ProtocolError("an unknown code in a frame")
    return code


def _users(reader):
    more = _code(reader, 0, 1)
    names = []
    while reader.at < len(reader.data):
        names.append(reader.name())
    if len(names) > 500 or names != sorted(set(names)):
        raise ProtocolError("a page of users is too long or not ascending")
    return Users(bool(more), names)


def _presence(reader):
    online = {}
    while reader.at < len(reader.data):
        name = reader.name()
        online[name] = bool(_code(reader, 0, 1))
    if not 1 <= len(online) <= 256:
        raise ProtocolError("a Presence has 1 to 256 names")
    return Presence(online)


def _tag(reader):
    tag = reader.take(8)
    if tag == NO_TAG:
        raise ProtocolError("a session has the tag 0")
    return tag


def _relayed(reader):
    sender, tag, message = reader.name(), _tag(reader), reader.rest()
    if not 1 <= len(message) <= 10240:
        raise ProtocolError("a peer message has 1 to 10,240 bytes")
    return Relayed(sender, tag, message)


def _ticket(reader):
    cid, status = reader.take(16), _code(reader, ISSUED, REFUSED)
    return Ticket(cid, status, reader.take(INTRO_BOX) if status == ISSUED else None)


_DECODERS = {
    PONG: lambda r: Pong(r.take(8)),
    USERS: _users,
    PRESENCE: _presence,
    RELAYED: _relayed,
    UNDELIVERABLE: lambda r: Undeliverable(r.number(4), _code(r, OFFLINE, GONE_AWAY)),
    GONE: lambda r: Gone(r.name(), _tag(r), _code(r, LOGGED_OUT_REASON, LOST_REASON)),
    TICKET: _ticket,
    PASSWORD_SALT: lambda r: PasswordSalt(r.take(32), r.take(9), r.take(256), r.data),
    DONE: lambda r: Done(_code(r, 0, 2), r.take(32)),
    LOGGED_OUT: lambda r: LoggedOut(),
    NOTICE: lambda r: Notice(_code(r, STOPPING, CHOOSE_PASSWORD)),
    CLOSE: lambda r: Close(_code(r, CLOSE_DONE, CLOSE_REMOVED)),
    SEEN: lambda r: Seen(r.number(8)),
}
