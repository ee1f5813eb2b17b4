"""Servers that do what a simulator of the API would not, and what they saw."""

import base64
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Self

Answer = Callable[[bytes, bytes], bytes]


def saying(status: int, *headers: str, body: bytes = b"") -> bytes:
    """An answer."""
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def ok(head: bytes, body: bytes) -> bytes:
    """The echo of an event."""
    return saying(200, body=body)


def number(body: bytes) -> int:
    """The n of an event of the conversion ``c<n>``."""
    return int(json.loads(body)["actionId"].rsplit("/c", 1)[1])


class Listening:
    """Listens on loopback, and talks to each client in a thread of its own; a context manager. ``connections``: how many came.

    It begins at once: a subclass sets what :meth:`_talk` needs before.
    """

    def __init__(self, listener: socket.socket | None = None) -> None:
        self.connections = 0
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        raise NotImplementedError


class Server(Listening):
    """Answers each request with the bytes that ``answer(head, body)`` gives; ``got`` has when each body had come.

    :param hangs_up: after each answer, without having said so.
    """

    def __init__(self, answer: Answer = ok, *, hangs_up: bool = False, listener: socket.socket | None = None) -> None:
        self._answer = answer
        self._hangs_up = hangs_up
        self.got: list[tuple[float, bytes]] = []
        super().__init__(listener)

    def conversions(self) -> Counter[str]:
        """How many times each conversion ID came."""
        return Counter(json.loads(body)["actionId"].rsplit("/", 1)[1] for _, body in self.got)

    def _talk(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            stream = client.makefile("rb")
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                lengths = (line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
                body = stream.read(int(next(lengths, 0)))
                self.got.append((time.monotonic(), body))
                client.sendall(self._answer(head, body))
                if self._hangs_up:
                    return


@contextmanager
def dripping(beginning: bytes) -> Iterator[str]:
    """The URL of a server that answers each request with these bytes, and then with one more every 50 ms, for ever."""
    stop = threading.Event()

    def drip(client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            client.recv(65_536)
            client.sendall(beginning)
            while not stop.wait(0.05):
                client.sendall(b"x")

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=drip, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()


class LateServer:
    """Its queue of connections is full; after so many seconds it lets everybody in."""

    def __init__(self, seconds: float) -> None:
        self._server: Server | None = None
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self._fillers = [socket.socket() for _ in range(2)]
        for filler in self._fillers:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(self._listener.getsockname())
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._timer = threading.Timer(seconds, self._open)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._listener.close()
        for filler in self._fillers:
            filler.close()

    @property
    def got(self) -> list[tuple[float, bytes]]:
        """When each body had come, and the body."""
        return self._server.got if self._server else []

    def _open(self) -> None:
        self._listener.listen(512)
        self._server = Server(listener=self._listener)


class FarServer(Server):
    """Speaks TLS, and takes so many seconds for each handshake; ``connections`` have begun."""

    def __init__(self, context: ssl.SSLContext, seconds: float) -> None:
        self._context = context
        self._seconds = seconds
        self.connections = 0
        super().__init__()

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://localhost:{self.port}"

    def _talk(self, client: socket.socket) -> None:
        self.connections += 1
        time.sleep(self._seconds)
        with suppress(OSError):
            super()._talk(self._context.wrap_socket(client, server_side=True))


class Together:
    """Answers after some time; ``twice`` are the events that were out twice at the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._out: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.twice: set[str] = set()

    def __call__(self, head: bytes, body: bytes) -> bytes:
        action_id = json.loads(body)["actionId"]
        with self._lock:
            self._out[action_id] += 1
            if self._out[action_id] > 1:
                self.twice.add(action_id)
        time.sleep(self._seconds)
        with self._lock:
            self._out[action_id] -= 1
        return ok(head, body)


def most_in_a_second(moments: Iterable[float]) -> int:
    """How many there were in the second that had most."""
    ordered, most, first = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


class Proxy(Listening):
    """An HTTP proxy for ``CONNECT``; a context manager. ``asked`` are the requests that it got.

    :param refusal: its answer to all of them.
    :param login: ``user:password`` that it wants, else it answers 407.
    :param context: where it speaks TLS itself.
    """

    def __init__(self, refusal: bytes | None = None, *, login: str = "", context: ssl.SSLContext | None = None) -> None:
        self.asked: list[bytes] = []
        self._refusal, self._login, self._context = refusal, login, context
        super().__init__()

    @property
    def url(self) -> str:
        """Its address, with the login that it wants."""
        return f"{'https' if self._context else 'http'}://{self._login}{'@' * bool(self._login)}127.0.0.1:{self.port}"

    def _talk(self, client: socket.socket) -> None:
        with closing(client), suppress(ssl.SSLError, ConnectionError):
            outside = self._context.wrap_socket(client, server_side=True) if self._context else client
            with closing(outside):
                self.asked.append(outside.recv(65_536))
                refusal = self._refusal if self._refusal is not None else self._refused()
                if refusal is not None:
                    outside.sendall(refusal)
                    return
                host, _, port = self.asked[-1].split(b" ")[1].rpartition(b":")
                with closing(socket.create_connection((host.decode(), int(port)))) as server:
                    outside.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=_pump, args=(server, outside), daemon=True)
                    back.start()
                    _pump(outside, server)
                    back.join()

    def _refused(self) -> bytes | None:
        wanted = b"Basic " + base64.b64encode(self._login.encode())
        return None if not self._login or wanted in self.asked[-1] else saying(407, 'Proxy-Authenticate: Basic realm="company"')


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
