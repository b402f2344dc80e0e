"""What a suite's manifest must keep to beyond its types. No image is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from croftbench.classnames import comparable
from croftbench.suites import lists, registry
from croftbench.suites.families import Family
from croftbench.suites.language import FoldSpec, SemanticSpec, Suite
from croftbench.suites.shelves import Where
from croftbench.suites.toml import Faults, Keys

Families = Mapping[str, tuple[Family, str]]
"""Split id -> its family and the name of its part."""

RESERVED = ("id", "positives", "train", "val", "bank")


def rules(suite: Suite, families: Families, folder: Where = None) -> list[Faults]:
    """What the suite must keep to."""
    return [
        *alone(suite, folder),
        _classes(suite, families, folder),
        *(_fold(suite, i, spec, families, folder) for i, spec in enumerate(suite.folds)),
        *(_semantic(suite, i, spec, families, folder) for i, spec in enumerate(suite.semantic)),
        _names(suite),
        _val(suite, families),
    ]


def alone(suite: Suite, folder: Where = None) -> list[Faults]:
    """What it must keep to whatever its data sets are."""
    return [_texts(suite), _protocol(suite), _shares(suite, folder), _training(suite)]


def split_ids(suite: Suite) -> Iterator[tuple[Keys, str]]:
    """Every split that a suite names, and where."""
    for i, spec in enumerate(suite.folds):
        for key in ("train", "val", "id"):
            yield from ((("folds", i, key), split) for split in getattr(spec, key))
        for name, one in spec.shifted().items():
            yield from ((("folds", i, "covariate", name), split) for split in one.splits)
    for i, semantic in enumerate(suite.semantic):
        yield from ((("semantic", i, "splits"), split) for split in semantic.splits)


def classes_in(spec: FoldSpec, families: Families) -> tuple[Family, list[int]]:
    """The family whose classes are a fold's, and the positions there of those that the fold has, in order."""
    family = families[spec.class_splits[0]][0]
    return family, sorted({i for split in spec.class_splits for i in family.part(families[split][1]).members})


def known_in(suite: Suite, spec: FoldSpec, families: Families, folder: Where = None) -> tuple[list[str], bool]:
    """Ids of the classes that some seed of a fold makes known, and whether any class is left unknown."""
    family, members = classes_in(spec, families)
    keys, draw = [family.ids[i] for i in members], suite.classes
    if draw.draw == "list":
        listed = set(lists.ids(draw.list, folder))
        return [key for key in keys if key in listed], len(listed) < len(keys)
    wanted = draw.count(len(keys))
    return keys[:wanted] if draw.draw == "first" else keys, wanted < len(keys)


# ------------------------------------------------------------------------------- the suite as a whole


def _texts(suite: Suite) -> Faults:
    if not suite.templates:
        yield "at least one template is needed", ("templates",)
    prompts: list[tuple[Keys, tuple[str, ...]]] = [(("templates",), suite.templates)]
    prompts += [(("folds", i, "templates"), spec.templates) for i, spec in enumerate(suite.folds)]
    for keys, templates in prompts:
        for template in templates:
            if "{}" not in template:
                yield f"every template needs '{{}}', '{template}' has none", keys
    if suite.official and "published protocol" not in suite.title:
        yield "the title of an official suite says that it copies the published protocol", ("title",)


def _protocol(suite: Suite) -> Faults:
    protocol = suite.protocol
    for key in ("shots", "views"):
        if getattr(protocol, key) < 1:
            yield f"{key} must be at least 1", ("protocol", key)
    if not protocol.seeds or len(set(protocol.seeds)) < len(protocol.seeds):
        yield "at least one seed is needed, and none twice", ("protocol", "seeds")
    if not 0 < protocol.crop_scale[0] <= protocol.crop_scale[1] <= 1:
        yield f"crop_scale {list(protocol.crop_scale)} is no range within (0, 1]", ("protocol", "crop_scale")
    if protocol.headline not in protocol.scorers:
        yield "the headline is not among the scorers", ("protocol", "headline")
    if protocol.full_spectrum and not (suite.semantic and any(spec.covariate for spec in suite.folds)):
        yield "a full spectrum needs covariate and semantic splits", ("protocol", "full_spectrum")


def _classes(suite: Suite, families: Families, folder: Where) -> Faults:
    draw = suite.classes
    if draw.known <= 0 or (draw.known > 1 and draw.known != int(draw.known)):
        yield f"known = {draw.known} is neither a share in (0, 1] nor a number of classes", ("classes", "known")
    if draw.known != 1 and draw.draw not in ("random", "first"):
        yield f"'known' says nothing where draw = '{draw.draw}'", ("classes", "known")
    if bool(draw.list) != (draw.draw == "list"):
        yield "draw = 'list' and a list go together", ("classes", "list" if draw.list else "draw")
    if draw.list and not registry.shipped_list(draw.list, folder).is_file():
        yield f"there is no list {draw.list}", ("classes", "list")
    for family in {family.name: family for family, _ in (classes_in(spec, families) for spec in suite.folds)}.values():
        if draw.by == "class" and not family.ids:
            yield f"{family.name} has no classes", ("classes",)
        if draw.by != "class" and not (family.shipped and draw.by in ("name", "group", "subgroup")):
            yield f"{family.name} has no column '{draw.by}'; 'class' is its own list of classes", ("classes", "by")
    if draw.by == "class" and (draw.groups or draw.names):
        yield "groups and names are for tables that ship", ("classes", "groups" if draw.groups else "names")
    if draw.members and draw.by != "name":
        yield "members are objects: they want by = 'name'", ("classes", "members")
    for name, times in Counter(one for objects in draw.members.values() for one in objects).items():
        if times > 1:
            yield f"'{name}' is a member of {times} classes, or of one twice", ("classes", "members")


def _shares(suite: Suite, folder: Where) -> Faults:
    shares = suite.shares
    if shares is None:
        return
    parts = (shares.train, shares.val, shares.test)
    if abs(sum(parts) - 1) > 1e-9 or min(parts) < 0:
        yield "the shares must sum to 1, and none be negative", ("shares",)
    if (shares.unit == "object") != (suite.classes.by != "class"):
        yield "objects are shared out in tables that ship, images elsewhere", ("shares", "unit")
    if shares.list and not registry.shipped_list(shares.list, folder).is_file():
        yield f"there is no list {shares.list}", ("shares", "list")


def _training(suite: Suite) -> Faults:
    """Every fold trains, or none does; then nothing may be dealt out to training or validation."""
    for i, spec in enumerate(suite.folds):
        if not spec.id:
            yield f"fold '{spec.name}' has no split for 'id'", ("folds", i, "id")
        if suite.trains and not spec.train:
            yield f"fold '{spec.name}' has no split for 'train', and others have", ("folds", i, "train")
    if suite.folds and not suite.trains:
        dealt = {("shares",): suite.shares, ("val",): suite.val, ("protocol", "bank"): suite.protocol.bank}
        for keys, said in dealt.items():
            if said:
                yield f"'{keys[-1]}' says nothing in a suite without training images", keys


def _val(suite: Suite, families: Families) -> Faults:
    """Nothing is chosen on test images, except where a published protocol did so."""
    val = suite.val
    if val is not None and val.source == "share" and not (suite.shares and suite.shares.val):
        yield "there is no share for validation", ("val", "source")
    if suite.reference and suite.reference.role == "val" and not (val or all(spec.val for spec in suite.folds)):
        yield "the reference is 'val', and there are no validation images", ("reference", "role")
    if suite.reference and suite.reference.role == "covariate" and any(len(f.covariate) != 1 for f in suite.folds):
        yield "the reference 'covariate' needs one covariate split in each fold", ("reference", "role")
    if suite.official:
        return
    if val is not None and val.source == "test":
        yield "validation images out of the test images, which only a suite named *-official may use", ("val", "source")
    for i, spec in enumerate(suite.folds):
        for key in ("val", "train"):
            for split in getattr(spec, key):
                if _for_testing(*families[split]):
                    yield f"'{split}' is a test split, and so never for '{key}'", ("folds", i, key)


def _for_testing(family: Family, part: str) -> bool:
    """Whether the field tests on a part: on `test` where a family has one, else on `val`."""
    names = {one.name for one in family.parts}
    return part == "test" or part.endswith("-test") or (part == "val" and "test" not in names)


# ------------------------------------------------------------------------------- folds


def _fold(suite: Suite, i: int, spec: FoldSpec, families: Families, folder: Where) -> Faults:
    roles: list[tuple[Keys, Sequence[str]]] = [(("train",), spec.train), (("id",), spec.id)]
    roles += [(("covariate", name), one.splits) for name, one in spec.shifted().items()]
    for keys, splits in (*roles, (("val",), spec.val)):
        if not splits and keys[0] == "covariate":
            yield f"fold '{spec.name}' has no split for '{keys[-1]}'", ("folds", i, *keys)
        if len({families[split][0].name for split in splits}) > 1:
            yield f"the splits for '{keys[-1]}' are of several datasets", ("folds", i, *keys)
    roles += [(("val",), spec.val)]
    taken: dict[str, Keys] = {}
    for keys, splits in roles:
        for split in splits:
            before = next((taken[other] for other in taken if _same(families[split], families[other])), None)
            if before is not None and not (suite.shares and (before, keys) == (("train",), ("id",))):
                yield f"'{split}' has two roles in fold '{spec.name}'", ("folds", i, *keys)
        taken |= dict.fromkeys(splits, keys)
    if suite.classes.by == "class":
        yield from _sharing(suite, i, spec, families, folder)


def _same(one: tuple[Family, str], other: tuple[Family, str]) -> bool:
    """Whether two splits share images: they are the same, or one is all of the family."""
    return one[0].name == other[0].name and (one[1] == other[1] or "all" in (one[1], other[1]))


def _sharing(suite: Suite, i: int, spec: FoldSpec, families: Families, folder: Where) -> Faults:
    """The classes of a fold, and that its splits have some of them."""
    family, positions = classes_in(spec, families)
    if suite.classes.list:
        for key in lists.ids(suite.classes.list, folder):
            if key not in family.ids:
                yield f"{suite.classes.list} names '{key}', which is no class of {family.name}", ("classes", "list")
    total = len(positions)
    if suite.classes.count(total) > total:
        yield f"{suite.classes.count(total)} of {total} classes of {family.name} shall be known", ("classes", "known")
    known = set(known_in(suite, spec, families, folder)[0])
    names = {name for key, name in zip(family.ids, family.classnames, strict=True) if key in known}
    for name, one in ({"id": None} | spec.shifted()).items():
        mapping = "" if one is None else one.mapping
        for split in spec.id if one is None else one.splits:
            other, part = families[split]
            members = other.part(part).members
            if mapping and not registry.shipped_list(mapping, folder).is_file():
                yield f"there is no list {mapping}", ("folds", i, "covariate", name)
            elif mapping:
                has_known = any(set(lists.mapping(mapping, folder).get(other.ids[m], ())) & known for m in members)
            elif suite.classes.match == "name":
                has_known = any(other.classnames[member] in names for member in members)
            else:
                has_known = any(other.ids[member] in known for member in members)
            if not has_known:
                yield f"'{split}' has none of the known classes", ("folds", i, *(("covariate",) if one else ()), name)


# ------------------------------------------------------------------------------- semantic splits


def _semantic(suite: Suite, i: int, spec: SemanticSpec, families: Families, folder: Where) -> Faults:
    table: Keys = ("semantic", i)
    if spec.source == ("groups" if spec.splits else "splits"):
        yield f"'{spec.name}': source = 'splits' and splits go together", (*table, "source")
    if len({families[split][0].name for split in spec.splits}) > 1:
        yield f"the splits of '{spec.name}' are of several datasets", (*table, "splits")
    if bool(spec.groups) != (spec.source == "groups"):
        yield f"semantic split '{spec.name}' names no groups, or names them in vain", (*table, "source")
    if min(spec.limit, spec.per_class) < 0:
        yield f"'{spec.name}' has a negative limit", table
    if spec.source == "groups":
        if overlap := set(spec.groups) & set(suite.classes.groups):
            yield f"'{spec.name}' shares groups with the known classes: {sorted(overlap)}", (*table, "groups")
        return
    if spec.source == "unknown-classes":
        known_as = {key for fold in suite.folds for key in classes_in(fold, families)[0].ids}
        for key in spec.exclude if suite.classes.by == "class" else ():
            if key not in known_as:
                yield f"'{key}' is no class of the fold's", (*table, "exclude", key)
        for split in spec.splits if suite.classes.match == "id" else ():
            if not known_as & set(families[split][0].ids):
                yield f"'{split}' has no class of the fold's", (*table, "splits")
        for fold in suite.folds:
            shifted = [split for one in fold.shifted().values() for split in one.splits]
            if spec.splits and spec.where != "id":
                yield f"'{spec.name}': where says nothing beside splits", (*table, "where")
            elif spec.where == "covariate" and len({families[split][0].name for split in shifted}) != 1:
                yield f"'{spec.name}' needs covariate splits of one dataset", (*table, "where")
            if suite.classes.by == "class" and not known_in(suite, fold, families, folder)[1]:
                yield f"'{spec.name}': no class is unknown in fold '{fold.name}'", (*table, "source")
        return
    family = families[spec.splits[0]][0]
    for key in spec.exclude:
        if key not in family.ids:
            yield f"'{key}' is no class of {family.name}", (*table, "exclude", key)
    for fold in suite.folds:
        for split in spec.splits:
            for other in (*fold.train, *fold.val, *fold.tested):
                if _same(families[split], families[other]):
                    yield f"'{split}' has two roles in fold '{fold.name}'", (*table, "splits")
        yield from _overlap(suite, i, spec, fold, families, folder)


def _overlap(suite: Suite, i: int, spec: SemanticSpec, fold: FoldSpec, families: Families, folder: Where) -> Faults:
    """A class of a semantic split that some seed knows."""
    if suite.classes.by != "class":
        return
    home, _ = classes_in(fold, families)
    known = set(known_in(suite, fold, families, folder)[0])
    names = {comparable(name) for key, name in zip(home.ids, home.classnames, strict=True) if key in known}
    for split in spec.splits:
        family, part = families[split]
        for member in family.part(part).members:
            key, name = family.ids[member], family.classnames[member]
            if key not in spec.exclude and (key in known or comparable(name) in names):
                message = f"class '{key}' ({name}) of '{split}' is known in fold '{fold.name}'; list it in 'exclude'"
                yield message, ("semantic", i, "splits")


def _names(suite: Suite) -> Faults:
    """Splits are told apart by name in tables."""
    for name, times in Counter(spec.name for spec in suite.folds).items():
        if times > 1:
            yield f"two folds are called '{name}'", ("folds", name)
    if not suite.folds:
        yield "at least one fold is needed", ()
    semantic = [*(spec.name for spec in suite.semantic), *suite.named]
    for i, fold in enumerate(suite.folds):
        for name, times in Counter([*semantic, *fold.covariate]).items():
            if times > 1 or name in RESERVED:
                yield f"a second split would be called '{name}' in fold '{fold.name}'", ("folds", i, "covariate", name)


def shipped(suite: Suite, folder: Where = None) -> bool:
    """Whether all of a suite's images come with the package."""
    return all(registry.split(split, folder)[0].shipped for _, split in split_ids(suite))
