"""ML-KEM-768 (FIPS 203) in plain Python: key generation, encapsulation, decapsulation.

Written from the standard, for clarity. It does not run in constant time: it is made for interoperability tests, not for secrets.
`python3 mlkem.py` runs its self-check.
"""

import hashlib
import hmac
import os

N = 256  # coefficients of a polynomial
Q = 3329
K = 3  # rank of the module in ML-KEM-768
ETA = 2  # width of the noise, eta1 = eta2 in ML-KEM-768
DU = 10  # bits kept of a coefficient of u
DV = 4  # bits kept of a coefficient of v

EK_SIZE = 384 * K + 32
DK_SIZE = 768 * K + 96
CT_SIZE = 32 * (DU * K + DV)


class MalformedKey(ValueError):
    """An encapsulation key that fails the check of FIPS 203 §7.2."""


# Hashes (§4.1)


def _g(data):
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def _h(data):
    return hashlib.sha3_256(data).digest()


def _j(data):
    return hashlib.shake_256(data).digest(32)


def _prf(seed, counter):
    return hashlib.shake_256(seed + bytes([counter])).digest(64 * ETA)


# Bytes and polynomials (§4.2)


def _encode(poly, bits):
    """ByteEncode: the coefficients, `bits` each, least significant bit first."""
    number = 0
    for i, coefficient in enumerate(poly):
        number |= coefficient << (i * bits)
    return number.to_bytes(32 * bits, "little")


def _decode(data, bits):
    """ByteDecode. For 12 bits the result is not reduced; check_key relies on that, and all other users reduce."""
    number = int.from_bytes(data, "little")
    mask = (1 << bits) - 1
    return [(number >> (i * bits)) & mask for i in range(N)]


def _compress(poly, bits):
    return [((c << bits) + Q // 2) // Q % (1 << bits) for c in poly]


def _decompress(poly, bits):
    return [(c * Q + (1 << (bits - 1))) >> bits for c in poly]


def _sample_ntt(seed):
    """A uniform polynomial of the NTT domain, by rejection."""
    size = 168 * 5
    while True:
        stream = hashlib.shake_128(seed).digest(size)
        poly = []
        for i in range(0, size, 3):
            first = stream[i] | (stream[i + 1] & 15) << 8
            second = stream[i + 1] >> 4 | stream[i + 2] << 4
            poly += [c for c in (first, second) if c < Q]
        if len(poly) >= N:
            return poly[:N]
        size *= 2


def _sample_cbd(data):
    """Centred binomial noise with eta = 2."""
    number = int.from_bytes(data, "little")
    poly = []
    for i in range(N):
        four = number >> (4 * i)
        poly.append(((four & 1) + (four >> 1 & 1) - (four >> 2 & 1) - (four >> 3 & 1)) % Q)
    return poly


# The number-theoretic transform (§4.3)


def _bit_reverse(i):
    return int(f"{i:07b}"[::-1], 2)


_ZETAS = [pow(17, _bit_reverse(i), Q) for i in range(128)]
_GAMMAS = [pow(17, 2 * _bit_reverse(i) + 1, Q) for i in range(128)]


def _ntt(poly):
    f = list(poly)
    i = 1
    length = 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta = _ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length] = (f[j] - t) % Q
                f[j] = (f[j] + t) % Q
        length //= 2
    return f


def _inverse_ntt(poly):
    f = list(poly)
    i = 127
    length = 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta = _ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % Q
                f[j + length] = zeta * (f[j + length] - t) % Q
        length *= 2
    return [c * 3303 % Q for c in f]  # 3303 = 1/128 mod q


def _multiply(f, g):
    """The product of two polynomials of the NTT domain."""
    product = []
    for i, gamma in enumerate(_GAMMAS):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        product += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return product


def _add(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def _dot(left, right):
    total = [0] * N
    for f, g in zip(left, right):
        total = _add(total, _multiply(f, g))
    return total


# K-PKE (§5)


def _matrix(rho):
    return [[_sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def _noise(seed, first, count):
    return [_sample_cbd(_prf(seed, first + i)) for i in range(count)]


def _pke_keygen(d):
    rho, sigma = _g(d + bytes([K]))
    matrix = _matrix(rho)
    s = [_ntt(f) for f in _noise(sigma, 0, K)]
    e = [_ntt(f) for f in _noise(sigma, K, K)]
    t = [_add(_dot(matrix[i], s), e[i]) for i in range(K)]
    ek = b"".join(_encode(f, 12) for f in t) + rho
    return ek, b"".join(_encode(f, 12) for f in s)


def _vector(data):
    return [[c % Q for c in _decode(data[384 * i : 384 * (i + 1)], 12)] for i in range(K)]


def _pke_encrypt(ek, message, randomness):
    t, rho = _vector(ek), ek[384 * K :]
    matrix = _matrix(rho)
    y = [_ntt(f) for f in _noise(randomness, 0, K)]
    e1 = _noise(randomness, K, K)
    (e2,) = _noise(randomness, 2 * K, 1)
    columns = list(zip(*matrix))
    u = [_add(_inverse_ntt(_dot(columns[i], y)), e1[i]) for i in range(K)]
    mu = _decompress(_decode(message, 1), 1)
    v = _add(_add(_inverse_ntt(_dot(t, y)), e2), mu)
    return b"".join(_encode(_compress(f, DU), DU) for f in u) + _encode(_compress(v, DV), DV)


def _pke_decrypt(dk, ct):
    size = 32 * DU
    u = [_decompress(_decode(ct[size * i : size * (i + 1)], DU), DU) for i in range(K)]
    v = _decompress(_decode(ct[size * K :], DV), DV)
    product = _inverse_ntt(_dot(_vector(dk), [_ntt(f) for f in u]))
    return _encode(_compress([(a - b) % Q for a, b in zip(v, product)], 1), 1)


# ML-KEM (§6, §7)


def keygen(d=None, z=None):
    """A pair (encapsulation key, decapsulation key)."""
    d = os.urandom(32) if d is None else d
    z = os.urandom(32) if z is None else z
    ek, dk = _pke_keygen(d)
    return ek, dk + ek + _h(ek) + z


def check_key(ek):
    if len(ek) != EK_SIZE:
        raise MalformedKey("an encapsulation key has %d bytes" % EK_SIZE)
    for i in range(K):
        if max(_decode(ek[384 * i : 384 * (i + 1)], 12)) >= Q:
            raise MalformedKey("a coefficient is not reduced")


def encaps(ek, m=None):
    """A pair (shared secret, ciphertext)."""
    check_key(ek)
    m = os.urandom(32) if m is None else m
    shared, randomness = _g(m + _h(ek))
    return shared, _pke_encrypt(ek, m, randomness)


def decaps(dk, ct):
    """The shared secret. A ciphertext that was not made by encaps gives a pseudo-random one (implicit rejection)."""
    if len(dk) != DK_SIZE or len(ct) != CT_SIZE:
        raise ValueError("a decapsulation key has %d bytes, a ciphertext %d" % (DK_SIZE, CT_SIZE))
    dk_pke, ek = dk[: 384 * K], dk[384 * K : 768 * K + 32]
    h, z = dk[768 * K + 32 : 768 * K + 64], dk[768 * K + 64 :]
    message = _pke_decrypt(dk_pke, ct)
    shared, randomness = _g(message + h)
    if hmac.compare_digest(_pke_encrypt(ek, message, randomness), ct):
        return shared
    return _j(z + ct)


def self_check(rounds=5):
    for _ in range(rounds):
        ek, dk = keygen()
        assert len(ek) == EK_SIZE and len(dk) == DK_SIZE
        shared, ct = encaps(ek)
        assert len(ct) == CT_SIZE and len(shared) == 32
        assert decaps(dk, ct) == shared
        bent = bytes([ct[0] ^ 1]) + ct[1:]
        assert decaps(dk, bent) not in (shared, decaps(dk, ct))
        assert decaps(dk, bent) == decaps(dk, bent)
        try:
            check_key(b"\xff\xff" + ek[2:])
            raise AssertionError("an unreduced key was taken")
        except MalformedKey:
            pass


if __name__ == "__main__":
    self_check()
    print("ML-KEM-768: round trips, implicit rejection and the key check are right")
