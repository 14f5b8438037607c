"""Build the wheel and the sdist of a checkout: the same files give the same bytes, at any time and on any machine."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(source: Path, target: Path, *options: str, epoch: int) -> list[Path]:
    """Build both into `target`, the wheel from the sdist; `epoch` is the time of all files in them."""
    command = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(target), str(source)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    for sdist in target.glob("*.tar.gz"):
        sdist.write_bytes(_reproducible(sdist, epoch))
    return sorted(target.iterdir())


def _reproducible(sdist: Path, epoch: int) -> bytes:
    """Return an sdist without the builder's clock, user and group, which setuptools writes into it."""
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
    """Build the checkout into dist/, with the time of its last commit."""
    stamp = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    for file in build(ROOT, ROOT / "dist", epoch=int(os.environ.get("SOURCE_DATE_EPOCH", stamp.stdout))):
        print(file.relative_to(ROOT))  # noqa: T201 - the script prints the files that it has built


if __name__ == "__main__":
    main()
