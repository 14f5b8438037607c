"""Read a schema's definition as pg_dump writes it, cut into its entries.

pg_dump knows every kind of object of its server; with --verbose its plain output says for each entry which it is.
"""

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bluegreen_etl import (
    activity,
    child_process,
    client_programs,
    config,
    connection_environment,
    db,
    errors,
    model,
    queries,
)
from bluegreen_etl.shadow import sql_scanner
from bluegreen_etl.shadow.sql_scanner import IDENTIFIER

# The text of a function, a comment or a default may look like the beginning of an entry.
_ENTRY = sql_scanner.scanner(
    r"""
    ^(?P<found>--\n--[ ]TOC[ ]entry[ ])(?P<id>\d+)[ ]\(class[ ](?P<class>\d+)[ ]OID[ ](?P<oid>\d+)\)\n
    (?:--[ ]Dependencies:[ ][\d ]+\n)?
    --[ ]Name:[ ](?P<name>[^\n]*);[ ]Type:[ ](?P<type>[A-Z ]+);[ ]Schema:[ ][^\n]*;[ ]Owner:[ ][^\n]*\n
    (?:--[ ]Data[ ]Pos:[ ]\d+\n)?--\n\n
    """
)
# A line of `pg_restore --list`.
_LISTED = re.compile(r"^(?P<id>\d+); (?P<class>\d+) (?P<oid>\d+) (?P<rest>.*)$", re.MULTILINE)
# pg_dump writes these between two entries; they are meant for the one that follows.
_DEFAULTS = re.compile(r"^SET default_(?:tablespace|table_access_method) = .*;\n", re.MULTILINE)
_HEAD = re.compile(rf"(?:{_DEFAULTS.pattern})*", re.MULTILINE)
# An entry is one statement, except that further ones may follow a key, an index or a trigger.
_FURTHER = sql_scanner.scanner(r"(?<=;)(?P<found>\n+)(?=ALTER[ ](?:TABLE|INDEX)[ ])")
_OF_SEVERAL = frozenset({"CONSTRAINT", "INDEX", "TRIGGER"})
_END = sql_scanner.scanner(r"^(?P<found>--[ ]Completed[ ]on[ ])")
_REFERENCES = sql_scanner.scanner(rf"\bREFERENCES[ ](?P<found>(?P<schema>{IDENTIFIER})\.{IDENTIFIER})")
_OWN_TABLE = re.compile(
    rf"(?P<before>\s*(?:ALTER TABLE (?:ONLY )?|COMMENT ON CONSTRAINT {IDENTIFIER} ON ))(?P<schema>{IDENTIFIER})(?=\.)"
)
# pg_dump writes a grant of another role than the owner between two such lines.
_OTHER_GRANTOR = re.compile(
    rf"^(?:SET SESSION AUTHORIZATION {IDENTIFIER}|RESET SESSION AUTHORIZATION);\n", re.MULTILINE
)

FOREIGN_KEY = "FK CONSTRAINT"
# Built after COPY: a table without indexes, keys and triggers loads several times faster. pg_dump writes privileges
# last, and the other types after all that does not need them; an entry between them needs one of them, as a view that
# groups by a primary key does.
_AFTER_COPY = frozenset(
    {
        "CHECK CONSTRAINT",
        "CONSTRAINT",
        FOREIGN_KEY,
        "INDEX",
        "INDEX ATTACH",
        "POLICY",
        "ROW SECURITY",
        "RULE",
        "STATISTICS",
        "TRIGGER",
        "ACL",
        "DEFAULT ACL",
    }
)


class Entry(model.Record, frozen=True, kw_only=True):
    """One entry of pg_dump's table of contents: its `type` in pg_dump's words, and the SQL that creates it.

    Args:
        after_copy: create it after the rows are loaded.
        table: create it as soon as the rows of this table are loaded.
    """

    type: str
    name: str
    sql: str
    after_copy: bool
    table: str | None = None

    @property
    def statements(self) -> list[str]:
        """The statements one by one: Citus sends its nodes the whole message that a statement came in."""
        head = _HEAD.match(self.sql)
        assert head  # it matches an empty text too
        return [*head[0].splitlines(keepends=True), *self._own_statements(self.sql[head.end() :])]

    def _own_statements(self, body: str) -> Iterator[str]:
        start = 0
        for gap in sql_scanner.find(_FURTHER, body) if self.type in _OF_SEVERAL else ():
            yield body[start : gap.start("found")]
            start = gap.end("found")
        yield body[start:]

    @property
    def referenced_schema(self) -> str | None:
        """The schema of the table that a foreign key refers to; None for other entries."""
        return sql_scanner.unquote(found["schema"]) if (found := self._reference()) else None

    @property
    def referenced_table(self) -> str | None:
        """The table that a foreign key refers to, as SQL; None for other entries."""
        return found["found"] if (found := self._reference()) else None

    def _reference(self) -> re.Match[str] | None:
        return next(sql_scanner.find(_REFERENCES, self.sql), None) if self.type == FOREIGN_KEY else None

    def on_table_in(self, schema: str) -> "Entry":
        """Return a foreign key to an outside table, or its comment, for the same table in another schema."""
        match = _OWN_TABLE.match(self.sql)
        assert match  # pg_dump writes both in this form only
        quoted = '"' + schema.replace('"', '""') + '"'
        text = f"{match['before']}{quoted}{self.sql[match.end() :]}"
        return Entry(type=self.type, name=self.name, sql=text, after_copy=True)


def read(connection: db.Connection, schema: str, settings: config.Settings) -> list[Entry]:
    """Return the definition of one schema, entry by entry.

    Raises:
        ServerFailed, LockNotObtained: see run.
    """
    with tempfile.TemporaryDirectory(prefix="bluegreen-") as directory:
        archive = Path(directory) / "dump"
        run(connection, schema, settings, "--schema-only", "--format=custom", "--compress=0", f"--file={archive}")
        return granted_by_owner(connection, read_archive(pg_restore(connection, settings), archive))


def granted_by_owner(connection: db.Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with all grants made by the owner, unless the role may act as any other.

    shadow/privileges_of_live.py makes them as their grantors if it can.
    """
    if queries.value(connection, bool, "session.is_superuser"):
        return list(entries)
    return [
        msgspec.structs.replace(entry, sql=_OTHER_GRANTOR.sub("", entry.sql)) if entry.type == "ACL" else entry
        for entry in entries
    ]


def read_archive(program: Path, archive: Path) -> list[Entry]:
    """Return the definition in a dump in custom or directory format, entry by entry.

    Raises:
        ServerFailed: pg_restore fails, or its text and its list of entries differ.
    """
    text = child_process.output([program, "--schema-only", "--verbose", "--file=-", archive], environment={})
    listing = child_process.output([program, "--schema-only", "--list", archive], environment={})
    _compare(text, listing)
    return parse(text)


def pg_restore(connection: db.Connection, settings: config.Settings) -> Path:
    """Return the pg_restore that fits the server."""
    major = connection.info.server_version // 10000
    return client_programs.client_program("pg_restore", server_major=major, directory=settings.pg_bindir)


def run(connection: db.Connection, schema: str, settings: config.Settings, *options: str) -> str:
    """Run pg_dump on one schema; return what it writes to standard output.

    Raises:
        ServerFailed: no pg_dump as new as the server, or it fails.
        LockNotObtained: a session held a table of the schema for longer than pg_dump may wait.
    """
    major = connection.info.server_version // 10000
    program = client_programs.client_program("pg_dump", server_major=major, directory=settings.pg_bindir)
    pattern = '"' + schema.replace('"', '""') + '"'
    wait = db.OUTSIDE_WAIT
    arguments = ["--no-password", f"--schema={pattern}", f"--lock-wait-timeout={wait:.0f}s", *options]
    begun = time.monotonic()
    try:
        return child_process.output(
            [program, *arguments], environment=connection_environment.client_environment(connection)
        )
    except errors.ServerFailed as error:
        # pg_dump reports no SQLSTATE, and the server's message may be in any language.
        if time.monotonic() - begun < wait:
            raise
        holders = activity.sessions(connection, "cutover.exclusive_holders", {"schema": schema})
        raise errors.LockNotObtained(
            f"could not dump {schema} within {wait:g} s; blocked by: {model.sessions_shown(holders)}: {error.message}",
            hint="Live is unchanged. Run it again when its tables are free.",
        ) from error


def _compare(text: str, listing: str) -> None:
    """Refuse a dump if the entries found in its text are not those that its table of contents lists."""
    found = {(match["id"], match["class"], match["oid"]): match["type"] for match in sql_scanner.find(_ENTRY, text)}
    listed = {(match["id"], match["class"], match["oid"]): match["rest"] for match in _LISTED.finditer(listing)}
    same = found.keys() == listed.keys() and len(found) == len(list(sql_scanner.find(_ENTRY, text)))
    if not (same and all(listed[key].startswith(f"{kind} ") for key, kind in found.items())):
        strange = found.keys() ^ listed.keys()
        raise errors.ServerFailed(
            f"the definition cannot be cut into its entries: the dump lists {len(listed)}, its text has {len(found)}"
            + (f"; first difference: entry {min(strange, key=lambda key: int(key[0]))[0]}" if strange else ""),
            hint="Look for an object whose text imitates pg_dump's comments, with `pg_dump --schema-only --verbose`.",
        )


def parse(text: str) -> list[Entry]:
    """Cut pg_dump's verbose plain output into its entries, in its order."""
    found = list(sql_scanner.find(_ENTRY, text))
    last = next(sql_scanner.find(_END, text), None)
    ends = [*(match.start() for match in found), last.start() if last else len(text)][1:]
    entries: list[Entry] = []
    defaults: dict[str, str] = _defaults_of(text[: found[0].start()] if found else "")
    after_copy = False
    for match, end in zip(found, ends, strict=True):
        body = text[match.end() : end]
        head = (
            "".join(defaults.values()) if match["type"] in {"TABLE", "INDEX", "CONSTRAINT", "MATERIALIZED VIEW"} else ""
        )
        following = _defaults_of(body)
        if following:
            body = body[: _trailing_defaults(body)]
            defaults.update(following)
        of_schema = is_of_schema(match["type"], match["name"])
        after_copy = after_copy or (match["type"] in _AFTER_COPY and not of_schema)
        statement = head + body.strip() + "\n"
        entry = Entry(type=match["type"], name=match["name"], sql=statement, after_copy=after_copy and not of_schema)
        # The owner of a table needs the right to create one in the schema.
        entries.insert(1 if of_schema else len(entries), entry)
    return entries


def is_of_schema(kind: str, name: str) -> bool:
    """Say whether an entry grants privileges on the schema itself."""
    return kind == "ACL" and name.startswith("SCHEMA ")


def _trailing_defaults(body: str) -> int:
    """Return the place at which the SET lines at the end of an entry begin."""
    end = len(body)
    for match in reversed(list(_DEFAULTS.finditer(body))):
        if body[match.end() : end].strip():
            break
        end = match.start()
    return end


def _defaults_of(body: str) -> dict[str, str]:
    lines = _DEFAULTS.findall(body[_trailing_defaults(body) :] if body else "")
    return {line.split(" = ")[0]: line for line in lines}
