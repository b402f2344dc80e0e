"""Text files that people make, as any system writes them: the one reader of lists, tables, TOML and JSON.

UTF-8 with or without a byte order mark; UTF-16 and UTF-32 with one, as spreadsheets write them; lines end with LF,
CR LF or CR; ".gz" is unpacked. What cannot be read for certain is refused, with file and line.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croftbench.errors import DataError

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order mark -> encoding."""

SAVE = "Save it as UTF-8; from Latin-1, say, `iconv -f latin1 -t utf-8 OLD > NEW`."
DELIMITERS = ",;\t"
COMMENT = "#"


class TextError(DataError):
    """A text file that cannot be read for certain; the message starts with file and line."""


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        number: of its first line in the file, from 1.
        cells: without the blanks around them.
    """

    number: int
    cells: tuple[str, ...]


def read(path: Path, name: str = "", *, any_bytes: bool = False) -> str:
    """A file's text; lines end with a line feed alone.

    Args:
        path: the file.
        name: what messages call it; its path if "".
        any_bytes: keep bytes that are no UTF-8 as Python keeps them in file names, so that they can be compared.

    Raises:
        TextError: it cannot be read, or is no text.
    """
    name = name or str(path)
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise TextError(f"cannot read {name}: {why}.", "Check the path.") from error
    return decoded(data, name, any_bytes=any_bytes)


def decoded(data: bytes, name: str, *, any_bytes: bool = False) -> str:
    """The text of a file's bytes, see `read`.

    Raises:
        TextError: it is no text.
    """
    mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
    encoding = MARKS.get(mark, "utf-8")
    data = data.removeprefix(mark)
    if encoding == "utf-8" and (at := data.find(b"\0")) >= 0:
        what = "a NUL byte, so this is no text, or UTF-16 without its byte order mark"
        raise TextError(f"{name}:{_line(data[:at].decode('utf-8', 'replace'))}: {what}.", SAVE)
    try:
        text = data.decode(encoding, "surrogateescape" if any_bytes and encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        line = _line(data[: error.start].decode(encoding, "replace"))
        raise TextError(f"{name}:{line}: byte 0x{data[error.start]:02x} is no {encoding.upper()}.", SAVE) from error
    text = _feeds(text)
    if "\0" in text:
        raise TextError(f"{name}:{_line(text.partition(chr(0))[0])}: a NUL character.", SAVE)
    return re.sub("^\ufeff+", "", text, flags=re.MULTILINE)  # marks of files that were joined


def lines(path: Path, name: str = "", *, any_bytes: bool = False, comments: bool = False) -> list[tuple[int, str]]:
    """Number and text of each line of a list, without the blanks around it; empty lines are left out.

    So are comments, lines that start with "#", unless `comments`.

    Raises:
        TextError: see `read`.
    """
    text = read(path, name, any_bytes=any_bytes)
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in stripped if line and (comments or not line.startswith(COMMENT))]


def rows(path: Path, name: str = "", *, any_bytes: bool = False) -> list[Row]:
    """The lines of a table, its header too: of ".csv" the cells, however separated; of others what tabs separate.

    A cell in double quotes may hold the separator, and quotes written twice, as spreadsheets write them. Empty lines
    and comments are left out; a first line `sep=;` says what separates.

    Raises:
        TextError: see `read`; or quotes that do not close.
    """
    text = read(path, name, any_bytes=any_bytes)
    if not is_csv(path):
        text, delimiter = re.sub(r"[^\S\n]+$", "", text, flags=re.MULTILINE), "\t"  # empty cells at an end say nothing
    else:
        first = next((line for line in text.split("\n") if line.strip() and not line.startswith(COMMENT)), "")
        if given := re.fullmatch(r"\s*\"?sep=(.)\"?\s*", first):
            delimiter, text = given[1], text.replace(first, "", 1)
        else:
            unquoted = re.sub(r'"[^"]*"', "", first)
            delimiter = max(DELIMITERS, key=unquoted.count)
    return _split(text, delimiter, name or str(path))


def is_csv(path: Path) -> bool:
    """Whether a file's name says that commas, semicolons or tabs separate cells; ".csv.gz", too."""
    return path.name.lower().removesuffix(".gz").endswith(".csv")


def toml(path: Path, name: str = "") -> dict[str, Any]:
    """A TOML file's content.

    Raises:
        TextError: see `read`; or it is no TOML.
    """
    text = read(path, name)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", where)
        line = int(found[1]) if found else _line(text.rstrip("\n"))
        raise TextError(f"{name or path}:{line}: not valid TOML: {what}.") from error
    except (RecursionError, ValueError) as error:  # nested too deep; a number of thousands of digits
        raise TextError(f"{name or path}: not readable TOML: {error}.") from error


def from_json(path: Path, name: str = "") -> Any:
    """A JSON file's content.

    Raises:
        TextError: see `read`; it is no JSON, or an object has one key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in made if keys.count(key) > 1)
            raise TextError(f"{name or path}: key '{twice}' is there twice.", "Keep one.")
        return made

    try:
        return json.loads(read(path, name), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise TextError(f"{name or path}:{error.lineno}: not valid JSON: {error.msg}.") from error
    except (RecursionError, ValueError) as error:  # as for TOML
        raise TextError(f"{name or path}: not readable JSON: {error}.") from error


def _split(text: str, delimiter: str, name: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    found, start = [], 1
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped) and not stripped[0].startswith(COMMENT):
                found.append(Row(start, stripped))
            start = reader.line_num + 1
    except csv.Error as error:
        what = "quotes that do not close" if "end of data" in str(error) else str(error)
        raise TextError(
            f"{name}:{start}: {what}.", 'A cell in quotes ends with one; quotes inside are written "".'
        ) from error
    return found


def _feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _line(before: str) -> int:
    """Number of the line that follows a text."""
    return _feeds(before).count("\n") + 1
