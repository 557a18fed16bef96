"""The building blocks of the sim protocol: docs/PROTOCOL.md §1 to §3."""

import argon2.low_level
import base64
import binascii
import hashlib
import hmac
import os
import re
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

VERSION = 1  # of the login


class ProtocolError(Exception):
    """The other side did something that docs/PROTOCOL.md does not allow."""


# §1 Notation


def u8(n):
    return n.to_bytes(1, "big")


def u16(n):
    return n.to_bytes(2, "big")


def u32(n):
    return n.to_bytes(4, "big")


def u64(n):
    return n.to_bytes(8, "big")


def lp(x):
    return u16(len(x)) + x


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hmac_sha256(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def same(a, b):
    return hmac.compare_digest(a, b)


def expand(key, info):
    """HKDF-Expand to 32 bytes: one block."""
    return hmac_sha256(key, info, b"\x01")


def hkdf(secret, salt, info):
    return expand(hmac_sha256(salt, secret), info)


def aes_gcm_seal(key, nonce, plaintext, associated=b""):
    return AESGCM(key).encrypt(nonce, plaintext, associated)


def aes_gcm_open(key, nonce, ciphertext, associated=b""):
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        raise ProtocolError("a ciphertext does not open") from None


NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z", re.ASCII)
RESERVED = (
    "admin", "server", "system", "root", "sim", "nobody", "yes",
    "login", "logout", "list", "send", "talk", "verify", "disconnect", "recv", "passwd",
    "block", "unblock", "watch", "unwatch", "help", "quit",
)


def fold_name(text):
    """The name a user typed, as it is used: ASCII upper case becomes lower case."""
    name = "".join(c.lower() if "A" <= c <= "Z" else c for c in text)
    if not NAME.match(name):
        raise ValueError("a user name is 1 to 32 of a-z 0-9 . _ -, and begins with a letter or a digit")
    return name


def pad_name(name):
    return name.encode("ascii").ljust(32, b"\0")


def unpad_name(data):
    name = data.rstrip(b"\0").decode("latin-1")
    if len(data) != 32 or not NAME.match(name):
        raise ProtocolError("a malformed name")
    return name


def version_list(versions):
    return u8(len(versions)) + bytes(versions)


class Reader:
    """Strict decoding: every field is taken in turn, and end() says that there is no more."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        if len(self.data) - self.at < n:
            raise ProtocolError("a field is cut short")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def name(self):
        return unpad_name(self.take(32))

    def versions(self):
        count = self.number(1)
        versions = list(self.take(count))
        if not 1 <= count <= 8 or versions[0] == 0 or versions != sorted(set(versions)):
            raise ProtocolError("a malformed version list")
        return versions

    def zeros(self, n):
        if any(self.take(n)):
            raise ProtocolError("padding is not zero")

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        if self.at != len(self.data):
            raise ProtocolError("something follows the last field")


# X25519 keys, as bytes


def x25519_keypair():
    """A pair (private, public), 32 bytes each."""
    private = X25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()),
        private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
    )


def x25519(private, public):
    try:
        shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # an all-zero result
        shared = bytes(32)
    if not any(shared):
        raise ProtocolError("an X25519 result of all zeros")
    return shared


# §2.1 The symmetric state


class Symmetric:
    def __init__(self, label):
        self.h = sha256(label)
        self.ck = self.h

    def mix_hash(self, x):
        self.h = sha256(self.h, x)

    def mix_key(self, label, secret):
        self.ck = hkdf(secret, self.ck, label + self.h)

    def derive(self, label):
        return expand(self.ck, label + self.h)


# §2.2 Boxes

BOX = 48  # how much longer a box is than its plaintext
TO_SERVER = FROM_INITIATOR = 0
FROM_SERVER = FROM_RESPONDER = 1


def _box_key(key, label, direction, context, r):
    return hkdf(key, r, label + u8(direction) + context)


def seal_box(key, label, direction, context, plaintext):
    r = os.urandom(32)
    return r + aes_gcm_seal(_box_key(key, label, direction, context, r), bytes(12), plaintext)


def open_box(key, label, direction, context, box):
    """A Reader of the plaintext."""
    return Reader(aes_gcm_open(_box_key(key, label, direction, context, box[:32]), bytes(12), box[32:]))


# §2.3 The puzzle

ANSWERS = 16
CHALLENGE_BITS = 26  # the most work taken on
SALT_BITS = 22


def solve_puzzle(puzzle, binding, most_bits):
    reader = Reader(puzzle)
    seed, count, bits = reader.take(32), reader.number(1), reader.number(1)
    reader.end()
    if count != ANSWERS or 1 <= bits <= 3 or bits > 30:
        raise ProtocolError("a malformed puzzle")
    if bits > most_bits:
        raise ProtocolError("the puzzle is too much work")
    if bits == 0:
        return bytes(8 * ANSWERS)
    shift = 256 - (bits - 4)
    p = sha256(b"sim/1 puzzle", seed, binding)
    solution = b""
    for i in range(ANSWERS):
        prefix = hashlib.sha256(p + u8(i))
        counter = 0
        while True:
            attempt = prefix.copy()
            attempt.update(u64(counter))
            if int.from_bytes(attempt.digest(), "big") >> shift == 0:
                break
            counter += 1
        solution += u64(counter)
    return solution


# §2.4 From the password to x


CODE_CHARACTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def code_check(secret):
    """The four check characters of a one-time code (§9.1)."""
    first20 = int.from_bytes(sha256(b"sim/1 code", secret.encode("ascii"))[:3], "big") >> 4
    return "".join(CODE_CHARACTERS[first20 >> shift & 31] for shift in (15, 10, 5, 0))


def parse_code(text):
    """The written form of a one-time code (§9.1), or None for what is no code."""
    if not text.isascii():
        return None
    typed = text.lower().replace("-", "").replace(" ", "").translate(str.maketrans("oil", "011"))
    if len(typed) != 20 or any(c not in CODE_CHARACTERS for c in typed) or code_check(typed[:16]) != typed[16:]:
        return None
    return "-".join(typed[i : i + 4] for i in range(0, 20, 4))


def prepare_password(text):
    """RFC 8265 OpaqueString, in part: spaces are mapped, NFC is applied, controls are refused. It is the whole for ASCII.
    A one-time code has its written form."""
    text = parse_code(text) or text
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(c) in ("Cc", "Cn", "Cs", "Co", "Cf") for c in text):
        raise ValueError("the password has a character that is not allowed")
    password = text.encode("utf-8")
    if not 10 <= len(password) <= 256:
        raise ValueError("a password has 10 to 256 bytes")
    return password


def password_x(password, name, salt, argon2_parameters):
    """x, from the prepared password, the name without padding, and the 9 bytes of parameters as they came."""
    reader = Reader(argon2_parameters)
    time, memory, threads = reader.number(4), reader.number(4), reader.number(1)
    reader.end()
    if not 19456 <= memory <= 1048576 or time * memory < 38912 or not 1 <= time <= 16 or not 1 <= threads <= 16:
        raise ProtocolError("Argon2id parameters out of range")
    t = argon2.low_level.hash_secret_raw(
        password, salt, time, memory, threads, hash_len=32, type=argon2.low_level.Type.ID, version=0x13
    )
    return int.from_bytes(sha256(salt, sha256(name.encode("ascii"), b":", t)), "big")


# §2.5 SRP-6a

SRP_N = int(
    "AC6BDB41324A9A9BF166DE5E1389582FAF72B6651987EE07FC3192943DB56050A37329CBB4A099ED8193E0757767A13D"
    "D52312AB4B03310DCD7F48A9DA04FD50E8083969EDB767B0CF6095179A163AB3661A05FBD5FAAAE82918A9962F0B93B8"
    "55F97993EC975EEAA80D740ADBF4FF747359D041D5C33EA71D281E446B14773BCA97B43A23FB801676BD207A436C6481"
    "F1D2B9078717461A5B9D32E688F87748544523B524B0D57D5EA77A2775D2ECFA032CFBDBF52FB3786160279004E57AE6"
    "AF874E7303CE53299CCC041C7BC308D82A5698F3A8D0C38271AE35F8E9DBFBB694B5C803D89F7AE435DE236D525F5475"
    "9B65E372FCD68EF20FA7111F9E4AFF73",
    16,
)
SRP_G = 2
SRP_SIZE = 256  # of a group element


def srp_pad(n):
    return n.to_bytes(SRP_SIZE, "big")


SRP_K = int.from_bytes(sha256(srp_pad(SRP_N), srp_pad(SRP_G)), "big")


def srp_verifier(x):
    return srp_pad(pow(SRP_G, x, SRP_N))


class SrpClient:
    def __init__(self):
        self.secret = int.from_bytes(os.urandom(32), "big")
        self.a = srp_pad(pow(SRP_G, self.secret, SRP_N))  # A, as bytes

    def shared(self, b, x):
        """S, as 256 bytes, from B as bytes and x."""
        number = int.from_bytes(b, "big")
        if len(b) != SRP_SIZE or number in (0, 1, SRP_N - 1) or number >= SRP_N:
            raise ProtocolError("B is out of range")
        u = int.from_bytes(sha256(self.a, b), "big")
        if u == 0:
            raise ProtocolError("u is zero")
        base = (number - SRP_K * pow(SRP_G, x, SRP_N)) % SRP_N
        return srp_pad(pow(base, self.secret + u * x, SRP_N))


# §3 The server's address

ADDRESS = re.compile(r"sim://([A-Za-z0-9_-]{46})@(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@]+)):([1-9][0-9]{0,4})\Z", re.ASCII)


def parse_address(text):
    """(pk_S, host, port)"""
    match = ADDRESS.match(text)
    if not match:
        raise ValueError("an address is sim://KEY@HOST:PORT")
    try:
        key = base64.b64decode(match[1] + "==", altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("the key of the address is malformed") from None
    if base64.urlsafe_b64encode(key).decode("ascii").rstrip("=") != match[1]:
        raise ValueError("the key of the address has unused bits that are not zero")
    if sha256(b"sim/1 address", key[:32])[:2] != key[32:]:
        raise ValueError("the key of the address was mistyped")
    port = int(match[4])
    if port > 65535:
        raise ValueError("a port is 1 to 65535")
    return key[:32], match[2] or match[3], port
