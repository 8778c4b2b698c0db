"""`rtsr upscale`: videos and pictures in, larger ones out."""

import signal

import typer

from rtsr.cli import options as o
from rtsr.cli.app import app
from rtsr.cli.inputs import plan_tasks
from rtsr.cli.runs import Runs
from rtsr.errors import UsageError
from rtsr.preset import Preset, read_preset
from rtsr.resources import preset_path
from rtsr.stopping import SIGNALS

EXAMPLES = """Upscale a video; its sound, timing, rotation and colour tags stay as they are. Or upscale pictures.

Several are upscaled one after another; what is wrong with one does not keep the others.

Examples:

    rtsr upscale in.mp4 --scale 1.5

    rtsr upscale screenshot.png --scale 1.5

    rtsr upscale long.mp4 --scale 1.5 --start 12:30 --duration 10s

    rtsr upscale in.mp4 -o out.mkv --height 1080 --crf 16 --encoder-option preset=slow

    rtsr upscale in.mp4 --preset mobile-720p-to-1080p --report report.json

    rtsr upscale in.mp4 --scale 2 --deadline 33ms --late degrade

    rtsr upscale in.mp4 --scale 1.5 --decode gpu --codec hevc_nvenc --encoder-option cq=21

    rtsr upscale captures/*.mp4 --scale 2 -o large/ --skip-existing --report reports/

    rtsr upscale udp://127.0.0.1:5000 -o live.mkv --scale 1.5 --live
"""


@app.command(help=EXAMPLES)
def upscale(
    sources: o.Sources,
    output: o.Output = None,
    scale: o.Scale = None,
    height: o.Height = None,
    size: o.Size = None,
    model: o.Model = None,
    engine: o.Engine = None,
    provider: o.Provider = None,
    precision: o.Precision = None,
    decode: o.Decode = None,
    fps: o.Fps = None,
    deadline: o.Deadline = None,
    quality: o.Quality = None,
    late: o.LateFrames = None,
    live: o.LiveInput = None,
    realtime: o.Realtime = False,
    latency: o.Latency = None,
    stall: o.Stall = None,
    start: o.Start = None,
    duration: o.Duration = None,
    reference: o.ReferenceVideo = None,
    codec: o.Codec = None,
    crf: o.Crf = None,
    encoder_option: o.EncoderOption = None,
    preset: o.PresetName = None,
    threads: o.Threads = None,
    overwrite: o.Overwrite = False,
    skip_existing: o.SkipExisting = False,
    report: o.ReportFile = None,
    as_json: o.AsJson = False,
    quiet: o.Quiet = False,
) -> None:
    said = dict(locals())  # All options, by name.
    chosen = read_preset(preset_path(preset)) if preset else Preset(summary="no preset")
    if as_json and output == "-":
        raise UsageError("standard output gets the video; leave out --json, and write a file with --report")
    tasks = plan_tasks(sources, said, chosen)
    for each in SIGNALS:  # Stopped in whatever way, keep what is done; what is ignored, as under nohup, stays so.
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler)
    raise typer.Exit(Runs(quiet, as_json, piped=output == "-").all(tasks))
