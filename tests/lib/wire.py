"""PostgreSQL's protocol as bytes: for tests that look at single messages, or send wrong ones on purpose.

    client = RawClient(port)
    client.login("app", "secret", "shop")
    client.send(query("SELECT 1"))
    client.until("Z")            # [Message("T", …), Message("D", …), Message("C", …), Message("Z", b"I")]
"""
import base64
import hashlib
import hmac
import os
import socket
import struct

PROTOCOL_3_0 = 196608
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102
TIMEOUT_S = 20


class Message:
    def __init__(self, kind, body):
        self.kind = kind
        self.body = body

    def __eq__(self, other):
        return (self.kind, self.body) == (other.kind, other.body)

    def __repr__(self):
        return f"{self.kind}:{self.body!r}"

    def fields(self):
        """Of an ErrorResponse or NoticeResponse: {"S": "ERROR", "C": "42601", "M": "…", …}."""
        parts = self.body.rstrip(b"\0").split(b"\0")
        return {part[:1].decode(): part[1:].decode("utf-8", errors="replace") for part in parts if part}

    def parameter(self):
        """Of a ParameterStatus: (name, value)."""
        name, value, _ = self.body.split(b"\0")
        return name.decode(), value.decode()

    def values(self):
        """Of a DataRow: its columns as bytes or None."""
        (count,) = struct.unpack_from("!h", self.body)
        at, found = 2, []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", self.body, at)
            at += 4
            found.append(None if length < 0 else self.body[at:at + length])
            at += max(length, 0)
        return found


# --- what a client says -----------------------------------------------------------------------------------------------

def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def startup(parameters, version=PROTOCOL_3_0):
    body = struct.pack("!I", version) + b"".join(text(k) + text(v) for k, v in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def request(code):
    return struct.pack("!II", 8, code)


def cancel(pid, secret):
    return struct.pack("!III", 12 + len(secret), CANCEL_REQUEST, pid) + secret


def query(statement):
    return message("Q", text(statement))


def parse(statement, name="", types=()):
    return message("P", text(name) + text(statement) + struct.pack("!h", len(types)) +
                   b"".join(struct.pack("!I", oid) for oid in types))


def bind(values=(), name="", portal="", formats=(), result_formats=()):
    body = text(portal) + text(name)
    body += struct.pack("!h", len(formats)) + b"".join(struct.pack("!h", code) for code in formats)
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    body += struct.pack("!h", len(result_formats)) + b"".join(struct.pack("!h", code) for code in result_formats)
    return message("B", body)


def describe(kind, name=""):
    return message("D", kind.encode() + text(name))


def execute(portal="", rows=0):
    return message("E", text(portal) + struct.pack("!i", rows))


def close(kind, name=""):
    return message("C", kind.encode() + text(name))


def sync():
    return message("S")


def flush():
    return message("H")


def terminate():
    return message("X")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(why):
    return message("f", text(why))


def function_call(oid, arguments):
    body = struct.pack("!Ihhh", oid, 1, 1, len(arguments))
    body += b"".join(struct.pack("!i", len(argument)) + argument for argument in arguments)
    return message("F", body + struct.pack("!h", 1))


# --- a client ---------------------------------------------------------------------------------------------------------

class Gone(Exception):
    """The other side has closed the connection."""


class RawClient:
    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.parameters = {}
        self.user = None
        self.key = None                # (pid, secret) of BackendKeyData

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with RST, as a machine that lost its power would be seen."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(messages))

    def end_of_input(self):
        """Says that nothing more will come; reading goes on."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:                # the other side was faster
            pass

    def bytes(self, count):
        while len(self.buffer) < count:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                raise Gone(f"{len(self.buffer)} of {count} bytes, then the end")
            self.buffer += chunk
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read(self):
        kind, length = struct.unpack("!cI", self.bytes(5))
        return Message(kind.decode("latin-1"), self.bytes(length - 4))

    def until(self, *kinds):
        """The messages up to and with the first of one of these kinds."""
        found = []
        while True:
            found.append(self.read())
            if found[-1].kind in kinds:
                return found

    def until_end(self):
        """The messages that still come before the other side closes."""
        found = []
        try:
            while True:
                found.append(self.read())
        except (Gone, ConnectionResetError):
            return found

    def rest(self):
        """Whatever bytes still come before the other side closes."""
        try:
            while True:
                chunk = self.socket.recv(65536)
                if not chunk:
                    break
                self.buffer += chunk
        except ConnectionResetError:
            pass
        taken, self.buffer = bytes(self.buffer), bytearray()
        return taken

    def closed(self):
        """Whether the other side closes now, without another word."""
        return not self.until_end()

    def login(self, user, password, database, version=PROTOCOL_3_0, **parameters):
        """Startup and SCRAM; the messages from AuthenticationOk to ReadyForQuery. An ErrorResponse ends it too."""
        self.user = user
        self.send(startup({"user": user, "database": database, **parameters}, version))
        return self.authenticate(password)

    def authenticate(self, password):
        """Answers what is asked until ReadyForQuery or an error; the messages that were read."""
        found, scram = [], None
        while True:
            got = self.read()
            found.append(got)
            if got.kind == "S":
                name, value = got.parameter()
                self.parameters[name] = value
            elif got.kind == "K":
                self.key = (struct.unpack("!I", got.body[:4])[0], got.body[4:])
            elif got.kind == "R":
                (code,) = struct.unpack("!I", got.body[:4])
                if code == 3:
                    self.send(message("p", text(password)))
                elif code == 5:
                    self.send(message("p", text(md5_answer(self.user, password, got.body[4:8]))))
                elif code == 10:
                    scram = Scram(password)
                    first = scram.first()
                    self.send(message("p", text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
                elif code == 11:
                    self.send(message("p", scram.final(got.body[4:])))
                elif code == 12:
                    scram.check(got.body[4:])
            elif got.kind in "ZE":
                return found


def md5_answer(user, password, salt):
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


class Scram:
    """The client's side of SCRAM-SHA-256; without channel binding, unless channel() says otherwise."""

    def __init__(self, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.bare = f"n=,r={self.nonce}"

    def first(self):
        return ("n,," + self.bare).encode()

    def channel(self):
        """The header of the first message, and what binds."""
        return b"n,,"

    def final(self, challenge):
        parts = dict(part.split("=", 1) for part in challenge.decode().split(","))
        assert parts["r"].startswith(self.nonce) and len(parts["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(parts["s"]), int(parts["i"]))
        without_proof = f"c={base64.b64encode(self.channel()).decode()},r={parts['r']}"
        transcript = f"{self.bare},{challenge.decode()},{without_proof}".encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), transcript, "sha256")
        self.server_signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), transcript, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, answer):
        assert answer == b"v=" + base64.b64encode(self.server_signature), "the server does not know the password"
