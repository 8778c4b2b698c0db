"""The engines on plans: pictures, planes, stages, and whole clips, on a GPU that keeps only CUDA's promises."""

import gc
import threading
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

import rtsr.pipeline
from rtsr import Upscaler
from rtsr.card import Card, Estimation, Exit
from rtsr.engine.base import MultiExitEngine, PlaneEngine
from rtsr.engine.exits import OneExit, every_exit
from rtsr.engine.nvidia import Gpu, NvidiaEngine, NvidiaStagedEngine
from rtsr.errors import EngineError, OutOfMemory
from rtsr.frame import Colour, Frame
from rtsr.job import Job
from rtsr.pacing.anytime import Refiner
from rtsr.pacing.calibration import calibrate_exits
from rtsr.pacing.deadline import CostModel
from tests.media import luma, make_video, picture_number, probe
from tests.nvidia.driver import FakeDriver
from tests.nvidia.tensorrt import RADIUS, STEP, FakeTensorRT, plan

BT709 = Colour("bt709")
CARD = Card(name="small", arch="fake", scale=Fraction(2), flavour="capture", radius=RADIUS)
STAGED = replace(
    CARD,
    name="staged",
    macs_per_pixel=220,
    exits=tuple(Exit(stage_macs=100, head_macs=20, radius=0) for _ in range(2)),
    estimator=Estimation(patch=32, macs=10, sign=1),
    radius=0,
)


class Bench:
    """An engine on a fake GPU."""

    def __init__(self, card=CARD, wide=False, lanes=3, facts=None, **driver):
        self.driver = FakeDriver(**driver)
        self.module = FakeTensorRT(self.driver)
        self.asked = []
        self.told = []
        self.stale, self.rebuilt = b"", 0
        self.wide, self.facts = wide, facts or {}
        kind = NvidiaStagedEngine if card.exits else NvidiaEngine
        gpu = Gpu(self.module, self.driver)
        self.engine = kind(card, gpu, self.plan, lanes=lanes, note=self.told.append)
        self.scale = card.scale

    def plan(self, part, colour, nv12, rebuild=False):
        self.asked.append((part, colour))
        self.rebuilt += rebuild
        if self.stale and not rebuild:
            return self.stale
        kind = part if part.startswith(("stage", "head", "exit", "est")) and colour is None else "network"
        if kind == "network":
            if nv12:
                return plan("nv12", self.scale, **{"most": 1024, **self.facts})
            kind = "planes" if colour else "network"
            kind = {"planes": "wide planes", "network": "wide"}[kind] if self.wide else kind
        return plan(kind, self.scale, **{"most": 1024, **self.facts})


def frame(height=48, width=64, colour=BT709, seed=0):
    random = np.random.default_rng(seed)
    sides = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    y, u, v = (random.integers(0, 256, side, np.uint8) for side in sides)
    return Frame(y, u, v, colour, pts=seed)


def image(n=1, height=32, width=48):
    return np.random.default_rng(n).random((n, 3, height, width), np.float32)


def repeated(array):
    return array.repeat(2, -2).repeat(2, -1)


class TestPictures:
    def test_rgb_and_planes(self):
        bench = Bench()
        with bench.engine as engine:
            np.testing.assert_array_equal(engine.infer(image()), repeated(image()))
            source = frame()
            large = engine.collect(engine.submit((source.y, source.u, source.v), source.colour))
            for had, plane in zip(large, (source.y, source.u, source.v), strict=True):
                np.testing.assert_array_equal(had, repeated(plane))
        bench.driver.check_clean()
        assert bench.asked == [("network", None), ("network", BT709)]
        assert isinstance(bench.engine, PlaneEngine)

    def test_plans_are_asked_for_when_they_are_needed_and_once(self):
        bench = Bench()
        with bench.engine as engine:
            assert not bench.asked
            for n in range(4):
                source = frame(seed=n)
                engine.collect(engine.submit((source.y, source.u, source.v), source.colour))
        assert bench.asked == [("network", BT709)]

    def test_frames_of_another_colour_may_come_between(self):
        bench = Bench()
        colours = [BT709, BT709, Colour("bt601", full_range=True), BT709, Colour("bt601", full_range=True)]
        with bench.engine as engine:
            frames = [frame(colour=colour, seed=n) for n, colour in enumerate(colours)]
            waiting = [engine.submit((f.y, f.u, f.v), f.colour) for f in frames]
            for f, ticket in zip(frames, waiting, strict=True):
                np.testing.assert_array_equal(engine.collect(ticket)[0], repeated(f.y))
        assert len(bench.asked) == 2
        bench.driver.check_clean()

    @pytest.mark.parametrize("n", [1, 3, 4, 5, 11])
    def test_batches_of_any_number(self, n):
        bench = Bench(facts={"batch": 4})
        with bench.engine as engine:
            np.testing.assert_array_equal(engine.infer(image(n)), repeated(image(n)))
        bench.driver.check_clean()

    def test_batches_that_do_not_fit_are_made_smaller(self):
        one = 32 * 48 * (40 + 12 + 48)
        bench = Bench(total=2 * one, facts={"batch": 16})
        with bench.engine as engine:
            np.testing.assert_array_equal(engine.infer(image(11)), repeated(image(11)))
        bench.driver.check_clean()

    def test_pictures_that_do_not_fit_are_cut_and_somebody_is_told(self):
        whole = Bench(wide=True)
        with whole.engine as engine:
            wanted = engine.infer(image(1, 288, 512))
        bench = Bench(wide=True, total=9_000_000)
        with bench.engine as engine:
            np.testing.assert_array_equal(engine.infer(image(1, 288, 512)), wanted)
        assert bench.told == bench.engine.notes and "tiles of" in bench.told[-1]
        bench.driver.check_clean()

    def test_white_is_what_the_card_says(self):
        bench = Bench(replace(CARD, value_max=255.0))
        with bench.engine as engine:
            np.testing.assert_allclose(engine.infer(image()), repeated(image()), rtol=1e-6)

    def test_sizes_that_do_not_fit_card_or_plan(self):
        bench = Bench(replace(CARD, size_multiple=2))
        with bench.engine as engine:
            with pytest.raises(EngineError, match="sides that divide by 2"):
                engine.infer(image(1, 31, 48))
            with pytest.raises(EngineError, match="2048x32 is outside of what its engine was built for"):
                engine.infer(image(1, 32, 2048))
            with pytest.raises(EngineError, match="1400x48 is outside"):
                source = frame(48, 1400)
                engine.submit((source.y, source.u, source.v), BT709)
        bench.driver.check_clean()

    @pytest.mark.parametrize(
        ("stale", "why"),
        [
            (b"of another build", "cannot be loaded: Serialization assertion header.magicTag failed"),
            (plan("planes"), "has u, v, y where image belongs"),
        ],
    )
    def test_a_plan_that_does_not_load_is_built_again(self, stale, why):
        bench = Bench()
        bench.stale = stale
        with bench.engine as engine:
            np.testing.assert_array_equal(engine.infer(image()), repeated(image()))
        assert bench.rebuilt == 1
        assert bench.told == bench.engine.notes == [f"the engine of small {why}: it is built again"]
        bench.driver.check_clean()

    def test_a_plan_that_does_not_load_is_built_again_once(self):
        bench, asked = Bench(), []

        def broken(part, colour, nv12, rebuild=False):
            asked.append(rebuild)
            return b"no plan"

        bench.engine._plans = broken
        with bench.engine as engine, pytest.raises(EngineError, match=r"small cannot be loaded: .*; update"):
            engine.infer(image())
        assert asked == [False, True]
        bench.driver.check_clean()

    def test_a_plan_that_finds_no_memory_is_not_built_again(self):
        bench = Bench()
        bench.module.fail_load = 1
        with bench.engine as engine:
            with pytest.raises(OutOfMemory):
                engine.infer(image())
            np.testing.assert_array_equal(engine.infer(image()), repeated(image()))
        assert bench.rebuilt == 0
        bench.driver.check_clean()

    def test_what_plans_raise_is_raised(self):
        bench = Bench()

        def refuse(part, colour, nv12, rebuild=False):
            raise EngineError("an operator that TensorRT lacks: Mish")

        bench.engine._plans = refuse
        with bench.engine as engine, pytest.raises(EngineError, match="Mish"):
            engine.infer(image())
        bench.driver.check_clean()


class TestStages:
    def test_features_stay_on_the_gpu_from_stage_to_head(self):
        bench = Bench(STAGED)
        with bench.engine as engine:
            features = engine.stage(1, (image(),))
            copies = [call for call in bench.driver.calls if call in ("upload", "download")]
            assert copies == ["upload"], "the picture, and nothing comes back"
            features = engine.stage(2, features)
            assert not isinstance(features[0], np.ndarray)
            large = engine.head(2, features)
            copies = [call for call in bench.driver.calls if call in ("upload", "download")]
            assert copies == ["upload", "download"]
            half = image().astype(np.float16)
            np.testing.assert_array_equal(large, repeated((half + STEP).astype(np.float32)))
            del features
        bench.driver.check_clean()

    def test_every_exit_equals_the_exit_in_one_run(self):
        bench = Bench(STAGED)
        with bench.engine as engine:
            for k, large in enumerate(every_exit(engine, image())):
                if k:
                    np.testing.assert_array_equal(large, engine.exit(k, image()))
                    np.testing.assert_array_equal(large, OneExit(engine, k).infer(image()))
            np.testing.assert_array_equal(engine.infer(image()), engine.exit(2, image()))
        bench.driver.check_clean()

    def test_what_returns_is_done(self):
        """Stages are timed by who calls them."""
        bench = Bench(STAGED)
        with bench.engine as engine:
            features = engine.stage(1, (image(),))
            assert {op.name for op in bench.driver.pending()} <= {"free"}
            engine.head(1, features)
            assert {op.name for op in bench.driver.pending()} <= {"free"}

    def test_features_are_given_back_when_nobody_holds_them(self):
        bench = Bench(STAGED)
        with bench.engine as engine:
            engine.stage(1, (image(),))  # The parts, and what they work in.
            bench.driver.synchronize(engine._bench._stream)
            used = bench.driver.memory()[0]
            features = engine.stage(1, (image(),))
            bench.driver.synchronize(engine._bench._stream)
            assert bench.driver.memory()[0] == used - 2 * 3 * 32 * 48 * 2
            del features
            gc.collect()
            bench.driver.synchronize(engine._bench._stream)
            assert bench.driver.memory()[0] == used
        bench.driver.check_clean()

    def test_a_shape_that_stays_is_not_set_again(self):
        bench = Bench(STAGED)
        with bench.engine as engine:
            for _ in range(3):
                engine.stage(1, (image(),))
            assert bench.module.shapings == 1
            engine.stage(1, (image(1, 48, 48),))
            assert bench.module.shapings == 2

    def test_features_that_outlive_their_engine_are_an_error_not_a_crash(self):
        bench = Bench(STAGED)
        with bench.engine as engine:
            features = engine.stage(1, (image(),))
        bench.driver.check_clean()
        with pytest.raises(EngineError, match="let go with their engine"):
            bench.engine.head(1, features)
        bench.engine.close()
        del features
        gc.collect()
        bench.driver.check_clean()

    def test_engines_are_closed_on_their_gpu_by_any_thread(self):
        bench = Bench(STAGED, devices=2)
        bench.engine.gpu = replace(bench.engine.gpu, device=1)
        bench.engine.stage(1, (image(),))
        thread = threading.Thread(target=bench.engine.close)
        thread.start()
        thread.join()
        bench.driver.use(1)
        gc.collect()
        bench.driver.check_clean()

    def test_features_let_go_while_another_thread_closes_are_freed_once(self):
        bench = Bench(STAGED)
        (first, second) = bench.engine.stage(1, (image(),))
        desk = bench.engine._bench

        class Raced(set):
            """The other thread comes in between."""

            def remove(self, address):
                desk.close()
                super().remove(address)

        desk._held = Raced(desk._held)
        desk._give_back(first.address)
        assert not desk._held
        del first, second
        bench.engine.close()
        bench.driver.check_clean()

    def test_features_of_another_stage_are_an_error(self):
        bench = Bench(STAGED)
        with bench.engine as engine, pytest.raises(EngineError, match="features are of another stage"):
            engine.head(1, (image(), image()))
        bench.driver.check_clean()

    def test_a_stage_that_does_nothing_needs_no_plan(self):
        lazy = replace(STAGED, exits=(STAGED.exits[0], replace(STAGED.exits[1], stage_macs=0)))
        bench = Bench(lazy)
        with bench.engine as engine:
            features = engine.stage(1, (image(),))
            assert engine.stage(2, features) == features
        assert ("stage2", None) not in bench.asked

    def test_estimates_of_many_patches(self):
        bench = Bench(STAGED, facts={"batch": 4})
        patches = image(10, 32, 32)
        with bench.engine as engine:
            found = engine.estimate(patches)
        np.testing.assert_allclose(found, patches.mean(axis=(1, 2, 3))[:, None] + np.arange(3), rtol=1e-6)
        bench.driver.check_clean()

    def test_the_wrong_exit_and_the_wrong_card(self):
        bench = Bench(STAGED)
        with bench.engine as engine, pytest.raises(EngineError, match="has exits 1 to 2, not 3"):
            engine.exit(3, image())
        with pytest.raises(EngineError, match="one exit only"):
            NvidiaStagedEngine(CARD, bench.engine.gpu, bench.plan)

    @pytest.mark.parametrize("n", range(1, 12))
    def test_any_allocation_may_fail(self, n):
        bench = Bench(STAGED)
        bench.driver.fail_malloc = n
        failed = 0
        with bench.engine as engine:
            for _ in range(3):
                try:
                    large = engine.head(2, engine.stage(2, engine.stage(1, (image(),))))
                    np.testing.assert_array_equal(large, repeated(image().astype(np.float16) + STEP))
                except OutOfMemory:
                    failed += 1
        assert failed == 1
        bench.driver.check_clean()

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_a_gpu_that_dies_is_an_error_and_everything_is_given_back(self, n):
        bench = Bench(STAGED)
        bench.driver.fail_launch = n
        with pytest.raises(EngineError, match="illegal memory access"), bench.engine as engine:
            engine.head(2, engine.stage(2, engine.stage(1, (image(),))))
        gc.collect()
        bench.driver.check_clean()


class TestRefining:
    def refined(self, bench, source):
        with bench.engine as engine:
            refiner = Refiner(engine, lambda: 0.0, CostModel({}))
            planes, spent = refiner.share(source, 1.0)
            again, _ = refiner.share(frame(source.height, source.width, seed=9), 1.0)
        gc.collect()
        bench.driver.check_clean()
        return planes, spent, again

    def test_a_frame_in_regions_and_one_that_does_not_fit_in_smaller_ones(self):
        source = frame(256, 384)
        wanted, spent, again = self.refined(Bench(STAGED), source)
        assert spent.tiles[2] == spent.tiles.sum()
        bench = Bench(STAGED, total=4_000_000)
        planes, _, once_more = self.refined(bench, source)
        for had, right in zip((*planes, *once_more), (*wanted, *again), strict=True):
            np.testing.assert_array_equal(had, right)
        (note,) = bench.told
        assert "refined in parts" in note and "MiB" in note

    def test_not_even_room_for_a_tile_is_an_error(self):
        bench = Bench(STAGED, total=100_000)
        with pytest.raises(OutOfMemory, match="asked for"):
            self.refined(bench, frame(256, 384))
        gc.collect()
        bench.driver.check_clean()

    def test_exits_are_calibrated(self):
        bench = Bench(STAGED)
        engine: MultiExitEngine = bench.engine
        with engine:
            costs = calibrate_exits(engine)
        assert set(costs.rates) == {"exit 1", "exit 2"}
        bench.driver.check_clean()


def upscaler(bench, scale=2):
    made = Upscaler(scale, engine="bicubic")
    made.engine = bench.engine
    return made


class TestUpscaler:
    def test_frames_go_to_the_gpu_as_planes(self):
        bench = Bench()
        with upscaler(bench) as upscale:
            assert upscale.lanes == 3
            source = frame(colour=Colour("bt601", chroma_left=False))
            large = upscale.frame(source, 128, 96)
            np.testing.assert_array_equal(large.y, repeated(source.y))
            np.testing.assert_array_equal(large.u, repeated(source.u))
            assert large.colour == Colour("bt601", chroma_left=True) and large.pts == source.pts
        assert bench.asked == [("network", source.colour)]

    def test_several_under_way(self):
        bench = Bench()
        with upscaler(bench) as upscale:
            frames = [frame(seed=n) for n in range(3)]
            waiting = [upscale.submit(source, 128, 96) for source in frames]
            for source, under_way in zip(frames, waiting, strict=True):
                large = upscale.collect(under_way)
                np.testing.assert_array_equal(large.y, repeated(source.y))
                assert large.pts == source.pts

    def test_pictures_and_scales_that_take_two_runs_go_as_rgb(self):
        bench = Bench()
        with upscaler(bench, 3) as upscale:
            assert upscale.lanes == 1
            assert upscale.frame(frame(), 192, 144).y.shape == (144, 192)
            assert upscale(np.zeros((20, 30, 3), np.uint8)).shape == (60, 90, 3)
        assert {part for part, colour in bench.asked if colour is None} == {"network"} and len(bench.asked) == 1
        bench.driver.check_clean()

    def test_reduced_to_the_size_asked_for(self):
        bench = Bench()
        with upscaler(bench, Fraction(7, 4)) as upscale:
            large = upscale.frame(frame(), 112, 84)
            assert (large.y.shape, large.u.shape) == ((84, 112), (42, 56))

    def test_engines_without_lanes_are_as_before(self):
        with Upscaler(2, engine="bicubic") as upscale:
            assert upscale.lanes == 1 and not upscale.notes
            under_way = upscale.submit(frame(), 128, 96)
            assert upscale.collect(under_way).y.shape == (96, 128)


class TestClips:
    """Whole files, through the pipeline."""

    @pytest.fixture
    def run(self, monkeypatch, tmp_path):
        def run(bench, source):
            monkeypatch.setattr(rtsr.pipeline, "_open_upscaler", lambda job, scale, *told: upscaler(bench, scale))
            return rtsr.pipeline.run(
                Job(source, tmp_path / f"out{len(list(tmp_path.iterdir()))}.mp4", scale=bench.scale)
            )

        return run

    @pytest.mark.parametrize("seed", [None, 0])
    @pytest.mark.parametrize("lanes", [1, 3])
    def test_every_frame_in_its_place_with_sound(self, run, tmp_path, seed, lanes):
        source = make_video(tmp_path / "in.mp4", frames=33)
        bench = Bench(lanes=lanes, seed=seed)
        report = run(bench, source)
        after, before = probe(report.output), probe(source)
        assert (after.size, after.frames) == ((128, 96), 33)
        assert after.seconds == pytest.approx(before.seconds, abs=1e-6)
        assert (after.audio_packets, after.audio_bytes) == (before.audio_packets, before.audio_bytes)
        assert [picture_number(plane) for plane in luma(report.output)] == list(range(33))
        assert report.stages["upscale"]["p50"] > 0
        bench.driver.check_clean()

    @pytest.mark.parametrize(("lanes", "most"), [(1, 1), (2, 2), (3, 3)])
    def test_as_many_frames_under_way_as_there_are_lanes(self, run, tmp_path, lanes, most):
        bench = Bench(lanes=lanes)
        under_way, seen = set(), []
        submit, collect = bench.engine.submit, bench.engine.collect

        def begin(planes, colour):
            ticket = submit(planes, colour)
            under_way.add(id(ticket))
            seen.append(len(under_way))
            return ticket

        def end(ticket):
            under_way.discard(id(ticket))
            return collect(ticket)

        bench.engine.submit, bench.engine.collect = begin, end
        run(bench, make_video(tmp_path / "in.mp4", frames=12))
        assert max(seen) == most

    def test_memory_that_is_short_is_told_in_the_report(self, run, tmp_path):
        bench = Bench(total=64 * 48 * 50 * 2)
        report = run(bench, make_video(tmp_path / "in.mp4", frames=12))
        assert report.frames == 12
        assert [note for note in report.notes if "GPU memory is short" in note]

    @pytest.mark.parametrize(("n", "part"), [(1, []), (2, ["out1.partial.mp4"]), (7, ["out1.partial.mp4"])])
    def test_a_gpu_that_dies_ends_the_run_with_its_error_and_leaves_a_part(self, run, tmp_path, n, part):
        bench = Bench()
        bench.driver.fail_launch = n
        with pytest.raises(EngineError, match="illegal memory access"):
            run(bench, make_video(tmp_path / "in.mp4", frames=12))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", *part]
        bench.driver.check_clean()

    def test_odd_sizes_at_three_halves(self, run, tmp_path):
        bench = Bench(replace(CARD, scale=Fraction(3, 2), size_multiple=2))
        source = make_video(tmp_path / "in.mp4", frames=3, size=(70, 50))
        report = run(bench, source)
        assert report.output_size == (104, 74)
        with av.open(report.output) as file:
            assert next(file.decode(video=0)).width == 104
