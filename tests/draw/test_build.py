"""What each seed draws: disjoint roles, the shots that were asked, and the same images for ever."""

from collections import Counter
from dataclasses import replace

import pytest

from croftbench import draw
from croftbench.data.roots import Roots
from croftbench.draw.build import subset
from croftbench.draw.limited import limited
from croftbench.draw.splits import UNKNOWN
from croftbench.errors import DataError
from croftbench.files import digest
from croftbench.suites import manifest


def every_fold():
    for name in ("emoji-open", "emoji-kinds"):
        suite = manifest.suite(name)
        for seed in suite.protocol.seeds:
            for fold in draw.folds(suite, seed):
                yield pytest.param(suite, seed, fold, id=f"{name}-{seed}-{fold.name}")


FOLDS = list(every_fold())


def images(*splits):
    return {(s.pool.name, row) for s in splits if s is not None for row in s.rows}


@pytest.mark.parametrize(("suite", "seed", "fold"), FOLDS)
def test_roles_are_disjoint(suite, seed, fold):
    roles = [("train", fold.train), ("val", fold.val), ("id", fold.id)]
    roles += [(s.name, s) for s in (*fold.covariate, *fold.semantic)]
    assert fold.reference is None
    for i, (one, a) in enumerate(roles):
        for other, b in roles[i + 1 :]:
            assert not images(a) & images(b), f"{one} and {other} share images"


@pytest.mark.parametrize(("suite", "seed", "fold"), FOLDS)
def test_no_class_is_empty_and_labels_fit(suite, seed, fold):
    for split in (fold.train, fold.id, *fold.covariate):
        assert set(split.labels) <= set(range(len(fold.classnames)))
    for split in (fold.train, fold.id):
        assert set(split.labels) == set(range(len(fold.classnames)))
    for split in fold.semantic:
        assert set(split.labels) == {UNKNOWN}
    assert max(Counter(fold.train.labels).values()) <= suite.protocol.shots


@pytest.mark.parametrize(("suite", "seed", "fold"), FOLDS)
def test_candidates_hold_what_any_seed_and_fold_trains_on(suite, seed, fold):
    first = FOLDS[[param.values[0].name for param in FOLDS].index(suite.name)].values[2]
    assert fold.candidates.images == first.candidates.images, "one pool for all"
    assert set(fold.train.images) <= set(fold.candidates.images)
    tested = (fold.id, *fold.covariate, *fold.semantic) if suite.shares is None else ()
    assert not any(images(fold.candidates) & images(split) for split in tested), (
        "more is encoded than may be trained on"
    )
    assert limited(fold, 5).candidates is None


def test_a_suite_of_some_groups_of_a_shipped_table_pools_no_others(suite_file):
    """Else a suite of a few glyphs would have the whole table encoded."""
    suite = manifest.suite(str(suite_file))
    (fold,) = draw.folds(suite, 1)
    group = {row.path: row.group for row in Roots().rows("emoji")}
    assert {group[path] for path in fold.id.pool.paths} == suite.groups < set(group.values())


def test_emoji_open_trains_on_one_drawing_from_each_of_three_studios():
    suite = manifest.suite("emoji-open")
    (fold,) = draw.folds(suite, 1)
    table = Roots().rows("emoji")
    styles = Counter(table[row].style for row in fold.train.rows)
    assert styles == {"noto": 260, "emojione": 260, "fluent-emoji-flat": 260}
    assert {table[row].style for row in fold.id.rows} == {"twemoji"}
    for label, row in zip(fold.train.labels, fold.train.rows, strict=True):
        assert table[row].name == fold.classnames[label]


def test_emoji_open_seeds_draw_different_classes_and_the_rest_are_the_open_set():
    suite = manifest.suite("emoji-open")
    drawn = [draw.folds(suite, seed)[0] for seed in (1, 2)]
    assert set(drawn[0].classnames) != set(drawn[1].classnames)
    table = Roots().rows("emoji")
    for fold in drawn:
        near = next(s for s in fold.semantic if s.name == "near")
        unknown = {table[row].name for row in near.rows}
        assert len(unknown) == 390
        assert not unknown & set(fold.classnames)


def test_fewer_shots_spread_over_the_styles():
    suite = manifest.suite("emoji-open")
    (fold,) = draw.folds(suite, 1, 1)
    assert set(Counter(fold.train.labels).values()) == {1}
    assert len(set(fold.train.domains)) == 3


@pytest.mark.parametrize("name", ["emoji-kinds"])
def test_a_test_object_is_never_shown_in_training(name):
    suite = manifest.suite(name)
    table = Roots().rows("emoji")
    for fold in draw.folds(suite, 2):
        objects = {
            role: {table[r].name for r in s.rows}
            for role, s in (("train", fold.train), ("val", fold.val), ("id", fold.id))
        }
        for split in fold.covariate:
            shifted = {table[r].name for r in split.rows}
            assert not shifted & (objects["train"] | objects["val"])
        assert not objects["train"] & objects["val"]
        assert not objects["id"] & (objects["train"] | objects["val"])


def test_kinds_are_their_members_and_the_near_set_has_nothing_that_could_be_called_one():
    suite, table = manifest.suite("emoji-kinds"), Roots().rows("emoji")
    members, near = suite.classes.members, suite.semantic[0]
    for fold in draw.folds(suite, 3):
        for split in (fold.train, fold.val, fold.id, *fold.covariate):
            for label, row in zip(split.labels, split.rows, strict=True):
                assert table[row].name in members[fold.classnames[label]]
        unknown = {table[row].name for row in fold.semantic[0].rows}
        assert {"guitar", "kiwi fruit"} & unknown == {"guitar"} and not unknown & set(near.exclude)
        assert not any(set(name.lower().split()) & members.keys() for name in unknown)
        assert min(len(split.rows) for split in (fold.id, *fold.covariate, *fold.semantic)) >= 300


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("members", {"bird": ("owl", "dodo")}, "'dodo' has no image"),
        ("exclude", ("dodo",), "'dodo' is no object of emoji"),
    ],
)
def test_an_object_that_is_not_there_is_an_error(key, value, said):
    suite = manifest.suite("emoji-kinds")
    if key == "members":
        suite = replace(suite, classes=replace(suite.classes, members=value))
    else:
        suite = replace(suite, semantic=(replace(suite.semantic[0], exclude=value),))
    with pytest.raises(DataError, match=said):
        draw.folds(suite, 1)


def test_draws_never_change():
    """The recorded digest of seed 1: if it moves, published numbers mean other images."""
    (fold,) = draw.folds(manifest.suite("emoji-open"), 1)
    assert digest([fold.classnames, fold.train.rows, fold.train.labels, fold.id.rows])[:16] == "fdfdb19bfb9dd14a"


def test_tuning_folds_use_training_images_only_and_ask_both_questions():
    (fold,) = draw.folds(manifest.suite("emoji-open"), 1)
    made = draw.tuning_folds(fold, 1)
    assert [f.name for f in made] == ["all/without noto", "all/without emojione", "all/without fluent-emoji-flat"]
    for held_out in made:
        inside = images(held_out.train, held_out.id, *held_out.semantic)
        assert inside <= images(fold.train)
        assert not images(held_out.train) & images(held_out.id, *held_out.semantic)
        assert len(held_out.classnames) == 195
        names = [held_out.classnames[y] for y in held_out.train.labels]
        kept = set(held_out.train.rows)
        assert names == [
            fold.classnames[y] for y, r in zip(fold.train.labels, fold.train.rows, strict=True) if r in kept
        ]


def test_tuning_folds_test_on_new_objects_of_the_style_that_is_left_out():
    table = Roots().rows("emoji")
    for fold in draw.folds(manifest.suite("emoji-kinds"), 1):
        for held_out in draw.tuning_folds(fold, 1, val_by_domain=True):
            tested = [row for split in (held_out.id, *held_out.semantic) for row in split.rows]
            style = held_out.name.rpartition(" ")[2]
            assert {table[row].style for row in tested} == {style}
            assert style not in {table[row].style for row in held_out.train.rows}
            assert not {table[row].name for row in tested} & {table[row].name for row in fold.train.rows}
            assert not images(held_out.id, *held_out.semantic) & images(fold.id, *fold.covariate, *fold.semantic)


def test_a_training_pool_keeps_the_splits_order():
    (fold,) = draw.folds(manifest.suite("emoji-open"), 3)
    pool = subset(fold.train)
    table = Roots().rows("emoji")
    assert pool.paths == tuple(table[row].path for row in fold.train.rows)
