"""The images of a problem: read, and looked at, before a training stumbles over them."""

import io
import re
import warnings
from pathlib import Path

from data_prep.pipeline.data_set import DataError, Fault

# Where an image belongs in a prompt; verl replaces the marks by the images, in order.
MARK = "<image>"
OTHER_MARKS = ("<video>", "<audio>")
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
    if isinstance(image, str):
        path = image
        try:
            image = (folder / path).read_bytes()
        except (OSError, ValueError) as error:
            raise Fault("image", f"{folder / path}: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(image, bytes):
        raise DataError(f"{type(image).__name__} instead of an image. Give a path, or bytes.")
    try:
        _decode(image)
    except Exception as error:  # Pillow's decoders raise nearly anything
        name = f"{path}: " if path else ""
        raise Fault("image", f"{name}not readable as an image ({ADDRESS.sub('', str(error))})") from error
    return image


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
