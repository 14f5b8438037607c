"""Files elsewhere, by URL: whatever the package fsspec knows. Credentials in a URL are never shown."""

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
from bluegreen_etl.sources.places.base import Fingerprint, Found

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(?:([^/?#]*)@)?([^?]*)(\?.*)?\Z", re.IGNORECASE | re.DOTALL)
_HTTP = ("http", "https")
# What stands before the @ here is where the file lies, not who reads it.
_CONTAINERS = ("abfs", "abfss", "az", "wasb", "wasbs")
# A password with a slash in it ends the host too early, and what seems to be a port is the first half of it.
_BROKEN_HOST = re.compile(r"(?!\[)[^/]*:(?!\d*(?:/|\Z))")
# What tells one state of a file from the next, by the names that the storages have for it. Not all that they tell:
# the time of the last access changes by reading.
_VERSIONS = frozenset(
    {
        *("etag", "lastmodified", "contentmd5", "digest", "md5hash", "generation", "versionid", "hex"),
        *("mtime", "modified", "modify", "updated", "created"),
    }
)
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
_LOOK = "Check the address and the network, and load again."
_redirects: dict[str, str] = {}  # hosts to which servers have sent this process, until they are reported
_SECONDS = 300.0  # that a server may take for the next bytes


class URL(NamedTuple):
    """A URL in parts: `user` and `query` may be secrets."""

    scheme: str
    user: str | None
    rest: str
    query: str

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        if _BROKEN_HOST.match(self.rest):
            return f"{self.scheme}://…"
        named = self.user is not None and self.scheme in _CONTAINERS and ":" not in self.user
        return f"{self.scheme}://{f'{self.user}@' if named else ''}{self.rest}"

    @property
    def whole(self) -> str:
        """The URL as it is opened."""
        return f"{self.scheme}://{'' if self.user is None else f'{self.user}@'}{self.rest}{self.query}"

    @property
    def has_secrets(self) -> bool:
        """Whether there is more to the URL than may be shown."""
        return self.whole != self.shown

    @property
    def has_magic(self) -> bool:
        """Whether its path is a glob."""
        path = self.rest.partition("/")[2] if self.scheme in _HTTP else self.rest
        return any(character in path for character in ("*[" if self.scheme in _HTTP else "*?["))


def split(text: str) -> URL | None:
    """Return the parts of a URL; None when the text is a path."""
    found = _URL.match(text)
    if found is None:
        return None
    scheme, user, rest, query = found[1].lower(), found[2], found[3], found[4] or ""
    if scheme not in _HTTP and "=" not in query:  # a glob's, or part of a name
        rest, query = rest + query, ""
    if scheme in _HTTP and "#" in rest:
        rest, query = rest.partition("#")[0], ""
    return URL(scheme, user, rest, query)


class RemoteFile:
    """A file by its URL; implements places.Place."""

    def __init__(self, url: URL) -> None:
        self.path = url.shown
        self._url = url

    def fingerprint(self) -> Fingerprint:
        """Return what the storage tells of the file now."""
        with _translated(self._url):
            system, path = _system(self._url)
            system.invalidate_cache()
            about = system.info(path)
        if about.get("type") == "directory":
            raise errors.BadSource(f"{self.path} is a directory", hint="Let its URL end in a slash.")
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
        """Open it; HTTP by one request, because not every server gives parts of a file."""
        return self._opened({"block_size": 0} if self._url.scheme in _HTTP else {})

    def open_seekable(self) -> io.RawIOBase:
        """Open it for requests of its parts."""
        return self._opened({})

    def _is_empty(self) -> bool:
        """Whether there is nothing in it: to a question without an answer's body, some servers say 0 of any file."""
        with self.open() as file:
            return not file.read(1)

    def _opened(self, options: Mapping[str, int]) -> "_Fetched":
        with _translated(self._url):
            system, path = _system(self._url)
            return _Fetched(self._url, system.open(path, "rb", **options), in_parts=not options)


def find(url: URL) -> list[Found]:
    """Return the files that a URL, a directory or a glob means, hidden files and sub-directories left out.

    Raises:
        BadSource: they cannot be listed, or the package that would do it is not installed.
    """
    with _translated(url):
        system, path = _system(url)
        if url.has_magic:
            # The part before the glob is the same in the URL as in the names that the storage lists.
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
    """Return the error for a URL that means no file."""
    return errors.BadSource(f"{url.shown} matches no file", hint="Look at what is there under this address.")


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
            f"{url.shown} is elsewhere, and the package fsspec is not installed",
            hint="pip install 'bluegreen-etl[remote]', and the storage's own package: s3fs, gcsfs, adlfs.",
        ) from error
    options = {"get_client": _http_client} if url.scheme in _HTTP else {}
    system, path = core.url_to_fs(url.whole, **options)
    return system, path


async def _http_client(**options: Any) -> Any:  # noqa: ANN401 - what fsspec's settings say, and aiohttp's session
    """Return a session that takes files as they lie there, however long that takes, through the proxy that is set."""
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
    """The bytes of a remote file, with errors that are ours."""

    def __init__(self, url: URL, file: Any, *, in_parts: bool) -> None:  # noqa: ANN401 - whatever fsspec opens
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
                    f"{self._url.shown} cannot be read in parts: its server only gives whole files",
                    hint="Fetch it to this machine first.",
                ) from (None if self._url.has_secrets else error)
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _translated(self._url):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        with contextlib.suppress(Exception):  # it was read, or is of no interest any more
            self._file.close()
        super().close()


@contextlib.contextmanager
def _translated(url: URL, what: str = "cannot be read") -> Iterator[None]:
    """Turn what any storage raises into one sentence."""
    try:
        yield
    except errors.BluegreenError:
        raise
    except ImportError as error:
        hint = "pip install 'bluegreen-etl[remote]'." if url.scheme in _HTTP else f"{error}."
        raise errors.BadSource(f"{url.shown} needs a package that is not installed", hint=hint) from error
    except Exception as error:  # the packages have no class in common
        if isinstance(error.__cause__, errors.BadSource):  # of ours, and wrapped by fsspec
            raise error.__cause__ from None
        reason, hint = _reason(error, secret=url.has_secrets)
        # Errors quote the URL that failed; a traceback must not show it either.
        raise errors.BadSource(f"{url.shown} {what}: {reason}", hint=hint) from (None if url.has_secrets else error)


def _reason(error: BaseException, *, secret: bool) -> tuple[str, str]:
    """Return what went wrong, and what to do."""
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
        return "there is no such file", _LOOK
    if isinstance(error, TimeoutError):
        return "no answer in time", "Check the network, and load again."
    if isinstance(error, ConnectionError) and error.errno:
        text = os.strerror(error.errno)  # asyncio's own text is about the call that failed
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    else:
        text = type(error).__name__ if secret or not str(error) else str(error)
    return text, _LOOK
