"""From `--engine rtx` to a video: the cache, the library, the driver, lanes and the pipeline together.

Only the library and the GPU are stand-ins, which is what no machine of ours has: the builder gives a plan of a network
that repeats pixels, and the GPU keeps no more than CUDA's promises.
"""

import json
import threading
from collections import deque
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

import rtsr
from rtsr.cli import main
from rtsr.engine.base import MultiExitEngine
from rtsr.engine.choice import Means
from rtsr.errors import EngineError, MissingDependency, UsageError
from rtsr.frame import Colour, Frame
from rtsr.nvidia import cache as engine_cache
from rtsr.nvidia import opening
from rtsr.nvidia.build import Tensor
from rtsr.nvidia.network import NvidiaNetwork
from rtsr.nvidia.planfile import read_plan, write_plan
from rtsr.nvidia.profile import Profile
from rtsr.pacing.paced import Pace, PacedUpscaler
from rtsr.resources import networks
from rtsr.sink.encoding import Encoding
from rtsr.source.pyav import PyAVSource
from tests.media import make_video, probe
from tests.nvidia import tensorrt
from tests.nvidia.driver import FakeDriver
from tests.nvidia.tensorrt import STEP, FakeTensorRT, plan

LOSSLESS = Encoding(crf=0, options={"preset": "ultrafast"})
EXITS = "enaf-quicksrnet-medium-x2-capture"
COLOUR = Colour("bt709")


class FakeLibrary(FakeTensorRT):
    """Stands in for a `Library` that can build, too."""

    version, has_timing_cache, has_runtime_cache = "1.7.1", False, True
    capabilities = ("7.5", "8.6", "8.9", "12.0")

    def __init__(self, driver: FakeDriver, kind: str = "rtx") -> None:
        super().__init__(driver, rtx=kind == "rtx")
        self.kind, self.name = kind, {"rtx": "TensorRT-RTX", "tensorrt": "TensorRT"}[kind]
        self.lock = threading.Lock()
        self.said = self.logger = deque(maxlen=8)  # pyright: ignore[reportAttributeAccessIssue]
        self.built: list[tuple[str, Profile, tuple[str, ...]]] = []
        self.precisions: list[str] = []
        """What was built in, in the same order."""

    def check_capability(self, capability: str) -> None:
        assert capability in self.capabilities


@pytest.fixture
def here(cache: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """A machine with an NVIDIA GPU, and TensorRT-RTX."""
    library = FakeLibrary(FakeDriver())
    for stage in ("stage", "head", "exit"):
        more = tensorrt.KINDS.get(f"{stage}2")
        assert more is not None
        monkeypatch.setitem(tensorrt.KINDS, f"{stage}3", more)
    monkeypatch.setitem(tensorrt.KINDS, "exit3", (*tensorrt.KINDS["exit2"][:2], tensorrt._exit(3)))

    def load(kind: str) -> FakeLibrary:
        if kind != library.kind:
            raise EngineError(f"{kind} is not installed; install it with: pip install 'rtsr[{kind}]'")
        return library

    def ready(network: Path, recipe) -> bytes:
        kind = network.stem if network.parent.name.startswith("enaf") else "network"
        scale = "3/2" if "x1.5" in str(network) else "2"
        library.precisions.append(recipe.precision)
        kind = "nv12" if recipe.nv12 else "planes" if recipe.colour else kind
        return json.dumps({"kind": kind, "scale": scale}).encode()

    def build(library, model: bytes, profile: Profile, capabilities, timing: bytes) -> tuple[bytes, bytes]:
        said = json.loads(model)
        library.built.append((said["kind"], profile, tuple(capabilities)))
        side = max(profile.largest)
        return plan(said["kind"], Fraction(said["scale"]), least=min(profile.smallest), most=side, batch=1), b""

    monkeypatch.setattr(opening, "driver_version", lambda: (13, 0))
    monkeypatch.setattr(opening, "CudaDriver", lambda kind: library.driver)
    monkeypatch.setattr(opening, "installed", lambda: (library.kind,))
    monkeypatch.setattr(opening, "load_library", load)
    monkeypatch.setattr(engine_cache, "ready", ready)
    monkeypatch.setattr(engine_cache, "build", build)
    monkeypatch.setattr(engine_cache, "tensors", lambda library, model: (Tensor("image", False, "float32", (-1,)),))
    return library


def frames_of(path: Path) -> list[Frame]:
    with PyAVSource(path) as source:
        return [item for item in source.items() if isinstance(item, Frame)]


def repeated(plane: np.ndarray) -> np.ndarray:
    return plane.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("engine", ["rtx", "auto"])
def test_a_video_comes_out_as_the_gpu_made_it(here: FakeLibrary, tmp_path: Path, engine: str) -> None:
    source = make_video(tmp_path / "in.mp4", frames=12)
    job = rtsr.Job(source, tmp_path / "out.mp4", Fraction(2), engine=engine, encoding=LOSSLESS)
    told: list[str] = []
    report = rtsr.run(job, tell=told.append)
    why = ": the best that is usable here" if engine == "auto" else ""
    assert report.engine == f"quicksrnet-small-x2-capture (TensorRT-RTX 1.7.1, Fake 0{why})"
    assert told == [
        "building an engine of quicksrnet-small-x2-capture for GPUs of compute capability 8.9: once, some seconds"
    ]
    assert report.frames == 12 and probe(tmp_path / "out.mp4").seconds == probe(source).seconds
    for before, after in zip(frames_of(source), frames_of(tmp_path / "out.mp4"), strict=True):
        for name in ("y", "u", "v"):
            np.testing.assert_array_equal(getattr(after, name), repeated(getattr(before, name)))
    here.driver.check_clean()


def test_the_second_run_finds_engine_and_kernels(here: FakeLibrary, cache: Path, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    told: list[str] = []
    for _ in range(2):
        job = rtsr.Job(source, tmp_path / "out.mp4", Fraction(2), engine="rtx", overwrite=True)
        rtsr.run(job, tell=told.append)
    assert len(told) == len(here.built) == 1 and here.compilations == 1
    assert {path.suffix for path in cache.iterdir()} >= {".plan", ".runtime"}
    ((kind, profile, capabilities),) = here.built
    assert (kind, profile.usual, capabilities) == ("planes", (640, 360), ("8.9",))


def test_a_broken_engine_is_built_again_and_said(here: FakeLibrary, cache: Path, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    told: list[str] = []
    for _ in range(2):
        rtsr.run(rtsr.Job(source, tmp_path / "o.mp4", Fraction(2), engine="rtx", overwrite=True), tell=told.append)
        for path in cache.glob("*.plan"):
            path.write_bytes(path.read_bytes()[:-9])
    assert len(here.built) == 2 and "is of no use: it is cut off" in told[1] and "building" in told[2]


def test_a_whole_engine_that_does_not_load_is_built_again_and_kept(
    here: FakeLibrary, cache: Path, tmp_path: Path
) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    told: list[str] = []
    for start in range(3):
        job = rtsr.Job(source, tmp_path / "o.mp4", Fraction(2), engine="rtx", overwrite=True)
        report = rtsr.run(job, tell=told.append)
        assert len(report.notes) == (start == 1)
        if start == 0:
            (path,) = cache.glob("*.plan")
            header, _ = read_plan(path)
            write_plan(path, header.name, header.facts, header.tensors, 1, b"of another build")
    assert len(here.built) == 2 and len(told) == 3
    assert "cannot be loaded: Serialization assertion" in told[1] and told[1].endswith(": it is built again")
    assert told[2].startswith("building an engine of")
    here.driver.check_clean()


@pytest.mark.parametrize(
    ("model", "scale"), [("quicksrnet-small-x1.5-capture", "1.5"), ("quicksrnet-small-x2-capture", "2"), (EXITS, "2")]
)
def test_what_was_built_ahead_is_what_a_run_looks_for(
    here: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, model: str, scale: str
) -> None:
    monkeypatch.setattr("rtsr.nvidia.library.load_library", opening.load_library)
    with pytest.raises(SystemExit) as stopped:
        main(["engines", "build", model, "--capability", "8.9", "--size", "64x48"])
    assert stopped.value.code == 0, capsys.readouterr().err
    ahead, told = len(here.built), list[str]()
    source = make_video(tmp_path / "in.mp4", frames=2)
    rtsr.run(rtsr.Job(source, tmp_path / "out.mp4", Fraction(scale), model=model, engine="rtx"), tell=told.append)
    assert ahead and len(here.built) == ahead and told == []


@pytest.mark.parametrize("engine", ["rtx", "auto"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_precision_that_is_asked_for_is_built_and_run(
    here: FakeLibrary, tmp_path: Path, engine: str, precision: str
) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3)
    wish = {"engine": engine, "scale": 2, "overwrite": True}
    report = rtsr.upscale(source, tmp_path / "out.mp4", precision=precision, **wish)
    assert here.precisions == [precision] and f"(TensorRT-RTX 1.7.1, Fake 0, {precision}" in report.engine
    report = rtsr.upscale(source, tmp_path / "out.mp4", **wish)
    assert here.precisions == [precision, "fp16"] and precision not in report.engine
    rtsr.upscale(source, tmp_path / "out.mp4", precision="fp16", **wish)
    assert here.precisions == [precision, "fp16"], "what is not said is fp16"
    here.driver.check_clean()


@pytest.mark.parametrize("model", [EXITS, "quicksrnet-medium"])
def test_a_precision_at_a_pace(here: FakeLibrary, model: str) -> None:
    frame = Frame(*(np.full(shape, 90, np.uint8) for shape in ((48, 64), (24, 32), (24, 32))), COLOUR)
    with PacedUpscaler(2, Pace(10.0), model=model, engine="rtx", precision="fp32", size=(64, 48)) as upscaler:
        upscaler.frame(frame, 128, 96)
        assert upscaler.describe().endswith("(TensorRT-RTX 1.7.1, Fake 0, fp32)")
    assert len(here.precisions) > 1 and set(here.precisions) == {"fp32"}
    here.driver.check_clean()


def test_a_precision_on_the_command_line_goes_before_a_presets(here: FakeLibrary, tmp_path: Path) -> None:
    source, picture = make_video(tmp_path / "in.mp4", frames=2), tmp_path / "in.png"
    cv2.imwrite(str(picture), np.full((48, 64, 3), 90, np.uint8))
    preset = tmp_path / "exact.toml"
    preset.write_text('summary = "a"\nscale = 2\nprecision = "fp32"\n', "utf-8")
    for path, more in ((source, ()), (source, ("--precision", "int8")), (picture, ()), (picture, ("--engine", "rtx"))):
        with pytest.raises(SystemExit) as stopped:
            main(["upscale", str(path), "--preset", str(preset), "--overwrite", *more])
        assert stopped.value.code == 0
    assert here.precisions == ["fp32", "int8", "fp32"], "and the last was there"


def test_where_auto_takes_another_a_precision_is_an_error(
    here: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    monkeypatch.setattr(opening, "driver_version", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        main(["upscale", str(source), "--scale", "2", "--precision", "fp16"])
    said = "fp16 is for NVIDIA engines, and none is usable here (no NVIDIA driver); leave out precision"
    assert (stopped.value.code, *capsys.readouterr()) == (2, "", f"error: {said}\n")
    assert list(tmp_path.glob("*.mp4")) == [source]


def test_pictures_and_larger_pictures(here: FakeLibrary) -> None:
    told: list[str] = []
    with rtsr.Upscaler(2, engine="rtx", tell=told.append) as upscale:
        for side in (100, 700, 90):
            image = np.random.default_rng(side).integers(0, 256, (side, side + 20, 3), np.uint8)
            np.testing.assert_array_equal(upscale(image), repeated(image))
    assert [profile.usual for _, profile, _ in here.built] == [(640, 360), (1280, 720)] and len(told) == 2
    here.driver.check_clean()


def test_a_picture_too_small_for_engines_is_said_before_one_is_built(here: FakeLibrary) -> None:
    with (
        rtsr.Upscaler(2, engine="rtx") as upscale,
        pytest.raises(UsageError, match="sides of 16 to 8192 pixels, not 40x8; for other frames use --engine onnx"),
    ):
        upscale(np.zeros((8, 40, 3), np.uint8))
    assert not here.built


def test_a_scale_that_needs_two_runs(here: FakeLibrary) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    with rtsr.Upscaler(4, engine="rtx") as upscale:
        np.testing.assert_array_equal(upscale(image), repeated(repeated(image)))


def test_a_network_with_exits_in_stages(here: FakeLibrary) -> None:
    network = networks()[EXITS]
    with cast(MultiExitEngine, Means("rtx").open(network, size=(640, 360))) as engine:
        tiles = np.random.default_rng(0).random((1, 3, 48, 64), np.float32).astype(np.float16).astype(np.float32)
        features: tuple = (tiles,)
        for k in range(1, 4):
            features = engine.stage(k, features)
            assert not isinstance(features[0], np.ndarray), "features stay on the GPU"
            expected = repeated(np.moveaxis(tiles[0] + (k - 1) * STEP, 0, -1))
            found = np.moveaxis(engine.head(k, features)[0], 0, -1)
            np.testing.assert_allclose(found, expected, atol=2e-3)
        del features
    assert {profile.usual for _, profile, _ in here.built} == {(640, 360)}
    here.driver.check_clean()


def test_a_share_of_the_compute_is_spent_on_the_gpu(here: FakeLibrary, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=3, size=(192, 128))
    job = rtsr.Job(source, tmp_path / "out.mp4", Fraction(2), engine="rtx", model=EXITS, pace=Pace(quality=0.5))
    report = rtsr.run(job)
    assert report.engine == f"{EXITS}, tile by tile (TensorRT-RTX 1.7.1, Fake 0)"
    assert report.spending is not None and 0.1 < float(str(report.spending["share_of_full_compute"])) <= 0.5
    assert report.spending["exits"] == ["bicubic", "exit 1", "exit 2", "exit 3"]  # No other network beside it.
    here.driver.check_clean()


def test_a_ladder_of_networks(here: FakeLibrary) -> None:
    frame = Frame(*(np.full(shape, 90, np.uint8) for shape in ((48, 64), (24, 32), (24, 32))), COLOUR)
    with PacedUpscaler(2, Pace(10.0), model="quicksrnet-medium", engine="rtx", size=(64, 48)) as upscaler:
        for _ in range(20):  # It climbs slowly.
            large, spent = upscaler.frame(frame, 128, 96)
        assert spent.tiles[-1] == 1 and (large.y == 90).all()
        assert upscaler.describe().endswith("(TensorRT-RTX 1.7.1, Fake 0)")
    here.driver.check_clean()


def test_memory_that_is_short_is_noted_in_the_report(here: FakeLibrary, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=4, size=(320, 180))
    here.driver.total = 6 << 20
    report = rtsr.run(rtsr.Job(source, tmp_path / "out.mp4", Fraction(2), engine="rtx", encoding=LOSSLESS))
    assert any("GPU memory is short" in note for note in report.notes), report.notes
    for before, after in zip(frames_of(source), frames_of(tmp_path / "out.mp4"), strict=True):
        np.testing.assert_array_equal(after.y, repeated(before.y))
    here.driver.check_clean()


def test_a_gpu_that_fails_ends_the_run_with_its_error(here: FakeLibrary, tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", frames=9)
    here.driver.fail_launch = 5
    with pytest.raises(EngineError, match="illegal memory access"):
        rtsr.run(rtsr.Job(source, tmp_path / "out.mp4", Fraction(2), engine="rtx"))
    assert not (tmp_path / "out.mp4").exists()


def test_auto_says_why_it_takes_the_processor(here: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    def runtime() -> str:
        with rtsr.Upscaler(2, threads=1) as upscale:
            return upscale.describe().partition(" (")[2]

    here.driver.capability = (9, 0)
    assert runtime().startswith("ONNX Runtime, CPU: no other provider, TensorRT-RTX does not run on Fake 0 (")
    monkeypatch.setattr(opening, "installed", lambda: ())
    assert "an NVIDIA driver is here, but no library: pip install 'rtsr[rtx]'" in runtime()
    monkeypatch.setattr(opening, "driver_version", lambda: None)
    assert runtime() == "ONNX Runtime, CPU: no other provider, no NVIDIA driver)"


def test_an_onnx_provider_is_not_overruled_by_auto(here: FakeLibrary) -> None:
    with rtsr.Upscaler(2, provider="cpu") as upscale:
        assert upscale.describe() == "quicksrnet-small-x2-capture (ONNX Runtime, CPU)"


def no_driver(here: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    def devices():
        raise EngineError("there is no NVIDIA driver here; install one for CUDA 13")

    here.driver.devices = devices  # pyright: ignore[reportAttributeAccessIssue]


def no_bindings(here: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(kind: str):
        raise MissingDependency("cuda.bindings.runtime is not usable; try: pip install 'rtsr[rtx]'")

    monkeypatch.setattr(opening, "CudaDriver", missing)


def hopper(here: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    here.driver.capability = (9, 0)


@pytest.mark.parametrize(
    ("engine", "spoil", "said"),
    [
        ("tensorrt", None, "tensorrt is not installed; install it with: pip install 'rtsr[tensorrt]'"),
        ("rtx", no_driver, "there is no NVIDIA driver here; install one for CUDA 13"),
        ("rtx", no_bindings, "cuda.bindings.runtime is not usable; try: pip install 'rtsr[rtx]'"),
        ("rtx", hopper, "TensorRT-RTX does not run on Fake 0 (compute capability 9.0"),
    ],
    ids=["no library", "no driver", "no bindings", "hopper"],
)
def test_what_is_missing_is_one_line_and_nothing_else_runs(
    here: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, engine: str, spoil, said: str
) -> None:
    source = make_video(tmp_path / "in.mp4", frames=2)
    if spoil is not None:
        spoil(here, monkeypatch)
    with pytest.raises(SystemExit) as stopped:
        main(["upscale", str(source), "--scale", "2", "--engine", engine])
    shown = capsys.readouterr()
    assert stopped.value.code == 1 and shown.out == ""
    assert shown.err.startswith(f"error: {said}") and shown.err.count("\n") == 1
    assert list(tmp_path.glob("*.mp4")) == [source]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"threads": 2}, "threads are cores, and the engine rtx runs on the GPU"),
        ({"provider": "cuda"}, "a provider is what ONNX Runtime runs on"),
    ],
)
def test_what_does_not_go_with_a_gpu_is_said(wish: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        rtsr.Upscaler(2, engine="rtx", **wish)


def test_the_network_must_be_its_cards(here: FakeLibrary) -> None:
    network = networks()["quicksrnet-small-x2-capture"]
    spoiled = replace(network, card=replace(network.card, sha256="0"))
    with pytest.raises(rtsr.RtsrError, match="is not the file that its card describes"):
        NvidiaNetwork(spoiled, opening.find("rtx"))


def test_of_two_gpus_the_first_that_suits_is_taken(here: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (replace(here.driver.devices()[0], index=i, capability=c) for i, c in enumerate([(6, 1), (8, 9)]))
    monkeypatch.setattr(here.driver, "devices", lambda: (old, new))
    assert opening.find("rtx").device == new
