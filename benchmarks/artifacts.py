"""What upscaling must not add: checkerboards, drifting colours, ringing, flicker and seams, engine by engine.

    python -m benchmarks.artifacts DATA --json benchmarks/results/artifacts.json
    python -m benchmarks.artifacts --table benchmarks/results/artifacts.json

What the JSON file holds already is not measured again.
Every shipped network is measured, and each exit of those that have several, beside bicubic, Lanczos and FSR 1.0.
Figures are in levels of 255, of results before rounding, unless said otherwise; docs/quality.md explains them. DATA has
`benchmarks/Set14`, `pairs` and `eval_game`.
"""

import argparse
import io
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from benchmarks.machine import machine
from rtsr.colour import from_rgb, to_rgb
from rtsr.engine import RESAMPLERS, open_engine
from rtsr.engine.base import Engine, ExitsEngine, MultiExitEngine
from rtsr.engine.exits import OneExit
from rtsr.engine.resample import bicubic
from rtsr.engine.stages import StagedEngine
from rtsr.frame import Colour, Frame
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.deadline import CostModel
from rtsr.quality.datasets import Picture, find_pairs, read_picture
from rtsr.quality.evaluate import to_planes
from rtsr.quality.imresize import imresize
from rtsr.resources import networks

SIDE, RIM = 48, 12
"""Side of test patches in input pixels, and how much of each side is left out, further than any network looks."""
GREYS = tuple((v, v, v) for v in range(16, 236, 8))
COLOURS = tuple(product((16, 235), repeat=3))[1:-1] + tuple(product((64, 176), repeat=3))[1:-1]
"""Saturated and half saturated."""
SLOPES = (0.25, 0.5, 1.0, 2.0)
"""Of gradients, in levels per input pixel."""
LOW, STEPS = 64.0, (32.0, 128.0)
"""Darker side and height of edges and lines, in levels, far from black and white."""
ANGLES = (0.0, 8.0, 20.0, 33.0, 45.0)
"""Of edges and lines against the vertical, in degrees."""
FINE = 8
"""Samples along a side of an input pixel that edges are rendered from."""
FRAMES = 6
"""Of a still scene."""
SIGMAS = (1.0, 2.0, 3.0)
"""Sensor noise, in levels."""
CROP = 96
"""Side of the places of pictures that flicker is measured on, in input pixels."""
Planes = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--table", type=Path, help="print the Markdown tables of this JSON file instead")
    parser.add_argument("--scales", nargs="+", type=Fraction, default=(Fraction(3, 2), Fraction(2)))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.table:
        print("\n\n".join(tables(json.loads(options.table.read_text("utf-8")))))
        return
    if options.data is None:
        parser.error("DATA is missing")
    result: dict = {"machine": machine(), "engines": []}
    if options.json and options.json.exists():
        result["engines"] = json.loads(options.json.read_text("utf-8"))["engines"]
    done = {(row["engine"], row["scale"], "seams" in row) for row in result["engines"]}
    for scale in options.scales:
        for row in rows(options.data, scale, done):
            result["engines"].append(row)
            if options.json:
                options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print("\n\n".join(tables(result)))


def rows(data: Path, scale: Fraction, done: set[tuple[str, str, bool]]) -> Iterator[dict]:
    """Every engine's figures at `scale`, and the seams of networks with exits; not those that are `done`."""
    stills = natural(data, scale)
    for name, engine in engines(scale):
        if (name, str(scale), False) not in done:
            print(f"{name} x{float(scale):g}", flush=True)
            yield {"engine": name, "scale": str(scale), **measure(engine, stills)}
    for network in networks().values():
        card = network.card
        name = f"{card.arch}-{card.flavour}"
        if card.scale == scale and card.exits and (name, str(scale), True) not in done:
            engine = StagedEngine(card, network.path, threads=1)
            worst = max(seam(engine, frame) for frame in seam_frames(data))
            yield {"engine": name, "scale": str(scale), "seams": round(worst, 3)}


def engines(scale: Fraction) -> Iterator[tuple[str, Engine]]:
    """Names and engines of `scale`: those without a network, then networks, of several exits each."""
    for name, make in RESAMPLERS.items():
        yield name, make(scale)
    for network in networks().values():
        card = network.card
        if card.scale != scale:
            continue
        engine, name = open_engine(card, network.path, threads=1), f"{card.arch}-{card.flavour}"
        if not card.exits:
            yield name, engine
        for k in range(1, len(card.exits) + 1):
            yield f"{name}, exit {k}", OneExit(cast(MultiExitEngine, engine), k)


def measure(engine: Engine, stills: list[Picture]) -> dict[str, object]:
    """All figures of one engine, except those of seams."""
    noisy = {f"{sigma:g}": round(flicker(engine, noise(stills, sigma)), 3) for sigma in SIGMAS}
    return {
        "checkerboard_grey": round(checkerboard_flat(engine, GREYS), 4),
        "checkerboard_colour": round(checkerboard_flat(engine, COLOURS), 4),
        "checkerboard_gradient": round(checkerboard_gradient(engine), 4),
        "drift_grey": round(float(np.abs(drift_flat(engine, GREYS)).max()), 4),
        "drift_colour": round(float(np.abs(drift_flat(engine, COLOURS)).max()), 4),
        "drift_natural": [round(value, 4) for value in drift_natural(engine, stills)],
        "ringing_edge": round(overshoot(engine, "edge"), 4),
        "ringing_line": round(overshoot(engine, "line"), 4),
        "flicker_noise": noisy,
        "flicker_video": round(flicker(engine, map(still_video, stills)), 3),
    }


def run(engine: Engine, planes: Planes) -> NDArray[np.float64]:
    """(N, 3, H, W) in levels, upscaled, in levels."""
    return 255.0 * engine.infer(np.ascontiguousarray(planes, np.float32) / np.float32(255)).astype(np.float64)


def inner(engine: Engine, upscaled: NDArray) -> NDArray:
    """What lies `RIM` input pixels inside, so that borders play no part."""
    rim = int(RIM * engine.card.scale)
    return upscaled[..., rim:-rim, rim:-rim]


def phases(engine: Engine, values: NDArray) -> NDArray:
    """Means of (N, 3, H, W) over each place of the output's grid: (N, 3, p, p), p the outputs of a grid's cell."""
    period = engine.card.scale.numerator
    n, c, h, w = values.shape
    cells = values[..., : h // period * period, : w // period * period]
    return cells.reshape(n, c, h // period, period, w // period, period).mean(axis=(2, 4))


def checkerboard_flat(engine: Engine, colours: tuple[tuple[int, ...], ...]) -> float:
    """Standard deviation between the phases of what is made of a flat patch, the worst of all colours and channels."""
    return float(phases(engine, inner(engine, run(engine, flat(colours)))).std(axis=(2, 3)).max())


def checkerboard_gradient(engine: Engine) -> float:
    """The same on linear gradients, of what differs from the gradient itself."""
    ramps, ideal = gradients(engine.card.scale)
    rest = inner(engine, run(engine, ramps) - ideal)
    return float(phases(engine, rest).std(axis=(2, 3)).max())


def drift_flat(engine: Engine, colours: tuple[tuple[int, ...], ...]) -> NDArray:
    """Mean of what is made of a flat patch, less its own colour: (colours, 3)."""
    return inner(engine, run(engine, flat(colours))).mean(axis=(2, 3)) - np.array(colours)


def drift_natural(engine: Engine, stills: list[Picture]) -> tuple[float, float]:
    """Mean over pictures and channels of the result's mean, less that of bicubic's; and the largest of one of them."""
    plain = bicubic(engine.card.scale)
    means = []
    for still in stills:
        planes = 255 * to_planes(engine, still)
        means.append((run(engine, planes) - run(plain, planes)).mean(axis=(0, 2, 3)))
    return float(np.mean(means)), float(np.abs(means).max())


def overshoot(engine: Engine, kind: str) -> float:
    """How far results go beyond both sides of an edge or a line, in per cent of its height; the truth goes nowhere.

    The mean, over angles, heights and rendering with and without antialiasing, of the farthest pixel above the
    brighter side of an edge (of a line: only below its surroundings) and below the darker side.
    """
    found = []
    for step, angle, smooth in product(STEPS, ANGLES, (True, False)):
        made = inner(engine, run(engine, rendered(kind, step, angle, smooth)))
        found.append((LOW - made.min()) / step)
        if kind == "edge":
            found.append((made.max() - LOW - step) / step)
    return 100 * float(np.mean(np.maximum(found, 0)))


def flicker(engine: Engine, clips: Iterator[NDArray[np.uint8]]) -> float:
    """Standard deviation over time of still scenes, upscaled, over that of bicubic's upscaling: above 1 is worse.

    Each clip is (frames, H, W, 3); deviations are squared, averaged over all pixels of all clips, and rooted.
    """
    plain, ours, theirs = bicubic(engine.card.scale), 0.0, 0.0
    for clip in clips:
        planes = np.ascontiguousarray(clip.transpose(0, 3, 1, 2), np.float32)
        ours += float(inner(engine, run(engine, planes)).var(axis=0).mean())
        theirs += float(inner(plain, run(plain, planes)).var(axis=0).mean())
    return (ours / theirs) ** 0.5


def flat(colours: tuple[tuple[int, ...], ...]) -> Planes:
    """A patch of each colour, (N, 3, SIDE, SIDE), in levels."""
    return np.tile(np.array(colours, np.float32)[:, :, None, None], (1, 1, SIDE, SIDE))


def gradients(scale: Fraction) -> tuple[Planes, NDArray[np.float64]]:
    """Linear gradients across, down and both, grey and of single colours; and the same at the large size."""
    side = int(SIDE * scale)
    small, large = np.arange(SIDE) - SIDE / 2 + 0.5, (np.arange(side) + 0.5) / float(scale) - SIDE / 2
    tints = ((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    both = []
    for axis in (small, large):
        rows, columns = axis[:, None], axis[None, :]
        ways = np.stack([columns + 0 * rows, rows + 0 * columns, (rows + columns) / 2])
        shades = [128 + slope * way * np.array(t)[:, None, None] for slope in SLOPES for way in ways for t in tints]
        both.append(np.stack(shades))
    return both[0].astype(np.float32), both[1]


def rendered(kind: str, step: float, angle: float, smooth: bool) -> Planes:
    """A grey edge, or a line one input pixel wide, at some places; with or without antialiasing: (4, 3, SIDE, SIDE)."""
    fine = (np.arange(SIDE * FINE) + 0.5) / FINE - SIDE / 2
    middle = np.arange(SIDE) + 0.5 - SIDE / 2
    places = fine if smooth else middle
    across = places[None, :] * np.cos(np.radians(angle)) + places[:, None] * np.sin(np.radians(angle))
    made = []
    for offset in (0.0, 0.25, 0.5, 0.75):
        distance = across - offset
        shape = (distance >= 0) if kind == "edge" else (np.abs(distance) < 0.5)
        value = shape.astype(np.float32)
        if smooth:
            value = value.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
        made.append(LOW + step * value)
    return np.repeat(np.stack(made)[:, None], 3, axis=1).astype(np.float32)


def natural(data: Path, scale: Fraction) -> list[Picture]:
    """Places of photographs and of rendered scenes that no recipe trains on, (CROP, CROP, 3), in input pixels."""
    photographs = [imresize(read_picture(path), *_even(read_picture(path))) for path in _some(data)]
    renders = [pair.read(scale)[0] for pair in find_pairs(data / "pairs", scale, ("hacienda_0115", "hacienda_0195"))]
    crops = []
    for picture in photographs + renders:
        top, left = (2 * ((side - CROP) // 4) for side in picture.shape[:2])
        crops.append(np.ascontiguousarray(picture[top : top + CROP, left : left + CROP]))
    return crops


def noise(stills: list[Picture], sigma: float) -> Iterator[NDArray[np.uint8]]:
    """Clips of stills with noise that is new in each frame, as a sensor's is."""
    random = np.random.default_rng(5)
    for still in stills:
        frames = still + random.normal(0, sigma, (FRAMES, *still.shape))
        yield np.clip(np.round(frames), 0, 255).astype(np.uint8)


def still_video(still: Picture) -> NDArray[np.uint8]:
    """The still as twenty frames of H.264, in two groups, decoded: what changes is the encoder's doing."""
    height, width = still.shape[:2]
    colour = Colour("bt709")
    planes = from_rgb(np.ascontiguousarray(still.transpose(2, 0, 1), np.float32) / np.float32(255), colour)
    stacked = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, width)
    random, buffer = np.random.default_rng(6), io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": "23", "preset": "veryfast", "g": "10"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(20):
            shaken = np.clip(np.round(stacked + random.normal(0, 1.5, stacked.shape)), 0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shaken, format="yuv420p")))
        out.mux(stream.encode())
    buffer.seek(0)
    frames = []
    with av.open(buffer, "r") as back:
        for frame in back.decode(video=0):
            y, u, v = np.split(frame.to_ndarray().ravel(), np.cumsum([width * height, width * height // 4]))
            half = (height // 2, width // 2)
            rgb = to_rgb(y.reshape(height, width), u.reshape(half), v.reshape(half), colour)[0]
            frames.append((255 * rgb).round().astype(np.uint8).transpose(1, 2, 0))
    return np.stack(frames)


def seam_frames(data: Path) -> Iterator[Frame]:
    """Game pictures of 960x540."""
    grey = np.full((270, 480), 128, np.uint8)
    for path in sorted((data / "eval_game").glob("*.png")):
        small = cv2.resize(read_picture(path), (960, 540), interpolation=cv2.INTER_AREA)
        luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.uint8)
        yield Frame(luma, grey, grey, Colour("bt709"))


def seam(engine: ExitsEngine, frame: Frame) -> float:
    """`unevenness` where half the compute is spent, over that of the whole frame by one exit: 1 is no seam at all."""
    refiner = Refiner(engine, lambda: 0, CostModel({}), reuse=False)
    lumas = {share: refiner.share(frame, share)[0][0] for share in (0.0, 1.0, 0.5)}
    assert refiner._last is not None
    exits = refiner._last.exits
    pure = max(unevenness(lumas[share], exits, engine.card.scale) for share in (0.0, 1.0))
    return unevenness(lumas[0.5], exits, engine.card.scale) / pure


def unevenness(luma: NDArray, exits: NDArray, scale: Fraction) -> float:
    """Steps across the joints of neighbours with different exits, over steps of the same phase beside them."""
    side, phase = int(64 * scale), scale.numerator
    across = beside = 0.0
    for row, column in np.argwhere(exits[:, 1:] != exits[:, :-1]).tolist():
        joint = (column + 1) * side
        rows = luma[row * side : (row + 1) * side, joint - 2 * phase - 1 : joint + 2 * phase + 1].astype(float)
        steps = np.abs(np.diff(rows, axis=1)).mean(axis=0)
        middle = 2 * phase
        across += steps[middle]
        beside += steps[[middle - 2 * phase, middle - phase, middle + phase, middle + 2 * phase]].mean()
    return across / beside


def tables(result: dict) -> list[str]:
    """Markdown, a table for each scale."""
    columns: list[tuple[str, Callable[[dict], str]]] = [
        ("checkerboard, greys", lambda row: f"{row['checkerboard_grey']:.2f}"),
        ("colours", lambda row: f"{row['checkerboard_colour']:.2f}"),
        ("gradients", lambda row: f"{row['checkerboard_gradient']:.2f}"),
        ("drift, greys", lambda row: f"{row['drift_grey']:.2f}"),
        ("colours", lambda row: f"{row['drift_colour']:.2f}"),
        ("natural: mean, worst", lambda row: "{:+.3f}, {:.2f}".format(*row["drift_natural"])),
        ("ringing, edges", lambda row: f"{row['ringing_edge']:.1f} %"),
        ("lines", lambda row: f"{row['ringing_line']:.1f} %"),
        ("flicker, noise 1, 2, 3", lambda row: ", ".join(f"{value:.2f}" for value in row["flicker_noise"].values())),
        ("H.264", lambda row: f"{row['flicker_video']:.2f}"),
    ]
    shown = []
    for scale in ("3/2", "2"):
        times = f"x{float(Fraction(scale)):g}"
        lines = [f"| {times} | {' | '.join(title for title, _ in columns)} |", "|---" * (len(columns) + 1) + "|"]
        found = [row for row in result["engines"] if row["scale"] == scale]
        for row in found:
            if "seams" not in row:
                lines.append(f"| {row['engine']} | {' | '.join(value(row) for _, value in columns)} |")
        shown.append("\n".join(lines))
        joints = ", ".join(f"{row['engine']} {row['seams']:.3f}" for row in found if "seams" in row)
        shown.append(f"Seams at {times}: {joints}.")
    return shown


def _some(data: Path) -> list[Path]:
    return sorted((data / "benchmarks" / "Set14" / "HR").glob("*.png"))[::5]


def _even(picture: Picture) -> tuple[int, int]:
    """Half its sides, made even."""
    height, width = (side // 4 * 2 for side in picture.shape[:2])
    return height, width


if __name__ == "__main__":
    main()
