"""The images of a problem: read, and looked at, before a training stumbles over them."""

import base64
import io
import re
import warnings
from pathlib import Path

from data_prep.pipeline.data_set import DataError, Fault

# Where an image belongs in a prompt; verl replaces the marks by the images, in order.
MARK = "<image>"
OTHER_MARKS = ("<video>", "<audio>")
# How PNG, JPEG, GIF, WebP, BMP and TIFF begin as base64.
BEGINNINGS = ("iVBOR", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkq", "TU0A")
# Pillow names the buffer it was given, whose address differs each time.
ADDRESS = re.compile(r" <_io\.BytesIO object at 0x[0-9a-f]+>")


def image_bytes(image: object, folder: Path) -> bytes:
    """Return an image's bytes as its source has them.

    Args:
        image: a path relative to the folder, the bytes, or a mapping with ``bytes`` or ``path``.
        folder: where the record's file is.

    Raises:
        Fault: if the image is missing or cannot be decoded.
        DataError: if it is none of these.
    """
    path = None
    if isinstance(image, dict):
        path, image = image.get("path"), image.get("bytes") or image.get("path")
    if image is None:
        raise Fault("image", "there is none. Give a path, or bytes.")
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        raise Fault("image", f"{image[:100]}: an address on the web. Download the images, and give their paths.")
    if isinstance(image, str) and (inline := _inline(image)) is not None:
        path, image = None, inline
    if isinstance(image, str):
        path = image
        try:
            image = (folder / path).read_bytes()
        except (OSError, ValueError) as error:
            where = str(folder / path) if len(path) <= 255 else f"{path[:40]}... ({len(path):,} characters)"
            raise Fault("image", f"{where}: {getattr(error, 'strerror', None) or str(error)[:80]}") from error
    if not isinstance(image, bytes):
        raise DataError(f"{type(image).__name__} instead of an image. Give a path, or bytes.")
    try:
        _decode(image)
    except Exception as error:  # Pillow's decoders raise nearly anything
        name = f"{path}: " if path else ""
        raise Fault("image", f"{name}not readable as an image ({ADDRESS.sub('', str(error))})") from error
    return image


def _inline(image: str) -> bytes | None:
    """Return the bytes that a text holds as base64, with or without data:image/png;base64, before them; None for a
    path."""
    head, comma, rest = image[:100].partition("base64,")
    if not comma and (len(image) <= 255 or not image.startswith(BEGINNINGS)):
        return None
    try:
        return base64.b64decode(image[len(head) + len(comma) :] if comma else image)
    except ValueError as error:
        raise Fault("image", f"not readable as base64 ({error})") from error


def check_marks(text: str, images: int) -> None:
    """Check that a prompt with images has as many marks as images, and no marks of other media, which verl would miss.

    Raises:
        Fault: if it has not.
    """
    marks = text.count(MARK)
    if marks != images:
        raise Fault("image", f"{marks} {MARK} in the prompt and {images} images. Write one mark for each image.")
    for other in OTHER_MARKS:
        if other in text:
            raise Fault("image", f"{other} in a prompt with images: verl would look for one. Write it differently.")


def _decode(image: bytes) -> None:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        Image.open(io.BytesIO(image)).load()
