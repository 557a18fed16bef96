"""Changing the password within a session: docs/PROTOCOL.md §9."""

import time

import frames
from simproto import (
    ProtocolError,
    SrpClient,
    Symmetric,
    hmac_sha256,
    pad_name,
    password_x,
    same,
    seal_box,
    srp_verifier,
    TO_SERVER,
)

CHANGED, REFUSED, NOT_SAVED = range(3)  # status of Done


def change_password(session, name, old, new, seconds=60):
    """The status of Done. name is folded, the passwords are prepared."""
    srp = SrpClient()
    session.send([(frames.PASSWORD_BEGIN, srp.a)])
    answer = _wait(session, frames.PasswordSalt, seconds)

    shared = srp.shared(answer.b, password_x(old, name, answer.salt, answer.parameters))
    verifier = srp_verifier(password_x(new, name, answer.salt, answer.parameters))
    state = Symmetric(b"sim/1 password")
    for part in (session.keys.h6, pad_name(name), srp.a, answer.body):
        state.mix_hash(part)
    state.mix_key(b"sim/1 srp", shared)
    box = seal_box(state.derive(b"sim/1 password key"), b"sim/1 box password", TO_SERVER, state.h, verifier)
    state.mix_hash(box)
    m1 = hmac_sha256(state.derive(b"sim/1 password M1"), state.h)
    m2 = hmac_sha256(state.derive(b"sim/1 password M2"), state.h, m1)
    session.send([(frames.PASSWORD_SET, m1 + box)])

    done = _wait(session, frames.Done, seconds)
    if not same(done.m2, m2 if done.status == CHANGED else bytes(32)):
        raise ProtocolError("the server does not prove that it made the change")
    return done.status


def _wait(session, kind, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for frame in session.receive(1):
            if isinstance(frame, kind):
                return frame
            if isinstance(frame, frames.Close):
                raise ProtocolError("the server ended the session")
    raise ProtocolError("no answer")
