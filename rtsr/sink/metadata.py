"""What files say of themselves: which of it goes into another file."""

import re
from collections.abc import Iterable, Mapping

OWN = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "software",
    "duration",
    "handler_name",
    "vendor_id",
}
"""Keys of what describes a file, not its content."""


def portable(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata of the content, without what describes the file that it came from."""
    return {key: value for key, value in metadata.items() if key.lower() not in OWN}


def from_phones(metadata: Iterable[str]) -> bool:
    """Whether there are keys that MP4 files keep in Apple's way only, such as com.apple.quicktime.make."""
    return any("." in key for key in metadata)


def missing(wanted: Iterable[str], found: Iterable[str]) -> list[str]:
    """The keys of `wanted` that are not among those `found` in a file, in whatever case that has them."""
    kept = {key.lower() for key in found}
    # FFmpeg gives texts of a known language twice, as location and as location-eng.
    return [key for key in wanted if not {key.lower(), re.sub("-[a-z]{3}$", "", key.lower())} & kept]
