"""A live stream for a minute: latency, what became of every frame, and memory.

    python -m benchmarks.live sample/freedoom_360p.mp4 --scale 1.5 --seconds 60 --json result.json

CLIP's frames, again and again, are sent as MPEG-TS over UDP or into a pipe at 30 frames a second, from this process
at their own time, to `rtsr upscale --live`, a process of its own, which writes a file. Memory is that process's
resident size ten seconds after its first frames went out, and at the end (Linux).
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO

import av

from benchmarks.machine import machine
from rtsr.frame import Frame
from rtsr.sink.encoding import Encoding
from rtsr.sink.pyav import PyAVSink
from rtsr.source.pyav import PyAVSource

COMMAND = [sys.executable, "-c", "from rtsr.cli import main; main()", "upscale"]
RATE = 30
ADDRESS = "udp://127.0.0.1:23454"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clip = _long_clip(options.clip, folder / "long.mp4", RATE * options.seconds)
        source = ADDRESS if options.source == "udp" else "-"
        limits = ["--scale", options.scale, "--model", options.model, "--latency", options.latency, "--stall", "5s"]
        files = ["-o", str(folder / "out.mkv"), "--report", str(folder / "report.json")]
        encoder = ["--encoder-option", "preset=ultrafast"]
        command = [*COMMAND, source, "--live", *limits, *files, *encoder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as running:
            assert running.stdin is not None
            memory = _send(clip, running.stdin if source == "-" else ADDRESS, running)
            errors = running.communicate()[1]
        if running.returncode:
            sys.exit(errors.decode())
        report = json.loads((folder / "report.json").read_text("utf-8"))
    result = {
        "machine": machine(),
        "clip": options.clip.name,
        "source": options.source,
        "seconds": options.seconds,
        "sent": RATE * options.seconds,
        "resident_mib": memory,
        "report": report,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--scale", default="1.5")
    parser.add_argument("--model", default="enaf-quicksrnet-medium")
    parser.add_argument("--source", choices=("udp", "pipe"), default="udp")
    parser.add_argument("--latency", default="200ms")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _long_clip(clip: Path, path: Path, frames: int) -> Path:
    """`path`, a clip of `frames` frames made of those of `clip`, again and again, with a keyframe every second."""
    with PyAVSource(clip) as source:
        found = [item for item in source.items() if isinstance(item, Frame)]
        video = replace(source.video, rate=Fraction(RATE), time_base=Fraction(1, 90000))
        step = 90000 // RATE
        encoding = Encoding(options={"preset": "ultrafast", "g": str(RATE)})
        with PyAVSink(path, video, source, encoding) as sink:
            for i in range(frames):
                sink.write(replace(found[i % len(found)], pts=i * step, duration=step))
            sink.close()
            sink.finish()
    return path


def _send(clip: Path, target: str | IO[bytes], running: subprocess.Popen) -> dict[str, float]:
    """Send the pictures of `clip` at their own time; returns the receiver's memory in MiB on the way."""
    if target == ADDRESS:
        _wait_for_receiver(running)
    memory: dict[str, float] = {}
    with av.open(str(clip)) as source, av.open(target, "w", format="mpegts") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        began = time.monotonic()
        for packet in source.demux(video=0):
            if packet.dts is None or packet.time_base is None:
                continue
            time.sleep(max(0.0, began + float(packet.dts * packet.time_base) - time.monotonic()))
            packet.stream = stream
            out.mux(packet)
            if time.monotonic() > began + 10 and "after 10 s" not in memory:
                memory["after 10 s"] = _resident(running.pid)
        memory["at the end"] = _resident(running.pid)
    return memory


def _wait_for_receiver(running: subprocess.Popen) -> None:
    """Wait until somebody listens: what is sent before is lost."""
    port = f":{int(ADDRESS.rpartition(':')[2]):04X} "
    while running.poll() is None and port not in Path("/proc/net/udp").read_text("utf-8"):
        time.sleep(0.05)


def _resident(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text("utf-8"))
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main()
