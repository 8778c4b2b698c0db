"""Checkpoints whose architecture spandrel knows."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from rtsr.engine.onnx import OnnxEngine
from rtsr.errors import ImportFailed
from rtsr.importing import import_network
from rtsr.importing.recognise import _spandrel

X2, X4 = Fraction(2), Fraction(4)


def saved(tmp_path, kind: str, **options):
    """A network of spandrel's architecture `kind` with random weights, and a checkpoint of it."""
    _spandrel()
    module = __import__(f"spandrel.architectures.{kind}", fromlist=[kind])
    torch.manual_seed(3)
    model = getattr(module, kind)(**options).eval()
    torch.save({"params_ema": model.state_dict()}, tmp_path / "net.pth")
    return model, tmp_path / "net.pth"


@pytest.mark.parametrize(
    ("kind", "options", "scale", "multiple"),
    [
        ("Compact", {"num_feat": 8, "num_conv": 1, "upscale": 2}, X2, 1),
        ("ESRGAN", {"in_nc": 3, "out_nc": 3, "num_filters": 8, "num_blocks": 1, "scale": 4}, X4, 1),
        ("SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}, X2, 1),
        ("SAFMN", {"dim": 8, "n_blocks": 1, "upscaling_factor": 2}, X2, 8),
    ],
)
def test_recognised_weights_give_what_pytorch_gives(tmp_path, kind, options, scale, multiple):
    model, path = saved(tmp_path, kind, **options)
    card = import_network(path, tmp_path / "out", scale=scale)
    assert (card.scale, card.size_multiple, card.arch) == (scale, multiple, kind.lower())
    image = np.random.default_rng(1).random((2, 3, 3 * 8, 5 * 8), np.float32)
    with OnnxEngine(card, tmp_path / "out" / "net.onnx") as engine, torch.inference_mode():
        expected = model(torch.from_numpy(image)).clamp(0, 1).numpy()
        np.testing.assert_allclose(engine.infer(image), expected, atol=1e-4)
    assert len(np.unique(expected)) > 3 and card.macs_per_pixel > 100


def test_luma_is_recognised(tmp_path):
    model, path = saved(tmp_path, "Compact", num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=1, upscale=2)
    card = import_network(path, tmp_path / "out")
    assert card.summary == "compact x2 on luma up to 1, imported"
    grey = np.repeat(np.random.default_rng(1).random((1, 1, 20, 30), np.float32), 3, 1)
    with OnnxEngine(card, tmp_path / "out" / "net.onnx") as engine, torch.inference_mode():
        expected = model(torch.from_numpy(grey[:, :1])).clamp(0, 1).numpy()
        np.testing.assert_allclose(engine.infer(grey), np.repeat(expected, 3, 1), atol=1e-4)


def test_another_scale_is_refused(tmp_path):
    _, path = saved(tmp_path, "Compact", num_feat=8, num_conv=1, upscale=2)
    with pytest.raises(ImportFailed, match="upscales by 2, not by 4"):
        import_network(path, tmp_path / "out", scale=X4)
    _, path = saved(tmp_path, "Compact", num_feat=8, num_conv=1, upscale=1)
    with pytest.raises(ImportFailed, match="3 channels to 3 at scale 1; networks that upscale RGB"):
        import_network(path, tmp_path / "out")
    _, path = saved(tmp_path, "Compact", num_feat=8, num_conv=1, upscale=8)
    with pytest.raises(ImportFailed, match=r"at scale 8; networks that upscale .*, by up to 4, can be used"):
        import_network(path, tmp_path / "out")


def test_weights_of_whole_numbers_are_named(tmp_path):
    model, path = saved(tmp_path, "Compact", num_feat=8, num_conv=1, upscale=2)
    torch.save({name: value.to(torch.int8) for name, value in model.state_dict().items()}, path)
    with pytest.raises(ImportFailed, match=r"body\.0\.weight holds int8, not floating numbers"):
        import_network(path, tmp_path / "out")


def test_windows_that_fix_sizes_cannot_be_exported(tmp_path):
    options = {"window_size": 8, "embed_dim": 6, "depths": [1], "num_heads": [1], "upscale": 2}
    _, path = saved(tmp_path, "SwinIR", img_size=16, upsampler="pixelshuffledirect", resi_connection="1conv", **options)
    with pytest.raises(ImportFailed, match="holds SwinIR, which cannot be exported") as error:
        import_network(path, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_unknown_weights_name_what_is_known(tmp_path):
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "net.pth")
    with pytest.raises(
        ImportFailed, match=r"no architecture is known .*, rtsr's \(quicksrnet-small, .*rlfn-s.* export .* to ONNX"
    ):
        import_network(tmp_path / "net.pth", tmp_path / "out")
