"""The scaler in the hands of the installed vs-jetpack."""

import numpy as np
import pytest

from tests.vs.clips import as_format, core, moving, pixels, rtsr_vs, same, vs

vsscale = pytest.importorskip("vsscale", reason="needs vs-jetpack: pip install 'rtsr[vsscale]'")
vskernels = pytest.importorskip("vskernels")


def test_it_is_one_of_vsscale() -> None:
    assert issubclass(rtsr_vs.Scaler, vsscale.BaseGenericScaler) and issubclass(rtsr_vs.Scaler, vskernels.Scaler)
    assert rtsr_vs.Scaler().kernel_radius == 4
    assert vskernels.Scaler.ensure_obj(rtsr_vs.Scaler).__class__ is rtsr_vs.Scaler


@pytest.mark.parametrize("form", [vs.RGBS, vs.GRAYS, vs.YUV420P8, vs.YUV444P16])
@pytest.mark.parametrize(("size", "scale"), [((128, 96), 2), ((96, 72), 1.5), ((256, 192), 4)])
def test_scales_of_networks_are_those_of_upscale(form: int, size: tuple[int, int], scale: float) -> None:
    clip = as_format(moving(3), form)
    large = rtsr_vs.Scaler().scale(clip, *size)
    assert (large.width, large.height, large.format.id) == (*size, form)
    assert same(pixels(large, 1), pixels(rtsr_vs.Upscale(clip, scale), 1))


@pytest.mark.parametrize("form", [vs.RGBS, vs.YUV420P16, vs.YUV444PS])
@pytest.mark.parametrize("size", [(100, 80), (110, 60), (300, 240), (64, 48), (48, 40)])
def test_any_size_in_any_format(form: int, size: tuple[int, int]) -> None:
    clip = as_format(moving(3), form)
    large = rtsr_vs.Scaler(scaler=vskernels.Lanczos).scale(clip, *size)
    assert (large.width, large.height, large.format.id) == (*size, form)
    expected = clip.resize.Lanczos(*size)
    white = 1 if large.format.sample_type == vs.FLOAT else 65535
    for found, wanted in zip(pixels(large, 1), pixels(expected, 1), strict=True):
        assert np.abs(found.astype(float) - wanted)[6:-6, 6:-6].mean() < 0.03 * white


def test_a_shift_moves_the_picture() -> None:
    clip = moving(2)
    plain, shifted = (rtsr_vs.Scaler().scale(clip, 128, 96, shift) for shift in ((0, 0), (1, 2)))
    for one, other in zip(pixels(plain, 0), pixels(shifted, 0), strict=True):
        assert np.abs(one[1:, 2:] - other[:-1, :-2])[8:-8, 8:-8].max() < 1e-5


def test_it_fits_where_vsscale_takes_a_scaler() -> None:
    large = rtsr_vs.Scaler(model="quicksrnet-medium").supersample(moving(2), 2)
    assert same(pixels(large, 0), pixels(rtsr_vs.Upscale(moving(2), 2, "quicksrnet-medium"), 0))
    through = vsscale.GenericScaler(lambda clip, width, height: rtsr_vs.Scaler().scale(clip, width, height))
    assert same(pixels(through.scale(moving(2), 128, 96), 0), pixels(rtsr_vs.Upscale(moving(2), 2), 0))


@pytest.mark.parametrize("options", [{"model": "nothing"}, {"engine": "magic"}, {"num_streams": 0}, {"tile": 3}])
def test_errors_are_those_of_upscale(options: dict) -> None:
    with pytest.raises(vs.Error, match="rtsr: "):
        rtsr_vs.Scaler(**options).scale(moving(2), 128, 96)
    with pytest.raises(vs.Error, match="rtsr: "):
        rtsr_vs.Scaler().scale(core.std.BlankClip(format=vs.GRAY8), 1280, 960)
