"""Resumption without a real server: the numbers, what is kept, and the attempts of resume.py. The handshake is in test_vectors.py."""

import itertools
import socket
import types
import unittest
import unittest.mock

import frames
import login
import records
import resume
from simproto import ProtocolError, sha256

WAIT = 10


def keys(number):
    """The keys of the connection with this number, and the secret that the next is resumed with."""
    return types.SimpleNamespace(
        **{label: sha256(label.encode(), bytes([number])) for label in ("record_client", "record_server", "resumption")},
        session_id=b"0123456789abcdef", seen=0,
    )


class Server:
    """The server's end of a session, one frame at a time, as a test wants it. Each connection is a socket pair."""

    def __init__(self, test):
        self.test = test
        self.connections = -1
        self.handled = 0  # frames of the client
        self.asked = []  # what each attempt to resume said: (secret, seen)
        self.answers = []  # exceptions with which the next attempts end
        self.session = resume.Resumable("sim://test", self.connect(), keys(0))
        test.addCleanup(lambda: self.session.close())
        self.session.alive = True  # as after the first Pong

    def connect(self):
        self.connections += 1
        mine, its = socket.socketpair()
        mine.settimeout(WAIT)
        self.test.addCleanup(mine.close)
        self.sock = mine
        self.sealer = records.Sealer(keys(self.connections).record_server)
        self.opener = records.Opener(keys(self.connections).record_client)
        return its

    def resume(self, address, session_id, secret, seen):
        self.asked.append((secret, seen))
        if self.answers:
            raise self.answers.pop(0)
        sock, new = self.connect(), keys(self.connections)
        new.seen = self.handled
        return sock, new

    def send(self, *some):
        self.sock.sendall(self.sealer.seal(list(some)))

    def cut(self):
        self.sock.close()

    def read(self):
        """The frames of the next record."""
        length = login.read_exactly(self.sock, 2, resume.time.monotonic() + WAIT)
        ciphertext = login.read_exactly(self.sock, int.from_bytes(length, "big"), resume.time.monotonic() + WAIT)
        return self.opener.open(length, ciphertext)


def of_client(n):
    return frames.relay(n, "bob", bytes(8), b"x")


def of_server(n):
    return frames.UNDELIVERABLE, n.to_bytes(4, "big") + b"\1"


class Resumption(unittest.TestCase):
    def setUp(self):
        self.server = Server(self)
        self.session = self.server.session
        patch = unittest.mock.patch.object
        for patched in (patch(login, "resume", self.server.resume), patch(resume.time, "sleep", lambda seconds: None)):
            patched.start()
            self.addCleanup(patched.stop)

    def test_what_was_not_seen_is_repeated(self):
        """Whatever the server had handled when it was cut, it gets the rest, in order, behind a Ping."""
        for sent, handled in itertools.product(range(4), repeat=2):
            if handled > sent:
                continue
            with self.subTest(sent=sent, handled=handled):
                self.setUp()
                for n in range(sent):
                    self.session.send([of_client(n)])
                self.server.handled = handled
                self.server.cut()
                self.session.receive(WAIT)
                self.assertEqual(self.server.read(), [frames.ping()] + [of_client(n) for n in range(handled, sent)])
                self.assertEqual(self.server.asked, [(keys(0).resumption, 0)])

    def test_what_was_handled_is_said(self):
        self.server.send(of_server(1), (frames.PONG, bytes(8)), of_server(2))
        self.assertEqual(len(self.session.receive(WAIT)), 3)
        self.server.cut()
        self.session.receive(WAIT)
        self.server.send(of_server(3))
        self.assertEqual(self.session.receive(WAIT), [frames.Undeliverable(3, 1)])
        self.server.cut()
        self.session.receive(WAIT)
        self.assertEqual(self.server.asked, [(keys(0).resumption, 2), (keys(1).resumption, 3)])

    def test_seen_rides_with_what_is_sent(self):
        self.server.send(of_server(1))
        self.session.receive(WAIT)
        self.session.send([of_client(1)])
        self.session.send([of_client(2)])
        self.assertEqual(self.server.read(), [frames.seen(1), of_client(1)])
        self.assertEqual(self.server.read(), [of_client(2)])

    def test_seen_is_sent_by_itself(self):
        """After 32 frames, after 16 KiB, and a second after the last frame."""
        self.server.send(*[of_server(n) for n in range(resume.SEEN_FRAMES)])
        self.session.receive(WAIT)
        self.assertEqual(self.server.read(), [frames.seen(32)])
        big = frames.RELAYED, frames.pad_name("bob") + b"tag tag " + bytes(10000)
        for _ in range(2):
            self.server.send(big)
            self.session.receive(WAIT)
        self.assertEqual(self.server.read(), [frames.seen(34)])
        self.server.send(of_server(1))
        self.session.receive(WAIT)
        self.session.tick()
        self.session.came -= resume.SEEN_AFTER
        self.session.tick()
        self.assertEqual(self.server.read(), [frames.seen(35)])

    def test_a_seen_that_can_not_be(self):
        for n in range(5):
            self.session.send([of_client(n)])
        self.server.send(frames.seen(3), frames.seen(3), frames.seen(4))
        self.assertEqual(self.session.receive(0.1), [])
        self.assertEqual(list(self.session.kept), [of_client(4)])
        for number in (3, 6):
            self.server.send(frames.seen(number))
            with self.subTest(number=number), self.assertRaises(ProtocolError):
                self.session.receive(WAIT)

    def test_a_seen_that_can_not_be_in_resumed(self):
        self.server.handled = 1
        self.server.cut()
        with self.assertRaises(records.CutOff):
            self.session.receive(WAIT)
        self.assertEqual(len(self.server.asked), 1)

    def test_what_is_kept_is_bounded(self):
        """There is no room until the server says that it handled something."""
        frame = frames.relay(0, "bob", bytes(8), bytes(10000))
        self.session.kept.extend([frame] * (resume.KEPT // resume.size(frame)))
        self.server.send(of_server(1), frames.seen(1))
        self.session.send([frame])
        self.assertEqual(self.session.covered, 1)
        self.assertEqual(self.session.receive(), [frames.Undeliverable(1, 1)])

    def test_attempts_go_on(self):
        """With the same secret, until one is answered; the secret steps then, and only then."""
        self.server.answers = [login.NotReached("no route"), login.NoProof("silence"), login.NotReached("busy", 3)]
        self.server.cut()
        self.session.receive(WAIT)
        self.assertEqual(self.server.asked, [(keys(0).resumption, 0)] * 4)
        self.assertEqual((self.session.secret, self.session.resumptions), (keys(1).resumption, 1))

    def test_attempts_end(self):
        now = itertools.count(resume.time.monotonic(), 20)
        self.server.answers = [login.NotReached("no route")] * 100
        self.server.cut()
        with unittest.mock.patch.object(resume.time, "monotonic", lambda: next(now)), self.assertRaises(records.CutOff):
            self.session.resume()
        self.assertIn(len(self.server.asked), range(5, 8))

    def test_refused(self):
        self.server.answers = [login.SessionOver("no such session")]
        self.server.cut()
        with self.assertRaises(records.CutOff):
            self.session.receive(WAIT)
        self.assertEqual((len(self.server.asked), self.session.alive), (1, False))

    def test_a_close_is_the_end(self):
        self.server.send(frames.close(frames.CLOSE_REPLACED))
        self.assertEqual(self.session.receive(WAIT), [frames.Close(frames.CLOSE_REPLACED)])
        self.server.cut()
        with self.assertRaises(records.CutOff):
            self.session.receive(WAIT)
        self.assertEqual(self.server.asked, [])

    def test_silence_is_a_lost_connection(self):
        self.session.heard -= resume.LOST_AFTER + 1
        self.session.tick()
        self.assertEqual(self.session.resumptions, 1)


if __name__ == "__main__":
    unittest.main()
