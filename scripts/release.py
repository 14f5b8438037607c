"""Builds the wheel and the sdist of a checkout; the same files give the same bytes, whenever and wherever."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(source: Path, target: Path, *options: str, epoch: int) -> list[Path]:
    """Build into `target`, the wheel from what the sdist holds; `epoch` is the time that all files in them have."""
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(target), str(source)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    for sdist in target.glob("*.tar.gz"):
        sdist.write_bytes(_settled(sdist, epoch))
    return sorted(target.iterdir())


def _settled(sdist: Path, epoch: int) -> bytes:
    """Return an sdist without the builder's clock, names and numbers, which setuptools leaves in it."""
    packed = io.BytesIO()
    with (
        tarfile.open(sdist) as before,
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=epoch) as stream,
        tarfile.open(fileobj=stream, mode="w") as after,
    ):
        for member in sorted(before, key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def main() -> None:
    """Build what is committed into dist/."""
    asked = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    for file in build(ROOT, ROOT / "dist", epoch=int(os.environ.get("SOURCE_DATE_EPOCH", asked.stdout))):
        print(file.relative_to(ROOT))  # noqa: T201 - this is what the script is for


if __name__ == "__main__":
    main()
