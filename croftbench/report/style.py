"""How pictures look and how they are written: one style, legible in grey; the same drawing gives the same bytes.

Line styles, markers and hatches tell the same as the hues (Okabe and Ito's). matplotlib is imported when a picture is
drawn, not before.
"""

from __future__ import annotations

import io
import textwrap
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from croftbench.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Vector = NDArray[np.float64]
Format = Literal["svg", "png"]

HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7f6000")
DASHES = ("-", "--", "-.", ":", (0, (6, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = "osD^vP*X<>p"
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


def style() -> AbstractContextManager[None]:
    """Our style on matplotlib's defaults, whatever the user's own settings are."""
    from matplotlib import style as styles

    return styles.context(["default", STYLE])


def write(picture: Picture, form: Format, *, caption: bool = True) -> bytes:
    """The picture's bytes; with its caption below, or bare and transparent for a page that sets the caption itself."""
    file = io.BytesIO()
    stamp = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    with style():
        if caption:
            text = textwrap.fill(picture.caption, int(picture.figure.get_figwidth() * 19))
            picture.figure.set_figheight(picture.figure.get_figheight() + 0.14 * (text.count("\n") + 1))
            picture.figure.supxlabel(text, fontsize=7, x=0.01, ha="left")
        picture.figure.savefig(file, format=form, dpi=160, metadata=stamp, transparent=not caption)
    return file.getvalue()


def save(picture: Picture, path: Path) -> None:
    """Write the picture, with its caption, to a file: PNG where its name ends so, else SVG.

    Raises:
        DataError: it cannot be written.
    """
    write_atomically(path, write(picture, "png" if path.suffix.lower() == ".png" else "svg"), "-o")


# ------------------------------------------------------------------------------------- parts


def panels(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of this size (inches), at most `columns` abreast."""
    from matplotlib.figure import Figure

    across = min(count, columns)
    down = -(-count // across)
    figure = Figure(figsize=(size[0] * across, size[1] * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]


def legend_below(axes: Axes, title: str) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.18), title=title, title_fontsize=8, alignment="left")


def density(values: Vector, grid: Vector) -> Vector:
    """Gaussian kernel density at an even grid, Silverman's bandwidth; values outside the grid count at its ends."""
    step = grid[1] - grid[0]
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34) or values.std()
    width = max(0.9 * spread * len(values) ** -0.2, step)
    nearest = np.clip(np.rint((values - grid[0]) / step), 0, len(grid) - 1).astype(np.int64)
    kernel = np.exp(-0.5 * ((grid[:, None] - grid) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(kernel @ np.bincount(nearest, minlength=len(grid)) / len(values))


def short(name: str, limit: int = 34) -> str:
    """A name that fits a legend; a leading underscore would hide it from matplotlib's."""
    shown = "".join(character if character.isprintable() else " " for character in name)
    shown = shown if len(shown) <= limit else shown[: limit - 1] + "…"
    return f" {shown}" if shown.startswith("_") else shown


def hue(position: int) -> str:
    return HUES[position % len(HUES)]


def dash(position: int) -> Any:
    return DASHES[position % len(DASHES)]
