"""A few flipped bits in every kind of stored file; `python -m tests.flips 500` flips more. See docs/faults.md."""

from tests import flips


def test_no_flipped_bit_ever_gives_a_wrong_number_without_a_word(tmp_path):
    outcomes = flips.campaign(tmp_path, 18)
    assert all(counts.total() == 2 for counts in outcomes.values())
    for kind, counts in outcomes.items():
        assert not counts["silent"], kind
        assert not counts["blocked"], kind
    assert outcomes["features, of images and texts"]["healed"] == 2
    assert outcomes["per-image table"]["refused"] == 2
