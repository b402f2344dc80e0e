"""Where a family's own root is on this machine: a folder, or a snapshot of a hub's dataset in the hub's own cache."""

from __future__ import annotations

from pathlib import Path

from croftbench.errors import DataError

HUB = "hf://datasets/"


def local(root: str) -> Path | None:
    """The folder that a root means, None where it is not on this machine. Nothing is fetched.

    Args:
        root: a path, or "hf://datasets/owner/name", "@revision" behind it.
    """
    if root.startswith(HUB):
        return _snapshot(*repository(root))
    path = Path(root).expanduser()
    return path if path.is_dir() else None


def repository(root: str) -> tuple[str, str]:
    """Name and revision of the hub's dataset repository that a root means."""
    name, _, revision = root.removeprefix(HUB).partition("@")
    return name, revision or "main"


def fetch(root: str) -> Path:
    """The snapshot of a hub's dataset, brought into the hub's cache where it is not there yet.

    Raises:
        DataError: it cannot be fetched.
    """
    from huggingface_hub import snapshot_download

    name, revision = repository(root)
    try:
        path = Path(snapshot_download(name, repo_type="dataset", revision=revision))
    except Exception as error:  # the hub's errors, its client's and the network's, of many kinds
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot fetch {root}: {said}.", "Check the name, the network, HF_TOKEN.") from error
    return path


def _snapshot(name: str, revision: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
