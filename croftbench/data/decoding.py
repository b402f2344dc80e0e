"""Encoded bytes -> an RGB picture. docs/pictures.md says what becomes of each kind, and why; `RULES` names the choices.

A run on somebody's own images records `RULES` with its transform. Where other loaders may get other pixels from a
file, that is a remark, which whoever decodes many files counts and says once.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from croftbench.data import damage
from croftbench.errors import DataError

__all__ = ["FORMATS", "RULES", "Picture", "PictureError", "decode", "quiet", "remarked"]

RULES = "pictures 1 alpha=white depth=scaled exif=ignored icc=ignored frame=first"
"""Raise its number when a file that was read before becomes other pixels."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read. Others need another program (PostScript would start one), or hold no photographs."""

FRAMES, TURNED, PROFILE, DEPTH, RANGE, ALPHA, INK = (
    "with several frames or pages: the first is read",
    "marked as turned (EXIF orientation): read as stored, as ImageFolder, open_clip and OpenOOD do",
    "with a colour profile that is not sRGB: ignored, as common loaders do",
    "of more than 8 bits of grey: scaled by their depth, where common loaders cut at 255, nearly white",
    "of 32-bit numbers: the least of 1 (floating point), 255, 65,535 and the type's own that holds them is white",
    "with transparent parts: laid on white, where common loaders show the colour that lies beneath",
    "in CMYK: converted without colour management",
)

ORIENTATION, BITS, SIGN, PHOTOMETRIC = 0x0112, 258, 339, 262
"""Tags of EXIF and TIFF."""


class PictureError(DataError):
    """Bytes that are no complete picture; `why` says it without the file's name."""

    def __init__(self, where: str, why: str, hint: str) -> None:
        super().__init__(f"cannot read image {where}: {why}.", hint)
        self.why = why


@dataclass(frozen=True)
class Picture:
    """A decoded file.

    Attributes:
        image: in RGB.
        remarks: what other loaders may do differently with it, in order.
    """

    image: Image.Image
    remarks: tuple[str, ...] = ()


def decode(data: bytes, where: str) -> Picture:
    """The picture in a file's bytes.

    Raises:
        PictureError: the bytes are not a complete picture; `where` names it.
    """
    if not data:
        raise PictureError(where, "the file is empty", damage.REPLACE)
    try:
        image = Image.open(io.BytesIO(data), formats=_formats())
        stored = _bits(image), _grey_step(image)  # loading forgets how pixels are stored
        image.load()
        remarks = list(_of_file(image, data))
        return Picture(_rgb(image, *stored, remarks), tuple(remarks))
    except Exception as error:  # whatever Pillow's readers raise on hostile bytes: struct.error, KeyError, ...
        raise PictureError(where, *damage.explain(data, error, isinstance(error, UnidentifiedImageError))) from error


def remarked(where: str, remark: str, count: int) -> str:
    """A remark about so many pictures, as one line."""
    return f"{where}: {count:,} picture{'s' * (count > 1)} {remark}. See docs/pictures.md."


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's own warnings, odd metadata and large pictures; for the thread that starts those that decode."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads."""
    if not {"TIFF", "WEBP"} <= set(Image.OPEN):  # the common formats are there from the first `open` on
        Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


# ------------------------------------------------------------------------------- what others do differently


def _of_file(image: Image.Image, data: bytes) -> Iterator[str]:
    if _several(image, data):
        yield FRAMES
    if image.format != "TIFF" and _orientation(image) not in (
        None,
        1,
    ):  # a TIFF's own orientation is part of the format
        yield TURNED
    profile = image.info.get("icc_profile") or b""
    if profile and not any("sRGB".encode(text) in profile for text in ("ascii", "utf-16-be")):
        yield PROFILE


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ORIENTATION) if "exif" in image.info else None
    except Exception:  # damaged metadata do not make a picture unreadable
        return None


def _several(image: Image.Image, data: bytes) -> bool:
    """Whether a file holds more than one picture; a JPEG's preview is not one."""
    if image.format not in ("GIF", "TIFF"):  # these look for the next one, in a reader of its own
        return image.format in ("PNG", "WEBP", "AVIF") and bool(getattr(image, "is_animated", False))
    try:
        with Image.open(io.BytesIO(data), formats=(image.format,)) as again:
            return bool(getattr(again, "is_animated", False))
    except Exception:  # the first picture can be read, the next cannot
        return True


# ------------------------------------------------------------------------------------------------ to RGB


def _rgb(image: Image.Image, bits: int, step: int, remarks: list[str]) -> Image.Image:
    if image.mode == "CMYK":
        remarks.append(INK)
    beneath = image.info.get("transparency")
    if image.mode[0] in "IF":
        return _grey(image, bits, beneath, remarks)
    if image.mode == "LAB":
        raise damage.UnreadError("its colours are CIELAB, which is not read")
    if not image.has_transparency_data:
        return image.convert("RGB")
    if isinstance(beneath, int) and image.mode in ("1", "L"):  # the file's own number, which Pillow does not scale
        grey, hidden = image.convert("L"), beneath * step
        return _on_white(grey.convert("RGB"), grey.point([255 * (value != hidden) for value in range(256)]), remarks)
    if isinstance(beneath, tuple) and max(beneath) > 255:  # of 16 bits, of which Pillow reads the upper half
        image.info["transparency"] = tuple(value >> 8 for value in beneath)
    whole = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return _on_white(whole.convert("RGB"), whole.getchannel("A"), remarks, whole)


def _on_white(
    colours: Image.Image, alpha: Image.Image, remarks: list[str], whole: Image.Image | None = None
) -> Image.Image:
    """A picture over white paper."""
    lowest = alpha.getextrema()[0]
    if lowest == 255:
        return colours
    remarks.append(ALPHA)
    if whole is None:
        whole = colours.convert("RGBA")
        whole.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")


def _grey(image: Image.Image, bits: int, beneath: object, remarks: list[str]) -> Image.Image:
    """Of a picture whose values are numbers of more than 8 bits."""
    with np.errstate(invalid="ignore"):
        values: npt.NDArray[np.float64] = np.asarray(image).astype(np.float64)
    tags = getattr(image, "tag_v2", {})
    whole = image.mode != "F"
    if bits == 32 and tags.get(SIGN, (1,))[0] == 1:
        values = np.where(values < 0, values + 2**32, values)  # Pillow has no unsigned numbers of 32 bits
    if not np.isfinite(values).all():
        raise damage.UnreadError("some of its values are no finite numbers")
    if whole and bits < 32:
        white = 2**bits - 1
        remarks.append(DEPTH)
    else:
        choices = (255, 2**16 - 1, 2**31 - 1, 2**32 - 1) if whole else (1, 255, 2**16 - 1)
        highest = float(values.max())
        if highest > choices[-1]:
            raise damage.UnreadError(f"its values reach {highest:.4g}, and nothing says which is white")
        white = next(one for one in choices if highest <= one)
        remarks.append(RANGE)
    shown = np.clip(values, 0, white) * (255 / white)
    if tags.get(PHOTOMETRIC) == 0:
        shown = 255 - shown
    grey = Image.fromarray(np.rint(shown).astype(np.uint8))
    if not isinstance(beneath, int):
        return grey.convert("RGB")
    return _on_white(grey.convert("RGB"), Image.fromarray(np.uint8(255) * (values != beneath)), remarks)


def _bits(image: Image.Image) -> int:
    """Bits that a value of a picture in one of Pillow's wide modes has in its file; without a sign, if it has one."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:  # formats that know 16 bits at most, or Pillow scales to these
        return 16 if image.format in ("PNG", "PPM", "JPEG2000") or image.mode.startswith("I;16") else 32
    bits = int(tags.get(BITS, (1,))[0])
    return bits - 1 if bits <= 16 and tags.get(SIGN, (1,))[0] == 2 else bits


def _grey_step(image: Image.Image) -> int:
    """What a grey value of 1, 2 or 4 bits is multiplied by to fill 8."""
    tiles = getattr(image, "tile", None)
    stored = tiles[0][3] if image.format == "PNG" and tiles else ""
    return 255 if image.mode == "1" else {"L;2": 85, "L;4": 17}.get(str(stored), 1)
