"""Remote files by URL, through the package fsspec. Credentials in a URL are never shown."""

import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from bluegreen_etl import errors
from bluegreen_etl.sources.places.interface import Fingerprint, Found

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(?:([^/?#]*)@)?([^?]*)(\?.*)?\Z", re.IGNORECASE | re.DOTALL)
_HTTP = ("http", "https")
# In these schemes the part before the @ is the container of the file, not a user.
_CONTAINERS = ("abfs", "abfss", "az", "wasb", "wasbs")
# A slash in a password ends the host too early: the apparent port is then part of the password.
_BROKEN_HOST = re.compile(r"(?!\[)[^/]*:(?!\d*(?:/|\Z))")
# Attributes that identify a version of a file, by the names in different storages. Not all attributes: the time of
# the last access changes by reading.
_VERSIONS = frozenset(
    {
        *("etag", "lastmodified", "contentmd5", "digest", "md5hash", "generation", "versionid", "hex"),
        *("mtime", "modified", "modify", "updated", "created"),
    }
)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
_LOOK = "Check the URL and the network, and load again."
_SECONDS = 300.0  # timeout of one read
_redirects: dict[str, str] = {}  # hosts to which servers have sent this process, until they are reported


class URL(NamedTuple):
    """A URL in parts: `user` and `query` may be secrets."""

    scheme: str
    user: str | None
    rest: str
    query: str

    @property
    def shown(self) -> str:
        """The URL without secrets."""
        if _BROKEN_HOST.match(self.rest):
            return f"{self.scheme}://…"
        named = self.user is not None and self.scheme in _CONTAINERS and ":" not in self.user
        return f"{self.scheme}://{f'{self.user}@' if named else ''}{self.rest}"

    @property
    def whole(self) -> str:
        """The URL with secrets, as it is opened."""
        return f"{self.scheme}://{'' if self.user is None else f'{self.user}@'}{self.rest}{self.query}"

    @property
    def has_secrets(self) -> bool:
        """Whether the URL contains secrets."""
        return self.whole != self.shown

    @property
    def has_magic(self) -> bool:
        """Whether its path is a glob."""
        path = self.rest.partition("/")[2] if self.scheme in _HTTP else self.rest
        return any(character in path for character in ("*[" if self.scheme in _HTTP else "*?["))


def split(text: str) -> URL | None:
    """Return the parts of a URL; None if the text is a path."""
    found = _URL.match(text)
    if found is None:
        return None
    scheme, user, rest, query = found[1].lower(), found[2], found[3], found[4] or ""
    if scheme not in _HTTP and "=" not in query:  # part of a glob or a name
        rest, query = rest + query, ""
    if scheme in _HTTP and "#" in rest:
        rest, query = rest.partition("#")[0], ""
    return URL(scheme, user, rest, query)


class RemoteFile:
    """A remote file; implements places.Place."""

    def __init__(self, url: URL) -> None:
        self.path = url.shown
        self._url = url

    def fingerprint(self) -> Fingerprint:
        """Return the current fingerprint from the attributes in the storage."""
        with _translated(self._url):
            system, path = _system(self._url)
            system.invalidate_cache()
            about = system.info(path)
        if about.get("type") == "directory":
            raise errors.BadSource(f"{self.path} is a directory", hint="Add a slash to the end of the URL.")
        versions = {
            key: str(value)
            for key, value in about.items()
            if key.lower().replace("-", "").replace("_", "") in _VERSIONS
        }
        size = about.get("size")
        if size == 0 and self._url.scheme in _HTTP and not self._is_empty():
            size = None
        return Fingerprint(size, tuple(sorted(versions.items())))

    def open(self) -> io.RawIOBase:
        """Open the file; HTTP uses one request, because not every server supports ranges."""
        return self._opened({"block_size": 0} if self._url.scheme in _HTTP else {})

    def open_seekable(self) -> io.RawIOBase:
        """Open the file for range requests."""
        return self._opened({})

    def _is_empty(self) -> bool:
        """Whether the file is empty: some servers report size 0 for any file in answer to HEAD."""
        with self.open() as file:
            return not file.read(1)

    def _opened(self, options: Mapping[str, int]) -> "_Fetched":
        with _translated(self._url):
            system, path = _system(self._url)
            return _Fetched(self._url, system.open(path, "rb", **options), in_parts=not options)


def find(url: URL) -> list[Found]:
    """Return the files of a URL, a directory or a glob, without hidden files and subdirectories.

    Raises:
        BadSource: the files cannot be listed, or the package for the scheme is not installed.
    """
    with _translated(url):
        system, path = _system(url)
        if url.has_magic:
            # The part before the glob is equal in the URL and in the listed names.
            listed = system.glob(path, detail=True).values()
            base, own_base = (re.split(r"[^/]*[*?\[]", text, maxsplit=1)[0] for text in (url.rest, path))
        elif url.rest.endswith("/") or (url.scheme not in _HTTP and system.isdir(path)):
            listed = system.ls(path, detail=True)
            base, own_base = url.rest.rstrip("/") + "/", path.rstrip("/") + "/"
        else:
            return [_found(url, named=True)]
    names = sorted(about["name"] for about in listed if about["type"] == "file")
    inside = [url._replace(rest=base + name.removeprefix(own_base)) for name in names if name.startswith(own_base)]
    own = [_found(each, inside=not url.has_magic) for each in inside]
    return [each for each in own if not each.name.startswith(".")]


def take_redirects() -> dict[str, str]:
    """Return the hosts that have redirected requests to other hosts since the last call, each with the other one."""
    taken = dict(_redirects)
    _redirects.clear()
    return taken


def missing(url: URL) -> errors.BadSource:
    """Return the error for a URL that matches no file."""
    return errors.BadSource(f"{url.shown} matches no file", hint="Check the URL.")


def _found(url: URL, *, named: bool = False, inside: bool = False) -> Found:
    name = url.rest.rpartition("/")[2]
    own = unquote(name) if url.scheme in _HTTP else name
    return Found(url.shown, (url.whole,), own, (url.whole,), named, inside)


def _system(url: URL) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it."""
    try:
        core = importlib.import_module("fsspec.core")
    except ImportError as error:
        raise errors.BadSource(
            f"{url.shown} is a remote file: the package fsspec is not installed",
            hint="Run `pip install 'bluegreen-etl[remote]'`, and install s3fs, gcsfs or adlfs for their storages.",
        ) from error
    options = {"get_client": _http_client} if url.scheme in _HTTP else {}
    system, path = core.url_to_fs(url.whole, **options)
    return system, path


async def _http_client(**options: Any) -> Any:  # noqa: ANN401 - fsspec's settings; aiohttp's session
    """Return a session without decompression and total timeout, which uses the configured proxy."""
    aiohttp = importlib.import_module("aiohttp")
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_follow_redirect)
    ours = {
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_SECONDS),
        "headers": {"Accept-Encoding": "identity"},
        "auto_decompress": False,
        "trust_env": True,
        "trace_configs": [trace],
    }
    return aiohttp.ClientSession(**{**ours, **options})


async def _follow_redirect(_session: object, _context: object, redirect: Any) -> None:  # noqa: ANN401 - aiohttp's
    """Record a redirect to another host.

    Raises:
        BadSource: it leads to another scheme: from https to http, everybody on the way could change the data.
    """
    request = redirect.response.url
    target = request.join(type(request)(redirect.response.headers["Location"]))
    if target.scheme != request.scheme and (request.scheme, target.scheme) != _HTTP:
        raise errors.BadSource(
            f"{request.scheme}://{request.host} redirects to {target.scheme}://{target.host or ''}",
            hint="Fetch the file by the address that you trust, then load it from this machine.",
        )
    if (request.host, request.port) != (target.host, target.port):
        _redirects[f"{request.host}:{request.port}"] = f"{target.host}:{target.port}"


class _Fetched(io.RawIOBase):
    """The bytes of a remote file; errors become BadSource."""

    def __init__(self, url: URL, file: Any, *, in_parts: bool) -> None:  # noqa: ANN401 - any file object of fsspec
        super().__init__()
        self._url = url
        self._file = file
        self._in_parts = in_parts

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        with _translated(self._url, "cannot be read to its end"):
            try:
                data = self._file.read(len(view))
            except ValueError as error:
                if not self._in_parts or self._url.scheme not in _HTTP:
                    raise
                raise errors.BadSource(
                    f"{self._url.shown} cannot be read in parts: the server does not support ranges",
                    hint="Download the file, and load the local copy.",
                ) from (None if self._url.has_secrets else error)
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _translated(self._url):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        with contextlib.suppress(Exception):  # the file was read, or is no longer needed
            self._file.close()
        super().close()


@contextlib.contextmanager
def _translated(url: URL, what: str = "cannot be read") -> Iterator[None]:
    """Convert any exception of a storage to BadSource."""
    try:
        yield
    except errors.BluegreenError:
        raise
    except ImportError as error:
        hint = "Run `pip install 'bluegreen-etl[remote]'`." if url.scheme in _HTTP else f"{error}."
        raise errors.BadSource(f"{url.shown} needs a package that is not installed", hint=hint) from error
    except Exception as error:  # the packages have no common exception class
        if isinstance(error.__cause__, errors.BadSource):  # of ours, and wrapped by fsspec
            raise error.__cause__ from None
        reason, hint = _reason(error, secret=url.has_secrets)
        # Errors quote the full URL; a traceback must not show it either.
        raise errors.BadSource(f"{url.shown} {what}: {reason}", hint=hint) from (None if url.has_secrets else error)


def _reason(error: BaseException, *, secret: bool) -> tuple[str, str]:
    """Return the cause and the hint for an exception."""
    aiohttp = sys.modules.get("aiohttp")
    while error.__cause__ is not None:
        if aiohttp and isinstance(error, aiohttp.ClientPayloadError):
            return "the connection was lost", "Load again."
        error = error.__cause__
    status = getattr(error, "status", None)
    if isinstance(status, int) and status in _PHRASES:
        return f"{status} {_PHRASES[status]}", "Check the credentials." if status in _DENIED else _LOOK
    if isinstance(error, PermissionError):
        return "permission denied", "Check the credentials."
    if isinstance(error, FileNotFoundError):
        return "the file does not exist", _LOOK
    if isinstance(error, TimeoutError):
        return "the server did not answer in time", "Check the network, and load again."
    if isinstance(error, ConnectionError) and error.errno:
        text = os.strerror(error.errno)  # asyncio's text is about the failed call
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = type(error).__name__ if secret or not str(error) else str(error)
    return text, _LOOK
