"""What encoders are told of their rate, and what they keep of a picture at the rates that nobody asked for."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from rtsr.job import Job
from rtsr.pipeline import run
from rtsr.scale import parse_scale
from rtsr.sink.encoding import DEFAULT_CRF, Encoding
from tests.media import make_video

SAMPLE = Path(__file__).parents[1] / "sample/freedoom_360p.mp4"


def luma(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="gray").astype(float) for frame in video.decode(video=0)]


def psnr(path: Path, truth: Path) -> float:
    errors = [np.mean((a - b) ** 2) for a, b in zip(luma(path), luma(truth), strict=True)]
    return float(10 * np.log10(255**2 / np.mean(errors)))


def encoded(source: Path, name: str, encoding: Encoding) -> Path:
    job = Job(source, source.with_name(name), parse_scale("2"), engine="bicubic", encoding=encoding)
    return Path(run(job).output)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames of the sample, in motion, without loss."""
    path = tmp_path_factory.mktemp("clip") / "in.mkv"
    with av.open(str(SAMPLE)) as sample, av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=36)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number, frame in enumerate(islice(sample.decode(video=0), 60, 68)):
            frame.pts, frame.time_base = number, Fraction(1, 36)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def truth(clip: Path) -> Path:
    return encoded(clip, "truth.mkv", Encoding("ffv1"))


@pytest.mark.parametrize("codec", sorted(DEFAULT_CRF.keys() - {"libx264"}))
def test_the_usual_encoders_keep_about_what_x264_keeps(clip: Path, truth: Path, codec: str) -> None:
    usual = psnr(encoded(clip, f"x264 for {codec}.mkv", Encoding()), truth)
    assert psnr(encoded(clip, f"{codec}.mkv", Encoding(codec)), truth) == pytest.approx(usual, abs=1.5)


@pytest.mark.parametrize("options", [{"b": "60k"}, {"qp": "45"}, {"crf": "45"}])
def test_a_rate_among_the_options_is_the_only_one(tmp_path: Path, options: dict[str, str]) -> None:
    source = make_video(tmp_path / "in.mp4", frames=12, size=(160, 120), audio=False)
    usual = encoded(source, "usual.mkv", Encoding()).stat().st_size
    assert encoded(source, "asked.mkv", Encoding(options=options)).stat().st_size < usual / 2
    assert "crf" not in Encoding(options=options).as_options() or options == {"crf": "45"}


def test_a_crf_of_vp9_may_have_a_limit() -> None:
    assert Encoding("libvpx-vp9", 30, {"b": "2M"}).as_options() == {"crf": "30", "b": "2M"}


@pytest.mark.parametrize(
    ("encoding", "noted"),
    [
        (Encoding("mpeg4"), "b=20M"),
        (Encoding("hevc_nvenc"), "cq=21"),
        (Encoding("mpeg4", options={"b": "9M"}), None),
        (Encoding("hevc_nvenc", options={"cq": "21"}), None),
        (Encoding("ffv1"), None),
        (Encoding("libx265"), None),
    ],
)
def test_an_encoder_that_is_left_to_its_own_rate_is_noted(encoding: Encoding, noted: str | None) -> None:
    assert (noted is not None and noted in encoding.notes[0]) if noted else not encoding.notes
