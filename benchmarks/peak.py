"""The peak memory of some code, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

PRINTED = """
import resource, sys
from pathlib import Path
try:
    exec({code!r})
finally:
    status = Path("/proc/self/status")  # Linux's ru_maxrss also counts the process that this one was forked from
    if status.exists():
        peak = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak, file=sys.stderr)
"""


def peak(code: str, *arguments: str) -> int:
    """Bytes that Python had at most while it ran `code` with such `sys.argv`.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, "-c", PRINTED.format(code=code), *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(ran.stderr.splitlines()[-1])
