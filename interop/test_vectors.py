"""docs/vectors through this client. Each file there has a test here, and a file without one fails.

Where a vector fixes what a run draws at random, the random sources of the client are replaced for the test.
"""

import contextlib
import hashlib
import json
import os
import types
import unittest
import unittest.mock

import frames
import login
import passwd
import peer
import records
import simproto
from simproto import ProtocolError, hkdf, hmac_sha256, pad_name, sha256, u8, u64, version_list

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "vectors")
KINDS = {"acknowledgement": peer.ACK, "open": peer.OPEN, "text": peer.TEXT, "bye": peer.BYE}


def public(private):
    key = simproto.X25519PrivateKey.from_private_bytes(private).public_key()
    return key.public_bytes(simproto.Encoding.Raw, simproto.PublicFormat.Raw)


@contextlib.contextmanager
def drawing(*drawn, private=(), t=()):
    """Random bytes, X25519 private keys and results of Argon2id come from these, in order, and all of them are used."""
    drawn, private, t = list(drawn), list(private), list(t)

    def urandom(n):
        value = drawn.pop(0)
        assert len(value) == n, (len(value), n)
        return value

    def keypair():
        key = private.pop(0)
        return key, public(key)

    patch = unittest.mock.patch.object
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch(os, "urandom", urandom))
        for module in (login, peer):
            stack.enter_context(patch(module, "x25519_keypair", keypair))
        if t:
            stack.enter_context(patch(simproto.argon2.low_level, "hash_secret_raw", lambda *_, **__: t.pop(0)))
        yield
    assert not drawn and not private and not t, "something was not drawn"


class Fields(dict):
    """The fields of a case, bytes where they are hexadecimal."""

    def __init__(self, case, part):
        super().__init__((k, bytes.fromhex(v)) for k, v in case.get(part, {}).items())


def load(name):
    with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


class Wire:
    """A socket whose other side has already said what it will."""

    def __init__(self, *bodies):
        self.incoming = b"".join(simproto.lp(body) for body in bodies)
        self.sent = b""

    def settimeout(self, seconds):
        pass

    def sendall(self, data):
        self.sent += data

    def recv(self, n):
        piece, self.incoming = self.incoming[:n], self.incoming[n:]
        return piece


class Vectors(unittest.TestCase):
    maxDiff = 2000

    def cases(self, name, part="cases"):
        for case in load(name)[part]:
            with self.subTest(file=name, case=case.get("case") or case.get("opening")):
                yield case, Fields(case, "in"), Fields(case, "out")

    def test_no_file_is_left_out(self):
        files = {name[:-5] for name in os.listdir(FOLDER) if name.endswith(".json")}
        tests = {name[5:] for name in dir(self) if name.startswith("test_")} - {"no_file_is_left_out"}
        self.assertEqual(files - tests, set(), "not checked by this client")

    def test_state(self):
        for case, _, _ in self.cases("state"):
            state = simproto.Symmetric(case["label"].encode())
            for step in case["steps"]:
                if step["do"] == "MixHash":
                    state.mix_hash(bytes.fromhex(step["x"]))
                else:
                    self.assertEqual(step["do"], "MixKey")
                    state.mix_key(step["label"].encode(), bytes.fromhex(step["secret"]))
                self.assertEqual((state.h.hex(), state.ck.hex()), (step["h"], step["ck"]))
            self.assertEqual(state.derive(case["derive"]["label"].encode()).hex(), case["derive"]["key"])
            final = case["final"]
            key = hkdf(bytes.fromhex(final["secret"]), state.ck, final["label"].encode() + state.h)
            self.assertEqual(key.hex(), final["key"])

    def test_box(self):
        for case, given, out in self.cases("box"):
            where = given["K"], case["label"].encode(), case["direction"], given["context"]
            self.assertEqual(simproto._box_key(*where, given["r"]), out["key"])
            with drawing(given["r"]):
                self.assertEqual(simproto.seal_box(*where, given["plaintext"]), out["box"])
            self.assertEqual(simproto.open_box(*where, out["box"]).data, given["plaintext"])

    def test_puzzle(self):
        for _, given, out in self.cases("puzzle"):
            self.assertEqual(sha256(b"sim/1 puzzle", given["puzzle"][:32], given["binding"]), out["P"])
            self.assertEqual(simproto.solve_puzzle(given["puzzle"], given["binding"], 30), out["solution"])
        for puzzle in load("puzzle")["malformed"]:
            with self.subTest(puzzle=puzzle), self.assertRaises(ProtocolError):
                simproto.solve_puzzle(bytes.fromhex(puzzle), bytes(32), 255)

    def test_password(self):
        for case, given, out in self.cases("password"):
            prepared = simproto.prepare_password(given["password"].decode())
            self.assertEqual(prepared, out["prepared"])
            x = simproto.password_x(prepared, case["name"], given["salt"], given["argon2"])
            self.assertEqual(x, int.from_bytes(out["x"], "big"))
            self.assertEqual(simproto.srp_verifier(x), out["verifier"])
        for case in load("password")["refused"]:
            with self.subTest(why=case["why"]), self.assertRaises(ValueError):
                simproto.prepare_password(bytes.fromhex(case["password"]).decode())

    def test_code(self):
        for _, given, out in self.cases("code"):
            self.assertEqual(simproto.parse_code(given["typed"].decode()), out["password"].decode())
            self.assertEqual(simproto.prepare_password(given["typed"].decode()), out["password"])
        for case in load("code")["refused"]:
            with self.subTest(why=case["why"]):
                self.assertIsNone(simproto.parse_code(bytes.fromhex(case["typed"]).decode()))

    def test_srp(self):
        for case, given, out in self.cases("srp"):
            with drawing(given["a"], t=[given["T"]]):
                x = simproto.password_x(b"", case["name"], given["salt"], bytes.fromhex("000000020000980001"))
                client = simproto.SrpClient()
            self.assertEqual(x, int.from_bytes(out["x"], "big"))
            self.assertEqual(simproto.srp_verifier(x), out["v"])
            self.assertEqual(client.a, out["A"])
            self.assertEqual(client.shared(out["B"], x), out["S"])
            self.assertEqual(sha256(client.a, out["B"]), out["u"])
        for _, given, out in self.cases("srp", "invented"):  # a server's own matter
            self.assertEqual(simproto.srp_pad(int.from_bytes(given["uniform"], "big") % simproto.SRP_N), out["v"])

    def test_rfc5054(self):
        vectors = load("rfc5054")
        ours = vectors["groups"]["2048"]
        self.assertEqual((int(ours["N"], 16), ours["g"]), (simproto.SRP_N, simproto.SRP_G))
        self.assertEqual(int(ours["k_sha256"], 16), simproto.SRP_K)
        self.assertEqual(sha256(bytes.fromhex(ours["N"])).hex(), ours["sha256_of_N"])
        b = vectors["appendix B"]
        group = vectors["groups"][b["group"]]
        self.assertEqual((group["g"], b["hash"]), (simproto.SRP_G, "SHA-1"))
        with unittest.mock.patch.multiple(
            simproto, SRP_N=int(group["N"], 16), SRP_K=int(b["k"], 16), SRP_SIZE=128,
            sha256=lambda *parts: hashlib.sha1(b"".join(parts)).digest(),
        ), drawing(bytes.fromhex(b["a"])):
            x = int(b["x"], 16)
            client = simproto.SrpClient()
            self.assertEqual(simproto.srp_verifier(x), bytes.fromhex(b["v"]))
            self.assertEqual(client.a, bytes.fromhex(b["A"]))
            self.assertEqual(client.shared(bytes.fromhex(b["B"]), x), bytes.fromhex(b["S"]))

    def test_address(self):
        for case, given, out in self.cases("address"):
            pk_s, host, port = simproto.parse_address(case["address"])
            self.assertEqual(pk_s, given["pk_S"])
            self.assertEqual("%s:%d" % ("[%s]" % host if ":" in host else host, port), case["host"])
            self.assertEqual(sha256(b"sim/1 address", pk_s)[:2], out["checksum"])
        for case in load("address")["refused"]:
            with self.subTest(why=case["why"]), self.assertRaises(ValueError):
                simproto.parse_address(case["address"])

    def test_mac1(self):
        for _, given, out in self.cases("mac1"):
            key = sha256(b"sim/1 mac1", given["pk_S"])
            self.assertEqual(key, out["key"])
            self.assertEqual(hmac_sha256(key, given["Hello without mac1"])[:16], out["mac1"])

    def test_login(self):
        for case, given, out in self.cases("login"):
            wire = Wire(out["Challenge"], out["Salt"], out["Welcome"])
            keys = None
            with drawing(
                given["Hello's random"], given["ML-KEM m"], given["a"], given["r of Login"], given["r of Proof"],
                private=[given["e_C private"]], t=[given["T"]],
            ):
                try:
                    keys = login._handshake(wire, out["pk_S"], case["name"], b"")
                except login.LoginRefused:
                    pass
            said = b"".join(simproto.lp(out[name]) for name in ("Hello", "Solution", "Login", "Proof"))
            self.assertEqual(wire.sent, said)
            self.assertEqual(keys is not None, case["accepted"])
            if keys:
                self.assertEqual(keys.session_id, given["session id"])
                self.assertEqual(keys.h6, out["h6"])
                for label in ("record client", "record server", "nonce", "intro", "ticket", "resumption"):
                    self.assertEqual(getattr(keys, label.replace(" ", "_")), out[label], label)

    def resumed(self, case, given, out, resumed=None, secret=None):
        """The client's end of a case, and what it wrote; the server answers with this Resumed, or the case's."""
        wire = Wire(out["Challenge"], resumed or out["Resumed"])
        r = given["R"] if secret is None else secret
        with drawing(
            given["Hello's random"], given["ML-KEM m"], given["r of Login"], private=[given["e_C private"]]
        ):
            try:
                return login._resume(wire, out["pk_S"], given["session id"], r, case["seen by the client"]), wire.sent
            except login.SessionOver:
                return None, wire.sent

    def test_resume(self):
        for case, given, out in self.cases("resume"):
            resumed, sent = self.resumed(case, given, out)
            self.assertEqual(sent, b"".join(simproto.lp(out[name]) for name in ("Hello", "Solution", "Login")))
            self.assertEqual(resumed is not None, case["accepted"])
            if resumed:
                self.assertEqual(resumed.seen, case["seen by the server"])
                for label in ("record client", "record server", "resumption"):
                    self.assertEqual(getattr(resumed, label.replace(" ", "_")), out[label], label)

    def test_resume_bent(self):
        """A flipped bit in any part of Resumed, or another R, and the client has no proof."""
        case = load("resume")["cases"][0]
        given, out = Fields(case, "in"), Fields(case, "out")
        for at in (0, 1, 32, 33, 34, 41, 42, 73, 74, 89):
            bent = bytearray(out["Resumed"])
            bent[at] ^= 1
            with self.subTest(at=at), self.assertRaises(ProtocolError):
                self.resumed(case, given, out, bytes(bent))
        with self.assertRaises(ProtocolError):
            self.resumed(case, given, out, secret=bytes(32))

    def test_record(self):
        for case, given, out in self.cases("record"):
            sealer, opener = records.Sealer(given["key"]), records.Opener(given["key"])
            sealer.number = opener.number = case["number"]
            self.assertEqual(sealer._record(given["frames"]), out["record"])
            found = opener.open(out["record"][:2], out["record"][2:])
            rekey = u8(frames.REKEY) + bytes(2)
            packed = b"".join(u8(kind) + simproto.u16(len(body)) + body for kind, body in found)
            if opener.key == given["key"]:
                opener.rekey()
            else:
                packed += rekey
            self.assertEqual(packed, given["frames"])
            self.assertEqual((opener.key, opener.number), (out["next key"], 0))

    def test_frames(self):
        tag, cid, alice, bob = bytes(range(1, 9)), bytes(range(0x10, 0x20)), pad_name("alice"), pad_name("bob")
        peer_message = b"\x03" + cid + b"\x02"
        intro = cid + bytes(range(0x20, 0x30)) + bob + version_list([1, 2]) + b"\x02" + bytes(range(144))
        known = {
            "Ping": frames.ping(b"12345678"),
            "Pong": frames.Pong(b"12345678"),
            "List of everybody": frames.list_users(),
            "List after bob of those in b": frames.list_users("b", "bob"),
            "Users, none": frames.Users(False, []),
            "Users, and more": frames.Users(True, ["alice", "bob"]),
            "Watch, nobody": frames.watch([]),
            "Watch": frames.watch(["bob", "carol"]),
            "Presence": frames.Presence({"bob": True, "carol": False}),
            "Relay": frames.relay(0x01020304, "bob", tag, peer_message),
            "Relayed": frames.Relayed("alice", tag, peer_message),
            "Undeliverable": frames.Undeliverable(0x01020304, frames.FULL),
            "Gone": frames.Gone("bob", tag, frames.LOST_REASON),
            "Intro": frames.intro(intro),
            "Ticket, issued": frames.Ticket(cid, frames.ISSUED, b"x" * 352),
            "Ticket, busy": frames.Ticket(cid, frames.BUSY, None),
            "Ticket, refused": frames.Ticket(cid, frames.REFUSED, None),
            "Done, changed": frames.Done(0, bytes(range(32))),
            "Done, refused": frames.Done(1, bytes(32)),
            "Done, not saved": frames.Done(2, bytes(32)),
            "Logout": frames.logout(),
            "LoggedOut": frames.LoggedOut(),
            "Notice": frames.Notice(frames.STOPPING),
            "Notice, choose a password": frames.Notice(frames.CHOOSE_PASSWORD),
            "Notice, choose a password": frames.Notice(2),
            "Rekey": (frames.REKEY, b""),
            "Close, stalled": frames.close(frames.CLOSE_STALLED),
            "Seen": frames.seen(0x0102030405060708),
        }
        for case, _, out in self.cases("frames"):
            self.assertIn(case["case"], known)
            ours, reader = known[case["case"]], simproto.Reader(out["frame"])
            frame = reader.number(1), reader.take(reader.number(2))
            reader.end()
            if case["direction"] == "S→C":
                self.assertEqual(frames.decode(*frame), ours)
            else:
                self.assertEqual(frame, ours)
            if frame[0] == frames.CLOSE:
                self.assertEqual(frames.decode(*frame), frames.Close(frames.CLOSE_STALLED))
            elif frame[0] == frames.SEEN:
                self.assertEqual(frames.decode(*frame), frames.Seen(0x0102030405060708))
            elif case["direction"] == "C→S":
                with self.assertRaises(ProtocolError):
                    frames.decode(*frame)

    def test_digits(self):
        for case, given, out in self.cases("digits"):
            opening = peer._Opening(case["initiator"], case["responder"], given["cid"], [1], None)
            opening.version, opening.key = 1, bytes(32)
            shares = given["e_A"], given["e_B"], given["ek_B"]
            conversation = opening.conversation(True, bytes(32), bytes(64), *shares, False)
            self.assertEqual(conversation.digits, case["digits"].replace(" ", ""))
            self.assertEqual(sha256(b"sim/1 digits", opening.names, given["cid"], *shares), out["hash"])

    def opened(self, case, given, out):
        """Both sides of an opening, each against what the other says in the vector: a dict from name to Conversation."""
        names = case["initiator"], case["responder"]
        with drawing(given["cid"]):
            a = peer.Initiator(*names, given["intro key"], bytes.fromhex(case["offered"]), given.get("CS held by A"))
        self.assertEqual(a.want(), out["Want"])
        self.assertEqual(a.h, out["h0"])
        version = max(set(bytes.fromhex(case["offered"])) & set(bytes.fromhex(case["spoken"])))
        self.assertEqual(version, case["version"])
        with drawing(given["N_B"], given["r of nonce box"]):
            b = peer.Responder(
                names[1], names[0], given["cid"], bytes.fromhex(case["offered"]), version,
                given["nonce key"], given["ticket key"], given.get("CS held by B"),
            )
        self.assertEqual(b.nonce, out["Nonce"])
        with drawing(given["N_1"]):
            self.assertEqual(a.on_nonce(out["Nonce"]), out["Intro"])
        self.assertEqual((a.h, b.h), (out["h2"], out["h2"]))
        mark = [given["mark"]] if "mark" in given else []
        with drawing(given["r"], given["N_2"], *mark, given["r of Offer"], private=[given["e_A private"]]):
            self.assertEqual(a.on_ticket(out["intro box"]), out["Offer"])
        with drawing(
            given["ML-KEM d"], bytes(32), given["N_3"], given["r of Accept"], private=[given["e_B private"]]
        ):
            self.assertEqual(b.on_offer(out["Offer"]), out["Accept"])
        self.assertEqual((b.committed, b.ek_b, b.h), (out["commitment"], out["ek_B"], out["h6"]))
        with drawing(given["ML-KEM m"], given["r of Confirm"]):
            confirm, at_a = a.on_accept(out["Accept"])
        self.assertEqual(confirm, out["Confirm"])
        self.assertEqual(a.h, out["h7"])
        at_b = b.on_confirm(out["Confirm"])
        for conversation in (at_a, at_b):
            self.assertEqual(conversation.digits, case["digits"].replace(" ", ""))
            self.assertEqual(conversation.continued, case["continued"])
            self.assertEqual(conversation.continuity, out.get("CS"))
            if version == 2:
                self.assertEqual(conversation.keys.root, out["root"])
        after = peer._step(out["chain initiator"])
        self.assertEqual((at_a.keys.chain_out, at_b.keys.chain_in), (after, after))
        if version == 1:
            self.assertEqual((at_a.keys.chain_in, at_b.keys.chain_out), (out["chain responder"],) * 2)
        return dict(zip(names, (at_a, at_b)))

    def test_opening(self):
        for case, given, out in self.cases("opening"):
            self.opened(case, given, out)

    def talk(self, file):
        openings = {case["case"]: case for case in load("opening")["cases"]}
        for case, _, _ in self.cases(file):
            opening = openings[case["opening"]]
            sides = self.opened(opening, Fields(opening, "in"), Fields(opening, "out"))
            for line in case["messages"]:
                given, out = Fields(line, "in"), Fields(line, "out")
                sender = sides[line["from"]]
                (receiver,) = (side for name, side in sides.items() if name != line["from"])
                with drawing(private=given.values()):
                    if line["kind"] == "text":
                        sealed = sender.seal_text(peer.Text(line["text"]))
                    else:
                        sealed = sender.seal(KINDS[line["kind"]])
                self.assertEqual(sealed.data, out["message"])
                self.assertEqual((sealed.number, sender.accepted), (line["number"], line["acknowledged"]))
                self.assertEqual(sender.keys.chain_out, out["next chain"])
                bent = sealed.data[:-1] + u8(sealed.data[-1] ^ 1)
                self.assertIsNone(receiver.receive(bent))
                received = receiver.receive(sealed.data)
                self.assertEqual(received, peer.Received(KINDS[line["kind"]], line.get("text")))
                self.assertEqual((receiver.settled, receiver.keys.chain_in), (line["acknowledged"], out["next chain"]))
                if "root" in out:
                    self.assertEqual((sender.keys.root, receiver.keys.root), (out["root"], out["root"]))
                self.assertIs(receiver.receive(sealed.data), peer.OLD)

    def test_messages(self):
        self.talk("messages")

    def test_ratchet(self):
        self.talk("ratchet")

    def test_password_change(self):
        for case, given, out in self.cases("password_change"):
            sent = []
            answers = [(frames.PASSWORD_SALT, out["PasswordSalt"]), (frames.DONE, out["Done"])]
            session = types.SimpleNamespace(
                keys=types.SimpleNamespace(h6=given["h6"]), send=sent.extend,
                receive=lambda seconds: [frames.decode(*answers.pop(0))],
            )
            with drawing(
                given["a"], given["r of PasswordSet"], t=[given["T of the old password"], given["T of the new password"]]
            ):
                status = passwd.change_password(session, case["name"], b"", b"")
            self.assertEqual(status, passwd.CHANGED if case["changed"] else passwd.REFUSED)
            self.assertEqual(sent, [
                (frames.PASSWORD_BEGIN, out["PasswordBegin"]), (frames.PASSWORD_SET, out["PasswordSet"]),
            ])


if __name__ == "__main__":
    unittest.main()
