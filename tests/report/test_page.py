"""The report as a file: what it holds, that it loads nothing, and that names from outside stay text."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest

import croftbench
from croftbench import plain
from croftbench.errors import DataError
from croftbench.files import sealed
from croftbench.report import board_rows, cards, cells, gallery, made_before, page, section, tables, templates
from croftbench.runs import results
from croftbench.stats import calibration
from croftbench.suites import registry

EVIL = "<script>alert(1)<script>"


class Elements(HTMLParser):
    """Start tags with their attributes, and the text inside each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = (tag, dict(attributes), [])
        self.found.append(element)
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(element)

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element[2].append(data)

    def all(self, tag, **attributes):
        """Attributes and text of the elements of this tag with these attributes."""
        return [
            (own, " ".join(" ".join(text).split()))
            for name, own, text in self.found
            if name == tag and all(own.get(key) == value for key, value in attributes.items())
        ]


@pytest.fixture
def filled(measure, tiny, tmp_path):
    """Two ranked methods and one that lacks seeds."""
    suite = tiny()
    for seed in (1, 2, 3):
        measure(suite, seed, 1.5)
        measure(suite, seed, 0.5, method="zero-shot", params={})
    measure(suite, 2, 2.0, method="coop")
    return suite, tmp_path


def test_the_numbers_are_the_leaderboard_s(filled):
    suite, folder = filled
    html = Elements(page.render(folder, [suite]))
    board = tables.leaderboard(folder, suite)
    shown = [(own, text) for own, text in html.all("td") if "data-group" in own]
    expected = [
        (cell, row[name])
        for line, (_, row) in zip(cells.lines(board), board.table.iterrows(), strict=True)
        for name, cell in ((column.name, line.cells[board.shown.index(column)]) for column in board.as_read)
    ]
    first = ["accuracy/id", "accuracy/covariate-mean", "auroc/near"]
    assert [column.name for column in board.as_read[:3]] == first, "the headline columns stand first"
    assert len(shown) == 3 * len(board.shown)
    for (own, text), (cell, value) in zip(shown, expected, strict=True):
        assert text.removesuffix("≈").strip() == cell.text
        assert float(own["data-value"]) == value
        assert own["data-tip"] == cell.detail
        assert cell.detail.startswith("95% over images")
    headings = " | ".join(text for _, text in html.all("th", scope="col"))
    for part in ("Acc ↑ ID n = 100", "FPR95 ↓ near n = 150", "AUROC ↑ far n = 60", "Acc ↑ covariate mean"):
        assert part in headings
    group = "Not ranked: seeds, folds or images are missing, or the images are others"
    assert group in [text for _, text in html.all("th", scope="rowgroup")]


def test_a_card_has_all_that_is_needed_to_run_it_again(filled):
    suite, folder = filled
    html = Elements(page.render(folder, [suite]))
    (card,) = [text for own, text in html.all("dialog") if own["aria-labelledby"] == "card-0-0-title"]
    runs = [run for run in results.read_all(folder) if run.spec.method == "croft"]
    for run in runs:
        assert run.spec.run_id in card
    for part in (
        suite.digest,
        "w" * 64,
        "resize64",
        "lambda2 0.03",
        "seed 1",
        "python 3.11.7",
        "commit abc1234",
        "1.5",
    ):
        assert part in card
    score = next(score for score in runs[0].scores if score.metric == "accuracy")
    assert f"{100 * score.value:.2f} ({100 * score.low:.2f} to {100 * score.high:.2f})" in card
    buttons = [own["data-card"] for own, text in html.all("button") if "data-card" in own]
    assert buttons == [own["id"] for own, _ in html.all("dialog")]


def test_the_command_reads_back_as_it_was_asked(filled, measure):
    suite, folder = filled
    for seed in (1, 2, 3):
        measure(suite, seed, params={"note": "it's $HOME; rm *", "flag": False}, method="My Method")
    rows = board_rows.collect(tables.leaderboard(folder, suite))
    words = shlex.split(cards.command(next(row for row in rows if row.spec.method == "My Method")))
    assert words[:2] == ["croftbench", "run"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert options["--method"] == "My Method"
    assert options["--seeds"] == "1,2,3"
    assert [word for word in words if "=" in word] == ["note=it's $HOME; rm *", "flag=false"]


def test_accuracy_of_what_is_accepted(filled):
    suite, folder = filled
    html = Elements(page.render(folder, [suite]))
    measured = board_rows.collect(tables.leaderboard(folder, suite))
    rows = [text for _, text in html.all("tr") if text.startswith("zero-shot ") and "±" not in text]
    values = []
    for splits in next(row for row in measured if row.name == "zero-shot").tables:
        known, unknown = splits[:3], splits[3:]
        joined = [
            [x for split in part for x in of(split)]
            for part, of in (
                (known, lambda s: s.scores["energy"]),
                (known, lambda s: s.correct),
                (unknown, lambda s: s.scores["energy"]),
            )
        ]
        values.append([row.accuracy.value for row in calibration.accepted(*joined, section.RATES)])
    means = [f"{100 * sum(column) / 3:.2f}" for column in zip(*values, strict=True)]
    assert rows == ["zero-shot " + " ".join(means)]


def test_names_from_outside_stay_text(measure, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    spec = measure(suite, 1, method="zero-shot", params={})
    run = results.read(results.path_of(tmp_path, spec))
    (tmp_path / "runs" / suite.name / "imported").mkdir()
    changed = replace(run.spec, method=EVIL, params={EVIL: '"><img src=x onerror=alert(2)>'}, encoder=EVIL)
    data = json.loads(results.path_of(tmp_path, spec).read_text())
    del data["digest"]
    data |= {"spec": asdict(changed), "env": {EVIL: EVIL, "imported": EVIL}, "created": EVIL}
    (tmp_path / "runs" / suite.name / "imported" / f"{changed.run_id}.json").write_text(sealed(json.dumps(data)))

    text = page.render(tmp_path, [suite])
    html = Elements(text)
    assert len(html.all("script")) == 1
    assert html.all("img") == []
    assert not any(name.startswith("on") for _, own, _ in html.found for name in own)
    assert EVIL not in text
    assert any(EVIL in shown for _, shown in html.all("button"))
    assert any(EVIL[:20] in shown for _, shown in html.all("svg"))
    assert any(f"{EVIL} (imported)" in shown for _, shown in html.all("button"))


def test_class_and_picture_names_stay_text_and_turn_nothing(measure, tiny, tmp_path):
    """As folders of somebody's own images may be called: with tags, the end of an attribute, and turned text."""
    suite = tiny(seeds=(1,))
    measure(suite, 1)
    name = 'cat"><img src=x onerror=alert(1)>\u202egpj.\x1b[2J'
    shown = section.section(tables.leaderboard(tmp_path, suite), [], 0)
    for picture in ("", "data:image/webp;base64,"):
        plate = gallery.Plate(picture, name, name, name, name, 1, name)
        text = templates.render(
            "section.html", section=shown | {"gallery": gallery.Gallery(((name, name, (plate,)),), 1, name)}
        )
        html = Elements(text)
        assert len(html.all("img")) == bool(picture)
        assert not any(key.startswith("on") for _, own, _ in html.found for key in own)
        assert not plain.UNSAFE.search(text)
        seen = 'cat"><img src=x onerror=alert(1)>\\u202egpj.\\x1b[2J'
        assert [words for _, words in html.all("b") if words == seen]
        assert all(own["title"] == seen for own, _ in html.all("img"))


def test_the_page_loads_nothing(filled):
    suite, folder = filled
    text = page.render(folder, [suite])
    html = Elements(text)
    for tag, own, _ in html.found:
        assert tag not in ("iframe", "object", "embed", "base", "image")
        for name in ("src", "href", "srcset", "action", "poster", "data", "xlink:href"):
            assert re.match(r"#|data:,$", own.get(name) or "#"), (tag, own)
    assert not re.search(r"url\((?!#)|@import", text)
    policy = html.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][0]["content"]
    assert policy.startswith("default-src 'none';")
    assert "script-src 'sha256-" in policy


def test_every_id_is_unique_and_every_reference_has_one(filled, tiny, measure):
    suite, folder = filled
    text = page.render(folder, [suite, suite])
    html = Elements(text)
    identifiers = [own["id"] for _, own, _ in html.found if "id" in own]
    own = [name for name in identifiers if not re.match(r"s\d+-[a-z]+-", name)]
    assert len(own) == len(set(own))
    for name in re.findall(r"url\(#([^)]*)\)|xlink:href=\"#([^\"]*)\"", text):
        assert "".join(name) in set(identifiers)
    pictures = {name for name in identifiers if re.match(r"s\d+-[a-z]+-", name)}
    assert {name for name in pictures if name.endswith("axes_1")} == {
        f"s{n}-{kind}-axes_1" for n in (0, 1) for kind in ("energy", "roc", "pareto", "calibration")
    }


def test_pictures_that_cannot_be_drawn_say_why(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    add(suite, 1, 0.5)
    html = Elements(page.render(tmp_path, [suite]))
    reasons = [text for _, text in html.all("figcaption")]
    assert sum("no run of tiny has a per-image table" in text for text in reasons) == 3
    assert any("no method has runs of several shots" in text for text in reasons)
    assert len(html.all("svg")) == 1


def test_the_same_runs_give_the_same_bytes(filled):
    suite, folder = filled
    path = page.write(folder, [suite], folder / "site")
    assert path == folder / "site" / "index.html"
    first = path.read_bytes()
    page.write(folder, [suite], folder / "site")
    assert path.read_bytes() == first
    assert [each.name for each in (folder / "site").iterdir()] == ["index.html"]


def test_a_folder_in_the_way_is_one_clear_error(filled):
    suite, folder = filled
    (folder / "site").write_text("in the way")
    with pytest.raises(DataError, match="cannot write"):
        page.write(folder, [suite], folder / "site")


def test_pictures_that_were_drawn_before_are_the_same_and_new_runs_are_drawn_anew(measure, tiny, tmp_path, monkeypatch):
    suite, kept = tiny(), tmp_path / "cache"
    for seed in (1, 2, 3):
        measure(suite, seed, 1.5)
    bare = page.render(tmp_path, [suite])
    assert page.render(tmp_path, [suite], kept) == bare
    drawn = set(kept.glob("pictures/*/*.json"))
    assert drawn
    (whole,) = kept.glob("pictures/section-*.json")
    whole.unlink()
    with monkeypatch.context() as context:
        context.delattr("croftbench.report.style.inline")  # nothing is drawn
        context.delattr("croftbench.report.section._accepted")
        assert page.render(tmp_path, [suite], kept) == bare
    for seed in (1, 2, 3):
        measure(suite, seed, 0.5, method="zero-shot", params={})
    assert page.render(tmp_path, [suite], kept) == page.render(tmp_path, [suite])
    assert len(set(kept.glob("pictures/*/*.json"))) > len(drawn)


def test_a_section_that_was_made_before_is_read_and_one_with_other_records_is_made(
    measure, tiny, tmp_path, monkeypatch
):
    one, kept = tiny(), tmp_path / "cache"
    other = replace(one, name="other")
    for suite in (one, other):
        measure(suite, 1, 1.5)
    bare = page.render(tmp_path, [one, other])
    assert page.render(tmp_path, [one, other], kept) == bare
    made, whole = [], section.section

    def counted(board, *rest):
        made.append(board.suite.name)
        return whole(board, *rest)

    monkeypatch.setattr(section, "section", counted)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert page.render(tmp_path, [one, other], kept) == bare
    assert made == []
    measure(other, 2, 0.5)
    assert page.render(tmp_path, [one, other], kept) == page.render(tmp_path, [one, other])
    assert made == [other.name, one.name, other.name], "of the first page, the second section alone"
    made.clear()
    (tmp_path / "reported").mkdir()
    (tmp_path / "reported/rows.csv").write_text("name")
    with pytest.raises(DataError, match=r"rows\.csv"):
        page.render(tmp_path, [one, other], kept)


def test_a_page_that_came_with_its_runs_needs_no_section_made_again(measure, tiny, tmp_path, monkeypatch):
    one = tiny()
    other = replace(one, name="other")
    for suite in (one, other):
        measure(suite, 1, 1.5)
    whole = page.write(tmp_path, [one, other], tmp_path / "report").read_text("utf-8")
    copy = tmp_path / "copy"
    for folder in ("runs", "report"):  # as a clone does: the same bytes, other times
        shutil.copytree(tmp_path / folder, copy / folder, copy_function=shutil.copyfile)
    with monkeypatch.context() as context:
        context.delattr("croftbench.report.section.section")
        assert page.write(copy, [one, other], copy / "report").read_text("utf-8") == whole
        assert page.write(copy, [one, other], tmp_path / "site").read_text("utf-8") == whole, "found with the results"
    here = copy / "report/index.html"
    here.write_text(whole.replace("Best in bold", "Worst in bold", 1), "utf-8")
    assert page.write(copy, [one, other], copy / "report").read_text("utf-8") == whole, "changed by hand"
    measure(other, 2, 0.5)
    shutil.copytree(tmp_path / "runs", copy / "runs", dirs_exist_ok=True)
    assert page.write(copy, [one, other], copy / "report").read_text("utf-8") == page.render(copy, [one, other])


def test_where_a_copy_lies_is_no_part_of_what_a_page_is_made_of(tmp_path, monkeypatch):
    suite, family = croftbench.load_suite("emoji-open"), registry.family
    here = made_before.key(tmp_path, suite, None, 0)

    def elsewhere(name, manifests):
        return replace(family(name, manifests), root=str(tmp_path), lists=tmp_path)

    monkeypatch.setattr(registry, "family", elsewhere)
    assert made_before.key(tmp_path, suite, None, 0) == here
    monkeypatch.setattr(registry, "family", lambda *of: replace(elsewhere(*of), licence="another"))
    assert made_before.key(tmp_path, suite, None, 0) != here
