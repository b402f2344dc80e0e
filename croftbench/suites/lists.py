"""Lists that lie beside the manifests and that suites name: class ids, and which class is which of another family."""

from __future__ import annotations

from functools import cache

from croftbench.suites import registry
from croftbench.suites.shelves import Where


@cache
def ids(name: str, folder: Where = None) -> tuple[str, ...]:
    """Class ids, one a line; what follows a tab is for people."""
    return tuple(row.cells[0] for row in registry.rows_of(registry.shipped_list(name, folder)))


@cache
def mapping(name: str, folder: Where = None) -> dict[str, tuple[str, ...]]:
    """Class id -> ids of the classes that it is elsewhere, from lines "id<TAB>id id ..."."""
    rows = registry.rows_of(registry.shipped_list(name, folder))
    return {row.cells[0]: tuple(" ".join(row.cells[1:]).replace(",", " ").split()) for row in rows}
