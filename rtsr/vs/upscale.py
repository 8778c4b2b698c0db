"""The filter: checks everything when the script is evaluated, then hands out frames to streams."""

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from math import inf
from pathlib import Path
from time import perf_counter_ns

from rtsr.arguments import chosen
from rtsr.duration import as_seconds
from rtsr.engine.base import Engine
from rtsr.engine.choice import Means
from rtsr.engine.resample import steep_bicubic
from rtsr.errors import RtsrError, UsageError
from rtsr.pacing.mixed import open_ways
from rtsr.pacing.paced import DEFAULT_MODEL as PACED_MODEL
from rtsr.pacing.paced import Pace, no_shares
from rtsr.pacing.whole import smaller_networks
from rtsr.preset import NVIDIA, RUN_NETWORKS
from rtsr.processor import cores
from rtsr.resources import find_reaching_network
from rtsr.scale import as_scale
from rtsr.vs.binding import vs
from rtsr.vs.formats import check_clip, coding_of, steps_of
from rtsr.vs.history import History
from rtsr.vs.paced import Method, PacedStream, Rungs, Tiles
from rtsr.vs.painter import NEARLY_LOCAL, Painter, output_side
from rtsr.vs.streams import Stream

DEFAULT_MODEL = "quicksrnet-small"
SMALLEST_TILE = 32
MOST_STREAMS = 256
"""Every one takes time to open, and memory."""


def Upscale(
    clip: vs.VideoNode,
    scale: float | str | Fraction = 2,
    model: str | Path | None = None,
    engine: str = "auto",
    num_streams: int = 2,
    tile: int | None = None,
    *,
    deadline: float | str | None = None,
    quality: float | None = None,
    threads: int | None = None,
    reuse: bool = True,
    peek: bool = True,
    provider: str | None = None,
    precision: str | None = None,
) -> vs.VideoNode:
    """`clip` upscaled by `scale`, above 1 and at most 4, in its own format; all props are kept.

    Takes RGBS, RGBH, RGB24, GRAYS and YUV of 8 to 16 bits, of constant format and size. YUV is converted by its
    props `_Matrix`, `_Range` and `_ChromaLocation`, and back. Sides become `ceil(side * scale)`, in YUV cut to what
    chroma divides. Scales that no network has are reached by the next larger one, or by running it twice, and
    reduced with Lanczos' filter.

    Args:
        model: A network's name as `rtsr models` lists it, its architecture, or a card's path. Default:
            quicksrnet-small; with deadline or quality enaf-quicksrnet-medium, which has several exits.
        engine: auto, onnx, rtx, tensorrt, bicubic, lanczos or fsr.
        num_streams: Frames that are upscaled at once.
        tile: Sides of the tiles that a frame is cut into, in input pixels, to bound memory. None: whole frames.
        deadline: Seconds for a frame, or "16ms". What can be done in them is done: a network with several exits, and
            with it all of its family, is refined tile by tile; of others, the largest that fits is run. One frame at a
            time, best in order.
        quality: Share of the network's compute to spend, 0 to 1, where it buys the most. One frame at a time.
        threads: Cores for each stream, on the processor. Default: what there are, shared.
        reuse: Take tiles that did not change since the frame before, halo included, from its result; where frames
            are asked for in another order, nothing is reused. The result is the same, bit for bit.
        provider: What ONNX Runtime runs on: cpu, cuda, directml, coreml or openvino, some with a device ("cuda:1").
            Default: the best that is usable.
        precision: What networks compute in: fp16 (the default), fp32 or int8 on NVIDIA engines, fp32 (the default) or,
            on the processor, int8 by ONNX Runtime.
        peek: Ask for the first frame now, so that a colour matrix that is not known shows at once. Turn it off where
            a host does not allow that (mpv).

    Every frame says in props what it got: `rtsr_exit_share` (shares of its tiles by exit, bicubic first), `rtsr_ms`
    and `rtsr_reused` (share of its tiles); with a deadline or a quality also `rtsr_exits` (their names).

    Raises vs.Error, "rtsr: ...", for whatever is wrong with the arguments or the clip.
    """
    try:
        check_clip(clip)
        _check_numbers(num_streams, tile)
        wanted, means = as_scale(scale), Means(engine, provider, threads, precision)
        if peek:
            _look_at(clip)
        if deadline is not None or quality is not None:
            large = _paced(clip, wanted, _pace(deadline, quality, tile), means, model, reuse)
        else:
            large = _streamed(clip, _engines(clip, num_streams, means, model, wanted), wanted, tile, reuse)
        return fitted(large, clip, wanted)
    except RtsrError as cause:
        raise vs.Error(f"rtsr: {cause}") from None


def _check_numbers(num_streams: object, tile: object) -> None:
    _check_whole("num_streams", num_streams, 1, MOST_STREAMS)
    if tile is not None:
        _check_whole("tile", tile, SMALLEST_TILE)


def _check_whole(name: str, value: object, least: int, most: float = inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        bound = "or more" if most == inf else f"to {most}"
        raise UsageError(f"{name} is a whole number of {least} {bound}, not {value!r}")


def fitted(large: vs.VideoNode, clip: vs.VideoNode, scale: Fraction) -> vs.VideoNode:
    """`large` at the size that `clip` has at `scale`, reduced with Lanczos' filter where it is larger."""
    rows, columns = steps_of(clip.format)
    width, height = output_side(clip.width, scale, columns), output_side(clip.height, scale, rows)
    if (large.width, large.height) == (width, height):
        return large
    # What is tagged as interlaced would be resized field by field, and what is not tagged at all tagged by a guess.
    reduced = large.std.SetFrameProps(_FieldBased=0).resize.Lanczos(width, height)
    return reduced.std.CopyFrameProps(large)


def _look_at(clip: vs.VideoNode) -> None:
    """Raise UsageError where the first frame's props say what cannot be; warn where they say that it is interlaced."""
    with clip.get_frame(0) as first:
        coding_of(clip.format, first.props, clip.height)
        if first.props.get("_FieldBased", 0):
            vs.core.log_message(
                vs.MESSAGE_TYPE_WARNING, "rtsr: interlaced frames are upscaled as whole pictures; deinterlace first"
            )


def _pace(deadline: float | str | None, quality: float | None, tile: int | None) -> Pace:
    if deadline is not None and quality is not None:
        raise UsageError("give a deadline or a quality, not both")
    if tile is not None:
        raise UsageError("a deadline or a quality has tiles of its own; leave out tile")
    return Pace(None if deadline is None else as_seconds(deadline), quality)


def _engines(clip: vs.VideoNode, count: int, means: Means, model: str | Path | None, scale: Fraction) -> list[Engine]:
    """One for each stream, each on its share of the cores unless `means` says how many."""
    if means.threads is None and means.engine not in NVIDIA:
        means = replace(means, threads=max(cores() // count, 1))
    return [means.open_reaching(model, DEFAULT_MODEL, scale, size=(clip.width, clip.height)) for _ in range(count)]


def _streamed(
    clip: vs.VideoNode, engines: list[Engine], scale: Fraction, tile: int | None, reuse: bool
) -> vs.VideoNode:
    """`clip` by a power of the engines' scale, each frame by the next of them."""
    own = engines[0].card.scale
    reached = own
    while reached < scale:
        reached *= own
    steps = steps_of(clip.format)
    painters = [Painter(engine, reached, clip.width, clip.height, steps) for engine in engines]
    blank = clip.std.BlankClip(painters[0].width, painters[0].height, keep=True)
    history = History(len(engines) + 1) if reuse else None
    # A ModifyFrame makes one frame at a time; several beside each other make several.
    nodes = [blank.std.ModifyFrame(clip, Stream(painter, history, tile)) for painter in painters]
    if len(nodes) == 1:
        return nodes[0]
    return blank.std.FrameEval(lambda n: nodes[n % len(nodes)])


def _paced(
    clip: vs.VideoNode,
    scale: Fraction,
    pace: Pace,
    means: Means,
    model: str | Path | None,
    reuse: bool,
) -> vs.VideoNode:
    """`clip` by the scale of a network that reaches `scale`, at `pace`, one frame at a time."""
    if means.engine not in RUN_NETWORKS:
        raise UsageError(f"the engine {means.engine} has no shares to spend; leave out deadline and quality")
    network = find_reaching_network(chosen(model, PACED_MODEL), scale)
    card = network.card
    if card.scale < scale:
        raise UsageError(f"{card.name} does not reach {float(scale):g}; leave out the deadline or quality")
    method: Method
    frames, steps = (clip.width, clip.height), steps_of(clip.format)
    with ExitStack() as stack:
        if card.exits:
            opened = stack.enter_context(open_ways(network, pace.most(card), means, size=frames))
            method = Tiles(opened, pace, means, reuse and NEARLY_LOCAL not in card.arch, perf_counter_ns, steps)
        elif pace.quality is not None:
            raise no_shares(card)
        else:
            larger = (
                stack.enter_context(means.open(n, size=frames, strict=False))
                for n in (*smaller_networks(network), network)
            )
            rungs = [steep_bicubic(card.scale), *larger]
            painters = [Painter(rung, card.scale, clip.width, clip.height, steps) for rung in rungs]
            method = Rungs(painters, means, perf_counter_ns)
        stack.pop_all()
    rows, columns = steps
    size = output_side(clip.width, card.scale, columns), output_side(clip.height, card.scale, rows)
    blank = clip.std.BlankClip(*size, keep=True)
    return blank.std.ModifyFrame(clip, PacedStream(method, pace, size))
