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
    answer = _wait(session, (frames.PasswordSalt, frames.Done), seconds)
    if isinstance(answer, frames.Done):
        if answer != frames.Done(NOT_SAVED, bytes(32)):
            raise ProtocolError("a Done out of turn")
        return NOT_SAVED

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


def choose_password(session, name, code, new):
    """The status of Done in a session that a one-time code has begun (§9.1). When it is CHANGED the session is over."""
    if session.receive() != [frames.Notice(frames.CHOOSE_PASSWORD)]:
        raise ProtocolError("the server does not ask for a password with its first Pong")
    status = change_password(session, name, code, new)
    if status == CHANGED:
        _wait(session, frames.Close, 10)
        session.close()
    return status


def _wait(session, kind, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        some = session.receive(1)
        for i, frame in enumerate(some):
            if isinstance(frame, kind):
                session.early = some[i + 1 :]  # of the same record
                return frame
            if isinstance(frame, frames.Close):
                raise ProtocolError("the server ended the session")
    raise ProtocolError("no answer")
