"""A schema's definition as pg_dump writes it, cut into its entries.

pg_dump knows every kind of object of its server; with --verbose its plain output says for each entry which it is.
"""

import re
import time

from bluegreen_etl import activity, child_process, client_programs, config, db, errors, model

_ENTRY = re.compile(
    r"^--\n-- TOC entry \d+ \(class \d+ OID \d+\)\n(?:-- Dependencies: [\d ]+\n)?"
    r"-- Name: (?P<name>.*); Type: (?P<type>[A-Z ]+); Schema: (?P<schema>.*); Owner: .*\n--\n\n",
    re.MULTILINE,
)
# Written between two entries, and meant for the one that follows.
_DEFAULTS = re.compile(r"^SET default_(?:tablespace|table_access_method) = .*;\n", re.MULTILINE)
_HEAD = re.compile(rf"(?:{_DEFAULTS.pattern})*", re.MULTILINE)
# What pg_dump writes into one entry is one statement but for what follows a key, an index or a trigger.
_FURTHER = re.compile(r"(?<=;)\n+(?=ALTER (?:TABLE|INDEX) )")
_OF_SEVERAL = frozenset({"CONSTRAINT", "INDEX", "TRIGGER"})
_END = "\n-- Completed on "

# What is built after COPY: a table without indexes, keys and triggers loads several times faster. pg_dump writes
# privileges last of all and the others after everything else but them; what it puts between these needs one of them,
# as a view does that groups by a primary key.
_AFTER_COPY = frozenset(
    {
        "CHECK CONSTRAINT",
        "CONSTRAINT",
        "FK CONSTRAINT",
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
    """One entry of pg_dump's table of contents: its `type` in pg_dump's words, and the SQL that makes it.

    `after_copy`: it is made after the data is there; `table`: as soon as this one's is there.
    """

    type: str
    name: str
    sql: str
    after_copy: bool
    table: str | None = None

    @property
    def statements(self) -> list[str]:
        """The statements one by one: Citus hands its nodes the message in which one came as a whole."""
        head = _HEAD.match(self.sql)
        assert head  # of no line at least
        body = self.sql[head.end() :]
        return [*head[0].splitlines(keepends=True), *(_FURTHER.split(body) if self.type in _OF_SEVERAL else [body])]


def read(connection: db.Connection, schema: str, settings: config.Settings) -> list[Entry]:
    """Dump the definition of one schema, without its data.

    Raises:
        ServerFailed, LockNotObtained: see run.
    """
    return parse(run(connection, schema, settings, "--schema-only", "--verbose"))


def run(connection: db.Connection, schema: str, settings: config.Settings, *options: str) -> str:
    """Run pg_dump on one schema; return what it writes to standard output.

    Raises:
        ServerFailed: no pg_dump as new as the server, or it fails.
        LockNotObtained: somebody held a table of the schema for longer than it may wait.
    """
    major = connection.info.server_version // 10000
    program = client_programs.client_program("pg_dump", server_major=major, directory=settings.pg_bindir)
    pattern = '"' + schema.replace('"', '""') + '"'
    wait = db.OUTSIDE_WAIT
    arguments = ["--no-password", f"--schema={pattern}", f"--lock-wait-timeout={wait:.0f}s", *options]
    begun = time.monotonic()
    try:
        return child_process.output([program, *arguments], environment=db.client_environment(connection))
    except errors.ServerFailed as error:
        # It gives no SQLSTATE, and the server's words may be in any language.
        if time.monotonic() - begun < wait:
            raise
        holders = activity.sessions(connection, "cutover.exclusive_holders", {"schema": schema})
        raise errors.LockNotObtained(
            f"{schema} could not be dumped for {wait:g} s, because of {model.sessions_shown(holders)}: {error.message}",
            hint="Live is unchanged. Run it again when its tables are free.",
        ) from error


def parse(text: str) -> list[Entry]:
    """Cut pg_dump's verbose plain output into its entries, in its order."""
    found = list(_ENTRY.finditer(text))
    ends = [*(match.start() for match in found), text.rfind(_END) if _END in text else len(text)][1:]
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
        sql = head + body.strip() + "\n"
        entry = Entry(type=match["type"], name=match["name"], sql=sql, after_copy=after_copy and not of_schema)
        # A role that is given a table has to have the right to make one there.
        entries.insert(1 if of_schema else len(entries), entry)
    return entries


def is_of_schema(kind: str, name: str) -> bool:
    """Say whether an entry gives privileges on the schema itself."""
    return kind == "ACL" and name.startswith("SCHEMA ")


def _trailing_defaults(body: str) -> int:
    """Return where the SET lines at the very end of an entry begin."""
    end = len(body)
    for match in reversed(list(_DEFAULTS.finditer(body))):
        if body[match.end() : end].strip():
            break
        end = match.start()
    return end


def _defaults_of(body: str) -> dict[str, str]:
    lines = _DEFAULTS.findall(body[_trailing_defaults(body) :] if body else "")
    return {line.split(" = ")[0]: line for line in lines}
