"""A few kills of a cold run while it writes; `python -m tests.kills 50` tries more. See docs/faults.md."""

import pytest

from tests import kills


@pytest.mark.slow
def test_a_run_that_died_while_it_wrote_is_whole_after_the_same_command(tmp_path):
    outcomes = kills.campaign(tmp_path, 4)
    for kind, counts in outcomes.items():
        assert counts.total() == 1
        assert not counts["lost"], kind
        assert not counts["other bytes"], kind
