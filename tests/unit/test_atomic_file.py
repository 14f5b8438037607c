"""A file that others read is replaced as a whole, and is no more open to them than the umask says."""

import os
from pathlib import Path

import pytest

from bluegreen_etl import atomic_file


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    """A report may hold offending rows."""
    before = os.umask(0o077)
    try:
        atomic_file.write(tmp_path / "page.html", "text\n")
    finally:
        os.umask(before)
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "page.html").read_text() == "text\n"


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path) -> None:
    """Nothing else is left next to it."""
    (tmp_path / "page").mkdir()
    with pytest.raises(OSError, match="page"):
        atomic_file.write(tmp_path / "page", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


def test_link_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    """Somebody else may have put it there, and a device is no place for a page."""
    (tmp_path / "other").write_text("precious")
    (tmp_path / "page").symlink_to("other")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("page", "is a symbolic link"), ("pipe", "is not a regular file")):
        with pytest.raises(OSError, match=reason):
            atomic_file.write(tmp_path / name, "text")
    assert (tmp_path / "page").is_symlink()
    assert (tmp_path / "other").read_text() == "precious"
