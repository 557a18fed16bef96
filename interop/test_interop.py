"""The real server and the real client against this one. Run it with `python3 -m unittest -v`; see README.md."""

import contextlib
import copy
import os
import queue
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

import frames
import login
import mlkem
import passwd
import peer
import records
import resume
from simproto import (
    BOX,
    hmac_sha256,
    lp,
    parse_address,
    prepare_password,
    sha256,
    u8,
    u64,
    version_list,
)

HERE = os.path.dirname(os.path.abspath(__file__))
WAIT = 30  # the longest that a line may take
USERS = ("alice", "bob", "carol", "dave")


def password_of(name):
    return "correct horse battery staple " + name


class Program:
    """A running program: its lines come by expect, its input goes by say."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=HERE
        )
        self.lines = queue.Queue()
        self.seen = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode("utf-8").rstrip("\n"))
        self.lines.put(None)

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines).encode("utf-8"))
        self.process.stdin.flush()

    def expect(self, pattern, seconds=WAIT):
        """The match of the next line that matches as a whole; what comes before it is passed over."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError("%r did not come, but %r" % (pattern, [s[:200] for s in self.seen[-50:]]))
            self.seen.append(line)
            match = re.fullmatch(pattern, line)
            if match:
                return match

    def end(self, seconds=WAIT):
        """Closes the input; the exit code."""
        self.process.stdin.close()
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:
                pass


class Bender:
    """A proxy before the server that passes bytes on, and flips a bit of the next bytes in a direction when it is told to."""

    def __init__(self, address):
        _, host, port = parse_address(address)
        self.target = host, port
        self.bend = {"up": False, "down": False}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "%s@127.0.0.1:%d" % (address.split("@")[0], self.listener.getsockname()[1])
        self.open = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target, timeout=WAIT)
            except OSError:
                return
            self.open += [near, far]
            threading.Thread(target=self._pass, args=(near, far), daemon=True).start()

    def _pass(self, near, far):
        ways = {near: (far, "up"), far: (near, "down")}
        while True:
            try:
                for source in select.select([near, far], [], [])[0]:
                    to, way = ways[source]
                    data = source.recv(1 << 16)
                    if not data:
                        near.close()
                        far.close()
                        return
                    if self.bend[way]:
                        self.bend[way] = False
                        data = data[:-1] + bytes([data[-1] ^ 1])
                    to.sendall(data)
            except (OSError, ValueError):
                return

    def close(self):
        for sock in self.open:
            sock.close()


class Talker:
    """A session and its conversations without a command line, to do what a good client doesn't."""

    def __init__(self, address, name, versions=peer.VERSIONS, log_in=records.log_in, **options):
        self.session = log_in(address, name, prepare_password(password_of(name)), **options)
        self.peers = peer.Peers(name, self.session.keys, versions)
        self.got = []  # frames, and events of conversations

    def work(self, seconds):
        for frame in self.session.receive(seconds):
            self.got.append(frame)
            kinds = {frames.Relayed: self.peers.relayed, frames.Ticket: self.peers.ticket,
                     frames.Undeliverable: self.peers.undeliverable, frames.Gone: self.peers.gone}
            kinds.get(type(frame), lambda _: None)(frame)
        self.peers.tick()
        self.got += self.peers.take_events()
        some = self.peers.take_frames()
        if some:
            self.session.send(some)

    def until(self, condition, seconds=WAIT):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("it did not come, but %r" % self.got)
            self.work(0.05)

    def next(self, kind):
        """The next frame or event of this kind; what came before is forgotten."""
        self.got.clear()
        self.until(lambda: any(isinstance(one, kind) for one in self.got))
        return next(one for one in self.got if isinstance(one, kind))

    def quiet(self, seconds):
        """What came in that time."""
        before = len(self.got)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.work(0.05)
        return self.got[before:]

    def send(self, name, text):
        text = self.peers.send_text(name, text)
        self.until(lambda: text.outcome)
        return text.outcome

    def conversation(self, name):
        self.peers.want(name)
        self.until(lambda: self.peers.digits(name))
        contact = self.peers.contacts[name]
        return contact.conversation, contact.tag

    def renew(self, name):
        """Another conversation in the place of the open one."""
        contact = self.peers.contacts[name]
        before = contact.conversation
        self.peers.renew(name)
        self.until(lambda: contact.conversation is not before and contact.conversation.accepted)
        return contact.conversation

    def relay(self, to, tag, message, answers=0):
        """Sends a peer message of the test's own; what the receiver answers, at least so many messages.

        It is followed by a Message with an unknown cid. The receiver's Decline of that says that there is no other answer.
        """
        cid = os.urandom(16)
        decline = u8(peer.DECLINE) + cid + u8(peer.NO_CONVERSATION)
        fence = u8(peer.MESSAGE) + cid + bytes(65)
        before = len(self.got)
        self.session.send([frames.relay(0xFFFFFFFF, to, at, m) for at, m in ((tag, message), (tag, fence))])

        def got():
            return [frame.message for frame in self.got[before:] if isinstance(frame, frames.Relayed)]

        self.until(lambda: decline in got() and len(got()) > answers)
        self.quiet(0.1)
        return [m for m in got() if m != decline]


class Interop(unittest.TestCase):
    """A server, and clients of it that end with the test."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.sim = os.environ.get("SIM_BINARY")
        if not cls.sim:
            cls.sim = os.path.join(cls.folder.name, "sim")
            subprocess.run(["go", "build", "-o", cls.sim, "."], cwd=os.path.dirname(HERE), check=True, timeout=600)
        cls.sim = os.path.abspath(cls.sim)
        database = os.path.join(cls.folder.name, "sim.db")
        for name in USERS:
            with open(cls.password_file(name), "w", encoding="utf-8", opener=private) as file:
                file.write(password_of(name) + "\n")
            subprocess.run(
                [cls.sim, "adduser", "--db", database, "--password-file", cls.password_file(name), name],
                check=True, timeout=60, stdout=subprocess.DEVNULL,
            )
        cls.server = Program(cls.sim, "server", "--db", database, "--listen", "127.0.0.1:0")
        cls.addClassCleanup(cls.server.kill)
        cls.address = cls.server.expect(r"sim://\S+").group()

    @classmethod
    def password_file(cls, name):
        return os.path.join(cls.folder.name, name + ".password")

    def start(self, *command, user, address=None, password_file=None, flags=()):
        program = Program(
            *command, "--server", address or self.address, "--user", user,
            "--password-file", password_file or self.password_file(user), *flags,
        )
        self.addCleanup(program.kill)
        return program

    def python(self, user, **options):
        client = self.start(sys.executable, os.path.join(HERE, "simclient.py"), user=user, **options)
        client.expect("= logged in as " + user)
        return client

    def real(self, user, **options):
        # One that is killed at the end of a test leaves no session for the next.
        client = self.start(self.sim, "client", "--no-color", "--reconnect", "0", user=user, **options)
        client.expect("= logged in as " + user)
        return client

    def stop(self, *programs):
        """Ends them now: a session that is replaced soon after another holds the newer one up (§4.5)."""
        for program in programs:
            program.kill()

    def talker(self, user, **options):
        talker = Talker(self.address, user, **options)
        self.addCleanup(talker.session.close)
        return talker

    def bender(self):
        bender = Bender(self.address)
        self.addCleanup(bender.close)
        return bender


class Sessions(Interop):
    def test_log_in_and_out(self):
        alice = self.python("alice")
        alice.say("logout")
        alice.expect("= logged out alice")
        self.assertEqual(alice.end(), 0)

    def test_wrong_password_is_refused(self):
        for user, whose in (("alice", "bob"), ("nobody", "bob")):
            client = self.start(
                sys.executable, os.path.join(HERE, "simclient.py"), user=user, password_file=self.password_file(whose)
            )
            client.expect("login refused: .*")
            self.assertEqual(client.end(), 3)

    def test_wrong_key_gets_silence(self):
        """§4.3: before a right mac1 there is no answer, and the connection ends 5 s after it began."""
        _, host, port = parse_address(self.address)
        hello = bytes([login.HELLO]) + version_list([1]) + bytes(32 + 16)
        with socket.create_connection((host, port), timeout=10) as sock:
            began = time.monotonic()
            sock.sendall(lp(hello))
            self.assertEqual(sock.recv(1), b"")
            self.assertAlmostEqual(time.monotonic() - began, 5, delta=1)

    def test_refusal_of_another_version(self):
        pk_s, host, port = parse_address(self.address)
        hello = bytes([login.HELLO]) + version_list([99]) + bytes(32)
        hello += hmac_sha256(sha256(b"sim/1 mac1", pk_s), hello)[:16]
        with socket.create_connection((host, port), timeout=10) as sock:
            sock.sendall(lp(hello))
            self.assertEqual(sock.recv(100), lp(bytes([login.REFUSAL]) + version_list([1])))

    def test_list(self):
        bob = self.real("bob")
        alice = self.python("alice")
        alice.say("list", "list b", "list carol")
        alice.expect(r"= online \(2\): alice bob")
        alice.expect(r"= online \(1\): bob")
        alice.expect(r"= online \(0\): ?")
        bob.say("list")
        bob.expect(r"= online \(2\): alice bob")

    def test_watch(self):
        alice = self.talker("alice")
        alice.session.send([frames.watch(["bob", "nobody"])])
        alice.until(lambda: frames.Presence({"bob": False, "nobody": False}) in alice.got)
        self.real("bob")
        alice.until(lambda: frames.Presence({"bob": True}) in alice.got)

    def test_replaced(self):
        first = self.python("alice")
        self.real("alice")
        first.expect(r"\* replaced by a newer login")
        self.assertEqual(first.end(), 6)

    def test_rekey(self):
        bob = self.real("bob")
        alice = self.talker("alice", rekey_records=2)
        for i in range(10):
            self.assertEqual(alice.send("bob", "text %d" % i), "delivered")
            bob.expect("< alice: text %d" % i)

    def test_password_change(self):
        dave = self.talker("dave")
        old, new = prepare_password(password_of("dave")), prepare_password("another horse battery staple dave")
        self.assertEqual(passwd.change_password(dave.session, "dave", new, new), passwd.REFUSED)
        self.assertEqual(passwd.change_password(dave.session, "dave", old, new), passwd.CHANGED)
        with self.assertRaises(login.LoginRefused):
            records.log_in(self.address, "dave", old)
        records.log_in(self.address, "dave", new).close()
        again = records.log_in(self.address, "dave", new)
        self.addCleanup(again.close)
        self.assertEqual(passwd.change_password(again, "dave", new, old), passwd.CHANGED)

    def invite(self, name):
        """A new code for a new name, or for one that has an account."""
        command = ["adduser", "--invite", name] if name not in self.invited else ["users", "passwd", "--invite", name]
        self.invited.add(name)
        command[-1:] = ["--db", os.path.join(self.folder.name, "sim.db"), name]
        printed = subprocess.run([self.sim, *command], check=True, timeout=60, capture_output=True, text=True).stdout
        return prepare_password(re.search("^code: (.*)$", printed, re.MULTILINE).group(1))

    invited = set()

    def test_one_time_code(self):
        """§9.1: a code lets in once, to choose a password, and nobody sees who is to choose."""
        code, new = self.invite("erin"), prepare_password("another horse battery staple erin")
        alice = self.python("alice")
        choosing = records.log_in(self.address, "erin", code)
        self.addCleanup(choosing.close)
        alice.say("list erin")
        alice.expect(r"= online \(0\): ?")
        self.assertEqual(passwd.choose_password(choosing, "erin", code, new), passwd.CHANGED)
        with self.assertRaises(login.LoginRefused):
            records.log_in(self.address, "erin", code)
        erin = records.log_in(self.address, "erin", new)
        self.addCleanup(erin.close)
        alice.say("list erin")
        alice.expect(r"= online \(1\): erin")

        # A reset by code ends that session; of two codes the newer counts.
        older, newer = self.invite("erin"), self.invite("erin")
        self.assertEqual(erin.receive(WAIT), [frames.Close(frames.CLOSE_REMOVED)])
        for refused in (older, new):
            with self.assertRaises(login.LoginRefused):
                records.log_in(self.address, "erin", refused)
        choosing = records.log_in(self.address, "erin", newer)
        self.addCleanup(choosing.close)
        self.assertEqual(choosing.receive(), [frames.Notice(frames.CHOOSE_PASSWORD)])
        choosing.send([frames.list_users()])
        self.assertEqual(choosing.receive(WAIT), [frames.Close(frames.CLOSE_PROTOCOL_ERROR)])

    def test_a_bent_record_ends_the_connection(self):
        """Both ways, of both clients."""
        for start, way in ((self.python, "up"), (self.python, "down"), (self.real, "up"), (self.real, "down")):
            with self.subTest(client=start.__name__, way=way):
                bender = self.bender()
                client = start("alice", address=bender.address)
                bender.bend[way] = True
                client.say("list")
                self.assertEqual(client.end(), 4)
                self.assertFalse(any(line.startswith("= online") for line in client.seen))

    def test_a_bent_record_is_not_answered(self):
        """But for the Close."""
        alice = self.talker("alice")
        wire = alice.session.sealer.seal([frames.list_users()])
        alice.session.send_bytes(wire[:-1] + bytes([wire[-1] ^ 1]))
        with self.assertRaises(records.CutOff):
            alice.quiet(10)
        self.assertEqual(alice.got, [frames.Close(frames.CLOSE_PROTOCOL_ERROR)])

    def test_a_close_is_answered(self):
        """And to the others that session was lost, not logged out."""
        bob = self.real("bob")
        alice = self.talker("alice")
        self.assertEqual(alice.send("bob", "hello"), "delivered")
        alice.session.send([frames.close(frames.CLOSE_DONE)])
        with self.assertRaises(records.CutOff):
            alice.quiet(10)
        self.assertEqual(alice.got[-1], frames.Close(frames.CLOSE_DONE))
        bob.expect(r"\* alice lost the connection")

    def test_an_unknown_frame_ends_the_session(self):
        not_a_name = b"-".ljust(64, b"\0")
        for kind, body in (
            (0x7F, b""), (frames.PONG, bytes(8)), (frames.PING, bytes(9)), (frames.LIST, not_a_name),
            (frames.PASSWORD_SET, bytes(336)), (frames.PASSWORD_BEGIN, bytes(256)), (frames.REKEY, b"x"),
        ):
            with self.subTest(kind=kind):
                alice = self.talker("alice")
                alice.session.send([(kind, body)])
                with self.assertRaises(records.CutOff):
                    alice.quiet(10)
                self.assertEqual(alice.got, [frames.Close(frames.CLOSE_PROTOCOL_ERROR)])


class Resumption(Interop):
    """§4.6 with the real server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        probe = Talker(cls.address, "dave", log_in=resume.log_in)
        cls.addClassCleanup(probe.session.close)
        patch = unittest.mock.patch.object
        with patch(resume, "GIVE_UP_AFTER", 0), patch(login, "SALT_WAIT", 5):
            try:
                cls.cut(probe).quiet(0.2)
            except records.CutOff as error:
                raise unittest.SkipTest("this server does not resume sessions: %s" % error) from None

    @staticmethod
    def cut(talker):
        with contextlib.suppress(OSError):  # on a busy machine the last cut may not have been followed by another connection yet
            talker.session.sock.shutdown(socket.SHUT_RDWR)
        return talker

    def test_texts_over_cuts(self):
        """Each arrives once and in its order, both ways, and nobody sees that there was a cut."""
        bob = self.real("bob")
        alice = self.talker("alice", log_in=resume.log_in)
        texts = []
        for i in range(20):
            texts.append(alice.peers.send_text("bob", "to bob %d" % i))
            if i % 3 == 0:
                self.cut(alice)
            alice.work(0)
            bob.say("send alice to alice %d" % i)
            if i % 4 == 0:
                self.cut(alice)
            alice.work(0.05)
        alice.until(lambda: all(text.outcome for text in texts))
        self.assertEqual({text.outcome for text in texts}, {"delivered"})
        for i in range(20):
            bob.expect("< alice: to bob %d" % i)
        alice.until(lambda: len(self.texts(alice)) == 20)
        self.assertEqual(self.texts(alice), ["to alice %d" % i for i in range(20)])
        self.assertEqual([line for line in bob.seen if line.startswith("*")], [])
        self.assertGreater(alice.session.resumptions, 5)

    def texts(self, talker):
        return [one.text for one in talker.got if isinstance(one, peer.Message)]

    def test_a_session_that_is_over(self):
        """A newer login takes the place of a session without a connection."""
        alice = self.cut(self.talker("alice", log_in=resume.log_in))
        self.real("alice")
        with self.assertRaises(records.CutOff):
            alice.quiet(10)


class Conversations(Interop):
    def test_python_to_real(self):
        bob = self.real("bob")
        alice = self.python("alice")
        alice.say("send bob hello, bob")
        bob.expect("< alice: hello, bob")
        alice.expect("= bob: delivered")
        bob.say("send alice and back")
        alice.expect("< bob: and back")
        bob.expect("= alice: delivered")
        self.assertEqual(alice.end(), 0)
        self.assertEqual(bob.end(), 0)

    def test_real_to_python(self):
        bob = self.python("bob")
        alice = self.real("alice")
        alice.say("send bob hello, bob")
        bob.say("recv 1 20s")
        bob.expect("< alice: hello, bob")
        bob.expect("= received 1")
        alice.expect("= bob: delivered")
        bob.say("send alice and back")
        alice.expect("< bob: and back")
        bob.expect("= alice: delivered")

    def test_nobody_is_offline(self):
        alice = self.python("alice")
        alice.say("send carol hello", "send nobody hello")
        alice.expect("= carol: failed: offline")
        alice.expect("= nobody: failed: offline")
        self.assertEqual(alice.end(), 1)

    def python_1(self, user):
        return self.python(user, flags=["--version-1"])

    def test_version_1(self):
        """The real client falls back, in both roles."""
        bob = self.real("bob")
        for who in ("alice", "carol"):
            one = self.python_1(who)
            if who == "alice":
                one.say("send bob hello, bob")
                bob.expect("< alice: hello, bob")
            for i in range(5):
                bob.say("send %s %d" % (who, i))
                one.expect("< bob: %d" % i)
                one.say("send bob %d" % i)
                bob.expect("< %s: %d" % (who, i))
                one.expect("= bob: delivered")
            self.assertEqual(one.end(), 0)

    def test_digits(self):
        """Each of the two opens the conversation once, in each version."""
        pattern = r"= verify (?:alice|bob): (\d{3}(?: \d{3}){3}) \(not confirmed\)"
        for opener, other in (
            (self.python, self.real), (self.real, self.python), (self.python_1, self.real), (self.real, self.python_1),
        ):
            with self.subTest(initiator=opener.__name__, responder=other.__name__):
                bob = other("bob")
                alice = opener("alice")
                alice.say("send bob hello")
                alice.expect("= bob: delivered")
                alice.say("verify bob")
                bob.say("verify alice")
                self.assertEqual(alice.expect(pattern)[1], bob.expect(pattern)[1])
                self.stop(alice, bob)

    def test_verify_opens(self):
        self.real("bob")
        alice = self.python("alice")
        alice.say("verify bob")
        alice.expect(r"= verify bob: [\d ]{15} \(not confirmed\)")

    def test_disconnect(self):
        for ender, other in ((self.python, self.real), (self.real, self.python)):
            with self.subTest(ends=ender.__name__):
                bob = other("bob")
                alice = ender("alice")
                alice.say("send bob hello", "disconnect bob")
                alice.expect("= disconnected from bob")
                bob.expect(r"\* alice disconnected")
                time.sleep(peer.WANT_EVERY)
                bob.say("send alice a new conversation")
                alice.expect("< bob: a new conversation")
                bob.expect("= alice: delivered")
                self.stop(alice, bob)

    def test_logout_is_told(self):
        for ender, other in ((self.python, self.real), (self.real, self.python)):
            with self.subTest(ends=ender.__name__):
                bob = other("bob")
                alice = ender("alice")
                alice.say("send bob hello", "logout")
                alice.expect("= logged out alice")
                bob.expect(r"\* alice logged out")
                self.stop(alice, bob)

    def test_sizes(self):
        """Texts at the edges of the paddings, to 8 KiB, both ways."""
        bob = self.real("bob")
        alice = self.python("alice")
        for size in (1, 256, 257, 4096, 4097, 8191, 8192):
            text = "x" * (size % 2) + "é" * (size // 2)
            alice.say("send bob " + text)
            bob.expect("< alice: " + text)
            alice.expect("= bob: delivered")
            bob.say("send alice " + text)
            alice.expect("< bob: " + text)
            bob.expect("= alice: delivered")

    def test_forty_texts(self):
        """More than may wait for acknowledgement, both ways at the same time."""
        bob = self.real("bob")
        alice = self.python("alice")
        alice.say(*("send bob text %d" % i for i in range(40)))
        bob.say(*("send alice text %d" % i for i in range(40)))
        for i in range(40):
            alice.expect("< bob: text %d" % i)
            bob.expect("< alice: text %d" % i)
        for client in (alice, bob):
            code = client.end()
            client.reader.join(WAIT)
            lines = client.seen + list(client.lines.queue)
            self.assertEqual(code, 0, lines)
            self.assertEqual(sum(": delivered" in (line or "") for line in lines), 40)

    def test_large_texts_in_a_row(self):
        """More than the server's queue for a session and more than 48 KiB."""
        bob = self.real("bob")
        alice = self.python("alice")
        texts = ["%02d" % i + "x" * 8190 for i in range(20)]
        alice.say(*("send bob " + text for text in texts))
        bob.say(*("send alice " + text for text in texts))
        for text in texts:
            bob.expect("< alice: " + text)
            alice.expect("< bob: " + text)
        self.assertEqual(alice.end(), 0)
        self.assertEqual(bob.end(), 0)

    def test_both_open_at_once(self):
        """The smaller name wins: once this client has it and once the real one."""
        for small, large in ((self.python, self.real), (self.real, self.python)):
            with self.subTest(smaller=small.__name__):
                alice, bob = small("alice"), large("bob")
                alice.say("send bob from alice")
                bob.say("send alice from bob")
                alice.expect("< bob: from bob")
                bob.expect("< alice: from alice")
                self.assertEqual(alice.end(), 0)
                self.assertEqual(bob.end(), 0)

    def test_three_talk(self):
        alice, bob, carol = self.python("alice"), self.real("bob"), self.python("carol")
        alice.say("send bob 1", "send carol 2")
        bob.expect("< alice: 1")
        carol.expect("< alice: 2")
        bob.say("send carol 3")
        carol.expect("< bob: 3")
        carol.say("send alice 4")
        alice.expect("< carol: 4")

    def test_a_session_that_is_lost(self):
        bob = self.real("bob")
        alice = self.python("alice")
        alice.say("send bob hello")
        alice.expect("= bob: delivered")
        alice.kill()
        bob.expect(r"\* alice lost the connection")


class PeerMessages(Interop):
    """What the real client does with those that are not as they should be."""

    def test_no_common_version(self):
        self.real("bob")
        alice = self.talker("alice")
        cid = os.urandom(16)
        want = u8(peer.WANT) + cid + version_list([9])
        answer = u8(peer.DECLINE) + cid + u8(peer.NO_COMMON_VERSION)
        self.assertEqual(alice.relay("bob", frames.NO_TAG, want, 1), [answer])

    def test_want_again_with_the_same_cid(self):
        self.real("bob")
        alice = self.talker("alice")
        want = u8(peer.WANT) + os.urandom(16) + version_list([1, 9])
        (nonce,) = alice.relay("bob", frames.NO_TAG, want, 1)
        self.assertEqual((nonce[0], len(nonce)), (peer.NONCE, 162))
        time.sleep(peer.WANT_EVERY)
        self.assertEqual(alice.relay("bob", frames.NO_TAG, want), [])

    def test_messages_out_of_order(self):
        bob = self.real("bob")
        for who, versions in (("alice", [1, 2]), ("carol", [1])):
            with self.subTest(versions=versions):
                self.messages_out_of_order(bob, who, versions)

    def messages_out_of_order(self, bob, who, versions):
        alice = self.talker(who, versions=versions)
        conversation, tag = alice.conversation("bob")
        self.assertEqual(alice.send("bob", "one"), "delivered")
        alice.quiet(0.5)
        two, three = (conversation.seal_text(peer.Text(text)).data for text in ("two", "three"))
        bent = two[:-1] + bytes([two[-1] ^ 1])
        shared = two[:25] + bytes([two[25] ^ 1]) + two[26:]
        self.assertEqual(alice.relay("bob", tag, three), [], "a later number")
        self.assertEqual(alice.relay("bob", tag, bent), [], "one that does not open")
        self.assertEqual(alice.relay("bob", tag, shared), [], "a share")
        for message in (two, three, two):  # the last one an earlier number
            answers = alice.relay("bob", tag, message, 1)
            self.assertEqual([(m[0], len(m)) for m in answers], [(peer.MESSAGE, 82)])
        bob.expect("< %s: two" % who)
        bob.expect("< %s: three" % who)
        self.assertEqual(conversation.settled, conversation.sent)

    def test_malformed_messages(self):
        """They open, are dropped, and their number stays free. In version 2 each is a turn, which comes to nothing too."""
        bob = self.real("bob")
        for who, versions in (("alice", [1, 2]), ("carol", [1])):
            with self.subTest(versions=versions):
                self.malformed_messages(bob, who, versions)

    def malformed_messages(self, bob, who, versions):
        alice = self.talker(who, versions=versions)
        conversation, tag = alice.conversation("bob")
        alice.until(lambda: conversation.accepted)
        accepted, sent, keys = conversation.accepted, conversation.sent, conversation.keys
        for what, acknowledged, kind, body in (
            ("acknowledged too much", 1000, peer.ACK, b""),
            ("an empty text", accepted, peer.TEXT, bytes(2 + 256)),
            ("not UTF-8", accepted, peer.TEXT, b"\0\1\xff" + bytes(255)),
            ("too much padding", accepted, peer.TEXT, b"\0\1a" + bytes(511)),
            ("padding that is not zero", accepted, peer.TEXT, b"\0\1a" + bytes(254) + b"\1"),
            ("an acknowledgement with a body", accepted, peer.ACK, b"a"),
            ("an unknown kind", accepted, 9, b""),
            ("a second open", accepted, peer.OPEN, b""),
        ):
            conversation.accepted, conversation.keys, conversation.sent = acknowledged, copy.copy(keys), sent
            self.assertEqual(alice.relay("bob", tag, conversation.seal(kind, body).data), [], what)
        conversation.accepted, conversation.keys, conversation.sent = accepted, keys, sent
        good = conversation.seal_text(peer.Text("good")).data
        self.assertEqual(len(alice.relay("bob", tag, good, 1)), 1)
        bob.expect("< %s: good" % who)

    def test_unknown_cid(self):
        self.real("bob")
        alice = self.talker("alice")
        conversation, tag = alice.conversation("bob")
        alice.until(lambda: conversation.accepted)
        cid = os.urandom(16)
        message = u8(peer.MESSAGE) + cid + u64(1) + bytes(32 + 9 + 16)
        answer = [u8(peer.DECLINE) + cid + u8(peer.NO_CONVERSATION)]
        self.assertEqual(alice.relay("bob", tag, message, 1), answer)
        for kind in (peer.NONCE, peer.OFFER, peer.ACCEPT, peer.CONFIRM, peer.DECLINE):
            self.assertEqual(alice.relay("bob", tag, u8(kind) + cid + u8(1)), [])

    def test_a_nonce_box_that_does_not_open(self):
        self.real("bob")
        alice = self.talker("alice")
        attempt = peer.Initiator("alice", "bob", alice.session.keys.intro)
        nonce = attempt.message(peer.NONCE, u8(1) + bytes(16 + 32 + 32 + 16 + BOX))
        alice.session.send([frames.intro(attempt.on_nonce(nonce))])
        alice.until(lambda: frames.Ticket(attempt.cid, frames.REFUSED, None) in alice.got)

    def opening(self, alice):
        """An attempt of alice up to Ticket: (Initiator, bob's tag, Offer)."""
        attempt = peer.Initiator("alice", "bob", alice.session.keys.intro)
        alice.session.send([frames.relay(1, "bob", frames.NO_TAG, attempt.want())])
        nonce = alice.next(frames.Relayed)
        alice.session.send([frames.intro(attempt.on_nonce(nonce.message))])
        return attempt, nonce.tag, attempt.on_ticket(alice.next(frames.Ticket).box)

    def test_bent_openings(self):
        """A bent ticket or Confirm is dropped and the right one is taken after it; a bent Offer under a right ticket is the end."""
        self.real("bob")
        alice = self.talker("alice")
        alice.peers.relayed = lambda frame: None
        attempt, tag, offer = self.opening(alice)
        early = u8(peer.MESSAGE) + attempt.cid + bytes(65)
        self.assertEqual(alice.relay("bob", tag, early), [], "a Message of an attempt")
        in_ticket = offer[:60] + bytes([offer[60] ^ 1]) + offer[61:]
        self.assertEqual(alice.relay("bob", tag, in_ticket), [])
        (accept,) = alice.relay("bob", tag, offer, 1)
        self.assertEqual(alice.relay("bob", tag, offer), [], "an Offer out of turn")
        confirm, _ = attempt.on_accept(accept)
        self.assertEqual(alice.relay("bob", tag, early), [], "a Message before Confirm")
        not_now = u8(peer.DECLINE) + attempt.cid + u8(peer.NOT_NOW)
        self.assertEqual(alice.relay("bob", tag, not_now), [])
        for at in (40, -1):  # its box, its first message
            bent = bytearray(confirm)
            bent[at] ^= 1
            self.assertEqual(alice.relay("bob", tag, bytes(bent)), [])
        answers = alice.relay("bob", tag, confirm, 1)
        self.assertEqual([(m[0], len(m)) for m in answers], [(peer.MESSAGE, 82)])

        time.sleep(peer.WANT_EVERY)
        attempt, tag, offer = self.opening(alice)
        self.assertEqual(alice.relay("bob", tag, offer[:-1] + bytes([offer[-1] ^ 1])), [])
        self.assertEqual(alice.relay("bob", tag, offer), [])

    def test_declined(self):
        bob = self.real("bob")
        alice = self.talker("alice")

        def decline(frame):
            rest = frame.message[1:17] + u8(peer.NOT_NOW)
            alice.session.send([frames.relay(1, "bob", frame.tag, u8(peer.DECLINE) + rest)])

        alice.peers.relayed = decline
        bob.say("send alice hello")
        alice.quiet(1)
        bob.expect("= alice: failed: .*")


class Version2(Interop):
    def test_ratchet(self):
        """Many turns, and messages that cross, when each of the two has opened the conversation."""
        bob = self.real("bob")
        for who in ("alice", "carol"):
            with self.subTest(initiator="python" if who == "alice" else "real"):
                talker = self.talker(who)
                if who == "alice":
                    conversation, _ = talker.conversation("bob")
                else:
                    bob.say("send carol hello")
                    talker.next(peer.Message)
                    bob.expect("= carol: delivered")
                    conversation = talker.peers.contacts["bob"].conversation
                for i in range(20):
                    self.assertEqual(talker.send("bob", "text %d" % i), "delivered")
                    bob.expect("< %s: text %d" % (who, i))
                    bob.say("send %s back %d" % (who, i))
                    self.assertEqual(talker.next(peer.Message).text, "back %d" % i)
                    bob.expect("= %s: delivered" % who)
                self.assertGreaterEqual(conversation.keys.turns, 40)

                heard = []
                for i in range(10):
                    talker.got.clear()
                    some = ["crossing %d %d" % (i, j) for j in range(5)]
                    bob.say(*("send %s %s" % (who, one) for one in some))
                    sent = [talker.peers.send_text("bob", one) for one in some]
                    talker.until(lambda: all(one.outcome for one in sent) and sum(
                        isinstance(one, peer.Message) for one in talker.got) == 5)
                    self.assertEqual({one.outcome for one in sent}, {"delivered"})
                    self.assertEqual([one.text for one in talker.got if isinstance(one, peer.Message)], some)
                    heard += some
                for one in heard:
                    bob.expect("< %s: %s" % (who, one))
                self.assertIs(talker.peers.contacts["bob"].conversation, conversation)
                self.assertGreaterEqual(conversation.keys.turns, 60)

    def test_turns_that_are_not_due(self):
        """A second turn before the other side's, and a share of zeros, are dropped; what is right is taken after them."""
        bob = self.real("bob")
        alice = self.talker("alice")
        conversation, tag = alice.conversation("bob")
        alice.until(lambda: conversation.accepted)
        ack = conversation.seal(peer.ACK).data  # alice's first turn; it asks for no answer, so bob does not turn
        self.assertEqual(alice.relay("bob", tag, ack), [])
        keys, sent = conversation.keys, conversation.sent
        for what in ("another turn", "zeros"):
            conversation.keys, conversation.sent = copy.copy(keys), sent
            if what == "zeros":
                conversation.keys.share = peer.NO_SHARE
            else:
                conversation.keys.answering = keys.their_share
            self.assertEqual(alice.relay("bob", tag, conversation.seal_text(peer.Text(what)).data), [], what)
        conversation.keys, conversation.sent = keys, sent
        good = conversation.seal_text(peer.Text("good")).data
        self.assertEqual(len(alice.relay("bob", tag, good, 1)), 1)
        bob.expect("< alice: good")


class Continuity(Interop):
    CONFIRMED = r"= verify alice: (\d{3}(?: \d{3}){3}) \(confirmed\)"
    NO_LONGER = r"\* .*alice.*no longer confirmed.*"

    def confirmed(self):
        """Real bob and alice, who talk; bob has confirmed alice."""
        bob = self.real("bob")
        alice = self.talker("alice")
        self.assertEqual(alice.send("bob", "hello"), "delivered")
        bob.expect("< alice: hello")
        bob.say("verify alice", "verify alice yes")
        bob.expect(r"= verify alice: [\d ]{15} \(not confirmed\)")
        bob.expect(self.CONFIRMED)
        self.digits_are_confirmed(bob, alice)
        return bob, alice

    def digits_are_confirmed(self, bob, alice):
        bob.say("verify alice")
        digits = bob.expect(self.CONFIRMED)[1]
        self.assertEqual(digits.replace(" ", ""), alice.peers.digits("bob"))
        self.assertEqual(alice.send("bob", "marked"), "delivered")
        bob.expect("< alice ✓: marked")

    def without(self, program, pattern):
        self.assertFalse([line for line in program.seen if re.fullmatch(pattern, line)])

    def test_as_responder(self):
        """The real client is the responder of conversations, each of which follows the one before, until alice holds nothing of that."""
        bob, alice = self.confirmed()
        for _ in range(2):
            before = alice.peers.digits("bob")
            time.sleep(peer.WANT_EVERY)
            self.assertTrue(alice.renew("bob").continued)
            self.assertNotEqual(alice.peers.digits("bob"), before)
            self.digits_are_confirmed(bob, alice)
        self.without(bob, self.NO_LONGER)
        time.sleep(peer.WANT_EVERY)
        alice.peers.contacts["bob"].continuity = None
        self.not_continued(bob, alice, alice.renew("bob"))
        time.sleep(peer.WANT_EVERY)
        self.assertTrue(alice.renew("bob").continued, "the one after it")

    def test_as_initiator(self):
        """alice has lost the conversation, and says so with Decline(2): bob opens another one, which follows it, if she holds what it takes."""
        bob, alice = self.confirmed()
        contact = alice.peers.contacts["bob"]
        for _ in range(2):
            contact.conversation = None
            bob.say("send alice lost")
            alice.next(frames.Relayed)
            bob.expect("= alice: (unknown|failed).*")
            bob.say("send alice found")
            self.assertEqual(alice.next(peer.Message).text, "found")
            bob.expect("= alice: delivered")
            self.assertTrue(contact.conversation.continued)
            self.digits_are_confirmed(bob, alice)
        self.without(bob, self.NO_LONGER)
        contact.conversation = contact.continuity = None
        bob.say("send alice lost")
        alice.next(frames.Relayed)
        bob.expect("= alice: (unknown|failed).*")
        bob.say("send alice found")
        alice.until(lambda: contact.conversation is not None)
        bob.expect(self.NO_LONGER)
        bob.expect("= alice: failed: no longer confirmed")  # it was written to the alice who was
        bob.say("send alice found")
        self.assertEqual(alice.next(peer.Message).text, "found")
        self.not_continued(bob, alice, contact.conversation, told=True)

    def not_continued(self, bob, alice, conversation, told=False):
        self.assertFalse(conversation.continued)
        self.assertEqual(alice.send("bob", "anew"), "delivered")
        if not told:
            bob.expect(self.NO_LONGER)
        bob.expect("< alice: anew")
        bob.say("verify alice")
        bob.expect(r"= verify alice: [\d ]{15} \(not confirmed\)")

    def test_not_continued_in_version_1(self):
        bob, alice = self.confirmed()
        time.sleep(peer.WANT_EVERY)
        alice.peers.versions = [1]
        contact = alice.peers.contacts["bob"]
        before = contact.continuity
        self.not_continued(bob, alice, alice.renew("bob"))
        self.assertIsNone(contact.continuity)
        contact.continuity, alice.peers.versions = before, [1, 2]
        time.sleep(peer.WANT_EVERY)
        self.assertFalse(alice.renew("bob").continued, "bob dropped it too")

    def test_not_continued_after_disconnect(self):
        """Of the one and of the other; and after it there is nothing that a mark could be of."""
        for ends in ("real", "python"):
            with self.subTest(ends=ends):
                bob, alice = self.confirmed()
                contact = alice.peers.contacts["bob"]
                if ends == "real":
                    bob.say("disconnect alice")
                    alice.next(peer.Ended)
                    self.assertIsNone(contact.continuity)
                else:
                    alice.peers.disconnect("bob")
                    alice.quiet(0.1)
                    bob.expect(r"\* alice disconnected.*")
                    self.assertIsNone(contact.continuity)
                time.sleep(peer.WANT_EVERY)
                conversation, _ = alice.conversation("bob")
                self.assertFalse(conversation.continued)
                self.assertEqual(alice.send("bob", "anew"), "delivered")
                bob.expect("< alice: anew")
                alice.session.close()
                self.stop(bob)

    def test_continued_after_a_lost_session(self):
        """Gone leaves what is held."""
        bob, alice = self.confirmed()
        continuity = alice.peers.contacts["bob"].continuity
        alice.session.close()
        bob.expect(r"\* alice lost the connection")
        alice = self.talker("alice")
        alice.peers._contact("bob").continuity = continuity
        time.sleep(peer.WANT_EVERY)
        conversation, _ = alice.conversation("bob")
        self.assertTrue(conversation.continued)
        self.digits_are_confirmed(bob, alice)

    def test_continued_that_can_not_be(self):
        """The real client has no CS of alice, or gets a byte that is neither 0 nor 1: it does not confirm."""
        for real, who, claim in (("bob", "alice", 1), ("dave", "carol", 2)):
            bob = self.real(real)
            with self.subTest(continued=claim), unittest.mock.patch.object(peer, "Responder", claiming(claim)):
                talker = self.talker(who)
                bob.say("send %s hello" % who)
                talker.until(lambda: any(
                    isinstance(one, frames.Relayed) and one.message[0] == peer.OFFER for one in talker.got))
                tag = talker.got[-1].tag
                self.assertEqual(talker.relay(real, tag, u8(peer.DECLINE) + bytes(16) + u8(peer.NOT_NOW)), [])
                self.assertIsNone(talker.peers.contacts[real].conversation)


class Blocks(unittest.TestCase):
    def test_mlkem(self):
        mlkem.self_check()

    def test_addresses(self):
        with self.assertRaises(ValueError):
            parse_address("sim://" + "A" * 46 + "@localhost:1")
        with self.assertRaises(ValueError):
            parse_address("sim://short@localhost:1")


def claiming(claim):
    """A responder that says in Accept whether it continues, without regard to the mark."""

    class Claiming(peer.Responder):
        continued = property(lambda self: claim, lambda self, value: None)

    return Claiming


def private(path, flags):
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    unittest.main()
