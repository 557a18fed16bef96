#!/usr/bin/env python3
"""Writes the test vectors of this folder anew, all but rfc5054.json, from docs/PROTOCOL.md alone: nothing of ours in Go is run.

    python3 make.py

It needs Python 3.9 and cryptography 44 or later (the first with Argon2id); ML-KEM is interop/mlkem.py. Whatever a run draws at random is
SHA-256("sim vectors " + what it is for), so that the files come out the same each time. A constant of the protocol is written here once
more, and not taken from another of our programs: that the two agree is what the files are for.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import unicodedata

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "interop"))
import mlkem  # noqa: E402


def fixed(what, n=32):
    """n bytes that stand for random ones."""
    out = b""
    while len(out) < n:
        out += hashlib.sha256(("sim vectors %s" % what).encode() + (b" %d" % len(out) if out else b"")).digest()
    return out[:n]


def write(name, comment, cases, **more):
    def text(x):
        if isinstance(x, bytes):
            return x.hex()
        if isinstance(x, dict):
            return {key: text(value) for key, value in x.items()}
        if isinstance(x, list):
            return [text(value) for value in x]
        return x

    with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        json.dump(text({"comment": comment, "cases": cases, **more}), f, indent=1, ensure_ascii=False)
        f.write("\n")


# §1, §2.1 and §2.2


def u(bits, n):
    return n.to_bytes(bits // 8, "big")


def lp(x):
    return u(16, len(x)) + x


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def hkdf(secret, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)


def expand(key, info, n=32):
    return HKDFExpand(hashes.SHA256(), n, info).derive(key)


def name32(name):
    return name.encode().ljust(32, b"\0")


def versions(*list_):
    return u(8, len(list_)) + bytes(list_)


def gcm(key, plaintext, nonce=bytes(12), data=b""):
    return AESGCM(key).encrypt(nonce, plaintext, data)


class State:
    def __init__(self, label):
        self.h = self.ck = sha(label)

    def mix_hash(self, x):
        self.h = sha(self.h, x)

    def mix_key(self, label, secret):
        self.ck = hkdf(secret, self.ck, label + self.h)

    def derive(self, label):
        return expand(self.ck, label + self.h)

    def final(self, label, secret):
        return hkdf(secret, self.ck, label + self.h)


def box_key(key, label, direction, context, r):
    return hkdf(key, r, label + u(8, direction) + context)


def box(key, label, direction, context, plaintext, r):
    return r + gcm(box_key(key, label, direction, context, r), plaintext)


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def dh(private, share):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(share))


# §2.3


def puzzle_p(puzzle, binding):
    return sha(b"sim/1 puzzle", puzzle[:32], binding)


def solve(puzzle, binding):
    bits, p, solution = puzzle[33], puzzle_p(puzzle, binding), b""
    if bits == 0:
        return bytes(128)
    for i in range(16):
        a = 0
        while int.from_bytes(sha(p, u(8, i), u(64, a)), "big") >> (256 - (bits - 4)):
            a += 1
        solution += u(64, a)
    return solution


def make_puzzle():
    cases = []
    for bits in (0, 4, 5, 8, 12, 17):
        puzzle, binding = fixed("puzzle %d" % bits) + bytes([16, bits]), fixed("puzzle %d binding" % bits)
        cases.append({
            "case": "%d bits" % bits,
            "in": {"puzzle": puzzle, "binding": binding},
            "out": {"P": puzzle_p(puzzle, binding), "solution": solve(puzzle, binding)},
        })
    seed = fixed("puzzle malformed")
    malformed = [seed + bytes(x) for x in ([16, 1], [16, 3], [16, 31], [16, 255], [15, 8], [17, 8], [0, 0])] + [seed + b"\x10", seed + b"\x10\x08\0"]
    write("puzzle.json", "§2.3: puzzles and their solutions", cases, malformed=malformed)


# §2.4 and §2.5

N = int(
    "AC6BDB41324A9A9BF166DE5E1389582FAF72B6651987EE07FC3192943DB56050A37329CBB4A099ED8193E0757767A13DD52312AB4B03310DCD7F48A9DA04FD50"
    "E8083969EDB767B0CF6095179A163AB3661A05FBD5FAAAE82918A9962F0B93B855F97993EC975EEAA80D740ADBF4FF747359D041D5C33EA71D281E446B14773B"
    "CA97B43A23FB801676BD207A436C6481F1D2B9078717461A5B9D32E688F87748544523B524B0D57D5EA77A2775D2ECFA032CFBDBF52FB3786160279004E57AE6"
    "AF874E7303CE53299CCC041C7BC308D82A5698F3A8D0C38271AE35F8E9DBFBB694B5C803D89F7AE435DE236D525F54759B65E372FCD68EF20FA7111F9E4AFF73",
    16,
)
G = 2


def pad(n):
    return n.to_bytes(256, "big")


def number(b):
    return int.from_bytes(b, "big")


K = number(sha(pad(N), pad(G)))


def srp_x(name, salt, t):
    return sha(salt, sha(name.encode(), b":", t))


def verifier(x):
    return pad(pow(G, number(x), N))


def srp(v, a, b, x):
    """A, B, u, and S as the client and as the server has it."""
    a, b, x, v = number(a), number(b), number(x), number(v)
    A = pow(G, a, N)
    B = (K * v + pow(G, b, N)) % N
    u_ = sha(pad(A), pad(B))
    client = pow((B - K * pow(G, x, N)) % N, a + number(u_) * x, N)
    server = pow(A * pow(v, number(u_), N) % N, b, N)
    return pad(A), pad(B), u_, pad(client), pad(server)


def short(b):
    return b.lstrip(b"\0")


def make_srp():
    cases = []

    def case(what, name, salt, t, a, b):
        x = srp_x(name, salt, t)
        v = verifier(x)
        A, B, u_, S, theirs = srp(v, a, b, x)
        assert S == theirs
        c = {
            "case": what,
            "name": name,
            "in": {"salt": salt, "T": t, "a": a, "b": b},
            "out": {"x": x, "v": v, "A": A, "B": B, "u": u_, "S": S},
        }
        if A[0] == 0 or B[0] == 0:
            c["wrong"] = {"u": sha(short(A), short(B))}
        cases.append(c)

    def search(what, first_byte):
        """The first of a row of bytes that gives a number with a leading zero byte."""
        for i in range(10000):
            if first_byte(fixed("srp %s %d" % (what, i)))[0] == 0:
                return fixed("srp %s %d" % (what, i))

    salt, t = fixed("srp salt"), fixed("srp T")
    case("plain", "alice", salt, t, fixed("srp a"), fixed("srp b"))

    x = srp_x("bob", salt, t)
    v = verifier(x)
    a = search("a of a short A", lambda a: pad(pow(G, number(a), N)))
    b = search("b of a short B", lambda b: pad((K * number(v) + pow(G, number(b), N)) % N))
    case("A and B begin with a zero byte", "bob", salt, t, a, b)
    b = search("b of a short S", lambda b: srp(v, a, b, x)[3])
    case("A and S begin with a zero byte", "bob", salt, t, a, b)
    t = search("T of a short v", lambda t: verifier(srp_x("0", salt, t)))
    case("v begins with a zero byte, a is 1, b is all ones", "0", salt, t, u(256, 1), b"\xff" * 32)
    t = search("T of a short x", lambda t: srp_x("0123456789abcdefghijklmnopqrst._-z"[:32], salt, t))
    case("x begins with a zero byte, and the name has 32 bytes", "0123456789abcdefghijklmnopqrst._-z"[:32], salt, t, fixed("srp a"), fixed("srp b"))

    invented = []
    for what, n in (
        ("plain", number(fixed("srp invented", 272))),
        ("zero", 0),
        ("all ones", (1 << 2176) - 1),
        ("N", N),
        ("N-1", N - 1),
        ("2^2048", 1 << 2048),
        ("N shifted by 128 bits, and 7", (N << 128) + 7),
    ):
        invented.append({"case": what, "in": {"uniform": n.to_bytes(272, "big")}, "out": {"v": pad(n % N)}})
    write("srp.json", "§2.5: SRP-6a in the 2048-bit group with SHA-256", cases, invented=invented)


def opaque_string(password):
    """RFC 8265 §4.2, as far as the passwords here need it."""
    return unicodedata.normalize("NFC", "".join(" " if unicodedata.category(c) == "Zs" else c for c in password)).encode()


def make_password():
    cases = []
    for what, name, password, params in (
        ("ASCII, the least that a client accepts", "alice", "Correct Horse", (2, 19456, 1)),
        ("typed with a combining mark and a no-break space", "alice", "pa\u0308sswo\u0308rd\u00a01", (2, 19456, 1)),
        ("wide letters stay wide", "bob", "\uff50\uff41\uff53\uff53", (2, 19456, 2)),
        ("what a new database is made with", "a.b_c-9", "correct horse battery staple", (3, 65536, 4)),
    ):
        salt = fixed("password salt " + what)
        time, memory, threads = params
        prepared = opaque_string(password)
        t = Argon2id(salt=salt, length=32, iterations=time, lanes=threads, memory_cost=memory).derive(prepared)
        x = srp_x(name, salt, t)
        cases.append({
            "case": what,
            "name": name,
            "in": {"password": password.encode(), "salt": salt, "argon2": u(32, time) + u(32, memory) + u(8, threads)},
            "out": {"prepared": prepared, "T": t, "x": x, "verifier": verifier(x)},
        })
    refused = [
        {"password": b"nine byte", "why": "9 bytes"},
        {"password": b"a" * 257, "why": "257 bytes"},
        {"password": b"a tab\there", "why": "a control character"},
        {"password": b"not UTF-8 \xff", "why": "not UTF-8"},
        {"password": "a\u0308".encode() * 4, "why": "8 bytes when prepared, though 12 before"},
    ]
    write("password.json", "§2.4: from the password to x", cases, refused=refused)


def make_box_and_state():
    cases = []
    for what, label, direction, plaintext in (
        ("empty", b"sim/1 box nonce", 0, b""),
        ("96 bytes", b"sim/1 box intro", 1, bytes(range(96))),
        ("a label that is used nowhere", b"x", 1, bytes(range(17))),
    ):
        key, context, r = (fixed("box %s %s" % (what, field)) for field in ("key", "context", "r"))
        cases.append({
            "case": what,
            "label": label.decode(),
            "direction": direction,
            "in": {"K": key, "context": context, "plaintext": plaintext, "r": r},
            "out": {"key": box_key(key, label, direction, context, r), "box": box(key, label, direction, context, plaintext, r)},
        })
    write("box.json", "§2.2: boxes", cases)

    state, steps = State(b"sim/1 golden"), []
    for label, x in ((None, b"hello"), ("sim/1 es", fixed("state first")), (None, b""), (None, bytes(range(200))), ("sim/1 ee", fixed("state second", 64))):
        if label is None:
            state.mix_hash(x)
            step = {"do": "MixHash", "x": x}
        else:
            state.mix_key(label.encode(), x)
            step = {"do": "MixKey", "label": label, "secret": x}
        steps.append({**step, "h": state.h, "ck": state.ck})
    secret = fixed("state last")
    write("state.json", "§2.1: the symmetric state", [{
        "case": "two secrets",
        "label": "sim/1 golden",
        "steps": steps,
        "derive": {"label": "sim/1 handshake", "key": state.derive(b"sim/1 handshake")},
        "final": {"label": "sim/1 session", "secret": secret, "key": state.final(b"sim/1 session", secret)},
    }])


# §3 and §4


def checksum(key):
    return sha(b"sim/1 address", key)[:2]


def key64(key, check):
    return base64.urlsafe_b64encode(key + check).decode().rstrip("=")


def make_address():
    cases = []
    for what, key, host in (
        ("a name", fixed("address"), "sim.example.org:7465"),
        ("IPv4", public(fixed("address private")), "192.0.2.1:1"),
        ("IPv6", b"\xff" * 32, "[2001:db8::1]:65535"),
        ("ASCII", b"the public key of the tests, 32 ", "h:1"),
    ):
        cases.append({
            "case": what,
            "host": host,
            "address": "sim://%s@%s" % (key64(key, checksum(key)), host),
            "in": {"pk_S": key},
            "out": {"checksum": checksum(key)},
        })
    key = fixed("address")
    check = checksum(key)
    good = key64(key, check)
    unused = good[:45] + chr(ord(good[45]) + 1)
    assert base64.urlsafe_b64decode(unused + "==") == key + check
    refused = [
        {"address": "sim://%s@h:1" % key64(key, bytes([check[0], check[1] ^ 1])), "why": "another checksum"},
        {"address": "sim://%s@h:1" % unused, "why": "an unused bit is set"},
        {"address": "sim://%s==@h:1" % good, "why": "padding"},
        {"address": "sim://%s@h:1" % good[:45], "why": "45 characters"},
        {"address": "SIM://%s@h:1" % good, "why": "another scheme"},
        {"address": "sim://%s@" % good, "why": "no host"},
        {"address": "sim://%s@h:1/" % good, "why": "something after it"},
        {"address": "sim://%s@h:1 " % good, "why": "a space after it"},
    ]
    write("address.json", "§3: the server's address", cases, refused=refused)


def mac1_key(pk):
    return sha(b"sim/1 mac1", pk)


def make_mac1():
    cases = []
    for what, list_ in (("version 1", [1]), ("eight versions", [1, 2, 3, 4, 5, 6, 7, 255])):
        pk = public(fixed("mac1 sk_S " + what))
        hello = b"\x01" + versions(*list_) + fixed("mac1 random " + what)
        cases.append({"case": what, "in": {"pk_S": pk, "Hello without mac1": hello}, "out": {"key": mac1_key(pk), "mac1": mac(mac1_key(pk), hello)[:16]}})
    write("mac1.json", "§4.1: mac1 of Hello", cases)


def begin(given):
    """What a login and a resumption have in common: everything before Login's box. The state is at h2."""
    pk, e_s, e_c = (public(given[private]) for private in ("sk_S", "e_S private", "e_C private"))
    ek, dk = mlkem.keygen(given["ML-KEM d"], bytes(32))
    shared, ct = mlkem.encaps(ek, given["ML-KEM m"])
    assert mlkem.decaps(dk, ct) == shared

    hello = b"\x01" + versions(1) + given["Hello's random"]
    hello += mac(mac1_key(pk), hello)[:16]
    challenge = b"\x02\x01" + given["Challenge's puzzle"] + e_s + ek
    es, ee = dh(given["e_C private"], pk), dh(given["e_C private"], e_s)
    t = State(b"sim/1 login")
    for part in (pk, hello, challenge, e_c + ct):
        t.mix_hash(part)
    t.mix_key(b"sim/1 es", es)
    t.mix_key(b"sim/1 ee", ee)
    t.mix_key(b"sim/1 kem", shared)
    out = {"Hello": hello, "Challenge": challenge, "es": es, "ee": ee, "ML-KEM shared secret": shared, "h2": t.h, "K": t.derive(b"sim/1 handshake")}
    return t, b"\x04" + e_c + ct, {"pk_S": pk}, out


def log_in(t, head, given, k, plain):
    """Solution and Login. The state goes on to h3."""
    sealed = box(k, b"sim/1 box login", 0, t.h, plain, given["r of Login"])
    login = head + sealed
    solution = b"\x03" + sha(login) + solve(given["Challenge's puzzle"], sha(login))
    t.mix_hash(sealed)
    t.mix_hash(solution)
    return {"Solution": solution, "Login": login, "h3": t.h}


def make_login():
    cases = []
    for what, name, account_bits, right in (("accepted", "alice", 5, True), ("refused: a wrong password", "bob", 0, False)):
        def draw(field, n=32):
            return fixed("login %s %s" % (what, field), n)

        argon2 = u(32, 3) + u(32, 65536) + u(8, 4)
        given = {
            "sk_S": draw("sk_S"), "salt secret": draw("salt secret"), "argon2": argon2, "T": draw("T"),
            "Hello's random": draw("Hello's random"), "Challenge's puzzle": draw("Challenge's puzzle") + bytes([16, 8]),
            "e_S private": draw("e_S"), "ML-KEM d": draw("ML-KEM d"), "e_C private": draw("e_C"), "ML-KEM m": draw("ML-KEM m"),
            "a": draw("a"), "r of Login": draw("r of Login"), "b": draw("b"), "account puzzle": draw("account puzzle") + bytes([16, account_bits]),
            "r of Salt": draw("r of Salt"), "r of Proof": draw("r of Proof"), "r of Welcome": draw("r of Welcome"),
        }  # fmt: skip
        salt = mac(given["salt secret"], name32(name))
        x = srp_x(name, salt, given["T"])
        v = verifier(x if right else srp_x(name, salt, draw("T of the account")))
        given["verifier"] = v
        t, head, pinned, begun = begin(given)
        k = begun["K"]

        A, B, _, S, theirs = srp(v, given["a"], given["b"], x)
        assert (S == theirs) == right
        asked = log_in(t, head, given, k, name32(name) + A)
        h3 = t.h
        salt_body = b"\x05" + box(k, b"sim/1 box salt", 1, h3, salt + argon2 + B + given["account puzzle"], given["r of Salt"])
        t.mix_hash(salt_body)
        h4 = t.h
        t1 = b"".join(map(lp, (name.encode(), salt, argon2, A, B, h4)))
        m1 = mac(t.final(b"sim/1 M1", S), t1)
        proof = b"\x06" + box(k, b"sim/1 box proof", 0, h4, solve(given["account puzzle"], h4) + m1, given["r of Proof"])
        t.mix_hash(proof)
        h5 = t.h
        plain = bytes(49)
        if right:
            given["session id"] = draw("session id", 16)
            m2 = mac(t.final(b"sim/1 M2", S), t1, lp(m1), lp(given["session id"]), lp(h5))
            plain = b"\x01" + m2 + given["session id"]
        welcome = b"\x07" + box(k, b"sim/1 box welcome", 1, h5, plain, given["r of Welcome"])
        t.mix_hash(plain)
        h6 = t.h
        out = {
            **pinned, "salt": salt, **begun, "A": A, **asked,
            "B": B, "Salt": salt_body, "h4": h4, "S": S, "T1": t1, "M1": m1, "Proof": proof, "h5": h5, "Welcome": welcome,
        }  # fmt: skip
        if right:
            s_a = t.final(b"sim/1 session", S)
            out.update({"M2": m2, "h6": h6, "S_A": s_a})
            for label in ("record client", "record server", "nonce", "intro", "ticket", "resumption"):
                out[label] = expand(s_a, b"sim/1 " + label.encode() + h6)
            session = {"sk_S": given["sk_S"], "session id": given["session id"], "R": out["resumption"]}
        cases.append({"case": what, "name": name, "accepted": right, "in": given, "out": out})
    write("login.json", "§4: whole logins", cases)
    return session


def make_resume(session):
    """session is that of login.json."""
    cases = []
    for what, client_seen, server_seen, right in (
        ("accepted", 7, 0, True), ("accepted, once more", (1 << 40) + 5, (1 << 52) + 1, True), ("refused", 1 << 41, 0, False),
    ):  # fmt: skip
        def draw(field, n=32):
            return fixed("resume %s %s" % (what, field), n)

        given = {**session, "Challenge's puzzle": draw("Challenge's puzzle") + bytes([16, 8])}
        for field in ("Hello's random", "e_S private", "ML-KEM d", "e_C private", "ML-KEM m", "r of Login", "r of Resumed"):
            given[field] = draw(field)
        t, head, pinned, begun = begin(given)
        p = session["session id"] + u(64, client_seen)
        m_c = mac(t.final(b"sim/1 resume client", session["R"]), p)
        out = {**pinned, **begun, "M_C": m_c, **log_in(t, head, given, begun["K"], bytes(32) + p + m_c + bytes(200))}
        h3, plain = t.h, bytes(41)
        if right:
            plain = b"\x01" + u(64, server_seen)
            out["M_S"] = mac(t.final(b"sim/1 resume server", session["R"]), plain, m_c)
            plain += out["M_S"]
        out["Resumed"] = b"\x0a" + box(begun["K"], b"sim/1 box resumed", 1, h3, plain, given["r of Resumed"])
        case = {"case": what, "accepted": right, "seen by the client": client_seen, "seen by the server": server_seen, "in": given, "out": out}
        if right:
            t.mix_hash(plain)
            s_r = t.final(b"sim/1 resumed", session["R"])
            out.update({"h4": t.h, "S_R": s_r})
            for label in ("record client", "record server", "resumption"):
                out[label] = expand(s_r, b"sim/1 " + label.encode() + t.h)
            session = {**session, "R": out["resumption"]}
        cases.append(case)
    write("resume.json", "§4.6: resuming the session of login.json, twice, and when the server has it no more", cases)


# §5 and §6


def frame(type_, body=b""):
    return u(8, type_) + u(16, len(body)) + body


def relay(n, what):
    """A Relay frame of n bytes."""
    return frame(7, u(32, 7) + name32("bob") + bytes(8) + fixed("record " + what, n - 47))


def make_record():
    cases = []
    key = fixed("record key")
    next_ = expand(key, b"sim/1 rekey")
    for what, key, n, frames in (
        ("the first", key, 0, frame(1, fixed("record ping", 8))),
        ("512 bytes of frames", key, 1, relay(512, "512")),
        ("513 bytes of frames", key, 2, relay(513, "513")),
        ("two frames", key, 0x0A0B0C, frame(0x11) + frame(0x15, b"\0")),
        ("the last under a key", key, (1 << 20) - 1, frame(1, fixed("record last ping", 8)) + frame(0x14)),
        ("the first under the next key", next_, 0, frame(0x15, b"\x02")),
        ("the largest", next_, 1, relay(10290, "largest") + relay(6000, "largest too")),
    ):
        size = 512
        while size < len(frames):
            size *= 2
        length = u(16, size + 16)
        record = length + gcm(key, frames.ljust(size, b"\0"), bytes(4) + u(64, n), length)
        cases.append({"case": what, "number": n, "in": {"key": key, "frames": frames}, "out": {"record": record, "next key": expand(key, b"sim/1 rekey")}})
    write("record.json", "§5: records", cases)


def make_frames():
    tag, cid, echo = bytes(range(1, 9)), bytes(range(0x10, 0x20)), b"12345678"
    alice, bob, carol = name32("alice"), name32("bob"), name32("carol")
    cases = []
    for what, type_, dir_, body in (
        ("Ping", 0x01, "C→S", echo),
        ("Pong", 0x02, "S→C", echo),
        ("List of everybody", 0x03, "C→S", bytes(64)),
        ("List after bob of those in b", 0x03, "C→S", name32("b") + bob),
        ("Users, none", 0x04, "S→C", b"\0"),
        ("Users, and more", 0x04, "S→C", b"\x01" + alice + bob),
        ("Watch, nobody", 0x05, "C→S", b""),
        ("Watch", 0x05, "C→S", bob + carol),
        ("Presence", 0x06, "S→C", bob + b"\x01" + carol + b"\0"),
        ("Relay", 0x07, "C→S", u(32, 0x01020304) + bob + tag + b"\x03" + cid + b"\x02"),
        ("Relayed", 0x08, "S→C", alice + tag + b"\x03" + cid + b"\x02"),
        ("Undeliverable", 0x09, "S→C", u(32, 0x01020304) + b"\x02"),
        ("Gone", 0x0A, "S→C", bob + tag + b"\x03"),
        ("Intro", 0x0B, "C→S", cid + bytes(range(0x20, 0x30)) + bob + versions(1, 2) + b"\x02" + bytes(range(144))),
        ("Ticket, issued", 0x0C, "S→C", cid + b"\0" + b"x" * 352),
        ("Ticket, busy", 0x0C, "S→C", cid + b"\x01"),
        ("Ticket, refused", 0x0C, "S→C", cid + b"\x02"),
        ("Done, changed", 0x10, "S→C", b"\0" + bytes(range(32))),
        ("Done, refused", 0x10, "S→C", b"\x01" + bytes(32)),
        ("Done, not saved", 0x10, "S→C", b"\x02" + bytes(32)),
        ("Logout", 0x11, "C→S", b""),
        ("LoggedOut", 0x12, "S→C", b""),
        ("Notice", 0x13, "S→C", b"\x01"),
        ("Notice, choose a password", 0x13, "S→C", b"\x02"),
        ("Rekey", 0x14, "both", b""),
        ("Close, stalled", 0x15, "both", b"\x05"),
        ("Seen", 0x16, "both", bytes(range(1, 9))),
    ):
        cases.append({"case": what, "direction": dir_, "out": {"frame": frame(type_, body)}})
    write("frames.json", "§6: frames", cases)


# §7 and §8


def run_hash(label, run, *parts):
    return sha(label, name32(run["initiator"]), name32(run["responder"]), run["cid"], *parts)


def digits(run, *parts):
    sum_ = run_hash(b"sim/1 digits", run, *parts)
    d = "%012d" % (number(sum_[:8]) % 10**12)
    return sum_, " ".join(d[i : i + 3] for i in range(0, 12, 3))


def make_digits():
    cases = []

    def case(what, initiator, responder, *parts):
        run = {"initiator": initiator, "responder": responder, "cid": fixed("digits cid " + what, 16)}
        sum_, shown = digits(run, *parts)
        cases.append({
            "case": what, "initiator": initiator, "responder": responder, "digits": shown,
            "in": {"cid": run["cid"], "e_A": parts[0], "e_B": parts[1], "ek_B": parts[2]},
            "out": {"hash": sum_},
        })  # fmt: skip
        return shown

    e_a, e_b = public(fixed("digits e_A")), public(fixed("digits e_B"))
    ek, _ = mlkem.keygen(fixed("digits d"), bytes(32))
    case("plain", "alice", "bob", e_a, e_b, ek)
    case("the other way round", "bob", "alice", e_b, e_a, ek)
    case("long names", "a" * 32, "z" * 31 + "9", e_a, e_b, ek)
    for i in range(100000):  # the first of a row of shares with which it happens
        e = public(fixed("digits e_A %d" % i))
        run = {"initiator": "alice", "responder": "bob", "cid": fixed("digits cid leading zeros", 16)}
        if digits(run, e, e_b, ek)[1].startswith("00"):
            assert case("leading zeros", "alice", "bob", e, e_b, ek).startswith("00")
            break
    write("digits.json", "§7: the digits that two users compare", cases)


def chain_step(chain):
    return expand(chain, b"sim/1 message"), expand(chain, b"sim/1 step")


KINDS = {"acknowledgement": 0, "open": 1, "text": 2, "bye": 3}


def message(run, direction, n, share, key, acknowledged, kind, text=""):
    body, raw = b"", text.encode()
    if kind == "text":
        size = 256
        while size < len(raw):
            size *= 2
        body = u(16, len(raw)) + raw.ljust(size, b"\0")
    data = run["cid"] + u(8, direction) + u(64, n) + share
    return b"\x07" + run["cid"] + u(64, n) + share + gcm(key, u(64, acknowledged) + u(8, KINDS[kind]) + body, data=data)


def opening(what, initiator, responder, offered, spoken, cs_a=None, cs_b=None):
    """One case of opening.json, and the state that the messages go on from."""
    def draw(field, n=32):
        return fixed("opening %s %s" % (what, field), n)

    version = max(set(offered) & set(spoken))
    A, B, cid = name32(initiator), name32(responder), draw("cid", 16)
    run = {"initiator": initiator, "responder": responder, "cid": cid}
    g = {
        "cid": cid, "nonce key": draw("nonce key"), "intro key": draw("intro key"), "ticket key": draw("ticket key"),
        "N_B": draw("N_B", 16), "N_1": draw("N_1", 16), "N_2": draw("N_2", 16), "N_3": draw("N_3", 16), "K": draw("K"), "r": draw("r"),
        "e_A private": draw("e_A"), "e_B private": draw("e_B"), "ML-KEM d": draw("ML-KEM d"), "ML-KEM m": draw("ML-KEM m"),
    }  # fmt: skip
    for b in ("nonce box", "ticket", "intro box", "Offer", "Accept", "Confirm"):
        g["r of " + b] = draw("r of " + b)
    if cs_a:
        g["CS held by A"] = cs_a
    elif version == 2:
        g["mark"] = draw("mark", 16)
    if cs_b:
        g["CS held by B"] = cs_b

    want = b"\x01" + cid + versions(*offered)
    h0 = sha(b"sim/1 peer", A, B, cid, versions(*offered))
    nonce_box = box(g["nonce key"], b"sim/1 box nonce", 0, h0, cid + A + B + g["N_B"], g["r of nonce box"])
    nonce = b"\x02" + cid + u(8, version) + nonce_box
    h2 = sha(h0, nonce)
    intro = cid + g["N_1"] + B + versions(*offered) + u(8, version) + nonce_box
    ticket = box(g["ticket key"], b"sim/1 box ticket", 1, h2, cid + g["K"] + A + B + g["N_B"], g["r of ticket"])
    intro_box = box(g["intro key"], b"sim/1 box intro", 1, sha(h2, g["N_1"]), g["N_1"] + A + B + cid + g["K"] + ticket, g["r of intro box"])
    ht = sha(h2, ticket)
    e_a, e_b = public(g["e_A private"]), public(g["e_B private"])
    commitment = run_hash(b"sim/1 commitment", run, g["r"], e_a)
    mark = b""
    if version == 2:
        mark = expand(cs_a, b"sim/1 continuity mark" + cid)[:16] if cs_a else g["mark"]
    offer = b"\x04" + cid + ticket + box(g["K"], b"sim/1 box offer", 0, ht, g["N_2"] + commitment + mark, g["r of Offer"])
    h5 = sha(ht, offer)
    continued = version == 2 and cs_b is not None and expand(cs_b, b"sim/1 continuity mark" + cid)[:16] == mark
    ek, dk = mlkem.keygen(g["ML-KEM d"], bytes(32))
    plain = g["N_2"] + g["N_3"] + e_b + ek + (u(8, int(continued)) if version == 2 else b"")
    accept = b"\x05" + cid + box(g["K"], b"sim/1 box accept", 1, h5, plain, g["r of Accept"])
    h6 = sha(h5, accept)
    shared, ct = mlkem.encaps(ek, g["ML-KEM m"])
    assert mlkem.decaps(dk, ct) == shared
    confirm = b"\x06" + cid + box(g["K"], b"sim/1 box confirm", 0, h6, g["N_3"] + e_a + g["r"] + ct, g["r of Confirm"])
    h7 = sha(h6, confirm)
    x = dh(g["e_A private"], e_b)
    k_ab = hkdf(x + shared + (cs_b if continued else b""), g["K"], b"sim/1 conversation" + h7)
    chain = expand(k_ab, b"sim/1 chain initiator" + h7)
    key, after = chain_step(chain)
    confirm += message(run, 0, 1, bytes(32), key, 0, "open")

    out = {
        "Want": want, "h0": h0, "Nonce": nonce, "h2": h2, "Intro": intro, "ticket": ticket, "intro box": intro_box, "ht": ht,
        "commitment": commitment, "mark": mark, "Offer": offer, "h5": h5, "e_B": e_b, "ek_B": ek, "Accept": accept, "h6": h6, "e_A": e_a, "ct": ct,
        "X25519": x, "ML-KEM shared secret": shared, "Confirm": confirm, "h7": h7, "K_AB": k_ab, "chain initiator": chain,
    }  # fmt: skip
    talk = {"run": run, "version": version, "h7": h7, "chains": [after, None], "shares": [bytes(32), bytes(32)], "numbers": [1, 0]}
    if not cs_a or version == 1:
        del out["mark"]  # there is none, or it is random
    if version == 1:
        talk["chains"][1] = out["chain responder"] = expand(k_ab, b"sim/1 chain responder" + h7)
    else:
        out["root"] = talk["root"] = expand(k_ab, b"sim/1 root" + h7)
        out["CS"] = expand(k_ab, b"sim/1 continuity" + h7)
        talk.update(last=[e_a, None], private=[g["e_A private"], None], turn=1)
    case = {
        "case": what, "initiator": initiator, "responder": responder, "offered": bytes(offered), "spoken": bytes(spoken), "version": version,
        "continued": continued, "digits": digits(run, e_a, e_b, ek)[1], "in": g, "out": out,
    }  # fmt: skip
    return case, talk


def messages(what, talk, script):
    """A case of messages.json or ratchet.json. In version 2 a line of the script turns if it is the speaker's turn."""
    cases = []
    for i, (speaker, acknowledged, kind, text) in enumerate(script):
        direction = 0 if speaker == talk["run"]["initiator"] else 1
        given, out = {}, {}
        if talk["version"] == 2 and talk["turn"] == direction and talk["last"][1 - direction]:
            private = fixed("messages %s %d private" % (what, i))
            given["private"] = private
            d = dh(private, talk["last"][1 - direction])
            talk["chains"][direction] = hkdf(d, talk["root"], b"sim/1 turn" + talk["h7"])
            talk["root"] = hkdf(d, talk["root"], b"sim/1 root" + talk["h7"])
            talk["shares"][direction] = talk["last"][direction] = public(private)
            talk["turn"] = 1 - direction
            out.update({"d": d, "root": talk["root"], "turn": talk["chains"][direction]})
        talk["numbers"][direction] += 1
        n = talk["numbers"][direction]
        key, talk["chains"][direction] = chain_step(talk["chains"][direction])
        out["message key"] = key
        out["next chain"] = talk["chains"][direction]
        out["message"] = message(talk["run"], direction, n, talk["shares"][direction], key, acknowledged, kind, text)
        case = {"from": speaker, "number": n, "acknowledged": acknowledged, "kind": kind}
        if kind == "text":
            case["text"] = text
        if given:
            case["in"] = given
        cases.append({**case, "out": out})
    return {"opening": what, "messages": cases}


def make_conversations():
    first, talk1 = opening("version 1", "alice", "bob", [1, 2], [1])
    anew, talk2 = opening("version 2, anew", "alice", "bob", [1, 2], [1, 2])
    cs = anew["out"]["CS"]
    follows, talk3 = opening("version 2, follows the one before", "bob", "alice", [1, 2], [1, 2], cs, cs)
    lost, _ = opening("version 2, B holds nothing", "alice", "bob", [2], [1, 2], cs, None)
    other, _ = opening("version 2, B holds another secret", "alice", "bob", [1, 2], [2], cs, follows["out"]["CS"])
    forgot, _ = opening("version 2, A holds nothing", "alice", "bob", [2], [2], None, cs)
    assert follows["continued"] and not (lost["continued"] or other["continued"] or forgot["continued"])
    write("opening.json", "§7 and §7.1: opening a conversation", [first, anew, follows, lost, other, forgot])

    write("messages.json", "§8: messages of version 1", [messages("version 1", talk1, [
        ("bob", 1, "acknowledgement", ""),
        ("alice", 1, "text", "hello bob"),
        ("alice", 1, "text", "ä" * 128),
        ("alice", 1, "text", "ä" * 128 + "x"),
        ("alice", 1, "text", "x" * 8192),
        ("bob", 5, "text", "hello alice"),
        ("alice", 2, "bye", ""),
    ])])
    write("ratchet.json", "§8.1: messages of version 2", [
        messages("version 2, anew", talk2, [
            ("bob", 1, "acknowledgement", ""),
            ("alice", 1, "text", "hello bob"),
            ("alice", 1, "text", "x" * 257),
            ("bob", 3, "text", "hello alice, with an é"),
            ("bob", 3, "text", "again"),
            ("alice", 3, "acknowledgement", ""),
            ("alice", 3, "text", "and on"),
            ("bob", 5, "bye", ""),
        ]),
        messages("version 2, follows the one before", talk3, [
            ("bob", 0, "text", "still me"),
            ("alice", 2, "text", "I know"),
            ("bob", 1, "acknowledgement", ""),
            ("alice", 3, "acknowledgement", ""),
        ]),
    ])


# §9


def make_password_change():
    cases = []
    for what, name, right in (("changed", "alice", True), ("refused: a wrong old password", "bob", False)):
        def draw(field, n=32):
            return fixed("password change %s %s" % (what, field), n)

        g = {field: draw(field) for field in ("h6", "salt secret", "T of the old password", "T of the new password", "a", "b", "r of PasswordSet")}
        g["argon2"] = u(32, 2) + u(32, 19456) + u(8, 1)
        salt = mac(g["salt secret"], name32(name))
        x = srp_x(name, salt, g["T of the old password"])
        g["verifier"] = verifier(x if right else srp_x(name, salt, draw("T of the account")))
        A, B, _, S, theirs = srp(g["verifier"], g["a"], g["b"], x)
        assert (S == theirs) == right
        fresh = verifier(srp_x(name, salt, g["T of the new password"]))
        answer = salt + g["argon2"] + B
        t = State(b"sim/1 password")
        for part in (g["h6"], name32(name), A, answer):
            t.mix_hash(part)
        t.mix_key(b"sim/1 srp", S)
        h, key = t.h, t.derive(b"sim/1 password key")
        sealed = box(key, b"sim/1 box password", 0, h, fresh, g["r of PasswordSet"])
        t.mix_hash(sealed)
        m1 = mac(t.derive(b"sim/1 password M1"), t.h)
        m2 = mac(t.derive(b"sim/1 password M2"), t.h, m1)
        done = b"\0" + m2 if right else b"\x01" + bytes(32)
        cases.append({
            "case": what, "name": name, "changed": right, "in": g,
            "out": {
                "salt": salt, "PasswordBegin": A, "PasswordSalt": answer, "S": S, "h": h, "key": key, "new verifier": fresh, "M1": m1,
                "PasswordSet": m1 + sealed, "Done": done,
            },
        })  # fmt: skip
    write("password_change.json", "§9: changing a password", cases)


# §9.1


def code_written(secret):
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    first20 = int.from_bytes(sha(b"sim/1 code", secret.encode())[:3], "big") >> 4
    whole = secret + "".join(alphabet[first20 >> shift & 31] for shift in (15, 10, 5, 0))
    return "-".join(whole[i:i + 4] for i in range(0, 20, 4))


def make_code():
    secret = "0k1v8wz7cgq3m5xt"
    written = code_written(secret)
    bare = written.replace("-", "")
    cases = [
        {"case": what, "in": {"typed": typed.encode()}, "out": {"password": written.encode()}}
        for what, typed in (
            ("as it is written", written),
            ("in capitals, without dashes", bare.upper()),
            ("in pairs", " ".join(bare[i:i + 2] for i in range(0, 20, 2)) + " "),
            ("letters for digits", written.replace("0", "o").replace("1", "I")),
            ("L for 1", written.replace("0", "O").replace("1", "l")),
        )
    ]
    cases.append({"case": "zeros", "in": {"typed": code_written("0" * 16).encode()}, "out": {"password": code_written("0" * 16).encode()}})
    refused = [
        {"typed": written[:-1].encode(), "why": "19 characters"},
        {"typed": (written + "0").encode(), "why": "21 characters"},
        {"typed": (bare[1] + bare[0] + bare[2:]).encode(), "why": "two characters changed places"},
        {"typed": (bare[:-1] + ("0" if bare[-1] != "0" else "1")).encode(), "why": "a wrong check character"},
        {"typed": bare.replace("k", "u").encode(), "why": "u is no character of a code"},
        {"typed": bare.replace("k", "\u212a").encode(), "why": "the Kelvin sign is no k"},
        {"typed": written.replace("-", "_").encode(), "why": "other signs than dashes and spaces"},
        {"typed": b"-- --", "why": "no characters"},
    ]
    write("code.json", "§9.1: one-time codes as they are typed, and the password that each is", cases, refused=refused)


if __name__ == "__main__":
    make_puzzle()
    make_password()
    make_srp()
    make_box_and_state()
    make_address()
    make_mac1()
    make_resume(make_login())
    make_record()
    make_frames()
    make_digits()
    make_conversations()
    make_password_change()
    make_code()
