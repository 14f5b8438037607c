"""What pip installs is complete: the SQL, the demo and the type marker are in the wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_everything(tmp_path: Path) -> None:
    """Every module, every SQL file and every file of the demo; nothing of the tests."""
    copy = tmp_path / "checkout"
    # Building leaves files behind; they are no part of a checkout that somebody works in.
    for name in ("bluegreen_etl", "sql"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(copy)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        sizes = {item.filename: item.file_size for item in archive.infolist()}
    package = {f"bluegreen_etl/{file.relative_to(ROOT / 'bluegreen_etl')}" for file in files(ROOT / "bluegreen_etl")}
    sql = {f"bluegreen_etl/sql/{file.relative_to(ROOT / 'sql')}" for file in files(ROOT / "sql")}
    assert packed == package | sql
    assert {"bluegreen_etl/py.typed", "bluegreen_etl/sql/ledger.sql", "bluegreen_etl/sql/queries.sql"} <= packed
    assert sizes["bluegreen_etl/sql/ledger.sql"] == (ROOT / "sql/ledger.sql").stat().st_size


def files(directory: Path) -> list[Path]:
    """Return the files below a directory, compiled ones left out."""
    return [file for file in directory.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
