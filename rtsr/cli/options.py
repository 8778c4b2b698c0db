"""The options of `rtsr upscale`, as the command line takes them, and the wish that they are."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rtsr.duration import parse_duration
from rtsr.errors import UsageError
from rtsr.pacing.deadline import Late
from rtsr.pacing.paced import Pace
from rtsr.part import as_part
from rtsr.preset import ENGINES
from rtsr.provider import PROVIDERS
from rtsr.scale import parse_scale
from rtsr.sink.encoding import DEFAULT_CRF
from rtsr.source.live import address
from rtsr.wish import ONLY_VIDEO, Wish

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
    typer.Option(help="fp32, int8, or fp16 on NVIDIA engines alone. Default: fp16 there, else fp32."),
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
Start = Annotated[
    str | None,
    typer.Option(help="Begin this long after the first picture: seconds, 12:30 or 1:02:03.5. Default: 0."),
]
Duration = Annotated[
    str | None, typer.Option(help="Take only this much of the video, to try settings, e.g. 10s. Default: all of it.")
]
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

OPTIONS_ONLY_VIDEO = ("realtime", "stall", "start", "duration", "reference", *ONLY_VIDEO, "encoder_option")
"""What means nothing for a picture, in presets and beside them."""


def check_for_picture(source: str, said: Mapping[str, object]) -> None:
    """Raise UsageError where options `said`, by name, say of `source`, a picture, what is said of videos."""
    wrong = [name for name in OPTIONS_ONLY_VIDEO if said.get(name) not in (None, False, [])]
    if wrong:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
        raise UsageError(f"{source} is a picture; leave out what is for videos: {options}")


def as_wish(source: str, output: str | None, said: Mapping[str, Any]) -> Wish:
    """What options `said`, by name, say of `source`; raises UsageError."""
    deadline = None if said["deadline"] is None else parse_duration(said["deadline"])
    same = ("height", "model", "engine", "provider", "precision", "decode", "late", "reference", "codec", "crf")
    return Wish(
        source=source if address(source) else Path(source),
        output=output if output is None or address(output) else Path(output),
        scale=parse_scale(said["scale"]) if said["scale"] else None,
        size=parse_size(said["size"]) if said["size"] else None,
        pace=Pace.of(said["fps"], deadline, said["quality"]),
        part=as_part(0 if said["start"] is None else said["start"], said["duration"]),
        live=bool(said["live"]),
        realtime=said["realtime"],
        latency=parse_duration(said["latency"]) if said["latency"] else None,
        stall=parse_duration(said["stall"]) if said["stall"] else None,
        options=_parse_options(said["encoder_option"] or []),
        threads=said["threads"],
        overwrite=said["overwrite"],
        preset=said["preset"],
        **{name: said[name] for name in same},
    )


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
