"""rtsr as a scaler of vs-jetpack's `vsscale`: `Scaler().scale(clip, width, height, shift)`, as its own are called."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtsr.arguments import chosen
from rtsr.card import Card
from rtsr.engine import RESAMPLERS
from rtsr.errors import RtsrError, need
from rtsr.resources import find_reaching_network
from rtsr.scale import LARGEST
from rtsr.vs.binding import vs
from rtsr.vs.upscale import DEFAULT_MODEL, Upscale

if TYPE_CHECKING:
    from vskernels import Catrom, KernelLike, ScalerLike  # pyright: ignore[reportMissingImports]
    from vsscale import BaseGenericScaler  # pyright: ignore[reportMissingImports]
else:
    try:
        Catrom = need("vskernels", "vsscale").Catrom
        BaseGenericScaler = need("vsscale", "vsscale").BaseGenericScaler
    except RtsrError as cause:
        raise vs.Error(f"rtsr: {cause}") from None


class Scaler(BaseGenericScaler):
    """Upscales with a network, then fits to the size asked for with vs-jetpack's own `scaler` and `shifter`.

    Takes what `Upscale` takes, and float YUV, which becomes RGB for the network. `model`, `engine`, `num_streams`,
    `tile` and further `options` are those of `Upscale`; `kernel`, `scaler` and `shifter` those of vsscale's scalers.
    Clips that are to become smaller, or stay as they are, meet no network. Raises vs.Error, "rtsr: ...".

        from rtsr.vs import Scaler

        large = Scaler(model="quicksrnet-medium").scale(clip, 1920, 1080)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        engine: str = "auto",
        num_streams: int = 2,
        tile: int | None = None,
        *,
        kernel: "KernelLike" = Catrom,
        scaler: "ScalerLike | None" = None,
        shifter: "KernelLike | None" = None,
        **options: Any,
    ) -> None:
        super().__init__(kernel=kernel, scaler=scaler, shifter=shifter)
        self.model = model
        self.engine = engine
        self.num_streams = num_streams
        self.tile = tile
        self.options = options

    @property
    def kernel_radius(self) -> int:
        """How far a pixel of the result looks, in input pixels."""
        return self._network(Fraction(LARGEST)).radius

    def scale(
        self,
        clip: vs.VideoNode,
        width: int | None = None,
        height: int | None = None,
        shift: tuple[float, float] = (0, 0),
        **kwargs: Any,
    ) -> vs.VideoNode:
        """`clip` at `width` x `height`, by default its own; `shift` moves it up and left, in pixels of the result."""
        across, down = self._wh_norm(clip, width, height)
        factor = max(Fraction(across, clip.width), Fraction(down, clip.height))
        large = clip if factor <= 1 else self._enlarged(clip, factor, **kwargs)
        return self._finish_scale(large, clip, across, down, shift)

    def _enlarged(self, clip: vs.VideoNode, factor: Fraction, **kwargs: Any) -> vs.VideoNode:
        """`clip` by a scale that a network has, at least `factor` where that is at most 4."""
        options = {"num_streams": self.num_streams, "tile": self.tile, **self.options, **kwargs}
        upscale: Callable[..., vs.VideoNode] = Upscale
        scale = self._reached(min(factor, Fraction(LARGEST)))
        form = clip.format
        if form.color_family == vs.YUV and form.sample_type == vs.FLOAT:
            large = upscale(self.kernel.resample(clip, vs.RGBS), scale, self.model, self.engine, **options)
            return self.kernel.resample(large, form, clip, range=clip)
        return upscale(clip, scale, self.model, self.engine, **options)

    def _reached(self, factor: Fraction) -> Fraction:
        """The smallest power of a network's scale that reaches `factor`."""
        if self.engine in RESAMPLERS:
            return Fraction(ceil(factor * 2), 2)
        reached = own = self._network(factor).scale
        while reached < factor and reached * own <= LARGEST:
            reached *= own
        return reached

    def _network(self, factor: Fraction) -> Card:
        """Of the network that is run to reach `factor`."""
        try:
            return find_reaching_network(chosen(self.model, DEFAULT_MODEL), factor).card
        except RtsrError as cause:
            raise vs.Error(f"rtsr: {cause}") from None
