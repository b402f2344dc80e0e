"""`croftbench data`: what is on this disk, whether it is what it should be, and how to get what is not.

Nothing but `get` and `new` writes anything: `get` into new folders of its own, `new` a suite's file.
"""

from __future__ import annotations

from croftbench.cli.data import describe, get, new, status, verify
from croftbench.cli.help import epilog, group

app = group("Data sets: what is here, is it whole, how to get it. No image is ever changed.")
app.command("status", epilog=epilog("croftbench data status --data-root ~/data"))(status.status)
app.command("verify", epilog=epilog("croftbench data verify pacs --deep"))(verify.verify)
app.command("describe", epilog=epilog("croftbench data describe setup1"))(describe.describe)
app.command("get", epilog=epilog("croftbench data get pacs --data-root ~/data"))(get.get)
app.command(
    "new",
    epilog=epilog("croftbench data new data/birds\ncroftbench data new data/birds --shift night=data/night"),
)(new.new)
