"""Where files come from: the Hugging Face hub, torchvision's downloaders, plain addresses.

All write into one folder that nobody reads from until `fetch` has put it in place.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from croftbench.errors import DataError, unknown
from croftbench.files import file_digest
from croftbench.progress import Progress

if TYPE_CHECKING:
    from huggingface_hub import RepoFile

CHUNK = 1 << 20
TIMEOUT = 30
"""Seconds without a byte after which a server counts as gone."""
ATTEMPTS = 4
"""Tries of a plain address in one go, each going on where the last one was cut."""


# ------------------------------------------------------------------------------------------ the hub


def hub(repo: str, into: Path, progress: Progress, *, revision: str = "main", files: Sequence[str] = ()) -> str:
    """Bring a data set's repository, or the files of it that match, into a folder; the commit that they are of.

    A cut connection is taken up again at once, and a second call goes on with the files that are missing. Every file
    is then checked against the hub's own digest.

    Raises:
        DataError: the hub cannot be reached, refuses, holds no such files, or delivered other bytes than it promised.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    endpoint = os.environ.get("HF_ENDPOINT")  # as it is now, not as it was when huggingface_hub was imported
    api, patterns = HfApi(endpoint=endpoint), list(files) or None
    lost = cast("tuple[type[Exception], ...]", (OSError, *HfHubHTTPError.__bases__))  # and its HTTP library's errors
    try:
        commit = api.dataset_info(repo, revision=revision).sha or revision
        tree = api.list_repo_tree(repo, repo_type="dataset", recursive=True, revision=commit)
        names = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        wanted = {name: e for name, e in names.items() if any(fnmatch(name, p) for p in patterns or "*")}
        if wanted:
            snapshot_download(
                repo, repo_type="dataset", revision=commit, local_dir=into, allow_patterns=patterns, endpoint=endpoint
            )
    except GatedRepoError as error:
        raise DataError(
            f"{repo} is open only to people who accepted its terms.", "Accept them on its page; then `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(f"the hub has no data set {repo}, or keeps it closed.", "") from error
    except lost as error:
        raise unreachable(f"{api.endpoint}, for {repo}", error) from error
    if not wanted:
        raise DataError(f"{repo} at {commit[:12]} holds no file like {', '.join(files) or '*'}.", "")
    _check_hub(into, wanted, progress)
    return commit


def _check_hub(into: Path, wanted: dict[str, RepoFile], progress: Progress) -> None:
    """Compare every file with the digest that the hub lists; remove those that differ, so that they come anew."""
    progress.stage("checking", len(wanted))
    missing, wrong = [], []
    for name, entry in sorted(wanted.items()):
        path = into / name
        if not path.is_file():
            missing.append(name)
        elif (file_digest(path) != entry.lfs.sha256) if entry.lfs else (_git_blob(path) != entry.blob_id):
            wrong.append(name)
        progress.advance()
    for name in wrong:
        (into / name).unlink()
    if wrong:
        raise _corrupted(wrong[0], len(wrong))
    if missing:
        raise DataError(f"{len(missing)} of {len(wanted)} files did not arrive, {missing[0]} first.", AGAIN)


AGAIN = "The same command goes on from here."


def _corrupted(name: str, count: int = 1) -> DataError:
    more = f" (and {count - 1} more)" if count > 1 else ""
    return DataError(f"{name}{more} arrived damaged: its digest is not the published one. It was removed.", AGAIN)


def unreachable(where: str, error: BaseException) -> DataError:
    """The one line for every way in which a network fails."""
    while error.__cause__ is not None:  # the library's words are long; what lies beneath says what happened
        error = error.__cause__
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return DataError(f"cannot download from {where}: {first[:200].rstrip('.')}.", f"Check the network. {AGAIN}")


def _git_blob(path: Path) -> str:
    """Git's name for a file's content: what the hub lists for small files."""
    header = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: header).hexdigest()


# ------------------------------------------------------------------------------------------ torchvision


def torchvision(dataset: str, into: Path) -> None:
    """Let one of torchvision's data sets download itself below `into`; it checks MD5 sums, and does not resume.

    Raises:
        DataError: torchvision has no such downloader here, its server cannot be reached, or a sum differs.
    """
    from torchvision import datasets  # torch, only when somebody asks for a download

    if not hasattr(datasets, dataset):
        raise unknown("torchvision data set", dataset, datasets.__all__)
    try:
        with _safe_tar():
            getattr(datasets, dataset)(root=str(into), download=True)
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(f"torchvision's source of {dataset}", error) from error
    except RuntimeError as error:  # how torchvision says that a sum differs, or that a file is not there
        raise DataError(f"torchvision's {dataset}: {str(error).splitlines()[0].rstrip('.')}.", AGAIN) from error


@contextmanager
def _safe_tar() -> Iterator[None]:
    """Python's own switch for refusing paths that escape, for torchvision's older releases, which do not ask for it."""
    before = tarfile.TarFile.__dict__.get("extraction_filter")
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        if before is None:
            del tarfile.TarFile.extraction_filter
        else:
            tarfile.TarFile.extraction_filter = before


# ------------------------------------------------------------------------------------------ plain addresses


def address(url: str, into: Path, progress: Progress, *, digest: str = "") -> Path:
    """Bring one file into a folder, under the last part of its address; one that is whole and right is not fetched.

    What has arrived of it waits in `<name>.part`, and a second call goes on from there where the server allows it.

    Args:
        url: http or https.
        into: an existing folder.
        progress: told of bytes.
        digest: expected MD5 or SHA-256, told apart by length; "" for a file without a published one.

    Raises:
        DataError: the server cannot be reached or refuses, or the file has another digest; it is removed then.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url} is no address of the web.", "Correct it in the manifest.")
    name = name_of(url)
    target, part = into / name, into / f"{name}.part"
    if not target.exists():
        for attempt in range(ATTEMPTS):
            before = part.stat().st_size if part.exists() else 0
            try:
                _append(url, part, progress)
                break
            except (OSError, http.client.HTTPException) as error:
                grew = part.exists() and part.stat().st_size > before
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if refused or attempt == ATTEMPTS - 1 or not grew:
                    raise unreachable(url, error) from error
        if digest and file_digest(part, "md5" if len(digest) == 32 else "sha256") != digest:
            part.unlink()
            raise _corrupted(name)
        part.rename(target)
    return target


def name_of(url: str) -> str:
    """The file that an address names: its last part that looks like a file's, as "download" and "content" do not."""
    steps = [step for step in unquote(urlsplit(url).path).split("/") if step.strip(".")]
    return next((step for step in reversed(steps) if "." in step), steps[-1] if steps else "file")


def _append(url: str, part: Path, progress: Progress) -> None:
    """Fetch what a part lacks; all of it where the server cannot serve ranges.

    Raises:
        OSError: the connection failed or ended early.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send: it was cut after the last byte
            return
        raise
    with cast(http.client.HTTPResponse, response):
        resumed = response.status == 206
        length = response.length
        progress.stage(part.stem, (length or 0) + have * resumed)
        progress.advance(have * resumed)
        with part.open("ab" if resumed else "wb") as file:
            _pour(response, file, progress)
            arrived = file.tell() - have * resumed
    if length is not None and arrived < length:
        raise ConnectionError(f"the connection was cut after {arrived:,} of {length:,} bytes")


def _pour(source: IO[bytes], target: IO[bytes], progress: Progress) -> None:
    while piece := source.read(CHUNK):
        target.write(piece)
        progress.advance(len(piece))
