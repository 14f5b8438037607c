"""Names of schemas: how a release's own schema is called, and whether a name fits PostgreSQL."""

import hashlib
import json
import re

from bluegreen_etl import errors

# NAMEDATALEN - 1: PostgreSQL silently cuts longer names, so two releases could meet in one.
MAX_BYTES = 63
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def shadow_schema(live_schema: str, number: int) -> str:
    """Return the name under which release `number` lies while it is not live: `league__r42`.

    Raises:
        UsageError: the name would be longer than PostgreSQL's 63 bytes.
    """
    name = f"{live_schema}__r{number}"
    if len(name.encode()) > MAX_BYTES:
        room = MAX_BYTES - len(name.encode()) + len(live_schema.encode())
        raise errors.UsageError(
            f'schema name "{live_schema}" is too long: its release {number} would be called "{name}", '
            f"more than {MAX_BYTES} bytes",
            hint=f"Choose a schema name of at most {room} bytes.",
        )
    return name


def scratch_database(database_oid: int, schema_oid: int) -> str:
    """Return the name of the database in which a program fills the release whose schema has this OID."""
    return f"bluegreen__{database_oid}_{schema_oid}"


def program(live_schema: str, number: int) -> str:
    """Return the application name of the sessions of a program that fills a release."""
    return f"bluegreen command {live_schema} r{number}".encode()[:MAX_BYTES].decode(errors="ignore")


def failures_schema(shadow_schema: str) -> str | None:
    """Return the name of the schema that holds the offending rows of a release's checks: `league__r42_failures`.

    None where PostgreSQL has no room for it.
    """
    name = f"{shadow_schema}_failures"
    return name if len(name.encode()) <= MAX_BYTES else None


def failures_table(check: str) -> str:
    """Return the name of the table that holds the offending rows of a check: the check's own, where that fits."""
    if len(check.encode()) <= MAX_BYTES:
        return check
    digest = hashlib.sha256(check.encode()).hexdigest()[:8]
    return f"{check.encode()[: MAX_BYTES - 9].decode(errors='ignore')}_{digest}"


def check_live_schema(name: str) -> None:
    """Refuse a live schema name that PostgreSQL or the tool reserves.

    Raises:
        UsageError: empty, holds a NUL byte, too long, reserved by PostgreSQL, or the ledger's own.
    """
    if not name or "\0" in name:
        raise errors.UsageError("the schema name is empty or holds a NUL byte", hint="Name one with --schema.")
    shadow_schema(name, 1)
    if name.startswith("pg_") or name in {"information_schema", "bluegreen"}:
        raise errors.UsageError(
            f'schema "{name}" cannot be replaced: the name is reserved',
            hint="Name another one with --schema.",
        )


def quoted(*parts: str) -> str:
    """Return an identifier as PostgreSQL would print it for a person: quoted only where it must be."""
    return ".".join(part if _is_plain(part) else '"' + part.replace('"', '""') + '"' for part in parts)


def toml_key(name: str) -> str:
    """Return a name as a key of bluegreen.toml: quoted only where it must be."""
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name == name.lower()
