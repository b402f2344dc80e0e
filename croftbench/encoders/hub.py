"""Files that others publish: in the hub's cache or OpenAI's, else downloaded, else one line at once."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from croftbench.encoders.checkpoint import first_line
from croftbench.encoders.identity import EMBEDDED
from croftbench.errors import DataError, UsageError
from croftbench.files import file_digest

__all__ = ["CONFIG", "WEIGHTS", "cache_where_offline", "file_of", "published_file", "published_tag"]

PROBE_SECONDS = 5.0
CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""How open_clip's repositories name them, best first."""

HINT = f"Connect once to download them, give a file as arch@path, or use --encoder {EMBEDDED}."


def published_file(encoder_id: str, published: Mapping[str, Any]) -> Path:
    """The weights of one of open_clip's tags, downloaded if need be.

    Raises:
        DataError: they are not there and cannot be had.
    """
    import open_clip
    from huggingface_hub import constants

    repository, _, name = published.get("hf_hub", "").rpartition("/")
    url = published.get("url", "")
    if repository:
        names = (name.rsplit(".", 1)[0] + ".safetensors", name) if name else WEIGHTS
        if hit := _in_cache(repository, names):
            return hit
    found, wrong = _left_by_clip(encoder_id, url)
    if found:
        return found
    if constants.is_offline_mode() or not _reachable(constants.ENDPOINT if repository else url):
        raise DataError(
            f"the weights of {encoder_id} are not cached{wrong} and the hub cannot be reached.",
            _as_a_file(encoder_id, published) if wrong else HINT,
        )
    try:
        return Path(open_clip.download_pretrained(dict(published)))
    except Exception as error:  # whatever the hub client, the network and the disk raise
        raise DataError(f"the weights of {encoder_id} could not be downloaded: {first_line(error)}.", HINT) from error


def file_of(repository: str, names: Sequence[str]) -> Path:
    """The first of these files that a repository of the hub has, downloaded if need be.

    Raises:
        UsageError: that is no name of a repository.
        DataError: it is not there and cannot be had.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    encoder_id = f"hf-hub:{repository}"
    try:
        if hit := _in_cache(repository, names):
            return hit
        if "/" not in repository:
            raise HFValidationError
    except HFValidationError as error:
        raise UsageError(f"'{encoder_id}' is not a model of the hub.", "Write hf-hub:owner/name.") from error
    if constants.is_offline_mode() or not _reachable(constants.ENDPOINT):
        raise DataError(f"{names[0]} of {encoder_id} is not in the hub's cache, and the hub cannot be reached.", HINT)
    for name in names:
        try:
            return Path(hf_hub_download(repository, name))
        except EntryNotFoundError:
            continue
        except Exception as error:  # as above
            raise DataError(f"{name} of {encoder_id} could not be downloaded: {first_line(error)}.", HINT) from error
    raise DataError(
        f"{encoder_id} has no {' or '.join(names)}: it is not a model of open_clip's.",
        "See `croftbench list encoders`.",
    )


def published_tag(digest: str) -> tuple[str, str] | None:
    """(arch, tag) of the published weights of that sha256, where open_clip's address of them states it."""
    import open_clip

    for arch, tag in open_clip.list_pretrained():
        stated = _stated_digest(open_clip.get_pretrained_cfg(arch, tag).get("url", ""))
        if stated and digest.startswith(stated) and not arch.endswith("-quickgelu"):
            return arch, tag
    return None


@contextmanager
def cache_where_offline(asks_hub: bool) -> Iterator[None]:
    """Within it, what comes from the hub is read from its cache if the hub is unreachable."""
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    try:
        if asks_hub and not offline:
            constants.HF_HUB_OFFLINE = not _reachable(constants.ENDPOINT)
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def _in_cache(repository: str, names: Sequence[str]) -> Path | None:
    """Where an earlier download left a file; never touches the network."""
    from huggingface_hub import try_to_load_from_cache

    hits = (try_to_load_from_cache(repository, name) for name in names)
    return next((Path(hit) for hit in hits if isinstance(hit, str)), None)


def _left_by_clip(encoder_id: str, url: str) -> tuple[Path | None, str]:
    """The file that OpenAI's `clip.load` or open_clip downloaded from an address, if its digest is the stated one.

    Otherwise None, and what is wrong with the file that is there, to go into a sentence.
    """
    target = _by_clip(url)
    if not url or not target.is_file():
        return None, ""
    stated = _stated_digest(url)
    digest = file_digest(target) if stated else ""
    if digest.startswith(stated):
        return target, ""
    return None, f" ({target} is not the published file of {encoder_id}: its sha256 is {digest[:8]}, not {stated[:8]})"


def _as_a_file(encoder_id: str, published: Mapping[str, Any]) -> str:
    """How to use what `_left_by_clip` found wanting, under a name that does not claim to be the published weights."""
    arch = encoder_id.rpartition("/")[0].removesuffix("-quickgelu")
    quick = "-quickgelu" if published.get("quick_gelu") else ""
    return f"To use that file as it is: --encoder {arch}{quick}@{_by_clip(published['url'])}"


def _by_clip(url: str) -> Path:
    return Path("~/.cache/clip").expanduser() / Path(url).name


def _stated_digest(url: str) -> str:
    """The sha256, or its first digits, that an address of published weights holds: in a folder's or the file's name."""
    parts = urllib.parse.urlsplit(url).path.split("/")
    if "openaipublic" in url:
        return parts[-2]
    return parts[-1].rpartition(".")[0].rpartition("-")[2] if "mlfoundations" in url else ""


def _reachable(url: str) -> bool:
    """Whether a site answers at all, within seconds: the hub client's own retries take the better part of a minute."""
    parts = urllib.parse.urlsplit(url)
    try:
        request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}", method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True  # it answered
    except urllib.error.URLError as error:
        # The hub client may trust other certificates than urllib does: let it decide.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False
    return True
