"""A session that outlives its connections: docs/PROTOCOL.md §4.6, all but the handshake, which is in login.py."""

import collections
import functools
import random
import time

import frames
import login
import records
from records import CutOff
from simproto import ProtocolError

KEPT = 256 << 10  # bytes of frames that wait for the server's Seen
SEEN_FRAMES, SEEN_BYTES, SEEN_AFTER = 32, 16 << 10, 1  # when we send a Seen by itself; the last in seconds
LOST_AFTER = 50  # seconds without a record
GIVE_UP_AFTER, FIRST_PAUSE, LONGEST_PAUSE = 120, 0.5, 15


def size(frame):
    return 3 + len(frame[1])


class Resumable(records.Session):
    """A Session that comes back by itself when its connection is lost. It raises CutOff when the session is over."""

    def __init__(self, address, *arguments):
        super().__init__(*arguments)
        self.address = address
        self.secret = self.keys.resumption
        self.alive = False  # from the first Pong to a Close
        self.covered = 0  # the last of our frames that the server has handled
        self.kept = collections.deque()  # our frames after that one
        self.handled = self.told = 0  # the last of the server's that we handled, and that we said so of
        self.untold = 0  # bytes of those between
        self.came = 0.0  # when the last of them came
        self.resumptions = 0

    def greeting(self):
        return super().greeting() + [frames.seen(0)]

    def start(self):
        super().start()
        self.alive = True

    def took(self, kind, body):
        if kind == frames.SEEN:
            self.cover(frames.decode(kind, body).number)
            return []
        if kind == frames.CLOSE:
            self.alive = False
        if kind not in frames.NOT_NUMBERED:
            self.handled += 1
            self.untold += size((kind, body))
            self.came = time.monotonic()
        return super().took(kind, body)

    def cover(self, number):
        if not self.covered <= number <= self.covered + len(self.kept):
            raise ProtocolError("a Seen that goes back, or of a frame that was not sent")
        while self.covered < number:
            self.kept.popleft()
            self.covered += 1

    def send(self, some):
        numbered = [frame for frame in some if frame[0] not in frames.NOT_NUMBERED]
        self.wait_for_room(sum(map(size, numbered)))
        self.kept += numbered
        if self.handled > self.told:
            some = [frames.seen(self.handled)] + some
        try:
            super().send(some)
            self.told, self.untold = self.handled, 0
        except CutOff:
            self.resume()

    def wait_for_room(self, needed):
        early, self.early = self.early, []
        while self.kept and sum(map(size, self.kept)) + needed > KEPT:
            early += self.receive(1)
            self.tick()
        self.early = early

    def receive(self, seconds=0):
        if self.early:
            return super().receive()
        try:
            some = super().receive(seconds)
        except CutOff:
            self.resume()
            return []
        if self.handled - self.told >= SEEN_FRAMES or self.untold >= SEEN_BYTES:
            self.send([])
        return some

    def tick(self):
        now = time.monotonic()
        if now - self.heard > LOST_AFTER:
            self.resume()
        if self.handled > self.told and now - self.came >= SEEN_AFTER:
            self.send([])
        try:
            super().tick()
        except CutOff:
            self.resume()

    def resume(self):
        """Returns when the session has a connection again."""
        self.close()
        give_up = time.monotonic() + GIVE_UP_AFTER
        pause = busy = 0
        while self.alive:
            time.sleep(max(busy, pause * random.uniform(0.5, 1)))
            pause, busy = min(LONGEST_PAUSE, 2 * pause or FIRST_PAUSE), 0
            try:
                self.go_on(*login.resume(self.address, self.keys.session_id, self.secret, self.handled))
                return
            except (login.SessionOver, ProtocolError):
                self.alive = False
                raise CutOff("the session is over") from None
            except (login.NotReached, login.NoProof, CutOff) as error:
                busy = getattr(error, "seconds", 0)
            if time.monotonic() + busy > give_up:
                self.alive = False
        raise CutOff("the connection was cut off")

    def go_on(self, sock, resumed):
        self.connect(sock, resumed)
        self.secret = resumed.resumption
        self.resumptions += 1
        self.cover(resumed.seen)
        self.told, self.untold = self.handled, 0
        super().send([frames.ping(), *self.kept])


def log_in(address, name, password, rekey_records=records.REKEY_RECORDS):
    return records.log_in(address, name, password, rekey_records, functools.partial(Resumable, address))
