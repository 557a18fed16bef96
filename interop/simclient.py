#!/usr/bin/env python3
"""A small command line client of the sim protocol: commands from standard input, results in order to standard output."""

import argparse
import os
import re
import select
import sys
import time

import frames
import login
import peer
import records
from peer import Ended, NotConfirmed, Peers
from simproto import ProtocolError, fold_name, prepare_password

OK, FAILED, USAGE, LOGIN_REFUSED, NOT_REACHED, NO_PROOF, REPLACED, UNKNOWN = range(8)
COMMAND_WAIT = 90  # the longest that any command but recv takes
TICK = 0.05


class SessionOver(Exception):
    """The session is over."""

    def __init__(self, code, line=None):
        super().__init__(line)
        self.code = code
        self.line = line


def show(line):
    print(line, flush=True)


def complain(line):
    print(line, file=sys.stderr, flush=True)


class Input:
    """Lines of standard input, without waiting for them."""

    def __init__(self, fd):
        self.fd = fd
        self.data = b""
        self.ended = False

    def fill(self):
        piece = os.read(self.fd, 1 << 16)
        self.data += piece
        self.ended = not piece

    def line(self):
        if b"\n" in self.data:
            line, self.data = self.data.split(b"\n", 1)
        elif self.ended and self.data:
            line, self.data = self.data, b""
        else:
            return None
        return line.decode("utf-8", "surrogateescape")


class Client:
    def __init__(self, session, name, versions):
        self.session = session
        self.name = name
        self.peers = Peers(name, session.keys, versions)
        self.input = Input(0)
        self.code = OK
        self.pending = []  # (name, Text), in the order in which their results are shown
        self.waiting = None  # a generator: the command that is under way
        self.unread = 0
        self.users = None
        self.logged_out = False

    def run(self):
        show("= logged in as " + self.name)
        while True:
            self.work(self.session.receive())
            sources = [self.session.sock]
            if not self.input.ended and self.waiting is None:
                sources.append(self.input.fd)
            ready, _, _ = select.select(sources, [], [], TICK)
            if self.input.fd in ready:
                self.input.fill()

    def work(self, some):
        for frame in some:
            self.take(frame)
        self.peers.tick()
        self.flush()
        self.commands()
        self.flush()
        self.session.tick()

    def take(self, frame):
        if isinstance(frame, frames.Relayed):
            self.peers.relayed(frame)
        elif isinstance(frame, frames.Ticket):
            self.peers.ticket(frame)
        elif isinstance(frame, frames.Undeliverable):
            self.peers.undeliverable(frame)
        elif isinstance(frame, frames.Gone):
            self.peers.gone(frame)
        elif isinstance(frame, frames.Users):
            self.users = frame
        elif isinstance(frame, frames.LoggedOut):
            self.logged_out = True
        elif isinstance(frame, frames.Notice):
            if frame.code == frames.CHOOSE_PASSWORD:
                raise ProtocolError("a one-time code, and this client has no command to choose a password")
            show("* server is stopping")
        elif isinstance(frame, frames.Close):
            self.flush()
            if frame.reason == frames.CLOSE_DONE and self.logged_out:
                raise SessionOver(self.code, "= logged out " + self.name)
            if frame.reason == frames.CLOSE_REPLACED:
                raise SessionOver(REPLACED, "* replaced by a newer login")
            raise SessionOver(NOT_REACHED)
        elif not isinstance(frame, frames.Pong):
            raise ProtocolError("a frame that was not asked for")

    def flush(self):
        """Shows what came, and only then sends what acknowledges it."""
        for event in self.peers.take_events():
            if isinstance(event, Ended):
                show("* %s %s" % event)
            elif isinstance(event, NotConfirmed):
                show("* %s: a new conversation, no longer confirmed" % event)
            else:
                mark = " ✓" if self.peers.contacts[event.sender].confirmed else ""
                show("< %s%s: %s" % (event.sender, mark, event.text))
                self.unread += 1
        while self.pending and self.pending[0][1].outcome:
            name, text = self.pending.pop(0)
            show("= %s: %s" % (name, text.outcome))
            if text.outcome.startswith("failed"):
                self.fail()
            elif text.outcome.startswith("unknown"):
                self.code = UNKNOWN
        some = self.peers.take_frames()
        if some:
            self.session.send(some)

    def fail(self):
        self.code = self.code or FAILED

    # Commands. send goes on at once; all others are generators that yield while they wait, and begin when every send has its result.

    def commands(self):
        while True:
            if self.waiting is not None:
                try:
                    next(self.waiting)
                    return
                except StopIteration:
                    self.waiting = None
                except ValueError as error:
                    self.waiting = None
                    complain(str(error))
                    self.fail()
            line = self.input.line()
            if line is None and not self.input.ended:
                return
            words = (line if line is not None else "logout").split(" ", 2)
            try:
                self.command(words)
            except ValueError as error:
                complain(str(error))
                self.fail()

    def command(self, words):
        known = {"list": self.list, "recv": self.recv, "verify": self.verify,
                 "disconnect": self.disconnect, "logout": self.logout, "quit": self.logout}
        if words == [""]:
            return
        if words[0] == "send":
            if len(words) < 3 or not words[2]:
                raise ValueError("usage: send <receiver> <message>")
            name = self.other(words[1])
            self.pending.append((name, self.peers.send_text(name, words[2])))
        elif words[0] in known:
            self.waiting = self.after_sends(known[words[0]], words[1:])
        else:
            raise ValueError("unknown command")

    def after_sends(self, command, arguments):
        while self.pending:
            yield
        yield from command(*arguments)

    def until(self, condition, seconds=COMMAND_WAIT):
        """Yields until the condition is true; returns whether it is."""
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            yield
        return condition()

    def other(self, word):
        name = fold_name(word)
        if name == self.name:
            raise ValueError("that is you: give somebody else's name")
        return name

    def list(self, prefix="", *_):
        if prefix:
            prefix = fold_name(prefix)
        names, after = [], ""
        while True:
            self.users = None
            self.session.send([frames.list_users(prefix, after)])
            if not (yield from self.until(lambda: self.users is not None)):
                raise ValueError("list: no answer")
            names += self.users.names
            if not self.users.more or not self.users.names:
                break
            after = names[-1]
        show("= online (%d): %s" % (len(names), " ".join(names)))

    def recv(self, count="1", seconds="", *_):
        match = re.fullmatch(r"(\d+)s?", seconds or "30")
        if not count.isdigit() or not match:
            raise ValueError("usage: recv [count] [timeout]")
        count = int(count)
        came = yield from self.until(lambda: self.unread >= count, int(match[1]))
        got = min(count, self.unread)
        self.unread -= got
        if came:
            show("= received %d" % got)
        else:
            show("= received %d: timeout" % got)
            self.fail()

    def verify(self, word="", answer="", *_):
        if answer not in ("", "yes", "no"):
            raise ValueError("usage: verify <user> [yes|no]")
        name = self.other(word)
        self.peers.want(name)
        if not (yield from self.until(lambda: self.peers.digits(name))):
            raise ValueError("verify: no answer")
        digits = self.peers.digits(name)
        contact = self.peers.contacts[name]
        contact.confirmed = answer == "yes" or contact.confirmed and answer != "no"
        groups = " ".join(digits[i : i + 3] for i in range(0, 12, 3))
        show("= verify %s: %s (%s)" % (name, groups, "confirmed" if contact.confirmed else "not confirmed"))

    def disconnect(self, *words):
        names = [self.other(word) for word in words[-1:]]
        if not names:
            raise ValueError("usage: disconnect <receiver>")
        self.peers.disconnect(names[0])
        show("= disconnected from " + names[0])
        yield from ()

    def logout(self, *_):
        self.session.send([frames.logout()])
        yield from self.until(lambda: False)
        raise records.CutOff("the server does not answer a log-out")


def run(address, name, password, versions):
    try:
        session = records.log_in(address, name, password)
    except login.LoginRefused as error:
        complain("login refused: %s" % error)
        return LOGIN_REFUSED
    except login.NoProof as error:
        complain("no proof of the key in the address: %s" % error)
        return NO_PROOF
    except (login.NotReached, records.CutOff, ProtocolError) as error:
        complain("server not reached: %s" % error)
        return NOT_REACHED
    client = Client(session, name, versions)
    try:
        client.run()
    except SessionOver as end:
        code, line = end.code, end.line
    except (records.CutOff, ProtocolError) as error:
        if isinstance(error, ProtocolError):
            try:
                session.send([frames.close(frames.CLOSE_PROTOCOL_ERROR)])
            except records.CutOff:
                pass
        complain("connection lost: %s" % error)
        code, line = NOT_REACHED, None
    finally:
        session.close()
    client.peers.connection_lost()
    for name, text in client.pending:
        show("= %s: %s" % (name, text.outcome))
        code = UNKNOWN if text.outcome.startswith("unknown") and code != REPLACED else code
    if line:
        show(line)
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, metavar="ADDRESS", help="sim://KEY@HOST:PORT")
    parser.add_argument("--user", required=True, metavar="NAME")
    parser.add_argument("--password-file", required=True, metavar="FILE", help="its first line is the password")
    parser.add_argument("--version-1", action="store_true", help="speak only version 1 of conversations")
    arguments = parser.parse_args()
    try:
        with open(arguments.password_file, encoding="utf-8") as file:
            password = prepare_password(file.readline().rstrip("\r\n"))
        versions = [1] if arguments.version_1 else peer.VERSIONS
        return run(arguments.server, fold_name(arguments.user), password, versions)
    except (ValueError, OSError) as error:
        complain(str(error))
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
