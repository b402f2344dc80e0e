"""Nothing in the reports imports in a circle, not for types and not inside a function either."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_no_circle_of_imports():
    graph = grimp.build_graph("croftbench", cache_dir=None)
    room = {name for name in graph.modules if name.startswith("croftbench.report.")}
    assert len(room) > 15
    imports = {module: graph.find_modules_directly_imported_by(module) & room for module in room}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
