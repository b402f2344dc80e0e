"""Methods by name: built-in, from an installed package, or from a user's file; and their hyper-parameters, typed.

A wrapper is a method around a method. It is named before it, as in wise-ft+croft, and adds its hyper-parameters.
"""

from croftbench.plugins.describe import MethodInfo, build, describe, meanings
from croftbench.plugins.names import BUILT_IN, WRAPPERS, is_registered, registered, unwrap
from croftbench.plugins.sources import citation, needs, summary

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
