"""How a video is encoded."""

from dataclasses import dataclass, field

import av
from av.codec.codec import UnknownCodecError

from rtsr.errors import UsageError

PIXELS = "yuv420p"
"""What encoders are given, but for frames that are on the GPU."""
DEFAULT_CRF = 17
"""Constant rate factor for libx264 where none is asked for: hard to tell from what was encoded."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the output's video is encoded."""

    codec: str = "libx264"
    """Name of an encoder in PyAV's FFmpeg."""
    crf: int | None = None
    """Constant rate factor; lower is better and larger. None: `DEFAULT_CRF` for libx264, else the encoder's own."""
    options: dict[str, str] = field(default_factory=dict)
    """Further options of the encoder, e.g. {"preset": "slow"}."""

    def __post_init__(self) -> None:
        try:
            codec = av.Codec(self.codec, "w")
        except (UnknownCodecError, ValueError) as cause:
            raise UsageError(
                f"unknown encoder {self.codec!r}; try libx264, libx265, libsvtav1 or libvpx-vp9"
            ) from cause
        if codec.type != "video":
            raise UsageError(f"{self.codec} encodes {codec.type}, not video; try libx264")
        if codec.video_formats and PIXELS not in (form.name for form in codec.video_formats):
            takes = ", ".join(form.name for form in codec.video_formats[:3])
            raise UsageError(f"{self.codec} takes {takes}, and rtsr gives {PIXELS}; try libx264, libx265 or ffv1")
        worst = 51 if self.codec in ("libx264", "libx265") else 63
        if self.crf is not None and not (isinstance(self.crf, int) and 0 <= self.crf <= worst):
            raise UsageError(f"crf is between 0 (best) and {worst} for {self.codec}, not {self.crf!r}")
        if self.crf is not None and "crf" in self.options:
            raise UsageError(f"crf is said twice, as {self.crf} and as an option; leave out one of them")

    def as_options(self) -> dict[str, str]:
        """The encoder's options, as FFmpeg takes them; encoders that print are told to print errors only."""
        crf = DEFAULT_CRF if self.crf is None and self.codec == "libx264" else self.crf
        options = {**({} if crf is None else {"crf": str(crf)}), **self.options}
        if self.codec == "libx265":
            wished = options.get("x265-params")
            options["x265-params"] = "log-level=error" + (f":{wished}" if wished else "")
        return options
