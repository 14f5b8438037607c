"""Names of the schemas, tables and sessions of a release, within the limits of PostgreSQL."""

import hashlib
import json
import re

from bluegreen_etl import errors

# NAMEDATALEN - 1: PostgreSQL silently cuts longer names, so two releases could get the same one.
MAX_BYTES = 63
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def shadow_schema(live_schema: str, number: int) -> str:
    """Return the name of the schema of release `number` while it is not live: `league__r42`.

    Raises:
        UsageError: the name would be longer than PostgreSQL's 63 bytes.
    """
    name = f"{live_schema}__r{number}"
    if len(name.encode()) > MAX_BYTES:
        room = MAX_BYTES - len(name.encode()) + len(live_schema.encode())
        raise errors.UsageError(
            f'schema name "{live_schema}" is too long: the name of its release {number} would be "{name}", '
            f"more than {MAX_BYTES} bytes",
            hint=f"Choose a schema name of at most {room} bytes.",
        )
    return name


def scratch_database(database_oid: int, schema_oid: int) -> str:
    """Return the name of the scratch database for the release whose schema has this OID."""
    return f"bluegreen__{database_oid}_{schema_oid}"


def program(live_schema: str, number: int) -> str:
    """Return the application name for the sessions of a program that fills a release."""
    return f"bluegreen command {live_schema} r{number}".encode()[:MAX_BYTES].decode(errors="ignore")


def failures_schema(shadow_schema: str) -> str | None:
    """Return the name of the schema that holds the offending rows of a release's checks: `league__r42_failures`.

    None if the name would be too long for PostgreSQL.
    """
    name = f"{shadow_schema}_failures"
    return name if len(name.encode()) <= MAX_BYTES else None


def failures_table(check: str) -> str:
    """Return the name of the table for the offending rows of a check: the name of the check, shortened if needed."""
    if len(check.encode()) <= MAX_BYTES:
        return check
    digest = hashlib.sha256(check.encode()).hexdigest()[:8]
    return f"{check.encode()[: MAX_BYTES - 9].decode(errors='ignore')}_{digest}"


def check_live_schema(name: str) -> None:
    """Refuse a live schema name that PostgreSQL or bluegreen reserves.

    Raises:
        UsageError: the name is empty, contains a NUL byte, is too long, or is reserved.
    """
    if not name or "\0" in name:
        raise errors.UsageError("the schema name is empty or contains a NUL byte", hint="Give a name with `--schema`.")
    shadow_schema(name, 1)
    if name.startswith("pg_") or name in {"information_schema", "bluegreen"}:
        raise errors.UsageError(
            f'schema "{name}" cannot be replaced: the name is reserved',
            hint="Give another name with `--schema`.",
        )


def quoted(*parts: str) -> str:
    """Return a qualified identifier, quoted only if needed."""
    return ".".join(part if _is_plain(part) else '"' + part.replace('"', '""') + '"' for part in parts)


def toml_key(name: str) -> str:
    """Return a name as a key of bluegreen.toml, quoted only if needed."""
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isidentifier() and name == name.lower()
