"""Every engine on every rendered scene, map by map: PSNR-Y against native 1920x1080 renders, and who loses to bicubic.

    python -m benchmarks.scenes DATA --json benchmarks/results/scenes.json
    python -m benchmarks.scenes --table benchmarks/results/scenes.json

DATA has `pairs` (see `rtsr.quality.datasets.find_pairs`) and `clips`. Pairs are upscaled as they were rendered, and
from a capture of them: half a second of H.264, the scene panning, at a phone's bit rate; its last frame counts.
Clips are captures already; every fifth of their first 45 frames counts. `fitting` counts only where the two renders
show the same, which a game's icons do not (see `rtsr.train.registration`). Results are 8-bit; luma is BT.601's of
the RGB of pairs, and the plane Y of clips. What the JSON file holds already is not measured again.
"""

import argparse
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from benchmarks.machine import machine
from rtsr.colour import from_rgb, to_rgb
from rtsr.frame import Frame
from rtsr.quality.comparison import Input, rgb
from rtsr.quality.datasets import Picture, find_pairs
from rtsr.quality.metrics import luma, psnr
from rtsr.source.pyav import PyAVSource
from rtsr.train.degrade import BT709
from rtsr.train.registration import misplaced
from rtsr.upscaler import Upscaler

RESAMPLERS = ("bicubic", "fsr")
NETWORKS = (
    "quicksrnet-small-photo",
    "quicksrnet-small-capture",
    "quicksrnet-medium-capture",
    "enaf-quicksrnet-medium-capture",
)
SCALES = (Fraction(3, 2), Fraction(2))
CLIPS = (
    ("stk_lighthouse_720p30", "stk_lighthouse_1080p30_ref", Fraction(3, 2)),
    ("stk_lighthouse_540p30", "stk_lighthouse_1080p30_ref", Fraction(2)),
    ("freedoom_a_360", "freedoom_a_720_ref", Fraction(2)),
)
UNSEEN = ("supertuxkart_hacienda", "stk_lighthouse", "freedoom_a")
"""Maps that no recipe trains on; see `hold_out` in recipes."""
BITS_PER_PIXEL = 0.25
"""Of captures: 3.9 Mbit/s at 960x540 and 6.9 Mbit/s at 1280x720, 30 frames a second."""
FRAMES, RATE = 15, 30
"""Length in frames and frames per second of the captures that are made of pairs."""
LOSS = -0.1
"""dB over bicubic below which a scene counts as lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A moment of a game, and its truth."""

    map: str
    moment: str
    kind: str
    """`render`, `capture` (made of a render) or `clip`."""
    low: Input
    truth: NDArray
    """Luma of the native render, (H, W)."""
    fits: NDArray[np.bool_]
    """Where both renders show the same."""

    def scores(self, upscaler: Upscaler) -> tuple[float, float]:
        """PSNR-Y in dB of the whole, and of where both renders show the same."""
        if self.kind == "clip":
            assert self.low.frame is not None
            made = upscaler.frame(self.low.frame, *self.truth.shape[::-1]).y
        else:
            made = luma(self.low.upscaled(upscaler))
        return psnr(made, self.truth), psnr(made[self.fits], self.truth[self.fits])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder with pairs and clips")
    parser.add_argument("--only", nargs="+", default=(), help="parts of the maps' names")
    parser.add_argument("--table", type=Path, help="print the Markdown tables of this JSON file instead")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.table:
        print("\n\n".join(tables(json.loads(options.table.read_text("utf-8")))))
        return
    if options.data is None:
        parser.error("DATA is missing")
    result: dict = {"machine": machine(), "unseen": UNSEEN, "scenes": []}
    if options.json and options.json.exists():
        result["scenes"] = json.loads(options.json.read_text("utf-8"))["scenes"]
    done = {_key(row) for row in result["scenes"]}
    for scale in SCALES:
        for row in measure(options.data, scale, tuple(options.only), done):
            result["scenes"].append(row)
            if options.json:
                options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print("\n\n".join(tables(result)))


def measure(data: Path, scale: Fraction, only: tuple[str, ...], done: set[tuple[str, ...]]) -> Iterator[dict]:
    """A row for each scene at `scale` that is not `done`: every engine's PSNR-Y."""
    engines = {name: Upscaler(scale, engine=name) for name in RESAMPLERS}
    engines |= {name: Upscaler(scale, model=name) for name in NETWORKS}
    for scene in scenes(data, scale, only):
        row: dict = {"map": scene.map, "moment": scene.moment, "kind": scene.kind, "scale": str(scale)}
        if _key(row) in done:
            continue
        scores = {name: scene.scores(upscaler) for name, upscaler in engines.items()}
        row["psnr_y"] = {name: round(score[0], 3) for name, score in scores.items()}
        row["fitting_psnr_y"] = {name: round(score[1], 3) for name, score in scores.items()}
        gain = row["psnr_y"]["quicksrnet-small-capture"] - row["psnr_y"]["bicubic"]
        print(f"{scene.moment} {scene.kind} x{float(scale):g}: Small over bicubic {gain:+.3f} dB", flush=True)
        yield row


def scenes(data: Path, scale: Fraction, only: tuple[str, ...]) -> Iterator[Scene]:
    """The scenes of maps whose names hold one of `only`, or of all maps."""
    for pair in find_pairs(data / "pairs", scale, only if only and _has_pairs(data, only) else ()):
        name = pair.name.rpartition("_")[0]
        if only and not any(part in name for part in only):
            continue
        low, high = pair.read(scale)
        truth, fits = luma(high), ~misplaced(low, high)
        yield Scene(name, pair.name, "render", Input(low), truth, fits)
        yield Scene(name, pair.name, "capture", Input(captured(low)), truth, fits)
    for capture, reference, factor in CLIPS:
        if factor == scale and (not only or any(part in capture for part in only)):
            yield from _clip(data / "clips", capture, reference)


def captured(picture: Picture) -> Picture:
    """`picture` (sides even) after half a second of panning in H.264 at a phone's bit rate."""
    height, width = picture.shape[:2]
    bits = round(BITS_PER_PIXEL * width * height * RATE)
    options = {"preset": "veryfast", "bf": "0", "maxrate": str(bits), "bufsize": str(bits // 2)}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=RATE, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bits
        for step in reversed(range(FRAMES)):
            moved = np.roll(picture, (step, 3 * step), axis=(0, 1))
            planes = from_rgb(np.ascontiguousarray(moved.transpose(2, 0, 1), np.float32) / np.float32(255), BT709)
            stacked = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, width)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(stacked, format="yuv420p")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer, "r") as back:
        *_, last = back.decode(video=0)
    y, u, v = np.split(last.to_ndarray().ravel(), np.cumsum([width * height, width * height // 4]))
    half = (height // 2, width // 2)
    planes = to_rgb(y.reshape(height, width), u.reshape(half), v.reshape(half), BT709)[0]
    return np.ascontiguousarray((planes * 255).round().astype(np.uint8).transpose(1, 2, 0))


def tables(result: dict) -> list[str]:
    """Markdown: per map and kind each engine's gain over bicubic, on whole frames and where renders fit; and losses."""
    rows = result["scenes"]
    unseen = tuple(result["unseen"])
    order = sorted(rows, key=lambda row: (row["scale"] != "3/2", not row["map"].startswith(unseen), row["map"]))
    groups: dict[tuple[str, str, str], list[dict]] = defaultdict(list)
    for row in order:
        groups[row["scale"], row["map"], row["kind"]].append(row)
    names = [name for name in rows[0]["psnr_y"] if name != "bicubic"]
    shown = []
    for key, title in (("psnr_y", "whole frames"), ("fitting_psnr_y", "where both renders show the same")):
        lines = [
            f"| {title}: dB over bicubic | scenes | bicubic | {' | '.join(names)} |",
            f"|---|---|---|{'---|' * len(names)}",
        ]
        for (scale, name, kind), found in groups.items():
            where = name if name.startswith(unseen) else f"*{name}*"
            base = np.mean([row[key]["bicubic"] for row in found])
            gains = [np.mean([row[key][engine] - row[key]["bicubic"] for row in found]) for engine in names]
            cells = " | ".join(f"{gain:+.2f}" for gain in gains)
            times = f"x{float(Fraction(scale)):g}"
            lines.append(f"| {times} {where}, {kind} | {len(found)} | {base:.2f} | {cells} |")
        shown.append("\n".join(lines))
    return [*shown, "\n".join(_losses(order, names))]


def _losses(rows: list[dict], names: list[str]) -> list[str]:
    """One line for each engine: the scenes where it loses, the worst first."""
    lines = [f"| more than {-LOSS:g} dB below bicubic, of {len(rows)} | whole frames | where both show the same |"]
    lines.append("|---|---|---|")
    for name in names:
        cells = []
        for key in ("psnr_y", "fitting_psnr_y"):
            gains = sorted((row[key][name] - row[key]["bicubic"], *_place(row)) for row in rows)
            lost = [(gain, where) for gain, where in gains if gain < LOSS]
            worst = f"; worst {gains[0][0]:+.2f}: {gains[0][1]}" if lost else ""
            cells.append(f"{len(lost)}{worst}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _key(row: dict) -> tuple[str, ...]:
    return row["moment"], row["kind"], row["scale"]


def _place(row: dict) -> tuple[str]:
    return (f"{row['moment']} {row['kind']} x{float(Fraction(row['scale'])):g}",)


def _has_pairs(data: Path, only: tuple[str, ...]) -> bool:
    return any(part in folder.name for folder in (data / "pairs").iterdir() for part in only)


def _clip(folder: Path, capture: str, reference: str) -> Iterator[Scene]:
    with PyAVSource(folder / f"{capture}.mp4") as lows, PyAVSource(folder / f"{reference}.mp4") as highs:
        pairs = zip(*(_frames(source) for source in (lows, highs)), strict=False)
        for number, (low, high) in islice(enumerate(pairs), 0, 45, 5):
            small = rgb(low)
            name = capture.rpartition("_")[0]
            fits = ~misplaced(small, rgb(high))
            yield Scene(name, f"{capture} {number}", "clip", Input(small, low), high.y, fits)


def _frames(source: PyAVSource) -> Iterator[Frame]:
    return (item for item in source.items() if isinstance(item, Frame))


if __name__ == "__main__":
    main()
