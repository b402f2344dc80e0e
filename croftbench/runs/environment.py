"""The world a run happened in: versions, commit, device."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from croftbench import __version__
from croftbench.errors import UsageError
from croftbench.runs import machine

PACKAGES = ("torch", "open_clip_torch", "numpy", "pillow", "scikit-learn")


def device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes cuda, then mps, then cpu; of several GPUs the one of this process's number
    on its machine, where torchrun or MPI started it beside others.

    Raises:
        UsageError: there is no such device here.
    """
    if name != "auto":
        try:
            chosen = torch.device(name)
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UsageError(
                f"device '{name}' cannot be used: {str(error).splitlines()[0]}.", "Try auto or cpu."
            ) from error
        return chosen
    if torch.cuda.is_available():
        local = os.environ.get("LOCAL_RANK", os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", ""))
        several = local.isdigit() and torch.cuda.device_count() > 1
        return torch.device(f"cuda:{int(local) % torch.cuda.device_count()}" if several else "cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def describe(used: torch.device) -> dict[str, str | bool | int]:
    """Versions, git commit and whether it was dirty ("" outside a checkout), device and its name: of a processor, what
    its instructions are, as methods that amplify the last bit differ by them.
    """
    world: dict[str, str | bool | int] = {"croftbench": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            world[package] = version(package)
        except PackageNotFoundError:
            world[package] = ""
    world["commit"], world["dirty"] = _commit()
    world["device"] = used.type
    world["device_name"] = torch.cuda.get_device_name(used) if used.type == "cuda" else machine.processor()
    world["threads"] = torch.get_num_threads()
    return world


def _commit() -> tuple[str, bool]:
    """This checkout's commit, and whether the package's code differs from it."""
    here = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        top = Path(git("rev-parse", "--show-toplevel"))
        if not (top / "croftbench" / "method.py").exists():
            return "", False
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", str(here)))
    except (OSError, subprocess.CalledProcessError):
        return "", False
