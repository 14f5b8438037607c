"""Settings: which of the places that may say something wins, and what is refused."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest

from bluegreen_etl import config, errors
from bluegreen_etl.model import Format, SourceOptions, StructureFrom
from bluegreen_etl.releases import matching

Write = Callable[[str], None]


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write bluegreen.toml into the working directory, which is the test's own."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "bluegreen.toml").write_text(text, encoding="utf-8")

    return write


def resolve(environ: Mapping[str, str] | None = None, environment: str | None = None, **flags: Any) -> config.Resolved:  # noqa: ANN401 - nested as in TOML
    """Resolve with an environment of the test's own."""
    return config.resolve(flags, environment=environment, environ=environ or {})


FILE = """
    dsn = "from file"
    [environments.production]
    dsn = "from section"
    [environments.plain]
"""


def test_the_connection_that_is_named_most_directly_wins(toml: Write) -> None:
    """Flag > environment's section > DATABASE_URL > bluegreen.toml > PG* variables > the embedded server."""
    toml(FILE)
    everything = {"DATABASE_URL": "from url", "PGHOST": "from libpq"}

    def dsn(environ: Mapping[str, str], environment: str | None = None, **flags: str) -> str | None:
        return resolve(environ, environment, **flags).target.dsn

    assert dsn(everything, "production", dsn="from flag") == "from flag"
    assert dsn(everything, "production") == "from section"
    assert dsn(everything, "plain") == "from url"
    assert dsn(everything) == "from url"
    assert dsn({"PGHOST": "from libpq"}) == "from file"
    toml("")
    assert dsn({"PGHOST": "from libpq"}) == ""  # libpq's own rules
    assert dsn({}) is None  # the embedded server


@pytest.mark.parametrize("variable", ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"])
def test_any_variable_that_leads_libpq_somewhere_counts(toml: Write, variable: str) -> None:
    """Each of them says that a server of the user's own is meant; an empty one says nothing."""
    toml("")
    assert resolve({variable: "x"}).target.origin == "PG* variables"
    assert resolve({variable: "", "PGAPPNAME": "x"}).target.dsn is None


def test_the_origin_of_the_connection_is_shown(toml: Write) -> None:
    """`status` shows where the connection comes from."""
    toml(FILE)
    assert resolve(dsn="x").target.origin == "--dsn or BLUEGREEN_DSN"
    assert resolve(environment="production").target.origin == "the environment's section of bluegreen.toml"
    assert resolve({"DATABASE_URL": "x"}).target.origin == "DATABASE_URL"
    assert resolve().target.origin == "bluegreen.toml"


def test_sections_merge_key_by_key(toml: Write) -> None:
    """An environment overrules what it names, leaves the rest, and a flag overrules both; None is no flag."""
    toml("""
        schema = "league"
        [load]
        jobs = 2
        session = { work_mem = "1MB", lock_timeout = "1s" }
        [tables.teams]
        null = "NA"
        [environments.production]
        schema = "leagues"
        protected = true
        load.session.work_mem = "1GB"
        [environments.production.tables.teams]
        types = { id = "bigint" }
        [environments.production.retention]
        keep = 3
    """)
    settings = resolve(environment="production", schema=None, load={"jobs": 4}, promote={"max_wait": None}).settings
    assert (settings.schema, settings.protected, settings.retention.keep) == ("leagues", True, 3)
    assert settings.load == config.Load(jobs=4, session={"work_mem": "1GB", "lock_timeout": "1s"})
    assert settings.tables["teams"] == config.TableSettings(null="NA", types={"id": "bigint"})
    assert settings.promote.max_wait == 30
    assert resolve().settings.schema == "league"


def test_every_section_is_read(toml: Write) -> None:
    """The names of the keys are those of docs/settings.md."""
    toml("""
        pg_bindir = "/opt/pg/bin"
        [sources]
        paths = ["data"]
        format = "tsv"
        [structure]
        from = "ddl"
        ddl = ["schema.sql"]
        [checks]
        path = "checks"
        statement_timeout = 5
        sample = 2
        [promote]
        max_wait = 1.5
        [tables.teams]
        files = ["t*.csv"]
        columns = ["id", "name"]
        header = false
        allow_empty = true
    """)
    settings = resolve().settings
    assert settings.pg_bindir == "/opt/pg/bin"
    assert settings.sources == config.Sources(paths=("data",), format=Format.TSV)
    assert settings.structure == config.Structure(source=StructureFrom.DDL, ddl=("schema.sql",))
    assert settings.checks == config.Checks(path="checks", statement_timeout=5, sample=2)
    assert settings.promote == config.Promote(max_wait=1.5)
    assert settings.tables["teams"] == config.TableSettings(
        files=("t*.csv",), columns=("id", "name"), header=False, allow_empty=True
    )


def test_variables_are_filled_in_wherever_a_text_stands(toml: Write) -> None:
    """A secret stays out of the file; only ${NAME} is one, and a dollar alone is a dollar."""
    toml("""
        dsn = "postgresql://ann:${PASSWORD}@db/${NAME}"
        [sources]
        paths = ["${HOME_OF_DATA}/in", "$1"]
    """)
    settings = resolve({"PASSWORD": "a$b", "NAME": "x", "HOME_OF_DATA": "/data"}).settings
    assert settings.dsn == "postgresql://ann:a$b@db/x"
    assert settings.sources.paths == ("/data/in", "$1")


def test_variables_are_numbers_and_booleans_where_those_are_wanted(toml: Write) -> None:
    """And a text stays one, whatever it looks like."""
    toml('protected = "${GUARD}"\n[load]\njobs = "${JOBS}"\n[sources]\nnull = "${NOTHING}"')
    settings = resolve({"GUARD": "true", "JOBS": "3", "NOTHING": "null"}).settings
    assert (settings.protected, settings.load.jobs, settings.sources.null) == (True, 3, "null")
    with pytest.raises(errors.UsageError, match="jobs"):
        resolve({"GUARD": "true", "JOBS": "0", "NOTHING": ""})


def test_mistake_in_an_environment_that_is_not_used_is_found(toml: Write) -> None:
    """The next reader of this setting is in a hurry."""
    toml("[environments.staging.load]\njbos = 2")
    with pytest.raises(errors.UsageError, match=r"\[environments.staging\]: contains unknown field `jbos`"):
        resolve()


def test_variables_of_other_environments_need_not_be_set(toml: Write) -> None:
    """Only what is used is filled in: a developer's machine has no production password."""
    toml('[environments.production]\ndsn = "${PRODUCTION_URL}"')
    assert resolve().target.dsn is None
    with pytest.raises(errors.UsageError, match="PRODUCTION_URL"):
        resolve(environment="production")


@pytest.mark.parametrize("variable", config.PLATFORM_VARIABLES)
def test_a_hosting_platform_names_the_environment(toml: Write, variable: str) -> None:
    """Its variable counts only where bluegreen.toml has a section of that name, and the user's own word comes first."""
    toml(FILE)
    found = resolve({variable: "production"})
    assert (found.environment, found.environment_origin) == ("production", variable)
    assert resolve({variable: "preview-12"}).environment is None
    assert resolve({variable: "production"}, "plain").environment == "plain"


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """Whatever the working directory is."""
    file = tmp_path / "sub" / "mine.toml"
    file.parent.mkdir()
    file.write_text('checks.path = "checks"')
    resolved = config.resolve({}, file=str(file), environ={})
    assert resolved.path("checks") == tmp_path / "sub" / "checks"
    assert resolved.path("/etc/checks") == Path("/etc/checks")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("schemas = 1", "schemas"),
        ("schema = 1", "schema"),
        ("[load]\njobs = 0", "load.jobs"),
        ("[load]\njobs = 65", "load.jobs"),
        ("[promote]\nmax_wait = -1", "promote.max_wait"),
        ('[structure]\nfrom = "air"', "structure.from"),
        ("[tables.teams]\nnul = 'NA'", "nul"),
        ("[retention]\nkeep = 'one'", "retention.keep"),
        ("environments = 1", "environments"),
        ("schema = ", "bluegreen.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named(toml: Write, text: str, named: str) -> None:
    """A misspelt key, a value of the wrong type, or no TOML at all: the message says where."""
    toml(text)
    with pytest.raises(errors.UsageError) as caught:
        resolve()
    assert named in caught.value.message
    assert caught.value.hint


NUMBERS = [
    "load.open_for",
    "checks.statement_timeout",
    "checks.sample",
    "promote.max_wait",
    "promote.wait_replicas",
    "promote.cancel_blockers",
    "promote.pgbouncer.pause_wait",
    "retention.keep",
    "retention.min_age",
    "backup.days",
    "backup.keep",
    "distribute.shards",
    "load.jobs",
    "load.reject_limit",
    "sources.max_record_mb",
    "tables.t.max_record_mb",
    "tables.t.reject_limit",
    "tables.t.checks.row_count.min",
]


def test_the_numbers_below_are_all_that_there_are() -> None:
    """A new setting with a number is tried here too."""
    found = set(_numbers(config.Settings))
    assert found == {re.sub(r"tables\.t\.", "tables.*.", name) for name in NUMBERS} | {"tables.*.checks.row_count.max"}


def _numbers(kind: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any type of a field
    """Yield the settings that take a number and no other value of TOML's."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from _numbers(field.type, f"{path}.{field.encode_name}".lstrip("."))
    elif get_origin(kind) is dict:
        yield from _numbers(get_args(kind)[1], f"{path}.*")
    elif get_origin(kind) is Annotated:
        yield from _numbers(get_args(kind)[0], path)
    elif kind in {int, float}:
        yield path
    elif get_origin(kind) in {Union, UnionType} and not {int, float} <= set(
        get_args(kind)
    ):  # not any value of a column
        for inner in get_args(kind):
            yield from _numbers(inner, path)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1" + "0" * 30, "1e300", '"inf"'])
@pytest.mark.parametrize("key", NUMBERS)
def test_number_that_cannot_be_meant_is_refused(toml: Write, key: str, value: str) -> None:
    """Not after hours, when a sum or a date is computed of it: the message has the key and its line."""
    section, name = key.rsplit(".", 1)
    toml(f"# first\n[{section}]\n{name} = {value}\n")
    with pytest.raises(errors.BadConfiguration) as caught:
        resolve()
    assert name in caught.value.message
    assert "line 3" in caught.value.message


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('schema = "a\\u0000"', 1, "schema"),
        ('\n[tables.t]\nnull = "\\u0000"', 3, "tables.t.null"),
        ('\n[sources]\npaths = [\n"a\\u0000"]', 3, "sources.paths"),
        ('load = { session = { "x" = "\\u0000" } }', 1, "load.session.x"),
        ('[load]\nsession = { "\\u0000" = "x" }', 2, "load.session"),
        ('[environments.here.tables.t]\ndelimiter = "\\u0000"', 2, "tables.t.delimiter"),
    ],
)
def test_text_that_no_server_takes_is_refused(toml: Write, text: str, line: int, key: str) -> None:
    """NUL can be written in TOML, and in no text of PostgreSQL's."""
    toml(text)
    with pytest.raises(errors.BadConfiguration, match=rf"line {line}: {key} holds the character NUL"):
        resolve()


@pytest.mark.parametrize("text", ["keep = " + "9" * 5000, "a = " + "[" * 100_000, b"a = '\xff'"])
def test_file_that_cannot_be_parsed_is_refused(tmp_path: Path, text: str | bytes) -> None:
    """Python's own limits, of digits and of nesting, are errors of the file."""
    file = tmp_path / "own.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    for path, said in ((file, "cannot be read"), (tmp_path, "cannot be read"), (tmp_path / ("x" * 300), "x" * 300)):
        with pytest.raises(errors.BadConfiguration, match=said):
            config.resolve({}, file=str(path), environ={})


def test_variable_that_is_not_utf_8_is_refused(toml: Write) -> None:
    """The bytes of the environment arrive as half surrogates, which cannot be sent."""
    toml('[hooks]\nafter_load = "${X}"')
    with pytest.raises(errors.BadConfiguration, match=r"line 2: hooks\.after_load is not valid UTF-8"):
        resolve({"X": "a\udcff"})


def test_what_is_named_must_exist(toml: Write) -> None:
    """A file or an environment that is asked for by name is not passed over in silence."""
    toml(FILE)
    with pytest.raises(errors.UsageError, match=r"missing\.toml"):
        config.resolve({}, file="missing.toml", environ={})
    with pytest.raises(errors.UsageError) as caught:
        resolve(environment="staging")
    assert caught.value.hint == "Add `[environments.staging]`, or use one of: plain, production."


def test_a_child_gets_no_variable_of_libpq_but_those_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PGHOST of the user's must not lead pg_dump to another server than ours."""
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("OTHER", "kept")
    environment = config.child_environment({"PGPORT": "1"})
    assert (environment.get("PGHOST"), environment["PGPORT"], environment["OTHER"]) == (None, "1", "kept")


@pytest.mark.parametrize(("variable", "platform"), config.PLATFORMS.items())
def test_a_hosting_platform_has_the_section_of_its_own_name(toml: Write, variable: str, platform: str) -> None:
    """Where nothing better names one; elsewhere, and without such a section, nothing is detected."""
    toml(f"[environments.{platform}]\nschema = 'hosted'\n[environments.staging]")
    found = resolve({variable: "1"})
    assert (found.environment, found.environment_origin) == (platform, variable)
    assert found.settings.schema == "hosted"
    assert resolve({variable: "1", "VERCEL_ENV": "staging"}).environment == "staging"
    assert resolve({}).environment is None


def test_every_section_can_be_overruled_by_an_environment(toml: Write) -> None:
    """Whatever bluegreen.toml can say, nested as deep as it is, with values out of variables."""
    toml("""
        [checks]
        path = "checks"
        [load.session]
        work_mem = "4MB"
        statement_timeout = "0"
        [environments.staging]
        protected = true
        [environments.staging.load.session]
        work_mem = "${MEMORY}"
        [environments.staging.backup]
        path = "${HOME_OF}/kept"
        [environments.staging.tables.teams]
        allow_empty = true
    """)
    settings = resolve({"MEMORY": "1GB", "HOME_OF": "/x"}, "staging").settings
    assert settings.load.session == {"work_mem": "1GB", "statement_timeout": "0"}
    assert (settings.protected, settings.backup.path, settings.checks.path) == (True, "/x/kept", "checks")
    assert settings.tables["teams"].allow_empty


def test_table_keeps_what_is_said_of_all_files() -> None:
    """Whatever else its own section says of them."""
    everywhere = config.Sources(sources={"born": "birthDate"}, null="NA", ignore_columns=("x",))
    own = config.TableSettings(delimiter=";", null="-")
    assert matching._options(everywhere, own) == SourceOptions(
        sources={"born": "birthDate"}, null="-", ignore_columns=("x",), delimiter=";"
    )
