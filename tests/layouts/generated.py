"""A data folder that exists as a listing only: all of ImageNet's names, or fewer, without a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Name:
    """What `os.scandir` yields, as far as a scan may ask; there is no status to ask for."""

    name: str
    folder: bool

    def is_dir(self) -> bool:
        return self.folder

    def is_symlink(self) -> bool:
        return False


class Listing:
    """Stands in for `os.scandir` on `<root>/imagenet/images/<part>/<wnid>/`.

    Args:
        root: of the data folder.
        wnids: class folders.
        sizes: part -> images in each class folder.
    """

    def __init__(self, root: str, wnids: tuple[str, ...], sizes: Mapping[str, int]) -> None:
        self.root, self.wnids, self.sizes = root, wnids, sizes
        self.read: list[str] = []

    def __call__(self, path: str) -> Opened:
        """Open a folder of the listing."""
        self.read.append(path)
        steps = [step for step in path.removeprefix(self.root).split("/") if step]
        if steps[:2] != ["imagenet", "images"][: len(steps)]:
            raise FileNotFoundError(path)
        match steps[2:]:
            case []:
                below = {0: ["imagenet"], 1: ["images"], 2: list(self.sizes)}[len(steps)]
                return Opened(Name(name, True) for name in below)
            case [_]:
                return Opened(Name(wnid, True) for wnid in reversed(self.wnids))
            case [part, wnid]:
                return Opened(Name(f"{wnid}_{i}.JPEG", False) for i in range(self.sizes[part]))
        raise FileNotFoundError(path)


class Opened:
    """An open folder."""

    def __init__(self, names: Iterator[Name]) -> None:
        self.names = names

    def __enter__(self) -> Iterator[Name]:
        return self.names

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
