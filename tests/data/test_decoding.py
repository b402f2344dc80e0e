"""What each kind of file becomes in RGB, what is remarked of it, and what is said of files that are no picture."""

import io
import random
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from croftbench.data import decoding
from croftbench.data.decoding import PictureError, decode
from croftbench.data.roots import Roots

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
"""Every grey value of 8 bits."""
RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(values, kind):
    return encoded(Image.fromarray(values), kind)


def raw_png(width, bits, row, *chunks):
    """A grey PNG of one row, written byte by byte: Pillow writes no 2 or 4 bits."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0))
    rest = [*(chunk(*one) for one in chunks), chunk(b"IDAT", zlib.compress(b"\0" + row)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(rest)


def red(picture):
    return np.asarray(picture.image)[..., 0]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "YCbCr"])
def test_ordinary_modes_become_rgb_without_a_remark(mode):
    kind = "JPEG" if mode == "YCbCr" else "PNG"
    picture = decode(encoded(Image.new("RGB", (5, 4), "white").convert(mode), kind), "x")
    assert (picture.image.mode, picture.image.size, picture.remarks) == ("RGB", (5, 4), ())
    assert red(picture).min() == 255


# ------------------------------------------------------------------------------------------------ depth


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (grey(RAMP.astype(np.uint16) * 257, "PNG"), decoding.DEPTH),
        (grey(RAMP.astype(np.uint16) * 257, "TIFF"), decoding.DEPTH),
        (grey(RAMP.astype(">u2") * 257, "TIFF"), decoding.DEPTH),
        (grey(RAMP.astype(np.int32) * 257, "PPM"), decoding.DEPTH),
        (grey(RAMP.astype(np.int32) * 8421504, "TIFF"), decoding.RANGE),  # all 31 bits
        (grey(RAMP.astype(np.int32) * 257, "TIFF"), decoding.RANGE),
        (grey(RAMP.astype(np.int32), "TIFF"), decoding.RANGE),
        (grey((RAMP / 255).astype(np.float32), "TIFF"), decoding.RANGE),
        (grey(RAMP.astype(np.float32), "TIFF"), decoding.RANGE),
        (grey((RAMP / 255).astype(np.float32), "PPM"), decoding.RANGE),
    ],
    ids=["png16", "tiff16", "tiff16be", "pgm16", "int32", "int32-of-16", "int32-of-8", "float", "float-of-8", "pfm"],
)
def test_a_grey_ramp_is_the_same_ramp_in_any_depth(data, remark):
    picture = decode(data, "x")
    assert np.abs(red(picture).astype(int) - RAMP).max() <= 1
    assert picture.remarks == (remark,)


def test_white_is_the_files_depth_and_not_the_pictures_brightest_value():
    dark = decode(grey(RAMP.astype(np.uint16), "PNG"), "x")
    assert red(dark).max() == 1


def test_unsigned_numbers_of_32_bits_and_negative_ones():
    unsigned = bytearray(grey((RAMP.astype(np.uint32) * 16843009).view(np.int32), "TIFF"))
    at = unsigned.index(struct.pack("<HHI", 339, 3, 1)) + 8  # Pillow writes no unsigned ones: set the tag by hand
    unsigned[at : at + 2] = struct.pack("<H", 1)
    assert np.array_equal(red(decode(bytes(unsigned), "x")), RAMP)
    signed = decode(grey(np.array([[-5, 0], [128, 255]], dtype=np.int32), "TIFF"), "x")
    assert red(signed).tolist() == [[0, 0], [128, 255]]


def test_a_tiff_whose_zero_is_white():
    data = bytearray(grey(RAMP.astype(np.uint16) * 257, "TIFF"))
    at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[at : at + 2] = struct.pack("<H", 0)
    assert np.array_equal(red(decode(bytes(data), "x")), 255 - RAMP)


@pytest.mark.parametrize(
    ("bits", "row", "values"), [(1, b"\x40", [0, 255]), (2, b"\x60", [85, 170]), (4, b"\x3f", [51, 255])]
)
def test_few_bits_fill_the_range(bits, row, values):
    assert red(decode(raw_png(2, bits, row), "x")).tolist() == [values]


@pytest.mark.parametrize(
    ("values", "why"),
    [(np.float32([[0, np.nan]]), "no finite numbers"), (np.float32([[0, 1e9]]), "nothing says which is white")],
)
def test_numbers_without_a_meaning_are_refused(values, why):
    with pytest.raises(PictureError, match=why):
        decode(grey(values, "TIFF"), "x")


# ----------------------------------------------------------------------------------------- transparency


def palette(alphas):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putdata([0, 1])
    return encoded(image, transparency=alphas)


def rgba(mode, *pixels):
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    return encoded(image)


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (rgba("RGBA", (*RED, 0), (*BLUE, 255)), [(255, 255, 255), BLUE]),
        (rgba("RGBA", (*RED, 128), (*BLUE, 255)), [(255, 127, 127), BLUE]),
        (rgba("LA", (10, 0), (20, 255)), [(255, 255, 255), (20, 20, 20)]),
        (palette(b"\x00\xff"), [(255, 255, 255), BLUE]),
        (palette(0), [(255, 255, 255), BLUE]),
        (encoded(Image.fromarray(np.uint8([[7, 8]])), transparency=7), [(255, 255, 255), (8, 8, 8)]),
        (encoded(Image.fromarray(np.uint16([[7, 514]])), transparency=7), [(255, 255, 255), (2, 2, 2)]),
        (raw_png(2, 4, b"\x3f", (b"tRNS", b"\0\3")), [(255, 255, 255), (255, 255, 255)]),
        (raw_png(2, 4, b"\x3f", (b"tRNS", b"\0\x0f")), [(51, 51, 51), (255, 255, 255)]),
    ],
    ids=["RGBA", "half", "LA", "P+tRNS", "P+index", "L+tRNS", "16+tRNS", "4+tRNS", "4+tRNS white"],
)
def test_transparency_is_laid_on_white_and_remarked(data, pixels):
    picture = decode(data, "x")
    assert list(map(tuple, np.asarray(picture.image)[0].tolist())) == pixels
    assert decoding.ALPHA in picture.remarks


def test_an_alpha_channel_that_hides_nothing_is_no_remark():
    assert decode(rgba("RGBA", (*RED, 255)), "x").remarks == ()


# -------------------------------------------------------------------------- colours, frames, orientation


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_ink_on_paper(kind):
    """Adobe writes a JPEG's ink inverted: no ink is white all the same."""
    picture = decode(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), kind), "x")
    assert red(picture).min() >= 254
    assert picture.remarks == (decoding.INK,)
    assert red(decode(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), kind), "x")).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options), "x")
    assert np.asarray(picture.image)[0, 0].tolist() == [*RED]
    assert picture.remarks == (decoding.FRAMES,)
    assert decode(encoded(frames[0], kind, **options), "x").remarks == ()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_left_alone_and_remarked(kind):
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    picture = decode(encoded(Image.new("RGB", (9, 4)), kind, exif=exif), "x")
    assert (picture.image.size, picture.remarks) == ((9, 4), (decoding.TURNED,))
    exif[decoding.ORIENTATION] = 1
    assert decode(encoded(Image.new("RGB", (9, 4)), kind, exif=exif), "x").remarks == ()


def test_damaged_metadata_do_not_matter():
    with decoding.quiet():
        assert (
            decode(encoded(Image.new("RGB", (9, 4)), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), "x").remarks == ()
        )


def test_profiles_are_ignored_and_remarked_where_they_are_not_srgb():
    def with_profile(name):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
        return decode(encoded(Image.new("RGB", (4, 4), (10, 200, 30)), "PNG", icc_profile=profile), "x")

    assert with_profile("sRGB").remarks == ()
    assert with_profile("XYZ").remarks == (decoding.PROFILE,)
    assert np.asarray(with_profile("XYZ").image)[0, 0].tolist() == [10, 200, 30]


def test_colours_that_nobody_reads_are_named():
    with pytest.raises(PictureError, match="colours are CIELAB"):
        decode(encoded(Image.new("LAB", (4, 4)), "TIFF"), "x")


def test_the_rules_leave_the_shipped_pictures_as_they_are():
    """Their runs record no rules: every one is on white paper already, or laid on it as it always was."""
    read = Roots().reader("emoji")
    for path in Roots().split("emoji/noto").paths[:20]:
        picture = decode(read(path), path)
        assert set(picture.remarks) <= {decoding.ALPHA}
        assert picture.image.getpixel((0, 0)) == (255, 255, 255)


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_called_so(kind, share):
    data = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), kind)
    with pytest.raises(PictureError, match=r"^cannot read image birds/7: the file is truncated\. [^\n]+$"):
        decode(data[: int(len(data) * share)], "birds/7")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (bytes(5000), "all of its bytes are zero"),
        (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", "not an image but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n", "Git LFS pointer.*git lfs pull"),
        (b'{"error": "quota"}', "not an image but text"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image but XML or SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image but PostScript"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "not an image but HEIC"),
        (bytes(range(1, 255)), "not an image of a format that is read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30) + b"IEND\xaeB`\x82", "damaged"),
    ],
)
def test_the_fault_is_named_and_the_message_is_the_same_each_time(data, why):
    messages = set()
    for _ in range(2):
        with pytest.raises(PictureError, match=why) as caught:
            decode(data, "birds/7")
        messages.add(str(caught.value))
    (message,) = messages
    assert message.startswith("cannot read image birds/7: ")
    assert not re.search(r"0x[0-9a-f]{6}|BytesIO|\n", message)


@pytest.mark.parametrize("kind", [2, 3])
def test_a_tag_of_the_wrong_type_is_damage(kind):
    """Pillow searches a TIFF's XMP as bytes, and raises TypeError where the file holds a text or numbers."""
    data = bytearray(encoded(Image.fromarray(RAMP), "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    at = next(a for a in range(first + 2, first + 2 + 12 * count, 12) if struct.unpack_from("<H", data, a) == (259,))
    struct.pack_into("<HHII", data, at, 700, kind, 1, 7)  # in the place of the compression, none by default
    try:
        picture = decode(bytes(data), "scans/7")
    except PictureError as error:
        assert error.message.startswith("cannot read image scans/7: the picture is damaged (")
    else:  # a Pillow that minds its types
        assert picture.image.size == (16, 16)


def test_a_decompression_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="it has 256 pixels, more than the 200 that are read"):
        decode(encoded(Image.fromarray(RAMP)), "x")


def test_no_mutated_file_gets_an_exception_of_another_kind_through(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    noise = Image.effect_noise((16, 16), 90)
    wide, several = np.asarray(noise).astype(np.int32) * 257, {"save_all": True, "append_images": [noise]}
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    seeds = [encoded(noise.convert("RGB"), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")]
    seeds += [encoded(noise, kind, **several) for kind in ("GIF", "WEBP", "PNG", "TIFF")]
    seeds += [grey(wide, "TIFF"), grey(wide.astype(np.float32), "TIFF"), grey(wide.astype(np.uint16), "PNG")]
    seeds += [encoded(noise, transparency=3), encoded(noise.convert("CMYK"), "JPEG", exif=exif)]
    draw, read = random.Random(0), 0
    with decoding.quiet():
        for i in range(2000):
            data = bytearray(seeds[i % len(seeds)])
            for _ in range(draw.choice((1, 1, 2, 8))):
                at = draw.randrange(draw.choice((len(data), min(len(data), 100))))
                data[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
            try:
                read += decode(bytes(data), "x").image.mode == "RGB"
            except PictureError as error:
                assert error.why.isprintable()
    assert read > 100
