"""rtsr as a VapourSynth filter.

    import vapoursynth as vs
    from rtsr import vs as rtsr_vs

    clip = rtsr_vs.Upscale(vs.core.bs.VideoSource("in.mp4"), scale=1.5)
    clip.set_output()

`Scaler` is the same as a scaler of vs-jetpack's `vsscale`, which it needs.
"""

from typing import TYPE_CHECKING

from rtsr.vs.upscale import Upscale

if TYPE_CHECKING:
    from rtsr.vs.scaler import Scaler

__all__ = ["Scaler", "Upscale"]


def __getattr__(name: str) -> object:
    if name == "Scaler":
        from rtsr.vs.scaler import Scaler  # An optional third party, and slow to import.

        return Scaler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
