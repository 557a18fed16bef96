"""Logging in, and resuming a session: docs/PROTOCOL.md §4, the client's side."""

import os
import socket
import time
from dataclasses import dataclass

import mlkem
from simproto import (
    CHALLENGE_BITS,
    FROM_SERVER,
    SALT_BITS,
    TO_SERVER,
    VERSION,
    ProtocolError,
    Reader,
    SrpClient,
    Symmetric,
    expand,
    hkdf,
    hmac_sha256,
    lp,
    open_box,
    pad_name,
    parse_address,
    password_x,
    same,
    seal_box,
    sha256,
    solve_puzzle,
    u64,
    version_list,
    x25519,
    x25519_keypair,
)

HELLO, CHALLENGE, SOLUTION, LOGIN, SALT, PROOF, WELCOME, REFUSAL, BUSY, RESUMED = range(1, 11)

TRIES = 3
EARLY_CLOSE = 4  # a server that closes so many seconds after Hello is tried again
CHALLENGE_WAIT, SALT_WAIT, WELCOME_WAIT = 10, 45, 60


class LoginRefused(Exception):
    """The server proved its key and said no: a wrong name or password."""


class SessionOver(Exception):
    """The server proved its key and said that there is no such session."""


class NotReached(Exception):
    """No connection, or the server is busy."""

    def __init__(self, text, seconds=0):
        super().__init__(text)
        self.seconds = seconds  # to wait, if the server said so


class NoProof(Exception):
    """Something answers, but it does not prove the key of the address."""


class _ClosedEarly(Exception):
    pass


@dataclass
class Keys:
    """What a login gives both sides."""

    record_client: bytes
    record_server: bytes
    nonce: bytes
    intro: bytes
    ticket: bytes
    h6: bytes
    session_id: bytes
    resumption: bytes


@dataclass
class Resumed:
    """What a resumption gives both sides: new record keys, the next R, and what the server has seen."""

    record_client: bytes
    record_server: bytes
    resumption: bytes
    seen: int


def log_in(address, name, password):
    """A pair (connected socket, Keys). name is folded, password is prepared."""
    return _connect(address, lambda sock, pk_s: _handshake(sock, pk_s, name, password))


def resume(address, session_id, secret, seen):
    """A pair (connected socket, Resumed). secret is R, seen the highest number of the server's frames that was handled."""
    return _connect(address, lambda sock, pk_s: _resume(sock, pk_s, session_id, secret, seen))


def _connect(address, handshake):
    pk_s, host, port = parse_address(address)
    for attempt in range(TRIES):
        try:
            sock = socket.create_connection((host, port), timeout=10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise NotReached(str(error)) from None
        try:
            return sock, handshake(sock, pk_s)
        except _ClosedEarly:
            sock.close()
            if attempt == TRIES - 1:
                raise NoProof("the server closes the connection") from None
        except (ProtocolError, OSError) as error:
            sock.close()
            raise NoProof(str(error)) from None
        except BaseException:
            sock.close()
            raise


def _greet(sock, pk_s):
    """Hello and Challenge. The state at h2, the key of the boxes, the Login up to its box, and the puzzle."""
    state = Symmetric(b"sim/1 login")
    state.mix_hash(pk_s)

    hello = bytes([HELLO]) + version_list([VERSION]) + os.urandom(32)
    hello += hmac_sha256(sha256(b"sim/1 mac1", pk_s), hello)[:16]
    state.mix_hash(hello)
    started = time.monotonic()
    sock.sendall(lp(hello))

    try:
        challenge = _read(sock, CHALLENGE, 1252, CHALLENGE_WAIT)
    except ConnectionError:
        if time.monotonic() - started < EARLY_CLOSE:
            raise _ClosedEarly from None
        raise
    state.mix_hash(challenge)
    reader = Reader(challenge[1:])
    version, puzzle, e_s, ek = reader.number(1), reader.take(34), reader.take(32), reader.take(mlkem.EK_SIZE)
    reader.end()
    if version != VERSION:
        raise ProtocolError("the server chose a version that was not offered")

    e_c_private, e_c = x25519_keypair()
    try:
        kem_secret, ct = mlkem.encaps(ek)
    except mlkem.MalformedKey as error:
        raise ProtocolError(str(error)) from None
    state.mix_hash(e_c + ct)
    state.mix_key(b"sim/1 es", x25519(e_c_private, pk_s))
    state.mix_key(b"sim/1 ee", x25519(e_c_private, e_s))
    state.mix_key(b"sim/1 kem", kem_secret)
    return state, state.derive(b"sim/1 handshake"), bytes([LOGIN]) + e_c + ct, puzzle


def _send_login(sock, state, key, head, puzzle, plaintext):
    """Solution and Login. The state is at h3 then."""
    login_box = seal_box(key, b"sim/1 box login", TO_SERVER, state.h, plaintext)
    login = head + login_box
    binding = sha256(login)
    solution = bytes([SOLUTION]) + binding + solve_puzzle(puzzle, binding, CHALLENGE_BITS)
    sock.sendall(lp(solution) + lp(login))
    state.mix_hash(login_box)
    state.mix_hash(solution)


def _handshake(sock, pk_s, name, password):
    state, key, head, puzzle = _greet(sock, pk_s)
    srp = SrpClient()
    _send_login(sock, state, key, head, puzzle, pad_name(name) + srp.a)

    salt_body = _read(sock, SALT, 380, SALT_WAIT)
    reader = open_box(key, b"sim/1 box salt", FROM_SERVER, state.h, salt_body[1:])
    salt, parameters, b, account_puzzle = reader.take(32), reader.take(9), reader.take(256), reader.take(34)
    reader.end()
    state.mix_hash(salt_body)
    h4 = state.h
    shared = srp.shared(b, password_x(password, name, salt, parameters))
    t1 = lp(name.encode("ascii")) + lp(salt) + lp(parameters) + lp(srp.a) + lp(b) + lp(h4)
    m1 = hmac_sha256(hkdf(shared, state.ck, b"sim/1 M1" + h4), t1)

    proof = solve_puzzle(account_puzzle, h4, SALT_BITS) + m1
    proof_body = bytes([PROOF]) + seal_box(key, b"sim/1 box proof", TO_SERVER, h4, proof)
    sock.sendall(lp(proof_body))
    state.mix_hash(proof_body)
    h5 = state.h

    welcome_body = _read(sock, WELCOME, 98, WELCOME_WAIT)
    reader = open_box(key, b"sim/1 box welcome", FROM_SERVER, h5, welcome_body[1:])
    state.mix_hash(reader.data)
    accepted = reader.number(1)
    if accepted == 0:
        reader.zeros(48)
        raise LoginRefused("the user name or the password is wrong")
    m2, session_id = reader.take(32), reader.take(16)
    reader.end()
    expected = hmac_sha256(hkdf(shared, state.ck, b"sim/1 M2" + h5), t1, lp(m1), lp(session_id), lp(h5))
    if accepted != 1 or not same(m2, expected):
        raise ProtocolError("the server does not prove that it knows the account")

    h6 = state.h
    session = hkdf(shared, state.ck, b"sim/1 session" + h6)

    def derived(label):
        return expand(session, label + h6)

    return Keys(
        record_client=derived(b"sim/1 record client"),
        record_server=derived(b"sim/1 record server"),
        nonce=derived(b"sim/1 nonce"),
        intro=derived(b"sim/1 intro"),
        ticket=derived(b"sim/1 ticket"),
        h6=h6,
        session_id=session_id,
        resumption=derived(b"sim/1 resumption"),
    )


def _resume(sock, pk_s, session_id, secret, seen):
    state, key, head, puzzle = _greet(sock, pk_s)

    def proof(label, *parts):
        return hmac_sha256(hkdf(secret, state.ck, label + state.h), *parts)

    claim = session_id + u64(seen)
    m_c = proof(b"sim/1 resume client", claim)
    _send_login(sock, state, key, head, puzzle, bytes(32) + claim + m_c + bytes(200))

    body = _read(sock, RESUMED, 90, SALT_WAIT)
    reader = open_box(key, b"sim/1 box resumed", FROM_SERVER, state.h, body[1:])
    accepted, server_seen, m_s = reader.take(1), reader.take(8), reader.take(32)
    reader.end()
    if accepted == b"\0":
        if any(server_seen + m_s):
            raise ProtocolError("a refusal that says more")
        raise SessionOver("the server has no such session")
    if accepted != b"\1" or not same(m_s, proof(b"sim/1 resume server", accepted, server_seen, m_c)):
        raise ProtocolError("the server does not prove that it has the session")
    state.mix_hash(reader.data)
    h4 = state.h
    resumed = hkdf(secret, state.ck, b"sim/1 resumed" + h4)
    return Resumed(
        record_client=expand(resumed, b"sim/1 record client" + h4),
        record_server=expand(resumed, b"sim/1 record server" + h4),
        resumption=expand(resumed, b"sim/1 resumption" + h4),
        seen=int.from_bytes(server_seen, "big"),
    )


def _read(sock, kind, size, seconds):
    """The body that is due, or an error. Refusal and Busy may come in the place of any."""
    deadline = time.monotonic() + seconds
    body = read_exactly(sock, int.from_bytes(read_exactly(sock, 2, deadline), "big"), deadline)
    if body[:1] == bytes([REFUSAL]):
        versions = Reader(body[1:])
        raise NotReached("the server speaks other versions: %s" % versions.versions())
    if body[:1] == bytes([BUSY]) and len(body) == 3:
        seconds = int.from_bytes(body[1:], "big")
        raise NotReached("the server is busy; try again in %d s" % seconds, seconds)
    if body[:1] != bytes([kind]) or len(body) != size:
        raise ProtocolError("another message than the one that is due")
    return body


def read_exactly(sock, size, deadline):
    data = b""
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server is silent")
        sock.settimeout(left)
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("the server closed the connection")
        data += piece
    return data
