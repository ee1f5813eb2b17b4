"""A network that can fail: a TCP relay in a thread, which stops forwarding when told to."""

import selectors
import socket
import threading
from contextlib import closing, suppress
from typing import Self


class Network:
    """Relays connections to a port of this machine; a context manager.

    While it is cut it forwards nothing, and keeps what it was given: as on a real network, a request can arrive long
    after its sender gave up.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._selector = selectors.DefaultSelector()
        self._is_whole = threading.Event()
        self._is_whole.set()
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._relay, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        self._is_whole.clear()

    def mend(self) -> None:
        self._is_whole.set()

    def __enter__(self) -> Self:
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mend()
        self._is_ended.set()
        self._thread.join()

    def _relay(self) -> None:
        with closing(self._listener), closing(self._selector):
            while not self._is_ended.is_set():
                if not self._is_whole.wait(0.05):
                    continue
                for key, _ in self._selector.select(0.05):
                    if key.data is None:
                        self._accept()
                    else:
                        self._forward(key.fileobj, key.data)
            for key in list(self._selector.get_map().values()):
                key.fileobj.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.socket()
        try:
            far.connect(("127.0.0.1", self._to_port))
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(one, selectors.EVENT_READ, other)

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = one.recv(65_536)
            if data:
                other.sendall(data)
                return
        for end in (one, other):
            with suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()
