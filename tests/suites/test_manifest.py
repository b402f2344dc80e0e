"""A suite's manifest either means exactly what it says or is refused with the line at fault."""

import re
import shutil
from itertools import pairwise

import pytest

from croftbench.api import checking
from croftbench.errors import ManifestError, UsageError
from croftbench.suites import manifest, registry


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(manifest.root(), tmp_path / "manifests")
    return tmp_path / "manifests"


def edited(folder, old, new, suite="emoji-open"):
    path = folder / f"suites/{suite}.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def refused(folder, suite, old, new):
    """The message that a suite gets after one change, and the line that the change is on."""
    path = edited(folder, old, new, suite) / f"suites/{suite}.toml"
    with pytest.raises(ManifestError) as caught:
        manifest.suite(suite, folder)
    return caught.value.message, path.read_text().splitlines()


def test_the_default_suite_is_setup_one_on_emoji():
    suite = manifest.suite("emoji-open")
    assert suite.classes.known == 0.4
    assert suite.protocol.shots == 3
    assert suite.protocol.seeds == (1, 2, 3, 4, 5)
    assert dict(suite.folds[0].covariate)["line art"] == "emoji/fluent-emoji-high-contrast"


def test_a_suite_can_come_from_a_users_own_file(folder):
    assert manifest.suite(str(folder / "suites/emoji-kinds.toml")) == manifest.suite("emoji-kinds")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("shots = 3", "shot = 3", "shot = 3", "unknown key 'protocol.shot'. Did you mean 'shots'?"),
        ("shots = 3", 'shots = "many"', "shots =", "protocol.shots: input should be a valid integer"),
        ("shots = 3\n", "", None, "protocol.shots: field required"),
        ("shots = 3", "shots = 0", "shots =", "shots must be at least 1"),
        ("seeds = [1, 2, 3, 4, 5]", "seeds = [1, 1]", "seeds =", "none twice"),
        ("crop_scale = [0.6, 1.0]", "crop_scale = [1.0, 0.6]", "crop_scale =", "no range within (0, 1]"),
        ("known = 0.4", "known = 1.4", "known =", "neither a share in (0, 1] nor a number of classes"),
        ('draw = "random"', 'draw = "all"', "known =", "'known' says nothing where draw = 'all'"),
        ('draw = "random"', 'draw = "dice"', "draw =", "classes.draw: input should be"),
        ('by = "name"', 'by = "colour"', "by =", "emoji has no column 'colour'"),
        ('by = "name"', 'by = "subgroup"\nmembers = { a = ["owl"] }', "members =", "members are objects: they want by"),
        ('by = "name"', 'by = "name"\nmembers = { a = ["owl"], b = ["owl"] }', "members =", "'owl' is a member of 2"),
        ('headline = "energy"', 'headline = "energie"', "headline =", "the headline is not among the scorers"),
        ('id = ["emoji/twemoji"]', 'id = ["emoji/noto"]', "id =", "'emoji/noto' has two roles in fold 'all'"),
        ('shaded = "emoji/fluent-emoji"', 'shaded = "emoji/fluent-emojis"', "shaded =", "unknown part of emoji"),
        ('"a {}."', '"a photo."', "templates =", "every template needs '{}'"),
        ('templates = ["a {}."', 'templates = "a {}."#', "templates =", "no list of prompts"),
        ('groups = ["Symbols", "Flags"]', 'groups = ["Objects"]', "groups =", "shares groups with the known classes"),
        ("[protocol]", "[protocol", None, "not valid TOML"),
        ('name = "emoji-open"', 'name = "emoji"', "name =", "the name must be the file's"),
        ('splits = ["digits"]', 'splits = ["letters"]', "splits =", "unknown dataset 'letters'"),
        ('splits = ["digits"]', 'splits = ["emoji"]', "splits =", "'emoji' has 8 parts"),
        ('splits = ["digits"]', 'splits = ["emoji/twemoji"]', "splits =", "has two roles"),
        ('splits = ["digits"]', "", None, "source = 'splits' and splits go together"),
        ('name = "digits"', 'name = "near"', None, "a second split would be called 'near'"),
        ('name = "digits"', 'name = "positives"', None, "a second split would be called 'positives'"),
        ("[protocol]", '[val]\nsource = "share"\n\n[protocol]', "source =", "there is no share for validation"),
        ("[protocol]", '[val]\nsource = "test"\n\n[protocol]', "source =", "only a suite named *-official may use"),
        ("[protocol]", '[reference]\nrole = "val"\n\n[protocol]', "role =", "there are no validation images"),
        ("[protocol]", '[reference]\nrole = "covariate"\n\n[protocol]', "role =", "one covariate split in each fold"),
        ("[protocol]", '[shares]\nunit = "image"\ntrain = 1\nval = 0\ntest = 0\n[protocol]', "unit", "objects are sha"),
        ("[protocol]", "[shares]\ntrain = 1\nval = 1\ntest = 0\n[protocol]", "[shares]", "shares must sum to 1"),
    ],
)
def test_a_broken_rule_names_file_line_and_fault(folder, old, new, line, says):
    message, lines = refused(folder, "emoji-open", old, new)
    assert says in message
    assert message.startswith("emoji-open.toml")
    if line is not None:
        number = int(message.split(":")[1])
        assert line in lines[number - 1], f"line {number}: {lines[number - 1]}"


@pytest.mark.parametrize(
    ("suite", "old", "new", "says"),
    [
        ("setup1", 'source = "train"', 'source = "test"', "out of the test images, which only a suite named"),
        ("imagenet-openood", "covariate =", 'val = ["imagenet/val"]\ncovariate =', "'imagenet/val' is a test split"),
        ("setup1", 'train = ["imagenet/train"]', 'train = ["imagenet/val"]', "'imagenet/val' has two roles"),
        ("coop-base-to-new", 'val = ["dtd/val"]', 'val = ["dtd/test"]', "'dtd/test' has two roles"),
        ("coop-base-to-new", 'train = ["dtd/train"]', 'train = ["dtd/all"]', "'dtd/test' has two roles"),
        ("coop-base-to-new", 'train = ["dtd/train"]\nval = ["dtd/val"]\nid = ["dtd/test"]',
         'train = ["dtd/test"]\nid = ["dtd/train"]', "'dtd/test' is a test split, and so never for 'train'"),
        ("coop-base-to-new", "known = 0.5", "known = 1", "no class is unknown in fold 'ImageNet'"),
        ("setup1", "known = 400", "known = 4000", "4000 of 1000 classes of imagenet shall be known"),
        ("setup1", "known = 400", "known = 400.5", "nor a number of classes"),
        ("setup1", 'R = "imagenet-r"', 'R = "pacs/photo"', "'pacs/photo' has none of the known classes"),
        ("setup1", 'draw = "random"\nknown = 400', 'draw = "list"\nlist = "dogs.txt"', "there is no list dogs.txt"),
        ("imagenet-fs-x", 'splits = ["imagenet-r"]', 'splits = ["dtd/all"]', "'dtd/all' has no class of the fold's"),
        ("imagenet-fs-x", 'splits = ["imagenet-r"]', 'splits = ["imagenet-r"]\nwhere = "covariate"', "nothing beside"),
        ("imagenet-fs-x", 'splits = ["imagenet-r"]', 'splits = ["imagenet-r", "imagenet-v2"]', "several datasets"),
        ("setup2-pacs", '  "elephant",\n', "", "class 'elephant' (elephant) of 'caltech101/all' is known in fold"),
        ("setup2-pacs", '  "elephant",\n', '  "elephants",\n', "'elephants' is no class of caltech101"),
        ("setup2-pacs", 'splits = ["food101/all"]', 'splits = ["food101/all", "dtd/all"]', "are of several datasets"),
        ("setup1-official", "published protocol", "protocol", "an official suite says that it copies the published"),
        ("imagenet-mcm", 'headline = "mcm"', 'headline = "mcm"\nfull_spectrum = true', "needs covariate and semantic"),
        ("imagenet-robust", "objectnet-imagenet.tsv", "objectnet.txt", "there is no list objectnet.txt"),
    ],
)  # fmt: skip
def test_protocols_keep_to_the_rules(folder, suite, old, new, says):
    message, _ = refused(folder, suite, old, new)
    assert says in message
    assert message.startswith(f"{suite}.toml:")


def untrained(folder, *changes):
    """What is said of a suite without training images, after changes: "" where it is a suite."""
    path = folder / "suites/imagenet-robust.toml"
    text = re.sub(r"\[val\](\n.+)+", "", (manifest.root() / "suites/imagenet-robust.toml").read_text())
    for old, new in (('train = ["imagenet/train"]', "train = []"), *changes):
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    manifest.suite.cache_clear()
    try:
        return "" if not manifest.suite("imagenet-robust", folder).trains else "trains"
    except ManifestError as error:
        return error.message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = ["imagenet/val"]', "id = []", "has no split for 'id'"),
        ("[protocol]", '[val]\nsource = "train"\n[protocol]', "'val' says nothing in a suite without training images"),
        ("[protocol]", "[protocol]\nbank = 5", "'bank' says nothing in a suite without training images"),
        ("[protocol]", '[shares]\nunit = "image"\ntrain = 0.5\nval = 0\ntest = 0.5\n[protocol]', "'shares' says not"),
        ("[protocol]", '[[folds]]\nname = "b"\ntrain = ["imagenet/train"]\nid = ["imagenet/val"]\n[protocol]',
         "has no split for 'train', and others have"),
    ],
)  # fmt: skip
def test_a_suite_without_training_images_says_so_and_deals_none_out(folder, old, new, says):
    assert untrained(folder, (old, new)).find(says) >= 0


def test_scores_that_compare_with_training_images_are_for_suites_that_have_some(folder):
    assert untrained(folder) == ""
    untrained(folder, ("scorers = [", 'scorers = ["knn", '))
    (fault,) = [one for one in checking.check(manifests=folder) if one.error and one.name == "imagenet-robust"]
    assert "knn compares with training images, and there are none" in fault.error.message


def test_a_suite_has_no_score_of_a_stream(folder):
    untrained(folder, ("scorers = [", 'scorers = ["adaneg", '))
    (fault,) = [one for one in checking.check(manifests=folder) if one.error and one.name == "imagenet-robust"]
    assert "adaneg is a score of a stream" in fault.error.message


def test_a_misspelt_suite_gets_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'emoji-open'"):
        manifest.suite("emoji-opne")


def test_the_digest_follows_the_protocol_but_not_the_wording(folder):
    original = manifest.suite("emoji-open")
    retitled = manifest.suite("emoji-open", edited(folder, "Known glyphs", "Familiar glyphs"))
    assert retitled.digest == original.digest
    manifest.suite.cache_clear()
    assert manifest.suite("emoji-open", edited(folder, "views = 4", "views = 9")).digest != original.digest


def test_the_digest_follows_class_names_and_prompts(folder):
    original = manifest.suite("setup1")
    prompts = folder / "prompts/croft-7.txt"
    prompts.write_text(prompts.read_text().replace("itap of a {}.", "a picture of a {}."))
    assert manifest.suite("setup1", folder).digest != original.digest
    prompts.write_text((manifest.root() / "prompts/croft-7.txt").read_text())
    names = folder / "lists/imagenet.tsv"
    names.write_text(names.read_text().replace("\ttench", "\tfish"))
    manifest.suite.cache_clear()
    registry.family.cache_clear()
    assert manifest.suite("setup1", folder).digest != original.digest


def test_the_80_prompts_are_clips():
    from open_clip import OPENAI_IMAGENET_TEMPLATES

    assert manifest.suite("imagenet-robust").templates == tuple(make("{}") for make in OPENAI_IMAGENET_TEMPLATES)


def test_official_twins_differ_from_the_clean_ones_in_the_protocol_alone():
    """Same classes, same training domains, same shifts: what differs is how it is scored."""
    for name in ("setup1", "setup2-pacs", "setup2-vlcs"):
        clean, official = manifest.suite(name), manifest.suite(f"{name}-official")
        assert official.folds == clean.folds
        assert [s.name for s in official.semantic] == [s.name for s in clean.semantic]
        assert (clean.protocol.id_filter, clean.protocol.ood_transform, clean.reference) == ("all", "test", None)
        assert (official.protocol.id_filter, official.protocol.ood_transform) == ("correct", "train")


@pytest.mark.parametrize(("suite", "kept"), [("pacs", 92), ("vlcs", 84)])
def test_the_official_caltech_has_as_many_classes_as_the_published_code_keeps(suite, kept):
    caltech = registry.family("caltech101")
    spec = next(s for s in manifest.suite(f"setup2-{suite}-official").semantic if s.name == "Caltech101")
    assert len(set(caltech.ids) - set(spec.exclude)) == kept


def test_every_domain_is_left_out_once():
    for name in ("domainbed-pacs", "domainbed-terra", "domainbed-domainnet", "setup2-vlcs"):
        folds = manifest.suite(name).folds
        left_out = [split for fold in folds for one in fold.shifted().values() for split in one.splits]
        family = registry.split(left_out[0])[0]
        assert left_out == [family.split_id(part.name) for part in family.parts]
        for fold, split in zip(folds, left_out, strict=True):
            assert {*fold.train, split} == set(left_out)
    for one, other in pairwise(manifest.suite("domainbed-pacs").folds):
        assert one.train != other.train


def test_check_reads_every_manifest_and_points_at_an_unknown_scorer_or_recipe(folder, cache):
    edited(folder, 'scorers = ["energy"', 'scorers = ["energie"', "setup1")
    edited(folder, 'headline = "energy"', 'headline = "msp"', "setup1")
    edited(folder, "lambda2 = 0.1", "lambda7 = 0.1")
    checked = list(checking.check(manifests=folder, cache=cache))
    one, other = sorted(str(made.error) for made in checked if made.error is not None)
    assert re.search(r"emoji-open.toml:\d+: unknown hyper-parameter of croft 'lambda7'", one)
    assert re.search(r"setup1.toml:\d+: unknown scorer 'energie'. Did you mean 'energy'", other)
    good = [made.kind for made in checked if made.error is None]
    assert good.count("suite") == len(manifest.names("suites")) - 2
    assert good.count("dataset") == len(manifest.names("splits"))


@pytest.mark.parametrize(
    ("old", "new"), [("0.8", "0.7"), ("379\t4 7", "379\t4 8")], ids=["shares that the list was not made of", "a list"]
)
def test_check_compares_shipped_split_lists_with_their_recipe(folder, cache, old, new):
    for path in (folder / "suites/setup2-pacs.toml", folder / "lists/pacs-80-20.tsv"):
        text = path.read_text().replace(old, new)
        path.write_text(text.replace("test = 0.2", "test = 0.3") if "train = 0.7" in text else text)
    wrong = [str(made.error) for made in checking.check(manifests=folder, cache=cache) if made.error is not None]
    assert any("pacs-80-20.tsv is not what the recipe gives" in one for one in wrong)


def test_mcm_has_its_authors_prompt_and_the_others_the_fields():
    assert manifest.suite("imagenet-mcm").templates == ("a photo of a {}",)
    assert manifest.suite("imagenet-openood").templates == ("a photo of a {}.",)


WRITTEN = {
    "mark and CR LF": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_manifests_prompts_and_lists_are_the_same_suite_however_they_were_written(folder, written):
    for path in (*folder.glob("*/*.toml"), *folder.glob("*/*.txt"), *folder.glob("*/*.tsv")):
        path.write_bytes(WRITTEN[written](path.read_text(encoding="utf-8")))
    for suite in ("setup1", "imagenet-mcm", "emoji-open"):
        assert manifest.suite(suite, folder).digest == manifest.suite(suite).digest
