"""What torch and this machine can do, for `croftbench doctor`. Everything here is looked up, nothing is measured."""

from __future__ import annotations

import os
import platform

import torch


def devices() -> list[tuple[str, str]]:
    """(device, what it is and the precisions it has), the CPU last."""
    found = []
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(i)
        with torch.cuda.device(i):
            half = ["float16", *(["bfloat16"] if torch.cuda.is_bf16_supported() else [])]
        tf32 = ["TF32"] if about.major >= 8 else []
        memory = f"{about.total_memory / 2**30:.0f} GiB, compute capability {about.major}.{about.minor}"
        found.append((f"cuda:{i}", f"{about.name}, {memory}; {', '.join([*half, *tf32])}"))
    if torch.backends.mps.is_available():
        found.append(("mps", "Apple GPU; float16"))
    said = f"instructions {instructions()}; torch uses {torch.get_num_threads()} thread(s) of {cores()} core(s)"
    return [*found, ("cpu", said)]


def instructions() -> str:
    """What torch computes with on the processor, "AVX2" for example."""
    return torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends.cpu, "get_cpu_capability") else "unknown"


def processor() -> str:
    """Its kind and its instructions."""
    return f"{platform.machine()} {instructions()}"


def build() -> str:
    """Which accelerator this torch was built for."""
    hip = getattr(torch.version, "hip", None)
    return f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {hip}" if hip else "no GPU"


def threads() -> int:
    """Threads that torch computes with."""
    return torch.get_num_threads()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
