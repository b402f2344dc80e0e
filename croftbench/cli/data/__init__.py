"""`croftbench data`: what is on this disk, whether it is what it should be, and how to get what is not.

Nothing but `get` writes anything, and `get` only into new folders of its own.
"""

from __future__ import annotations

from croftbench.cli.data import describe, get, status, verify
from croftbench.cli.help import epilog, group

app = group("Data sets: what is here, is it whole, how to get it. Only `get` writes: a new folder of its own.")
app.command("status", epilog=epilog("croftbench data status --data-root ~/data"))(status.status)
app.command("verify", epilog=epilog("croftbench data verify pacs --deep"))(verify.verify)
app.command("describe", epilog=epilog("croftbench data describe setup1"))(describe.describe)
app.command("get", epilog=epilog("croftbench data get pacs --data-root ~/data"))(get.get)
