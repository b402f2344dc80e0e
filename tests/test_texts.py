"""One reader of text: what other systems write is read alike, and what is no text is refused by file and line."""

import codecs
import gzip

import pytest

from croftbench import texts
from croftbench.texts import Row, TextError

PLAIN = "# a comment\nn1\tcafé\n\nn2\tmouse, computer\nn3\tbird's nest\n"
LINES = [(2, "n1\tcafé"), (4, "n2\tmouse, computer"), (5, "n3\tbird's nest")]
WRITTEN = {
    "plain": PLAIN.encode(),
    "mark": codecs.BOM_UTF8 + PLAIN.encode(),
    "windows": PLAIN.replace("\n", "\r\n").encode(),
    "old-mac": PLAIN.replace("\n", "\r").encode(),
    "blanks": PLAIN.replace("\n", " \t \n").encode(),
    "no-last-feed": PLAIN.rstrip("\n").encode(),
    "utf-16-le": codecs.BOM_UTF16_LE + PLAIN.replace("\n", "\r\n").encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "utf-32": codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"),
    "joined": codecs.BOM_UTF8 + PLAIN.replace("n2", "\ufeffn2").encode(),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_list_is_read_alike_however_it_was_written(tmp_path, written):
    path = tmp_path / "list.txt"
    path.write_bytes(WRITTEN[written])
    assert texts.lines(path) == LINES
    assert texts.rows(path) == [Row(number, tuple(line.split("\t"))) for number, line in LINES]
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(WRITTEN[written]))
    assert texts.lines(tmp_path / "list.txt.gz") == LINES


@pytest.mark.parametrize("character", "\x0b\x0c\x1c\x85\u2028")
def test_only_line_ends_end_lines(tmp_path, character):
    path = tmp_path / "list.txt"
    path.write_text(f"one{character}two\nthree\n", encoding="utf-8")
    assert texts.lines(path) == [(1, f"one{character}two"), (2, "three")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"one\r\ntwo\r\ncaf\xe9\r\n", ":3: byte 0xe9 is no UTF-8"),
        (b"one\ntw\0o\n", ":2: a NUL byte"),
        ("one\ntwo\n".encode("utf-16-le"), "UTF-16 without its byte order mark"),
        (codecs.BOM_UTF16_LE + "one\ntwo\n".encode("utf-16-le")[:-1], ":2: byte 0x0a is no UTF-16-LE"),
        (codecs.BOM_UTF16_LE + "one\n\0".encode("utf-16-le"), ":2: a NUL"),
    ],
)
def test_what_is_no_text_is_refused_by_line(tmp_path, data, says):
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    for read in (texts.read, texts.lines, texts.rows, texts.toml, texts.from_json):
        with pytest.raises(TextError) as caught:
            read(path)
        assert caught.value.message.startswith(str(path))
        assert says in caught.value.message
        assert "UTF-8" in caught.value.hint
    with pytest.raises(TextError, match="cannot read"):
        texts.read(tmp_path / "none.txt")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"one\n" * 99)[:-9])
    with pytest.raises(TextError, match="cannot read"):
        texts.read(tmp_path / "cut.gz")


@pytest.mark.parametrize(
    "text",
    [
        'path,name\n"a, b.jpg",5" disk\n"say ""x"".jpg",c\n',
        'path;name\n"a, b.jpg";5" disk\n"say ""x"".jpg";c\n',
        'sep=;\npath;name\na, b.jpg;5" disk\n"say ""x"".jpg";c\n',
        'path\tname\na, b.jpg\t5" disk\n"say ""x"".jpg"\tc\n',
        'path;name\r\n"a, b.jpg" ; 5" disk \r\n;\r\n# made by hand\r\n"say ""x"".jpg"; c\r\n;\r\n'.replace('" ;', '";'),
    ],
)
def test_a_table_is_read_alike_whatever_separates_its_cells(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    assert [row.cells for row in texts.rows(path)] == [("path", "name"), ("a, b.jpg", '5" disk'), ('say "x".jpg', "c")]


def test_a_row_is_known_by_its_first_line_and_open_quotes_are_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('a,"two\nlines"\n\nb,c\n')
    assert texts.rows(path) == [Row(1, ("a", "two\nlines")), Row(4, ("b", "c"))]
    path.write_text('a,b\nc,"d\ne,f\n')
    with pytest.raises(TextError, match=r"table.csv:2: quotes that do not close"):
        texts.rows(path)
    path.write_text('a,b\n"c" d,e\n')
    with pytest.raises(TextError, match=r"table.csv:2: "):
        texts.rows(path)


@pytest.mark.parametrize(
    "written", [codecs.BOM_UTF8 + b"a = 1\r\nb = 2\r", codecs.BOM_UTF16_LE + "a = 1\nb = 2".encode("utf-16-le")]
)
def test_toml_and_json_are_read_with_marks_and_any_line_ends(tmp_path, written):
    path = tmp_path / "settings.toml"
    path.write_bytes(written)
    assert texts.toml(path) == {"a": 1, "b": 2}
    path.write_bytes(codecs.BOM_UTF8 + b'{"a":\r\n 1}')
    assert texts.from_json(path) == {"a": 1}


def test_faults_of_toml_and_json_have_their_line(tmp_path):
    path = tmp_path / "file"
    for text, line in (("a = 1\nb = \n", 2), ("a = 1\n\nb = [\n", 3), ("a = 1\na = 2\n", 2)):
        path.write_text(text)
        with pytest.raises(TextError, match=f"file:{line}: not valid TOML"):
            texts.toml(path)
    path.write_text('{"a": 1,\n]')
    with pytest.raises(TextError, match="file:2: not valid JSON"):
        texts.from_json(path)
    path.write_text('{"a": 1, "a": 2}')
    with pytest.raises(TextError, match="key 'a' is there twice"):
        texts.from_json(path)
