"""HTML by Jinja2. Names from plug-ins and imported runs are escaped; what a template lacks is an error, not a gap."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from croftbench import plain

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: Any) -> str:
    """The text of a template of this folder, as markup: whatever needed it is escaped."""
    from markupsafe import Markup

    return Markup(_environment().get_template(name).render(values))


def source(name: str) -> str:
    """A file of ours that goes into a page as it is."""
    from markupsafe import Markup

    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _shown(value: Any) -> Any:
    """What is printed of a value: a text that is not ours without characters that turn or hide others."""
    return plain.shown(value) if type(value) is str else value


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(__name__, ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
