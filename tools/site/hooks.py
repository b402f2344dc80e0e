"""What mkdocs asks while it builds: pages made from the code, links that leave `docs/`, the results page."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import cards

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"!?\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of `cards.py`, the changelog, and the committed results."""
    made = cards.pages() | {"changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    for path in sorted((ROOT / "results/report").iterdir()):
        files.append(File.generated(config, f"report/{path.name}", abs_src_path=str(path)))
    for path in sorted((ROOT / "results/diagnosis").rglob("*.png")):
        files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link to a file of the repository that is no page becomes its name: the site may stand anywhere."""
    here = Path(page.file.src_uri).parent

    def replace(match: re.Match[str]) -> str:
        target = (ROOT / "docs" / here / match[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return match[0]
        up = "../" * len(here.parts)
        if target.is_relative_to(ROOT / "results/report"):
            return f"[{match[1]}]({up}report/{target.name})"
        if match[0].startswith("!"):
            return f"![{match[1]}]({up}{target.relative_to(ROOT)})"
        label = match[1].strip("`")
        name = str(target.relative_to(ROOT))
        return f"`{name}`" if label in (name, target.name) else f"{match[1]} (`{name}`)"

    return LINK.sub(replace, markdown)
