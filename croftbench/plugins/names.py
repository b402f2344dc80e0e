"""Names of methods -> where they are defined: built-in ones, and those that installed packages declare."""

from __future__ import annotations

import sys
from functools import cache

from croftbench.errors import UsageError
from croftbench.packages import entry_points

GROUP = "croftbench.methods"
BUILT_IN = {
    "zero-shot": "croftbench.methods.zero_shot:ZeroShot",
    "coop": "croftbench.methods.coop:CoOp",
    "cocoop": "croftbench.methods.cocoop:CoCoOp",
    "clip-adapter": "croftbench.methods.clip_adapter:CLIPAdapter",
    "tip-adapter": "croftbench.methods.tip_adapter:TipAdapter",
    "tip-adapter-f": "croftbench.methods.tip_adapter:TipAdapterF",
    "dplclip": "croftbench.methods.dplclip:DPLCLIP",
    "bayes-cal": "croftbench.methods.bayes_cal:BayesCAL",
    "croft": "croftbench.methods.croft:CRoFT",
    "linear-probe": "croftbench.methods.linear_probe:LinearProbe",
    "task-res": "croftbench.methods.task_res:TaskRes",
    "gl-mcm": "croftbench.methods.gl_mcm:GLMCM",
    "locoop": "croftbench.methods.locoop:LoCoOp",
    "sct": "croftbench.methods.locoop:SCT",
    "kgcoop": "croftbench.methods.kgcoop:KgCoOp",
    "negprompt": "croftbench.methods.negprompt:NegPrompt",
    "decoop": "croftbench.methods.decoop:DeCoOp",
    "prograd": "croftbench.methods.prograd:ProGrad",
    "gda": "croftbench.methods.gda:GDA",
    "zs-lp": "croftbench.methods.clap:ZSLP",
    "clap": "croftbench.methods.clap:CLAP",
    "lp-plus-plus": "croftbench.methods.lp_plus_plus:LPPlusPlus",
    "cross-modal": "croftbench.methods.cross_modal:CrossModal",
    "ape": "croftbench.methods.ape:APE",
    "ape-t": "croftbench.methods.ape:APET",
    "clip-lora": "croftbench.methods.clip_lora:CLIPLoRA",
    "maple": "croftbench.methods.maple:MaPLe",
    "prompt-src": "croftbench.methods.prompt_src:PromptSRC",
    "tcp": "croftbench.methods.tcp:TCP",
    "prolip": "croftbench.methods.prolip:ProLIP",
    "gallop": "croftbench.methods.gallop:GalLoP",
    "local-prompt": "croftbench.methods.local_prompt:LocalPrompt",
}
WRAPPERS = {
    "wise-ft": "croftbench.methods.wise_ft:WiSEFT",
}


def registered() -> dict[str, str]:
    """Name -> target of all methods that can be called by name.

    Raises:
        UsageError: two packages claim one name.
    """
    targets = dict(BUILT_IN)
    for name, value in _declared(tuple(sys.path)):
        if targets.setdefault(name, value) != value:
            raise UsageError(f"method '{name}' is claimed twice: {targets[name]} and {value}.")
    return targets


@cache
def _declared(path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What packages on this path declare; reading the records of all that is installed takes milliseconds each time."""
    return tuple((entry.name, entry.value) for entry in entry_points(group=GROUP))


def unwrap(name: str) -> tuple[str, str]:
    """The wrapper of a name or target, "" where it has none, and what is inside."""
    wrapper, _, inside = name.partition("+")
    return (wrapper, inside) if wrapper in WRAPPERS and inside else ("", name)


def is_registered(name: str) -> bool:
    """Whether a method can be called by that name, wrapped or not."""
    return unwrap(name)[1] in registered()
