"""A proxy that disconnects the client from the server at a chosen message, as a firewall or a crash would."""

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from psycopg import conninfo

SWAP = b"INSERT INTO bluegreen.cutover"
FLUSH = b"UPDATE bluegreen.cutover"


class Cut(Enum):
    """The message at which the proxy disconnects the client."""

    BEFORE_THE_SWAP = "the server never gets the swap"
    BEFORE_THE_ANSWER = "the server gets the swap, the client no answer"
    IN_A_COPY = "the server has got the first rows of a table"
    BEFORE_THE_FLUSH = "the client knows that the swap was committed, not that it is on disk"


class Proxy:
    """Forward everything until `cut` has happened a number of times; `deaf`: refuse new clients after that."""

    def __init__(self, dsn: str, directory: Path, cut: Cut, *, deaf: bool = False, times: int = 1) -> None:
        self.dsn = conninfo.make_conninfo(dsn, host=str(directory), hostaddr="", port=5432)
        self.happened = threading.Event()
        self._cut = cut
        self._deaf = deaf
        self._left = times
        self._server = conninfo.conninfo_to_dict(dsn)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Refuse new clients."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = None if self._deaf and self.happened.is_set() else self._connected()
            except OSError:  # it has crashed
                server = None
            if server is None:
                client.close()
                continue
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()

    def _connected(self) -> socket.socket:
        host, port = str(self._server.get("host") or "localhost"), int(self._server.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            server.close()
            raise
        return server

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Forward whole messages from client to server, and inspect each."""
        with contextlib.suppress(OSError):  # the server may crash
            for message in _messages(client):
                if self._left and self._is_it(message):
                    self._left -= 1
                    self.happened.set()
                    if self._cut is Cut.BEFORE_THE_ANSWER:
                        server.sendall(message)
                    _hang_up(client)
                    break
                server.sendall(message)
        # The server processes what it received, gets no answer through, and then finds the client gone.
        _shut(server, socket.SHUT_WR)

    def _is_it(self, message: bytes) -> bool:
        if self._cut is Cut.IN_A_COPY:
            return message[:1] == b"d"  # CopyData
        return (FLUSH if self._cut is Cut.BEFORE_THE_FLUSH else SWAP) in message


@contextmanager
def between(dsn: str, cut: Cut, *, deaf: bool = False, times: int = 1) -> Iterator[Proxy]:
    """Run a proxy; its socket is in a new temporary directory, because socket paths must be short."""
    directory = Path(tempfile.mkdtemp(prefix="proxy"))
    proxy = Proxy(dsn, directory, cut, deaf=deaf, times=times)
    try:
        yield proxy
    finally:
        proxy.close()
        shutil.rmtree(directory)


def _messages(client: socket.socket) -> Iterator[bytes]:
    """Yield the client's messages; the first message has no type byte before its length."""
    buffer, typed = b"", 0
    while True:
        while len(buffer) >= typed + 4:
            end = typed + int.from_bytes(buffer[typed : typed + 4], "big")
            if len(buffer) < end:
                break
            yield buffer[:end]
            buffer, typed = buffer[end:], 1
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        if not data:
            return
        buffer += data


def _pump(server: socket.socket, client: socket.socket) -> None:
    """Forward the server's answers until the client disconnects."""
    gone = False
    while data := _received(server):
        try:
            if not gone:
                client.sendall(data)
        except OSError:
            gone = True
    _hang_up(client)
    server.close()


def _received(server: socket.socket) -> bytes:
    try:
        return server.recv(65536)
    except OSError:
        return b""


def _hang_up(client: socket.socket) -> None:
    _shut(client, socket.SHUT_RDWR)
    client.close()


def _shut(end: socket.socket, how: int) -> None:
    try:
        end.shutdown(how)
    except OSError:
        return
