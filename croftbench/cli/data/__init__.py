"""`croftbench data`: what is on this disk, whether it is what it should be, and how to get what is not.

Nothing but `get` and `new` writes anything: `get` into new folders of its own, `new` a suite's file.
"""

from __future__ import annotations

from croftbench.cli.data import describe, get, new, status, verify
from croftbench.cli.help import Group

app = Group(
    help="Data sets: what is here, is it whole, how to get it. No image is ever changed.",
    commands=[status.status, verify.verify, describe.describe, get.get, new.new],
)
