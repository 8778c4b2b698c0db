"""How a video is encoded."""

from dataclasses import dataclass, field
from numbers import Integral

import av
from av.codec.codec import UnknownCodecError

from rtsr.errors import UsageError

PIXELS = "yuv420p"
"""What encoders are given, but for frames that are on the GPU."""
DEFAULT_CRF = {"libx264": 17, "libx265": 17, "libsvtav1": 16, "libvpx-vp9": 24}
"""Constant rate factors where no rate is asked for: with x264's it is hard to tell what was encoded, and the others'
lose as much (`docs/decisions/0016-rates-of-encoders.md`)."""
RATES = ("b", "qp", "crf", "cq")
"""Options of which each alone sets an encoder's rate."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the output's video is encoded."""

    codec: str = "libx264"
    """Name of an encoder in PyAV's FFmpeg."""
    crf: int | None = None
    """Constant rate factor; lower is better and larger. None: what `options` say of the rate, else one of
    `DEFAULT_CRF`, else the encoder's own."""
    options: dict[str, str] = field(default_factory=dict)
    """Further options of the encoder, e.g. {"preset": "slow"}."""

    def __post_init__(self) -> None:
        try:
            codec = av.Codec(self.codec, "w")
        except (UnknownCodecError, ValueError, TypeError) as cause:
            raise UsageError(
                f"unknown encoder {self.codec!r}; try libx264, libx265, libsvtav1 or libvpx-vp9"
            ) from cause
        if codec.type != "video":
            raise UsageError(f"{self.codec} encodes {codec.type}, not video; try libx264")
        if codec.video_formats and PIXELS not in (form.name for form in codec.video_formats):
            takes = ", ".join(form.name for form in codec.video_formats[:3])
            raise UsageError(f"{self.codec} takes {takes}, and rtsr gives {PIXELS}; try libx264, libx265 or ffv1")
        if not (isinstance(self.options, dict) and all(isinstance(t, str) for o in self.options.items() for t in o)):
            raise UsageError(f'encoder options are texts by name, e.g. {{"preset": "slow"}}, not {self.options!r}')
        self._check_crf()

    def _check_crf(self) -> None:
        if self.crf is None:
            return
        worst = 51 if self.codec in ("libx264", "libx265") else 63
        if not isinstance(self.crf, Integral) or isinstance(self.crf, bool) or not 0 <= self.crf <= worst:
            raise UsageError(f"crf is between 0 (best) and {worst} for {self.codec}, not {self.crf!r}")
        object.__setattr__(self, "crf", int(self.crf))
        if "crf" in self.options:
            raise UsageError(f"crf is said twice, as {self.crf} and as an option; leave out one of them")
        # For VP8 and VP9, b beside crf is the most that it may take.
        rate = next((key for key in RATES if key in self.options and not (key == "b" and "vpx" in self.codec)), None)
        if rate:
            raise UsageError(
                f"the rate is said twice, as crf {self.crf} and as the option {rate}={self.options[rate]}, which would "
                "have no effect; leave out one of them"
            )

    def as_options(self) -> dict[str, str]:
        """The encoder's options, as FFmpeg takes them; encoders that print are told to print errors only."""
        crf = DEFAULT_CRF.get(self.codec) if self.crf is None and not self._has_rate() else self.crf
        options = {**({} if crf is None else {"crf": str(crf)}), **self.options}
        if self.codec == "libx265":
            wished = options.get("x265-params")
            options["x265-params"] = "log-level=error" + (f":{wished}" if wished else "")
        return options

    def described(self) -> dict[str, object]:
        """For a report: the encoder, and the options that it is given."""
        return {"codec": self.codec, "options": self.as_options()}

    @property
    def instead(self) -> str:
        """Another encoder, where this one does not take what it is given; libx265 takes sides above 16384 pixels."""
        return "libx265" if self.codec == "libx264" else "libx264"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left to an encoder that, by itself, may take little and lose much."""
        lossless = not av.Codec(self.codec, "w").lossy
        if lossless or self.crf is not None or self._has_rate() or self.codec in DEFAULT_CRF:
            return ()
        rate = "cq=21" if self.codec.endswith("_nvenc") else "b=20M"
        return (f"{self.codec} encoded at a rate of its own; set one with an encoder option, e.g. {rate}",)

    def _has_rate(self) -> bool:
        return any(key in self.options for key in RATES)
