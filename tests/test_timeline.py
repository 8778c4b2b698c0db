"""Recordings whose clock begins anew, as of transport streams that were appended to each other."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.report import Report
from tests.media import luma, make_video, picture_number, probe


def upscaled(source: Path, output: str = "out.mp4") -> Report:
    return run(Job(source, source.with_name(output), Fraction(3, 2), engine="bicubic"))


def sound_times(path: Path) -> list[float]:
    with av.open(str(path)) as source:
        return [float(p.pts * p.time_base) for p in source.demux(audio=0) if p.pts is not None and p.time_base]


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("audio", [True, False])
def test_appended_transport_streams_follow_each_other(tmp_path: Path, parts: int, audio: bool) -> None:
    one = make_video(tmp_path / "one.ts", frames=40, audio=audio)
    (tmp_path / "in.ts").write_bytes(parts * one.read_bytes())
    report = upscaled(tmp_path / "in.ts")
    said = "by 1." if parts == 2 else "2 times"
    assert len(report.notes) == 1 and f"the clock goes back {said}" in report.notes[0]
    after = probe(Path(report.output))
    steps = np.diff(after.seconds)
    joints = range(39, 40 * parts - 1, 40)
    assert np.delete(steps, joints) == pytest.approx(1 / 30, abs=1e-3)
    assert all(1 / 31 < steps[joint] < 0.15 for joint in joints)  # Sound may last longer than pictures.
    assert [picture_number(plane) for plane in luma(Path(report.output))] == parts * list(range(40))
    if audio:
        assert after.audio_packets == parts * probe(one).audio_packets
        sound, apart = sound_times(Path(report.output)), sound_times(one)[0] - probe(one).seconds[0]
        each = len(sound) // parts
        begins = [sound[part * each] - after.seconds[40 * part] for part in range(parts)]
        assert begins == pytest.approx([apart] * parts, abs=2e-3)


def test_a_clock_that_never_goes_back_is_left_alone(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=20, pts=[3000 * i + 900_000 * (i > 9) for i in range(20)])
    report = upscaled(source)
    assert report.notes == () and probe(Path(report.output)).seconds == pytest.approx(probe(source).seconds, abs=1e-5)
    assert sound_times(Path(report.output)) == pytest.approx(sound_times(source), abs=1e-4)
