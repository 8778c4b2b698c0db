"""What a run says on the way, and at its end."""

import pytest

from rtsr.cli import progress
from rtsr.cli.progress import frames_bar
from rtsr.cli.summary import summarise
from rtsr.report import Progress, Report


@pytest.mark.parametrize(("every", "quiet", "lines"), [(0.0, False, 3), (30.0, False, 0), (0.0, True, 0)])
def test_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, every: float, quiet: bool, lines: int
) -> None:
    monkeypatch.setattr(progress, "EVERY", every)
    done = Progress(total=600)
    with frames_bar("in.mp4", quiet) as (watch, _):
        for done.done in (1, 2, 3):
            watch(done)
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == lines
    if lines:
        assert said.err.splitlines()[-1].startswith("in.mp4: 3 of 600 frames, ") and "fps" in said.err


def test_the_summary_has_percentiles_and_readable_deadlines() -> None:
    stages = {"decode": {"p50": 0.84, "p95": 1.26, "p99": 9.96}, "upscale": {"p50": 257.4, "p95": 301.0, "p99": 1333.3}}
    spending = {"deadline_ms": 20000.0, "misses": 0, "frames": {"made": 2}, "tiles_reused": 2,
                "exits": ["bicubic", "net exit 1", "net"], "tiles_per_exit": [12, 0, 4],
                "share_of_full_compute": 1.0, "expected_psnr_db": None}  # fmt: skip
    report = Report("in.mp4", "out.mp4", "net", (2, 2), (4, 4), 2, 1.0, 1.0, stages, (), spending, reused=0.125)
    first, second = summarise(report).splitlines()
    assert first.endswith("; p50/p95/p99 in ms: decode 0.8/1.3/10, upscale 257/301/1333")
    assert second.startswith(
        "  deadline 20 s, missed 0 times; got bicubic 75%, net 25%; 12% reused; 100% of full compute"
    )
