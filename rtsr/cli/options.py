"""The options of `rtsr upscale`, as the command line takes them, and the job that they and a preset describe."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from rtsr.duration import parse_duration
from rtsr.engine import RESAMPLERS
from rtsr.errors import UsageError
from rtsr.job import Job
from rtsr.pacing.deadline import Late
from rtsr.pacing.delivery import Live
from rtsr.pacing.paced import Pace
from rtsr.preset import ENGINES, NVIDIA, Preset
from rtsr.provider import PROVIDERS
from rtsr.scale import parse_scale
from rtsr.sink.encoding import DEFAULT_CRF, RATES, Encoding
from rtsr.source.live import address

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="IN", help="Videos and pictures to upscale; with --live one, also udp://, rtsp://, a device or -."
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        help="Where to write; FOLDER/ is made; udp:// and - get MPEG-TS. Default: IN's name with _1.5x behind it.",
    ),
]
Scale = Annotated[str | None, typer.Option(help="How far: 1.5, 2, or anything above 1 up to 4.")]
Height = Annotated[int | None, typer.Option(help="Instead of --scale: lines of the result, e.g. 1080.")]
Size = Annotated[
    str | None,
    typer.Option(help="Instead of --scale: WIDTHxHEIGHT of the result; videos still display in the same proportions."),
]
Model = Annotated[str | None, typer.Option(help="Network; `rtsr models` lists them; or a card's path, mine/NAME.toml.")]
Engine = Annotated[str | None, typer.Option(help=f"What computes: {', '.join(ENGINES)}. Default: auto.")]
Provider = Annotated[
    str | None,
    typer.Option(help=f"What ONNX Runtime runs on: {', '.join(PROVIDERS)}; cuda:1 is the second GPU. Default: auto."),
]
Precision = Annotated[
    str | None,
    typer.Option(help="What an NVIDIA engine computes in: fp16, fp32 or int8 (8-bit weights). Default: fp16."),
]
Decode = Annotated[
    str | None,
    typer.Option(help="cpu, or gpu: NVIDIA's, where frames stay for the network, and for h264_nvenc. Default: cpu."),
]
Fps = Annotated[
    float | None, typer.Option(help="Make the best of a frame's time at this rate, and spend no more, e.g. 60.")
]
Deadline = Annotated[
    str | None, typer.Option(help="Instead of --fps: time for a frame, decoded to upscaled, e.g. 16.7ms or 0.05s.")
]
Quality = Annotated[
    float | None, typer.Option(help="Instead of a deadline: share of the network's full compute to spend, 0 to 1.")
]
LateFrames = Annotated[
    Late | None, typer.Option("--late", help="What becomes of frames that cannot be made in time. Live: degrade.")
]
LiveInput = Annotated[bool | None, typer.Option("--live", help="The input's clock rules: keep up with it.")]
Realtime = Annotated[bool, typer.Option("--realtime", help="With a file: play it at its own pace, as if live.")]
Latency = Annotated[
    str | None, typer.Option(help="Live: how long after its time a frame may be upscaled. Default: 200ms.")
]
Stall = Annotated[str | None, typer.Option(help="Live: end when nothing came for this long. Default: 10s.")]
ReferenceVideo = Annotated[
    Path | None, typer.Option(help="Video of the result's size: report the PSNR-Y against it, before encoding.")
]
Codec = Annotated[str | None, typer.Option(help="Encoder, e.g. libx265. Default: libx264.")]
Crf = Annotated[
    int | None,
    typer.Option(help=f"Quality: lower is better and larger. Default for libx264: {DEFAULT_CRF['libx264']}."),
]
EncoderOption = Annotated[
    list[str] | None, typer.Option(metavar="K=V", help="An option of the encoder, e.g. preset=slow. Repeatable.")
]
PresetName = Annotated[
    str | None, typer.Option(help="Settings for a use; `rtsr presets` lists them. Other options go first.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Cores for the network. Default: all.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave inputs out whose output is there.")]
ReportFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Write what was done, with times, to this .json file, or into FOLDER/; it is replaced."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report; of several inputs a list, at the end.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]

ONLY_VIDEO = ("decode", "fps", "deadline", "quality", "late", "live", "realtime", "latency", "stall", "reference")
ONLY_VIDEO += ("codec", "crf", "encoder_option", "encoder_options")
"""What options and presets say that means nothing for a picture."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was said on the command line; None and False where nothing was."""

    source: str
    output: str | None
    scale: str | None
    height: int | None
    size: str | None
    model: str | None
    engine: str | None
    provider: str | None
    precision: str | None
    decode: str | None
    fps: float | None
    deadline: str | None
    quality: float | None
    late: Late | None
    live: bool | None
    realtime: bool
    latency: str | None
    stall: str | None
    reference: Path | None
    codec: str | None
    crf: int | None
    encoder_option: list[str] | None
    threads: int | None
    overwrite: bool
    preset: str | None


def as_job(wish: Wish, preset: Preset) -> Job:
    """The job that `wish` describes, and `preset` where `wish` says nothing; raises UsageError."""
    sized = wish.scale is not None or wish.height is not None or wish.size is not None
    if not sized and preset.scale is None and preset.height is None:
        raise UsageError("say how far to upscale: --scale 1.5, --height 1080 or --size 1920x1080")
    pace, live = _pace(wish, preset), _live(wish, preset)
    timed = live is not None or (pace is not None and pace.deadline is not None)
    return Job(
        source=wish.source if address(wish.source) else Path(wish.source),
        output=wish.output if wish.output is None or address(wish.output) else Path(wish.output),
        scale=parse_scale(wish.scale) if wish.scale else None if sized else preset.scale,
        height=wish.height if sized else preset.height,
        size=parse_size(wish.size) if wish.size else None,
        model=wish.model or (None if wish.engine in RESAMPLERS else preset.model),
        engine=wish.engine or ("auto" if wish.model else preset.engine) or "auto",
        provider=wish.provider or (None if wish.engine not in (None, "auto", "onnx") else preset.provider),
        precision=wish.precision or (preset.precision if _on_gpu(wish) else None),
        decode=wish.decode or (preset.decode if _on_gpu(wish) else None) or "cpu",
        pace=pace,
        late=wish.late or (preset.late if timed else None),
        live=live,
        reference=wish.reference,
        threads=wish.threads,
        encoding=_encoding(wish, preset),
        overwrite=wish.overwrite,
        preset=wish.preset,
    )


def check_for_picture(wish: Wish) -> None:
    """Raise UsageError where `wish` says of its source, a picture, what is said of videos."""
    said = [name for name in ONLY_VIDEO if getattr(wish, name, None) not in (None, False, [])]
    if said:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in said)
        raise UsageError(f"{wish.source} is a picture; leave out what is for videos: {options}")


def for_picture(preset: Preset) -> tuple[Preset, list[str]]:
    """What `preset` says of a picture; and what it leaves out, in lines for people."""
    said = [key for key in ONLY_VIDEO if getattr(preset, key, None) is not None]
    names = ", ".join(key.replace("_", " ") for key in said)
    notes = [f"left out of the preset, as it is for videos: {names}"] if said else []
    return replace(preset, **dict.fromkeys(said)), notes


def left_out(wish: Wish, preset: Preset) -> list[str]:
    """What `preset` says that `as_job` leaves out because it does not go with what `wish` says, in lines for people."""
    notes = []
    paced = next((key for key in ("fps", "deadline", "quality") if getattr(preset, key) is not None), None)
    if wish.engine in RESAMPLERS and preset.model is not None:
        notes.append(f"the preset's model is left out: {wish.engine} runs no network")
    if wish.engine in RESAMPLERS and paced is not None:
        notes.append(f"the preset's {paced} is left out: {wish.engine} has no shares to spend")
    if not _keeps_encoder(wish, preset) and (preset.crf is not None or preset.encoder_options):
        notes.append(f"the preset's crf and encoder options are left out: they are not meant for {wish.codec}")
    if preset.precision is not None and not _on_gpu(wish):
        notes.append("the preset's precision is left out: it is for NVIDIA engines")
    return notes


def _on_gpu(wish: Wish) -> bool:
    """Whether what is said to compute may be an NVIDIA GPU, which a preset's decoder and precision are for."""
    return wish.engine in (None, "auto", *NVIDIA) and wish.provider is None


def _pace(wish: Wish, preset: Preset) -> Pace | None:
    """What may be spent on a frame; what is said replaces all that the preset says of it."""
    deadline = None if wish.deadline is None else parse_duration(wish.deadline)
    said = Pace.of(wish.fps, deadline, wish.quality)
    if said is not None:
        return said
    if wish.engine in RESAMPLERS:  # They have no shares to spend.
        return None
    return Pace.of(preset.fps, preset.deadline, preset.quality)


def _live(wish: Wish, preset: Preset) -> Live | None:
    if not (wish.live or wish.realtime or preset.live):
        if wish.latency or wish.stall:
            raise UsageError("--latency and --stall are for live input; add --live")
        return None
    usual = Live()
    return Live(
        latency=parse_duration(wish.latency) if wish.latency else preset.latency or usual.latency,
        stall=parse_duration(wish.stall) if wish.stall else usual.stall,
        realtime=wish.realtime,
    )


def _encoding(wish: Wish, preset: Preset) -> Encoding:
    # Quality and options of a preset are meant for its own encoder.
    same_codec = _keeps_encoder(wish, preset)
    said = _parse_options(wish.encoder_option or [])
    kept = dict(preset.encoder_options or {}) if same_codec else {}
    rated = wish.crf is not None or any(key in said for key in RATES)
    if rated:  # One rate replaces another.
        kept = {key: value for key, value in kept.items() if key not in RATES}
    return Encoding(
        codec=wish.codec or preset.codec or "libx264",
        crf=preset.crf if same_codec and not rated else wish.crf,
        options={**kept, **said},
    )


def _keeps_encoder(wish: Wish, preset: Preset) -> bool:
    return wish.codec is None or wish.codec == (preset.codec or "libx264")


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from `1920x1080`; raises UsageError."""
    found = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})", text.lower())
    if found is None:
        raise UsageError(f"{text!r} is not a size; write it as 1920x1080")
    return int(found[1]), int(found[2])


def _parse_options(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair[1:]:
            raise UsageError(f"{pair!r} is not an encoder option; write it as preset=slow")
    return dict(pair.split("=", 1) for pair in pairs)
