"""How pictures look and how they are written: one style, legible in grey; the same drawing gives the same bytes.

Line styles, markers and hatches tell the same as the hues (Okabe and Ito's). matplotlib is imported when a picture is
drawn, not before.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from croftbench.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Vector = NDArray[np.float64]
Format = Literal["svg", "png", "pdf"]

HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7f6000")
DASHES = ("-", "--", "-.", ":", (0, (6, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = "osD^vP*X<>phd1234x+8H"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 3.2,
    "svg.fonttype": "none",  # text stays text: it can be searched, selected and read aloud
    "svg.hashsalt": "croftbench",
    "text.parse_math": False,  # a name with dollar signs is a name
}


@dataclass(frozen=True)
class Picture:
    """A drawing before it is written, and what it shows, in words."""

    figure: Figure
    title: str
    caption: str


@dataclass(frozen=True)
class Paper:
    """What a picture is drawn for.

    Attributes:
        width: of the whole figure in inches; 0 for a screen, where panels have their own size.
        abreast: the most panels side by side; 0 for as many as the picture likes.
        small: the size of letters beside that on a screen.
    """

    width: float = 0
    abreast: int = 0
    small: float = 1


SCREEN = Paper()
PAPERS = {1: Paper(3.35, 1, 0.78), 2: Paper(7.0, 3, 0.78)}
"""One and two columns of a paper in two columns (85 and 178 mm)."""


def style(paper: Paper = SCREEN) -> AbstractContextManager[None]:
    """Our style on matplotlib's defaults, whatever the user's own settings are."""
    from matplotlib import style as styles

    sizes = {name: value * paper.small for name, value in STYLE.items() if name.endswith("size")}
    return styles.context(["default", STYLE | sizes])


def write(picture: Picture, form: Format, *, caption: bool = True) -> bytes:
    """The picture's bytes; with its caption below, or bare for a page or a paper that sets the caption itself."""
    file = io.BytesIO()
    stamps = {"svg": ("Date", "Creator"), "png": ("Software",), "pdf": ("CreationDate", "Creator", "Producer")}
    with style():
        if caption:
            text = textwrap.fill(picture.caption, int(picture.figure.get_figwidth() * 19))
            picture.figure.set_figheight(picture.figure.get_figheight() + 0.14 * (text.count("\n") + 1))
            picture.figure.supxlabel(text, fontsize=7, x=0.01, ha="left")
        bare = form == "svg" and not caption
        picture.figure.savefig(
            file, format=form, dpi=160 if caption else 300, metadata=dict.fromkeys(stamps[form]), transparent=bare
        )
    return file.getvalue()


def inline(picture: Picture, prefix: str) -> str:
    """The picture as an `<svg>` element of a page: bare, scalable, its identifiers begin with `prefix`.

    Names are text in it, escaped by matplotlib; only the tags and attributes that matplotlib writes are touched.
    Laid out and drawn once: `savefig` draws everything twice, for formats that this is not.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure, file = picture.figure, io.StringIO()
    with style():
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
            patch.set_alpha(0)
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(file, metadata=dict.fromkeys(("Date", "Creator")))
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg[svg.index("<svg ") :], flags=re.DOTALL)
    start, rest = svg.split(">", 1)
    start = re.sub(r' (width|height|version)="[^"]*"', "", start) + ' aria-hidden="true" focusable="false"'

    def shorter(tag: re.Match[str]) -> str:
        own = re.sub(r'( id="|url\(#|href="#)', rf"\1{prefix}", tag[0])
        return re.sub(r"(?<=\.\d)\d+", "", own) if own.startswith("<path d=") else own  # tenths of a point are enough

    return f"{start}>{re.sub('<[^>]*>', shorter, rest)}"


def save(picture: Picture, path: Path, *, caption: bool = True) -> None:
    """Write the picture to a file, as its name ends: PNG, PDF, or SVG.

    Raises:
        DataError: it cannot be written.
    """
    form: Format = "png" if path.suffix.lower() == ".png" else "pdf" if path.suffix.lower() == ".pdf" else "svg"
    write_atomically(path, write(picture, form, caption=caption), "-o")


# ------------------------------------------------------------------------------------- parts


def panels(
    count: int, columns: int, size: tuple[float, float], paper: Paper = SCREEN, legend: Sequence[str] = ()
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of this size (inches), at most `columns` abreast, with room for a legend above.

    On paper the width is the paper's and panels keep their shape.
    """
    from matplotlib.figure import Figure

    across = min(count, columns, paper.abreast or count)
    down = -(-count // across)
    width = paper.width or size[0] * across
    height = size[1] * (width / across / size[0]) if paper.width else size[1]
    lines = -(-len(legend) // _abreast(width, legend, paper)) + 1.5 if legend else 0
    figure = Figure(figsize=(width, height * down + 0.165 * paper.small * lines), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]


def legend_above(figure: Figure, handles: Sequence[Any], said: Sequence[str], title: str, paper: Paper) -> None:
    """The figure's only legend, in as many columns as there is room for."""
    figure.legend(
        handles, said, loc="outside upper left", ncols=_abreast(figure.get_figwidth(), said, paper),
        title=title or None, title_fontsize=8 * paper.small, alignment="left", columnspacing=1.2,
    )  # fmt: skip


def _abreast(width: float, said: Sequence[str], paper: Paper) -> int:
    """The most columns of a legend that fit: matplotlib fills one after the other."""
    for across in range(len(said), 1, -1):
        columns = np.array_split(np.array([len(one) for one in said]), across)
        if sum(int(column.max()) * 0.068 + 0.65 for column in columns) * paper.small <= width:
            return across
    return 1


def handle(position: int, *, line: bool = True, marker: bool = True, hollow: bool = False) -> Any:
    """How a legend shows a row: by hue, line and marker, so that it can be told in grey."""
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"ls": dash(position) if line else "", "marker": mark(position) if marker else ""}
    return Line2D([], [], color=hue(position), lw=1.5, ms=6, mfc="white" if hollow else hue(position), **look)


def density(values: Vector, grid: Vector) -> Vector:
    """Gaussian kernel density at an even grid, Silverman's bandwidth; values outside the grid count at its ends."""
    step = grid[1] - grid[0]
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34) or values.std()
    width = max(0.9 * spread * len(values) ** -0.2, step)
    nearest = np.clip(np.rint((values - grid[0]) / step), 0, len(grid) - 1).astype(np.int64)
    kernel = np.exp(-0.5 * ((grid[:, None] - grid) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(kernel @ np.bincount(nearest, minlength=len(grid)) / len(values))


def labels(names: Sequence[str], limit: int = 46) -> list[str]:
    """Names that fit a legend: whole up to the limit; beyond it, what all that begin alike share is left out once.

    A leading underscore would hide a name from matplotlib's legend.
    """
    shown = ["".join(character if character.isprintable() else " " for character in name) for name in names]
    shown = [_cut(name, shown, limit) for name in shown]
    counts = {name: shown.count(name) for name in shown}
    numbered = [name if counts[name] == 1 else f"{name} [{shown[: i + 1].count(name)}]" for i, name in enumerate(shown)]
    return [f" {name}" if name.startswith("_") else name for name in numbered]


def _cut(name: str, every: Sequence[str], limit: int) -> str:
    """A long name without its middle: the beginning, and the part in which it differs from those that begin alike."""
    if len(name) <= limit:
        return name
    begin = limit // 2
    alike = [other for other in every if other != name and other[:begin] == name[:begin]]
    same = max((len(_shared(name, other)) for other in alike), default=begin)
    start = max(min(same, len(name) - (limit - begin - 1)), begin)
    rest = name[start : start + limit - begin - 1]
    return f"{name[:begin]}…{rest[:-1] + '…' if start + len(rest) < len(name) else rest}"


def _shared(one: str, other: str) -> str:
    """The beginning that two texts share."""
    return "".join(a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def hue(position: int) -> str:
    return HUES[position % len(HUES)]


def mark(position: int) -> str:
    return MARKERS[position % len(MARKERS)]


def dash(position: int) -> Any:
    return DASHES[position % len(DASHES)]
