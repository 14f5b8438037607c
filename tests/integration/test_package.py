"""The package is complete, its build is reproducible, and it runs on every supported Python."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHONS = ["3.11", "3.12", "3.13"]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


EPOCH = 10**9


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, because building leaves files behind."""
    copy = tmp_path_factory.mktemp("checkout") / "bluegreen"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "site")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    place = tmp_path_factory.mktemp("dist")
    build(checkout, place)
    [wheel], [sdist] = place.glob("*.whl"), place.glob("*.tar.gz")
    return wheel, sdist


def build(source: Path, target: Path, *options: str) -> None:
    """Build as scripts/release does."""
    program = f"""if True:
        import pathlib, release
        release.build(pathlib.Path({str(source)!r}), pathlib.Path({str(target)!r}), *{options!r}, epoch={EPOCH})"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT / "scripts", check=True, env=clean())


def clean() -> dict[str, str]:
    """Return an environment in which no module of this checkout is on the path."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_the_wheel_holds_everything(built: tuple[Path, Path]) -> None:
    """Every module, every SQL file and every file of the demo; nothing of the tests. The sdist builds it."""
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        sizes = {item.filename: item.file_size for item in archive.infolist()}
    package = {f"bluegreen_etl/{name}" for name in files("bluegreen_etl")}
    assert packed == package | {f"bluegreen_etl/sql/{name}" for name in files("sql")}
    assert {"bluegreen_etl/py.typed", "bluegreen_etl/sql/ledger.sql", "bluegreen_etl/sql/catalog.sql"} <= packed
    assert sizes["bluegreen_etl/sql/ledger.sql"] == (ROOT / "sql/ledger.sql").stat().st_size
    with tarfile.open(sdist) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    assert {f"bluegreen_etl/{name}" for name in files("bluegreen_etl")} <= names
    assert {f"sql/{name}" for name in files("sql")} | {"README.md", "LICENSE", "pyproject.toml"} <= names


def files(folder: str) -> Iterator[Path]:
    """Yield the files below a folder of the checkout, compiled ones left out."""
    for file in (ROOT / folder).rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(ROOT / folder)


def test_two_builds_are_the_same(built: tuple[Path, Path], checkout: Path, tmp_path: Path) -> None:
    """Builds from the same files are identical, and so is the wheel that pip builds from the sdist."""
    wheel, sdist = built
    build(checkout, tmp_path, "--sdist")
    assert digest(tmp_path / sdist.name) == digest(sdist)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(sdist)]
    subprocess.run(pip, check=True, env=clean() | {"SOURCE_DATE_EPOCH": str(EPOCH)}, stdin=subprocess.DEVNULL)
    assert digest(tmp_path / wheel.name) == digest(wheel)


def digest(file: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.usefixtures("server")  # its start makes the system user that the one of the demo finds
@pytest.mark.parametrize("version", PYTHONS)
def test_pip_installs_it_into_an_empty_environment(built: tuple[Path, Path], version: str, tmp_path: Path) -> None:
    """Install the wheel with its dependencies from PyPI; on this Python, also run the demo."""
    wheel, _ = built
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here, neither on PATH nor from pyenv")
    run(python, "-m", "venv", "--without-pip", tmp_path / "venv")
    own = tmp_path / "venv/bin/python"
    run(sys.executable, "-m", "pip", "--python", own, "install", "--quiet", "--no-compile", wheel)
    command = tmp_path / "venv/bin/bluegreen"
    assert run(command, "--version") == f"bluegreen, version {VERSION}\n"
    assert "exit code 1, a kind of Refused" in run(command, "explain", "Orphans")
    if version != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    # The server is 41 MB: the one that the tests use will do.
    borrowed = tmp_path / "venv/lib" / f"python{version}" / "site-packages/borrowed.pth"
    borrowed.write_text(next(path for path in sys.path if path.endswith("site-packages")))
    assert "bluegreen rollback" in run(command, "demo")


def interpreter(version: str) -> Path | None:
    """Return a Python of this minor version: from PATH, or the newest from pyenv."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    from_pyenv = sorted(pyenv.glob(f"{version}.*/bin/python"), key=lambda path: int(path.parts[-3].split(".")[2]))
    for candidate in [*([Path(on_path)] if on_path else []), *reversed(from_pyenv)]:
        # One of pyenv's shims is on PATH for every version, whether or not it leads to one.
        done = subprocess.run([candidate, "-c", ""], capture_output=True, check=False)
        if done.returncode == 0:
            return candidate
    return None


def run(*command: str | Path) -> str:
    """Run a program that must succeed, away from the checkout, and return what it has written to stdout."""
    done = subprocess.run(
        command, cwd="/", env=clean(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_changelog_is_in_order() -> None:
    """Unreleased, then the versions, newest first, each with its day; none is newer than the one that is built."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]]
    assert all(released), heads
    keys = [(tuple(int(part) for part in found.groups()[:3]), found[4]) for found in released if found]
    assert keys == sorted(keys, reverse=True)
    assert all(version <= tuple(map(int, VERSION.split("."))) for version, _ in keys)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds
