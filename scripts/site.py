"""Hooks of mkdocs: add README, CHANGELOG and CONTRIBUTING, which are at the top of the repository, to the site."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"(?<=\]\()(\.\./|docs/)?([\w-]+\.md)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Return the files with the pages that are not in docs/."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links between docs/ and the top of the repository changed to the site's paths."""
    return _LINK.sub(lambda link: PAGES.get(link[2], link[2]), markdown)
