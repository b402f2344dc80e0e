"""Methods by name: built-in, from an installed package, or from a user's file; and their hyper-parameters, typed.

A wrapper is a method around a method. It is named before it, as in wise-ft+croft, and adds its hyper-parameters.
"""

from typing import TYPE_CHECKING, Any

from croftbench.plugins.names import BUILT_IN, WRAPPERS, is_registered, registered, unwrap
from croftbench.plugins.stated import citation, needs, summary

if TYPE_CHECKING:
    from croftbench.plugins.info import MethodInfo, build, describe, meanings

__all__ = [
    "BUILT_IN",
    "WRAPPERS",
    "MethodInfo",
    "build",
    "citation",
    "describe",
    "is_registered",
    "meanings",
    "needs",
    "registered",
    "summary",
    "unwrap",
]


def __getattr__(name: str) -> Any:
    """What looks into a method, imported when it is asked for: listing methods needs none of it."""
    if name not in ("MethodInfo", "build", "describe", "meanings"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from croftbench.plugins import info

    return getattr(info, name)
