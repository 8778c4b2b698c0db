"""QuickSRNet as the graph that ONNX Runtime runs fastest, see docs/decisions/0002-exported-graph.md.

Convolutions with a Clip behind each, which it fuses, and depth-to-space written as a transposed convolution.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from onnx import ModelProto, helper, numpy_helper
from torch import nn

from rtsr.export.graphs import model_of, picture, spread
from rtsr.models.enaf_quicksrnet import EnafQuickSRNet
from rtsr.models.quicksrnet import QuickSRNet


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution of the exported graph."""

    weight: np.ndarray
    """(outputs, inputs, rows, columns), float32."""
    bias: np.ndarray
    stride: int = 1


def layers(model: QuickSRNet) -> list[Layer]:
    """The convolutions of `model` in order; at x1.5 the last one is folded into a 2x2 one with stride 2."""
    return [*(_layer(conv) for conv in (model.conv_first, *model.conv_mid)), _last(model.conv_last, model.scale)]


def graph(model: QuickSRNet) -> ModelProto:
    """The ONNX form of `model`: "image" (n, 3, h, w) to "upscaled", float32 in [0, 1], any n, h and w."""
    return sequence(layers(model), "image", "upscaled", model.shuffle)


def stage(model: EnafQuickSRNet, k: int) -> ModelProto:
    """Stage `k` of `model`: "image", or behind the first stage "features_0", to "next_0"."""
    convs = list(model.conv_mid[model.taps[k - 2] if k > 1 else 0 : model.taps[k - 1]])
    if k == 1:
        convs = [model.conv_first, *convs]
    return sequence([_layer(conv) for conv in convs], "image" if k == 1 else "features_0", "next_0")


def head(model: EnafQuickSRNet, k: int) -> ModelProto:
    """Head `k` of `model`: "features_0" to "upscaled"."""
    conv = model.conv_last if k == model.exits else model.predictors[k - 1]
    return sequence([_last(conv, model.scale)], "features_0", "upscaled", model.scale.numerator)


def sequence(layers: list[Layer], source: str, result: str, shuffle: int = 1) -> ModelProto:
    """The graph of `layers`, each clamped to [0, 1], with depth-to-space behind them where `shuffle` is above 1."""
    constants: dict[str, np.ndarray | np.float32] = {"black": np.float32(0), "white": np.float32(1)}
    nodes, flow = [], source
    for i, layer in enumerate(layers):
        weight, bias, conv, clip = f"weight{i}", f"bias{i}", f"conv{i}", f"clip{i}"
        constants |= {weight: layer.weight, bias: layer.bias}
        pads = [1 if layer.weight.shape[-1] == 3 else 0] * 4
        nodes.append(
            helper.make_node("Conv", [flow, weight, bias], [conv], conv, pads=pads, strides=[layer.stride] * 2)
        )
        nodes.append(helper.make_node("Clip", [conv, "black", "white"], [clip], clip))
        flow = clip
    channels = len(layers[-1].bias)
    if shuffle > 1:
        constants["spread"] = spread(shuffle)
        nodes.append(
            helper.make_node("ConvTranspose", [flow, "spread"], [result], "shuffle", strides=[shuffle] * 2, group=3)
        )
        channels = 3
    else:
        nodes[-1].output[:] = [result]
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    inputs = picture(source, layers[0].weight.shape[1])
    return model_of(helper.make_graph(nodes, "quicksrnet", [inputs], [picture(result, channels, "_out")], values))


def _layer(conv: nn.Module) -> Layer:
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return Layer(conv.weight.detach().float().numpy(), conv.bias.detach().float().numpy())


def _last(conv: nn.Module, scale: Fraction) -> Layer:
    last = _layer(conv)
    if scale.denominator == 1:
        return last
    folded = last.weight.reshape(len(last.weight), -1, 2, 2)  # channel order (c, dy, dx), see rtsr.models.quicksrnet
    return Layer(folded, last.bias, stride=2)
