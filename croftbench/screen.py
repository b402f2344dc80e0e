"""Rich's console for texts that are not ours: what a terminal would obey is shown instead, see `croftbench.plain`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from croftbench import plain


class Screen(Console):
    """A console that nothing printed can move the cursor of, or colour: only Rich's own styles and controls can."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, highlight=False)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """What Rich makes of it, with every text made harmless."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else plain.shown(text), style, control)
