"""Chunks of PNG files (PNG specification, 5.3) that say something of the picture, and that OpenCV does not pass on."""

from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = len(SIGNATURE) + 25
"""Where the first chunk, IHDR, ends."""
TEXT = (b"tEXt", b"zTXt", b"iTXt")
DENSITY = b"pHYs"
ELSEWHERE = (b"XML:com.adobe.xmp\0", b"Raw profile type ")
"""How texts begin that are metadata of other kinds."""


def described(data: bytes) -> bytes:
    """The chunks of a PNG file that hold texts and the pixels' density, as they are in it; none of other files."""
    if not data.startswith(SIGNATURE):
        return b""
    return b"".join(
        chunk
        for kind, chunk in _chunks(data)
        if kind == DENSITY or (kind in TEXT and not chunk[8:].startswith(ELSEWHERE))
    )


def with_chunks(png: bytes, chunks: bytes) -> bytes:
    """The PNG file `png` with `chunks` behind its header."""
    return png[:HEADER] + chunks + png[HEADER:]


def named(chunks: bytes) -> str:
    """What `chunks` hold, in words."""
    keys = [chunk[8:].partition(b"\0")[0].decode("latin-1") for kind, chunk in _chunks(chunks, 0) if kind in TEXT]
    texts = [f"texts ({', '.join(keys)})"] if keys else []
    density = ["the pixels' density"] if any(kind == DENSITY for kind, _ in _chunks(chunks, 0)) else []
    return " and ".join(texts + density)


def _chunks(data: bytes, start: int = len(SIGNATURE)) -> Iterator[tuple[bytes, bytes]]:
    """The kind and all of each chunk."""
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        yield data[start + 4 : start + 8], data[start:end]
        start = end
