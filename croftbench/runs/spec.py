"""The specification of one run: everything that decides its numbers. No I/O, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from pydantic import ConfigDict

from croftbench.files import digest


@dataclass(frozen=True)
class RunSpec:
    """What was asked: everything that decides the numbers.

    Attributes:
        suite, suite_digest, fold: what is evaluated.
        method: registered name, or "Class" of a user's file.
        method_version: the method's own version.
        source: digest of a user's method file; "" for a built-in method.
        params: all hyper-parameters, defaults included.
        encoder, weights_digest, transform: the frozen encoder, its weights, its test transform.
        shots, seed, views: as in Protocol.
        precision: of features, logits and scores.
        data: digest of the images on this disk that the fold is drawn from; "" where all ship with croftbench.
        model: digest of what else makes the encoder: architecture, vocabulary, logit scale.
        recipe: the named recipe that `params` started from, for tables; "" for none, and in older runs. It decides
            nothing that `params` do not, and is no part of the identity.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    suite: str
    suite_digest: str
    fold: str
    method: str
    method_version: int
    source: str
    params: Mapping[str, Any]
    encoder: str
    weights_digest: str
    transform: str
    shots: int
    seed: int
    views: int
    precision: str = "float32"
    data: str = ""
    model: str = ""
    recipe: str = ""

    @cached_property
    def run_id(self) -> str:
        """The first 12 hexadecimal digits of the specification's digest."""
        content = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "recipe"}
        for name in ("data", "model"):  # of what ships, the suite's digest speaks
            if not content[name]:
                del content[name]
        return digest(content)[:12]
