import io
import struct
import zlib

import pytest
from PIL import Image

from data_prep.pipeline.data_set import DataError, Fault
from data_prep.pipeline.images import check_marks, image_bytes


def picture(mode: str = "RGB", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).convert(mode).save(stream, kind)
    return stream.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that says it is as large as this."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def fault(image: object, folder) -> str:
    with pytest.raises(Fault) as caught:
        image_bytes(image, folder)
    assert caught.value.reason == "image"
    return str(caught.value)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("L", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("I;16", "PNG")]
    + [("RGB", "JPEG"), ("CMYK", "JPEG"), ("P", "GIF"), ("RGBA", "WEBP")],
)
def test_every_usual_kind_of_image_is_kept_byte_for_byte(tmp_path, mode, kind):
    content = picture(mode, kind)
    assert image_bytes(content, tmp_path) == content


def test_an_image_may_be_a_path_or_bytes_or_a_mapping_with_either(tmp_path):
    content = picture()
    (tmp_path / "my images").mkdir()
    (tmp_path / "my images" / "1.png").write_bytes(content)
    for image in (
        "my images/1.png",
        str(tmp_path / "my images" / "1.png"),
        {"path": "my images/1.png"},
        {"bytes": None, "path": "my images/1.png"},
        {"bytes": content, "path": "gone.png"},
    ):
        assert image_bytes(image, tmp_path) == content


def test_a_missing_image_is_a_fault_that_names_the_file(tmp_path):
    assert fault("images/7.png", tmp_path) == f"{tmp_path / 'images/7.png'}: No such file or directory"
    assert fault(".", tmp_path) == f"{tmp_path}: Is a directory"
    assert "\0" not in fault("a\0b.png", tmp_path).replace(str(tmp_path / "a\0b.png"), "")
    assert fault("a" * 5000, tmp_path).endswith("File name too long")


BROKEN = {
    "cut short": picture()[:-40],
    "only its first bytes": picture()[:20],
    "text": b"<html>404 Not Found</html>",
    "empty": b"",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    "a JPEG cut short": picture(kind="JPEG")[:-100],
    "huge": bomb(100_000, 100_000),
    "large": bomb(10_000, 10_000),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_image_that_cannot_be_decoded_is_a_fault_before_training(tmp_path, case):
    assert "not readable as an image" in fault(BROKEN[case], tmp_path)


@pytest.mark.parametrize("case", BROKEN)
def test_the_file_of_an_image_that_cannot_be_decoded_is_named(tmp_path, case):
    (tmp_path / "7.png").write_bytes(BROKEN[case])
    assert "7.png" in fault("7.png", tmp_path)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_image_is_told_without_an_address_in_memory(tmp_path, case):
    """The words go into the manifest, which is the same for the same input."""
    assert "0x" not in fault(BROKEN[case], tmp_path)


@pytest.mark.parametrize("side", [10_000, 100_000])
def test_an_image_that_says_it_is_huge_is_refused_before_it_is_unpacked(tmp_path, side):
    assert "decompression bomb" in fault(bomb(side, side), tmp_path)


@pytest.mark.parametrize("image", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": None}, {}])
def test_an_image_that_a_row_lacks_is_a_fault_of_that_row_alone(tmp_path, image):
    """One null in a column must not stop what --drop image would let through."""
    fault(image, tmp_path)


@pytest.mark.parametrize("image", [7, 1.5, ["1.png"], True])
def test_what_is_no_image_at_all_is_an_error_of_the_column(tmp_path, image):
    with pytest.raises(DataError, match="instead of an image. Give a path, or bytes."):
        image_bytes(image, tmp_path)


def test_marks_and_images_must_be_as_many():
    check_marks("<image><image>Compare.", 2)
    check_marks("Compare.", 0)
    for question, images in (("Compare.", 1), ("<image>Compare.", 0), ("<image>Compare.", 2)):
        with pytest.raises(Fault, match=f"{question.count('<image>')} <image> in the prompt and {images} images"):
            check_marks(question, images)
