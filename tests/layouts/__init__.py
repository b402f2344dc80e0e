"""Small, faithful copies of every layout that the manifests know: folder names, file formats and list formats are real,
class lists and counts are cut down, pictures are drawn.

    manifests = reduced(tmp_path / "manifests")            # the registry, with few classes and few images
    built = build(data, registry.family("pacs", manifests), "domainbed")
"""

from tests.layouts.build import Built, build, names_below
from tests.layouts.reduce import reduced

__all__ = ["Built", "build", "names_below", "reduced"]
