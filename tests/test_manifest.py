"""A manifest either means exactly what it says or is refused with the line at fault."""

import shutil

import pytest

from croftbench import manifest
from croftbench.errors import ManifestError, UsageError


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(manifest.root(), tmp_path / "manifests")
    return tmp_path / "manifests"


def edited(folder, old, new):
    path = folder / "suites/emoji-open.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def test_the_default_suite_is_setup_one_on_emoji():
    suite = manifest.suite("emoji-open")
    assert suite.classes.known == 0.4
    assert suite.protocol.shots == 3
    assert suite.protocol.seeds == (1, 2, 3)
    assert dict(suite.folds[0].covariate)["line art"] == "fluent-emoji-high-contrast"


def test_a_suite_can_come_from_a_users_own_file(folder):
    assert manifest.suite(str(folder / "suites/emoji-styles.toml")) == manifest.suite("emoji-styles")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("shots = 3", "shot = 3", 14, "unknown key 'protocol.shot'. Did you mean 'shots'?"),
        ("shots = 3", 'shots = "many"', 14, "protocol.shots: input should be a valid integer"),
        ("shots = 3\n", "", None, "protocol.shots: field required"),
        ("known = 0.4", "known = 1.4", 11, "1.4 is not in (0, 1]"),
        ('headline = "energy"', 'headline = "energie"', 20, "the headline is not among the scorers"),
        ('id = ["twemoji"]', 'id = ["noto"]', None, "style 'noto' has two roles"),
        ('shaded = "fluent-emoji"', 'shaded = "fluent-emojis"', 34, "has no style 'fluent-emojis'"),
        ('"a {}."', '"a photo."', None, "every template needs '{}'"),
        ('groups = ["Symbols", "Flags"]', 'groups = ["Objects"]', None, "shares groups with the known classes"),
        ("[protocol]", "[protocol", None, "not valid TOML"),
        ('name = "emoji-open"', 'name = "emoji"', 2, "the name must be the file's"),
        ('table = "digits"', 'table = "letters"', 56, "no table 'letters'"),
    ],
)
def test_a_broken_rule_names_file_line_and_fault(folder, old, new, line, says):
    with pytest.raises(ManifestError) as caught:
        manifest.suite("emoji-open", edited(folder, old, new))
    message = caught.value.message
    assert says in message
    assert message.startswith("emoji-open.toml")
    if line is not None:
        assert message.startswith(f"emoji-open.toml:{line}:")


def test_a_misspelt_suite_gets_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'emoji-open'"):
        manifest.suite("emoji-opne")


def test_the_digest_follows_the_protocol_but_not_the_wording(folder):
    original = manifest.suite("emoji-open")
    retitled = manifest.suite("emoji-open", edited(folder, "Known glyphs", "Familiar glyphs"))
    assert retitled.digest == original.digest
    manifest.suite.cache_clear()
    assert manifest.suite("emoji-open", edited(folder, "views = 8", "views = 9")).digest != original.digest
