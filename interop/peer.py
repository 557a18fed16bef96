"""Conversations: opening one, in both roles (docs/PROTOCOL.md §7), and the messages in it (§8), in versions 1 and 2.

Initiator, Responder and Conversation are one opening or one conversation each; Chains and Ratchet are the keys of a conversation's messages;
Peers drives those of a session.
Nothing here reads or writes a socket: frames go in, frames and events come out.
"""

import os
import time
from collections import namedtuple
from dataclasses import dataclass, field

import frames
import mlkem
from simproto import (
    BOX,
    FROM_INITIATOR,
    FROM_RESPONDER,
    FROM_SERVER,
    TO_SERVER,
    ProtocolError,
    Reader,
    aes_gcm_open,
    aes_gcm_seal,
    expand,
    hkdf,
    open_box,
    pad_name,
    same,
    seal_box,
    sha256,
    u8,
    u16,
    u64,
    version_list,
    x25519,
    x25519_keypair,
)

VERSIONS = (1, 2)  # of conversations
WANT, NONCE, DECLINE, OFFER, ACCEPT, CONFIRM, MESSAGE = range(1, 8)
NO_COMMON_VERSION, NO_CONVERSATION, NOT_NOW = 1, 2, 3  # reasons of Decline

NONCE_BOX = 16 + 32 + 32 + 16 + BOX
TICKET_BOX = 16 + 32 + 32 + 32 + 16 + BOX
FIRST_MESSAGE = 82
MARK = 16

ACK, OPEN, TEXT, BYE = range(4)
TEXT_SIZES = (256, 512, 1024, 2048, 4096, 8192)
MOST_TEXTS, MOST_TEXT_BYTES = 32, 48 * 1024  # that wait for acknowledgement

STEP_WAIT = 15
TEXT_WAIT = 30
WANT_EVERY = 2
FULL_FIRST, FULL_MOST = 0.05, 2


# Opening a conversation, §7


class _Opening:
    """What both roles keep: who, and the transcript hash.

    A handler that raises ProtocolError has changed nothing, and the message is dropped (but see Responder.on_offer).
    """

    def __init__(self, a, b, cid, versions, continuity):
        self.a, self.b, self.cid = pad_name(a), pad_name(b), cid
        self.names = self.a + self.b
        self.versions = versions
        self.version = None  # the chosen one
        self.continuity = continuity  # CS of an earlier conversation with this peer, or None
        self.h = sha256(b"sim/1 peer", self.names, cid, version_list(versions))

    def mix(self, x):
        self.h = sha256(self.h, x)

    def message(self, kind, rest):
        return u8(kind) + self.cid + rest

    def _due(self, message, step):
        if self.step != step:
            raise ProtocolError("a peer message out of turn")
        return Reader(message[17:])

    def commitment(self, r, e_a):
        return sha256(b"sim/1 commitment", self.names, self.cid, r, e_a)

    def mark(self):
        return expand(self.continuity, b"sim/1 continuity mark" + self.cid)[:MARK]

    def conversation(self, initiator, h7, secret, e_a, e_b, ek_b, continued, e_a_private=None):
        if continued:
            secret += self.continuity
        key = hkdf(secret, self.key, b"sim/1 conversation" + h7)
        digest = sha256(b"sim/1 digits", self.names, self.cid, e_a, e_b, ek_b)
        digits = int.from_bytes(digest[:8], "big") % 10**12
        if self.version == 1:
            return Conversation(initiator, self.cid, "%012d" % digits, Chains(initiator, key, h7))
        keys = Ratchet(initiator, key, h7, e_a, e_a_private)
        continuity = expand(key, b"sim/1 continuity" + h7)
        return Conversation(initiator, self.cid, "%012d" % digits, keys, continuity, continued)


class Initiator(_Opening):
    def __init__(self, me, peer, key_intro, versions=VERSIONS, continuity=None):
        super().__init__(me, peer, os.urandom(16), versions, continuity)
        self.key_intro = key_intro
        self.step = WANT  # what was sent last

    def want(self):
        return self.message(WANT, version_list(self.versions))

    def on_nonce(self, message):
        """The body of the Intro frame."""
        reader = self._due(message, WANT)
        version, box = reader.number(1), reader.take(NONCE_BOX)
        reader.end()
        if version not in self.versions:
            raise ProtocolError("a version that was not offered")
        self.version = version
        self.mix(message)
        self.n1 = os.urandom(16)
        self.step = NONCE
        return self.cid + self.n1 + self.b + version_list(self.versions) + u8(version) + box

    def on_ticket(self, box):
        """Offer."""
        if self.step != NONCE:
            raise ProtocolError("a Ticket out of turn")
        reader = open_box(self.key_intro, b"sim/1 box intro", FROM_SERVER, sha256(self.h, self.n1), box)
        n1, names, cid = reader.take(16), reader.take(64), reader.take(16)
        key, ticket = reader.take(32), reader.take(TICKET_BOX)
        reader.end()
        if not same(n1, self.n1) or names != self.names or cid != self.cid:
            raise ProtocolError("an intro box for something else")
        self.key = key
        self.mix(ticket)
        self.e_a_private, self.e_a = x25519_keypair()
        self.r, self.n2 = os.urandom(32), os.urandom(16)
        plaintext = self.n2 + self.commitment(self.r, self.e_a)
        if self.version == 2:
            plaintext += self.mark() if self.continuity else os.urandom(MARK)
        offer = self.message(OFFER, ticket + seal_box(self.key, b"sim/1 box offer", FROM_INITIATOR, self.h, plaintext))
        self.mix(offer)
        self.step = OFFER
        return offer

    def on_accept(self, message):
        """A pair (Confirm with its first message, the conversation)."""
        reader = self._due(message, OFFER)
        reader = open_box(self.key, b"sim/1 box accept", FROM_RESPONDER, self.h, reader.rest())
        n2, n3, e_b, ek_b = reader.take(16), reader.take(16), reader.take(32), reader.take(mlkem.EK_SIZE)
        continued = reader.number(1) if self.version == 2 else 0
        reader.end()
        if not same(n2, self.n2):
            raise ProtocolError("a wrong N_2")
        if continued > 1 or continued and not self.continuity:
            raise ProtocolError("it can't be continued")
        dh = x25519(self.e_a_private, e_b)
        try:
            kem, ct = mlkem.encaps(ek_b)
        except mlkem.MalformedKey as error:
            raise ProtocolError(str(error)) from None
        self.mix(message)
        plaintext = n3 + self.e_a + self.r + ct
        confirm = self.message(CONFIRM, seal_box(self.key, b"sim/1 box confirm", FROM_INITIATOR, self.h, plaintext))
        self.mix(confirm)
        self.step = CONFIRM
        conversation = self.conversation(
            True, self.h, dh + kem, self.e_a, e_b, ek_b, bool(continued), self.e_a_private
        )
        return confirm + conversation.seal(OPEN).data, conversation


class Responder(_Opening):
    def __init__(self, me, peer, cid, versions, version, key_nonce, key_ticket, continuity=None):
        super().__init__(peer, me, cid, versions, continuity)
        self.version = version
        self.key_ticket = key_ticket
        self.n_b = os.urandom(16)
        box = seal_box(key_nonce, b"sim/1 box nonce", TO_SERVER, self.h, cid + self.names + self.n_b)
        self.nonce = self.message(NONCE, u8(version) + box)
        self.mix(self.nonce)
        self.step = NONCE

    def on_offer(self, message):
        """Accept. After a ticket that opens N_B is used up: when this raises then, step is None and nothing can follow."""
        reader = self._due(message, NONCE)
        ticket, box = reader.take(TICKET_BOX), reader.rest()
        reader = open_box(self.key_ticket, b"sim/1 box ticket", FROM_SERVER, self.h, ticket)
        self.step = None
        cid, self.key, names, n_b = reader.take(16), reader.take(32), reader.take(64), reader.take(16)
        reader.end()
        if cid != self.cid or names != self.names or not same(n_b, self.n_b):
            raise ProtocolError("a ticket for something else")
        self.mix(ticket)
        reader = open_box(self.key, b"sim/1 box offer", FROM_INITIATOR, self.h, box)
        n2, self.committed = reader.take(16), reader.take(32)
        mark = reader.take(MARK) if self.version == 2 else None
        reader.end()
        self.continued = bool(mark and self.continuity and same(mark, self.mark()))
        self.mix(message)
        self.e_b_private, self.e_b = x25519_keypair()
        self.ek_b, self.dk_b = mlkem.keygen()
        self.n3 = os.urandom(16)
        plaintext = n2 + self.n3 + self.e_b + self.ek_b
        if self.version == 2:
            plaintext += u8(self.continued)
        accept = self.message(ACCEPT, seal_box(self.key, b"sim/1 box accept", FROM_RESPONDER, self.h, plaintext))
        self.mix(accept)
        self.step = OFFER
        return accept

    def on_confirm(self, message):
        """The conversation, its first message accepted."""
        self._due(message, OFFER)
        if len(message) <= FIRST_MESSAGE:
            raise ProtocolError("a Confirm that is too short")
        confirm, first = message[:-FIRST_MESSAGE], message[-FIRST_MESSAGE:]
        reader = open_box(self.key, b"sim/1 box confirm", FROM_INITIATOR, self.h, confirm[17:])
        n3, e_a, r, ct = reader.take(16), reader.take(32), reader.take(32), reader.take(mlkem.CT_SIZE)
        reader.end()
        if not same(n3, self.n3) or not same(self.committed, self.commitment(r, e_a)):
            raise ProtocolError("a wrong N_3 or commitment")
        secret = x25519(self.e_b_private, e_a) + mlkem.decaps(self.dk_b, ct)
        h7 = sha256(self.h, confirm)
        conversation = self.conversation(False, h7, secret, e_a, self.e_b, self.ek_b, self.continued)
        if first[:17] != u8(MESSAGE) + self.cid or conversation.receive(first) is None:
            raise ProtocolError("the first message does not belong to the conversation")
        return conversation


# Messages, §8


@dataclass
class Sealed:
    number: int
    kind: int
    data: bytes
    text: object = None  # the Text that it carries
    since: float = field(default_factory=time.monotonic)


Received = namedtuple("Received", "kind text")
OLD = Received(None, None)  # a message that was accepted before


NO_SHARE = bytes(32)


def _message_key(chain):
    return expand(chain, b"sim/1 message")


def _step(chain):
    return expand(chain, b"sim/1 step")


class Chains:
    """The message keys of version 1: a chain for each direction."""

    def __init__(self, initiator, key, h7):
        initiators = expand(key, b"sim/1 chain initiator" + h7)
        responders = expand(key, b"sim/1 chain responder" + h7)
        self.chain_out, self.chain_in = (initiators, responders) if initiator else (responders, initiators)

    def seal(self):
        """A pair (share, message key) for the next message."""
        key = _message_key(self.chain_out)
        self.chain_out = _step(self.chain_out)
        return NO_SHARE, key

    def open(self, share):
        """A pair (message key, what to call once the message is good)."""
        if share != NO_SHARE:
            raise ProtocolError("a share in version 1")

        def keep():
            self.chain_in = _step(self.chain_in)

        return _message_key(self.chain_in), keep


class Ratchet:
    """The message keys of version 2, §8.1. Each side turns in turn, and the first turn is the responder's."""

    def __init__(self, initiator, key, h7, e_a, e_a_private):
        self.h7 = h7
        self.root = expand(key, b"sim/1 root" + h7)
        beginning = expand(key, b"sim/1 chain initiator" + h7)
        self.turns = 0  # of both sides
        if initiator:
            self.chain_out, self.share, self.private = beginning, NO_SHARE, e_a_private
            self.chain_in, self.their_share, self.answering = None, None, None
        else:
            self.chain_out, self.share, self.private = None, None, None
            self.chain_in, self.their_share, self.answering = beginning, NO_SHARE, e_a
        # private: of the own last share, until it is answered; answering: the share that the next turn answers, if one is due

    def _turn(self, private, public):
        """A pair (chain, root)."""
        d = x25519(private, public)
        return hkdf(d, self.root, b"sim/1 turn" + self.h7), hkdf(d, self.root, b"sim/1 root" + self.h7)

    def seal(self):
        if self.answering:
            self.private, self.share = x25519_keypair()
            self.chain_out, self.root = self._turn(self.private, self.answering)
            self.answering = None
            self.turns += 1
        key = _message_key(self.chain_out)
        self.chain_out = _step(self.chain_out)
        return self.share, key

    def open(self, share):
        if share == self.their_share:
            chain, root = self.chain_in, None
        elif self.private:
            chain, root = self._turn(self.private, share)
        else:
            raise ProtocolError("a new share, but the last turn was not ours")

        def keep():
            self.chain_in = _step(chain)
            if root:
                self.root, self.their_share, self.answering, self.private = root, share, share, None
                self.turns += 1

        return _message_key(chain), keep


class Conversation:
    def __init__(self, initiator, cid, digits, keys, continuity=None, continued=False):
        self.cid = cid
        self.digits = digits
        self.keys = keys  # Chains or Ratchet
        self.continuity = continuity  # CS of this conversation; version 1 has none
        self.continued = continued
        self.sending = FROM_INITIATOR if initiator else FROM_RESPONDER
        self.sent = 0  # the number of the last message
        self.accepted = 0
        self.settled = 0
        self.unsettled = []  # Sealed, in order

    def seal(self, kind, body=b"", text=None):
        self.sent += 1
        share, key = self.keys.seal()
        header = u64(self.sent) + share
        associated = self.cid + u8(self.sending) + header
        ciphertext = aes_gcm_seal(key, bytes(12), u64(self.accepted) + u8(kind) + body, associated)
        sealed = Sealed(self.sent, kind, u8(MESSAGE) + self.cid + header + ciphertext, text)
        self.unsettled.append(sealed)
        return sealed

    def seal_text(self, text):
        data = text.data
        size = next(size for size in TEXT_SIZES if len(data) <= size)
        return self.seal(TEXT, u16(len(data)) + data.ljust(size, b"\0"), text)

    def receive(self, message):
        """A Received; OLD for a message that was accepted before; None for one that is dropped."""
        try:
            reader = Reader(message[17:])
            number, share = reader.number(8), reader.take(32)
            if number <= self.accepted:
                return OLD
            if number != self.accepted + 1:
                return None
            key, keep = self.keys.open(share)
            associated = self.cid + u8(1 - self.sending) + u64(number) + share
            reader = Reader(aes_gcm_open(key, bytes(12), reader.rest(), associated))
            acknowledged, kind = reader.number(8), reader.number(1)
            text = self._body(reader, kind)
            first = self.sending == FROM_RESPONDER and number == 1
            if acknowledged > self.sent or first != (kind == OPEN):
                return None
        except ProtocolError:
            return None
        keep()
        self.accepted = number
        self.settled = max(self.settled, acknowledged)
        return Received(kind, text)

    def _body(self, reader, kind):
        text = None
        if kind == TEXT:
            size = reader.number(2)
            if not 1 <= size <= TEXT_SIZES[-1]:
                raise ProtocolError("a text has 1 to 8,192 bytes")
            data = reader.take(size)
            reader.zeros(next(s for s in TEXT_SIZES if size <= s) - size)
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                raise ProtocolError("a text is not UTF-8") from None
        elif kind not in (ACK, OPEN, BYE):
            raise ProtocolError("an unknown kind")
        reader.end()
        return text

    def take_settled(self):
        done = [s for s in self.unsettled if s.number <= self.settled]
        self.unsettled = [s for s in self.unsettled if s.number > self.settled]
        return done

    def room_for(self, text):
        waiting = [s.text for s in self.unsettled if s.text]
        return len(waiting) < MOST_TEXTS and sum(len(t.data) for t in waiting) + len(text.data) <= MOST_TEXT_BYTES

    def drop_keys(self):
        self.keys = None


# All conversations of a session


class Text:
    """A text to send; outcome is None until it is "delivered", "failed: …" or "unknown: …"."""

    def __init__(self, text):
        self.data = text.encode("utf-8")
        if not 1 <= len(self.data) <= TEXT_SIZES[-1]:
            raise ValueError("a text is 1 to 8,192 bytes")
        self.outcome = None

    def settle(self, outcome):
        self.outcome = self.outcome or outcome


# Events
Message = namedtuple("Message", "sender text")
Ended = namedtuple("Ended", "name how")
NotConfirmed = namedtuple("NotConfirmed", "name")  # a confirmation of the digits does not hold any longer


@dataclass
class _Outgoing:
    """A peer message that the server may give back as full. Those of a conversation go again together."""

    contact: object
    owner: object  # Initiator, Responder, Conversation, or just something unique
    tag: bytes
    message: bytes
    number: int = 0  # of a Message


class _Contact:
    """One other user."""

    def __init__(self, name):
        self.name = name
        self.tag = None  # of the session that conversation is with
        self.conversation = None
        self.continuity = None  # CS, to prove that the next conversation follows
        self.confirmed = False  # the user has compared the digits
        self.attempt = None  # Initiator
        self.attempt_tag = frames.NO_TAG
        self.attempt_since = 0
        self.responders = {}  # cid: (Responder, tag, since)
        self.queue = []  # Texts that no conversation carries yet
        self.wanted = False  # somebody waits for a conversation
        self.retry_at = None  # when the attempt that gave way begins again
        self.answered_want = -WANT_EVERY
        self.waiting_want = None
        self.failure = None  # why the last attempt failed


class Peers:
    """Feed it relayed, ticket, undeliverable, gone and tick; then send take_frames and look at take_events."""

    def __init__(self, me, keys, versions=VERSIONS):
        self.me = me
        self.versions = list(versions)
        self.keys = keys
        self.contacts = {}
        self.outgoing = {}  # ref: _Outgoing
        self.again = {}  # owner: (when, the _Outgoing to begin with)
        self.backoff = {}  # owner: seconds
        self.ref = 0
        self.frames = []
        self.events = []

    def take_frames(self):
        some, self.frames = self.frames, []
        return some

    def take_events(self):
        some, self.events = self.events, []
        return some

    # Commands

    def send_text(self, name, text):
        """A Text, whose outcome comes later."""
        text = Text(text)
        contact = self._contact(name)
        contact.queue.append(text)
        self._open_or_flush(contact)
        return text

    def want(self, name):
        """Sees to it that there is a conversation, or a failure (see digits)."""
        contact = self._contact(name)
        contact.wanted, contact.failure = True, None
        self._open_or_flush(contact)

    def renew(self, name):
        """Begins another conversation beside the open one, which it replaces when it is good."""
        self._begin(self._contact(name))

    def digits(self, name):
        """The digits, None while the conversation is being opened, or ValueError with the reason of the failure."""
        contact = self._contact(name)
        if contact.conversation:
            return contact.conversation.digits
        if contact.failure and not contact.attempt:
            raise ValueError(contact.failure)
        return None

    def disconnect(self, name):
        """Whether there was something to end. The next conversation with this peer follows none."""
        contact = self._contact(name)
        contact.continuity, contact.confirmed = None, False
        was = bool(contact.conversation or contact.attempt or contact.responders)
        if contact.conversation:
            self._send_sealed(contact, contact.conversation.seal(BYE))
        self._end(contact, "disconnected")
        self._fail_attempt(contact, "disconnected")
        contact.responders.clear()
        return was

    # Frames

    def relayed(self, frame):
        message = frame.message
        contact = self._contact(frame.sender)
        if len(message) < 17 or frame.sender == self.me:
            return
        kind, cid = message[0], message[1:17]
        if kind == WANT:
            self._on_want(contact, frame)
        elif kind == MESSAGE:
            self._on_message(contact, frame, cid)
        elif kind == DECLINE:
            self._on_decline(contact, frame, cid)
        elif kind in (NONCE, ACCEPT):
            self._on_answer(contact, frame, kind, cid)
        elif kind in (OFFER, CONFIRM):
            self._on_request(contact, frame, kind, cid)

    def ticket(self, frame):
        for contact in self.contacts.values():
            attempt = contact.attempt
            if not attempt or attempt.cid != frame.cid:
                continue
            if frame.status == frames.BUSY:
                return self._fail_attempt(contact, "busy")
            if frame.status == frames.REFUSED:
                return self._fail_attempt(contact, "refused")
            try:
                self._relay(contact, attempt, contact.attempt_tag, attempt.on_ticket(frame.box))
                contact.attempt_since = time.monotonic()
            except ProtocolError:
                pass  # dropped; the attempt waits on
            return None

    def undeliverable(self, frame):
        out = self.outgoing.pop(frame.ref, None)
        if out is None:
            return
        if frame.reason == frames.FULL:
            return self._on_full(out)
        contact = out.contact
        if out.owner is contact.attempt:
            self._fail_attempt(contact, "offline" if frame.reason == frames.OFFLINE else "gone")
        elif out.owner is contact.conversation:
            for sealed in out.owner.unsettled:
                if sealed.text and sealed.number >= out.number:
                    sealed.text.settle("failed: offline")
            self._end(contact, "gone")
        elif isinstance(out.owner, Responder):
            contact.responders.pop(out.owner.cid, None)

    def gone(self, frame):
        contact = self._contact(frame.name)
        how = {1: "logged out", 2: "logged in again elsewhere", 3: "lost the connection"}[frame.reason]
        if contact.conversation and contact.tag == frame.tag:
            self._end(contact, how)
            self.events.append(Ended(contact.name, how))
        if contact.attempt and contact.attempt_tag == frame.tag:
            self._fail_attempt(contact, how)
        for cid, (_, tag, _) in list(contact.responders.items()):
            if tag == frame.tag:
                del contact.responders[cid]

    def connection_lost(self):
        for contact in self.contacts.values():
            self._end(contact, "connection lost")
            self._fail_attempt(contact, "connection lost")

    def tick(self):
        now = time.monotonic()
        for owner, (when, out) in list(self.again.items()):
            if now >= when:
                del self.again[owner]
                self._send_again(out)
        for contact in self.contacts.values():
            if contact.waiting_want and now - contact.answered_want >= WANT_EVERY:
                frame, contact.waiting_want = contact.waiting_want, None
                self._on_want(contact, frame)
            for cid, (_, _, since) in list(contact.responders.items()):
                if now - since > STEP_WAIT:
                    del contact.responders[cid]
            if contact.attempt and now - contact.attempt_since > STEP_WAIT:
                self._fail_attempt(contact, "no answer")
            if contact.retry_at and now >= contact.retry_at:
                contact.retry_at = None
                self._open_or_flush(contact)
            if contact.conversation:
                for sealed in contact.conversation.unsettled:
                    if sealed.text and now - sealed.since > TEXT_WAIT:
                        sealed.text.settle("unknown: no answer")

    # Opening

    def _contact(self, name):
        return self.contacts.setdefault(name, _Contact(name))

    def _open_or_flush(self, contact):
        if contact.conversation:
            while contact.queue and contact.conversation.room_for(contact.queue[0]):
                self._send_sealed(contact, contact.conversation.seal_text(contact.queue.pop(0)))
        elif (contact.queue or contact.wanted) and not contact.attempt and not contact.retry_at:
            self._begin(contact)

    def _begin(self, contact):
        contact.attempt = Initiator(self.me, contact.name, self.keys.intro, self.versions, contact.continuity)
        contact.attempt_tag = frames.NO_TAG
        contact.attempt_since = time.monotonic()
        self._relay(contact, contact.attempt, frames.NO_TAG, contact.attempt.want())

    def _opened(self, contact, conversation, tag):
        self._end(contact, "replaced")
        contact.conversation, contact.tag = conversation, tag
        if contact.confirmed and not conversation.continued:
            contact.confirmed = False
            self.events.append(NotConfirmed(contact.name))
        contact.wanted, contact.retry_at, contact.failure = False, None, None

    def _fail_attempt(self, contact, reason):
        contact.attempt = contact.retry_at = None
        contact.wanted, contact.failure = False, reason
        if not contact.conversation:
            self._fail_queue(contact, reason)

    def _fail_queue(self, contact, reason):
        for text in contact.queue:
            text.settle("failed: " + reason)
        contact.queue.clear()

    def _end(self, contact, how):
        """Drops the conversation, if there is one."""
        conversation = contact.conversation
        if conversation:
            for sealed in conversation.unsettled:
                if sealed.text:
                    sealed.text.settle("unknown: " + how)
            if how != "replaced":
                self._fail_queue(contact, how)
            conversation.drop_keys()
            contact.conversation = contact.tag = None

    def _on_want(self, contact, frame):
        cid, now = frame.message[1:17], time.monotonic()
        try:
            reader = Reader(frame.message[17:])
            versions = reader.versions()
            reader.end()
        except ProtocolError:
            return
        known = cid in contact.responders or contact.conversation and contact.conversation.cid == cid
        if known or contact.attempt and self.me < contact.name:
            return
        if now - contact.answered_want < WANT_EVERY:
            contact.waiting_want = frame
            return
        contact.answered_want = now
        if contact.attempt:
            contact.attempt = None
            contact.retry_at = now + STEP_WAIT
        common = set(versions) & set(self.versions)
        if not common:
            return self._decline(contact, frame.tag, cid, NO_COMMON_VERSION)
        responder = Responder(
            self.me, contact.name, cid, versions, max(common), self.keys.nonce, self.keys.ticket, contact.continuity
        )
        contact.responders[cid] = responder, frame.tag, now
        self._relay(contact, responder, frame.tag, responder.nonce)

    def _on_answer(self, contact, frame, kind, cid):
        attempt = contact.attempt
        if not attempt or attempt.cid != cid or contact.attempt_tag not in (frames.NO_TAG, frame.tag):
            return
        try:
            if kind == NONCE:
                body = attempt.on_nonce(frame.message)
                contact.attempt_tag = frame.tag
                self.frames.append(frames.intro(body))
            else:
                confirm, conversation = attempt.on_accept(frame.message)
                contact.attempt = None
                self._opened(contact, conversation, frame.tag)
                self._relay(contact, conversation, frame.tag, confirm, number=1)
                conversation.unsettled[0].data = confirm
                self._open_or_flush(contact)
            contact.attempt_since = time.monotonic()
        except ProtocolError:
            pass  # dropped; the attempt waits on

    def _on_request(self, contact, frame, kind, cid):
        responder, tag, _ = contact.responders.get(cid, (None, None, None))
        if not responder or tag != frame.tag:
            return
        try:
            if kind == OFFER:
                self._relay(contact, responder, tag, responder.on_offer(frame.message))
                contact.responders[cid] = responder, tag, time.monotonic()
            else:
                conversation = responder.on_confirm(frame.message)
                del contact.responders[cid]
                self._opened(contact, conversation, tag)
                contact.continuity = conversation.continuity
                self._send_sealed(contact, conversation.seal(ACK))
                self._open_or_flush(contact)
        except ProtocolError:
            if responder.step is None:
                del contact.responders[cid]

    def _on_decline(self, contact, frame, cid):
        if len(frame.message) != 18 or not NO_COMMON_VERSION <= frame.message[17] <= NOT_NOW:
            return
        if contact.attempt and contact.attempt.cid == cid and contact.attempt_tag in (frames.NO_TAG, frame.tag):
            self._fail_attempt(contact, "declined")
        elif contact.conversation and contact.conversation.cid == cid and contact.tag == frame.tag:
            if frame.message[17] == NO_CONVERSATION:
                self._end(contact, "disconnected")
                self.events.append(Ended(contact.name, "disconnected"))

    def _decline(self, contact, tag, cid, reason):
        self._relay(contact, object(), tag, u8(DECLINE) + cid + u8(reason))

    # Messages

    def _on_message(self, contact, frame, cid):
        conversation = contact.conversation
        if cid in contact.responders or contact.attempt and contact.attempt.cid == cid:
            return None
        if not conversation or conversation.cid != cid or contact.tag != frame.tag:
            return self._decline(contact, frame.tag, cid, NO_CONVERSATION)
        received = conversation.receive(frame.message)
        if received is None:
            return None
        if received is not OLD and conversation.accepted == 1 and conversation.sending == FROM_INITIATOR:
            contact.continuity = conversation.continuity
        for sealed in conversation.take_settled():
            self.backoff.pop(conversation, None)
            if sealed.text:
                sealed.text.settle("delivered")
        if received.kind == TEXT:
            self.events.append(Message(contact.name, received.text))
        if received.kind == BYE:
            contact.continuity, contact.confirmed = None, False
            self._end(contact, "disconnected")
            self.events.append(Ended(contact.name, "disconnected"))
            return None
        if received.kind == TEXT or received is OLD:
            self._send_sealed(contact, conversation.seal(ACK))
        return self._open_or_flush(contact)

    # Relays

    def _relay(self, contact, owner, tag, message, number=0):
        self.ref = (self.ref + 1) % 2**32
        self.outgoing[self.ref] = _Outgoing(contact, owner, tag, message, number)
        self.outgoing.pop((self.ref - 4096) % 2**32, None)  # the server has long taken it
        self.frames.append(frames.relay(self.ref, contact.name, tag, message))

    def _send_sealed(self, contact, sealed):
        conversation = contact.conversation
        if conversation not in self.again:  # else it goes when the waiting is over
            self._relay(contact, conversation, contact.tag, sealed.data, sealed.number)

    def _on_full(self, out):
        owner = out.owner
        waiting = self.again.get(owner)
        if waiting:
            if out.number < waiting[1].number:
                self.again[owner] = waiting[0], out
            return
        seconds = self.backoff.get(owner, FULL_FIRST)
        self.backoff[owner] = min(2 * seconds, FULL_MOST)
        self.again[owner] = time.monotonic() + seconds, out

    def _send_again(self, out):
        if not isinstance(out.owner, Conversation):
            self._relay(out.contact, out.owner, out.tag, out.message)
            return
        for sealed in out.owner.unsettled:
            if sealed.number >= out.number:
                self._relay(out.contact, out.owner, out.tag, sealed.data, sealed.number)
