"""LaTeX that a plain TeX with booktabs would take: balanced, aligned, escaped. No TeX is needed to run this."""

from __future__ import annotations

import re

import pytest

from croftbench.report.formats.latex import escape, to_latex
from croftbench.report.tables import leaderboard

HOSTILE = 'a_b & 50% #1 {x} $y$ ~^ \\input{/etc/passwd} <|> `q\' "q" -- ◆ 漢 é'


def depth(text: str) -> int:
    """Open groups at the end; fails where one closes that was not open."""
    open_groups = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", text):
        open_groups += 1 if brace == "{" else -1
        assert open_groups >= 0
    return open_groups


@pytest.fixture
def text(add, tiny, tmp_path):
    suite = tiny(seeds=(1,))
    for method, base in (("croft", 0.5), ("coop", 0.495), ("zero-shot", 0.3)):
        add(suite, 1, base, method=method)
    add(suite, 1, 0.2, method=HOSTILE.replace("/", ""), encoder="vit_b/open%ai")
    return to_latex(leaderboard(tmp_path, suite))


def test_structure(text):
    body = "\n".join(text.splitlines()[1:])
    assert depth(body) == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+\*?)}}", body) for word in ("begin", "end"))
    assert begun == ["table*", "tabular"] == ended[::-1]
    rules = re.findall(r"\\(toprule|midrule|bottomrule)", body)
    assert rules == ["toprule", "midrule", "bottomrule"]
    assert body.index("cmidrule") < body.index("midrule\n")


def test_every_line_has_as_many_cells_as_columns(text):
    columns = len(re.search(r"\\begin{tabular}{([rl]+)}", text)[1])
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 3 + 4
    for line in lines:
        spans = [int(span) for span in re.findall(r"\\multicolumn{(\d+)}", line)]
        assert len(re.findall(r"(?<!\\)&", line)) + 1 + sum(spans) - len(spans) == columns
    rules = re.findall(r"\\cmidrule\(lr\){(\d+)-(\d+)}", text)
    assert [tuple(map(int, ends)) for ends in rules] == [(3, 6), (7, 9), (10, 13)]


def test_marks(text):
    croft, coop, *_ = [line for line in text.splitlines() if re.match(r"\d & ", line)]
    assert r"croft $\diamond$" in croft
    assert r"\textbf{50.00}" in croft
    assert r"\underline{49.50}\,$\approx$" in coop


def test_deviations_are_small_print(add, tiny, tmp_path):
    suite = tiny()
    for seed in (1, 2, 3):
        add(suite, seed, 0.4 + 0.1 * seed)
        add(suite, seed, 0.1 + 0.1 * seed, method="coop")
    assert r"& \textbf{60.00}{\tiny$\pm$10.00} &" in to_latex(leaderboard(tmp_path, suite))


def test_names_from_outside_print_as_they_are(text):
    last = text.splitlines()[text.splitlines().index(r"\bottomrule") - 1]
    assert r"a\_b \& 50\% \#1 \{x\} \$y\$ \textasciitilde{}\textasciicircum{} \textbackslash{}input" in last
    assert r"vit\_b/open\%ai" in last
    assert last.isascii() or set(last) - {"é"} <= set(map(chr, range(127)))


def test_escape():
    assert escape("--- -a-b") == "-{}-{}- -a-b"
    assert escape("two\nlines\t here") == "two lines here"
    assert escape("漢 ß é ‮x") == "[U+6F22] [U+00DF] é [U+202E]x"
    assert depth(escape(HOSTILE)) == 0
