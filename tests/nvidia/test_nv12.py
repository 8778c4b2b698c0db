"""Frames that a decoder left on the GPU, through lanes, and out of them to an encoder there."""

import gc
import weakref
from collections import defaultdict, deque
from contextlib import suppress

import numpy as np
import pytest

from rtsr.engine.base import GpuEngine
from rtsr.errors import EngineError
from rtsr.frame import Colour, GpuFrame, GpuPlane
from rtsr.nvidia.buffers import Buffer
from rtsr.nvidia.cuda import FFMPEG_STREAM
from rtsr.nvidia.nv12 import Surfaces
from tests.nvidia.driver import FakeDriver, Misuse
from tests.nvidia.test_engine import Bench
from tests.nvidia.test_lanes import SEEDS

BT709 = Colour("bt709")


class Decoder:
    """As NVDEC through FFmpeg: pictures come into `count` surfaces late, which are used anew when they are let go."""

    def __init__(self, driver, count=6, height=48, width=64, pitch=80):
        self.driver, self.height, self.width, self.pitch = driver, height, width, pitch
        self._memory = [Buffer(driver) for _ in range(count)]
        self._held: list[weakref.ref | None] = [None] * count
        for memory in self._memory:
            memory.grow(pitch * height * 2)

    def frame(self, n):
        y, uv, holds = self.place()
        for plane, pixels in zip((y, uv), self.pixels(n), strict=True):
            self.driver.write(plane, pixels)
        return GpuFrame(y, uv, BT709, pts=n, holds=holds)

    def place(self):
        """A surface that nobody holds, and what to hold."""
        place = next((i for i, held in enumerate(self._held) if held is None or held() is None), None)
        assert place is not None, "No decoder surfaces left"
        address = self._memory[place].address
        chroma = address + self.pitch * (self.height + 8)  # Decoders' surfaces are higher than their pictures.
        holds = Picture()
        self._held[place] = weakref.ref(holds)
        y = GpuPlane(address, self.pitch, self.height, self.width)
        return y, GpuPlane(chroma, self.pitch, self.height // 2, self.width), holds

    def pixels(self, n):
        random = np.random.default_rng(n)
        return (random.integers(0, 256, (rows, self.width), np.uint8) for rows in (self.height, self.height // 2))

    @property
    def held(self):
        return sum(held is not None and held() is not None for held in self._held)

    def close(self):
        self.driver.synchronize(FFMPEG_STREAM)
        for memory in self._memory:
            memory.release()


class Picture:
    """What the decoder's memory belongs to."""


def larger(y, uv):
    """What the fake network makes of planes."""
    pairs = uv.reshape(len(uv), -1, 2).repeat(2, 0).repeat(2, 1)
    return y.repeat(2, 0).repeat(2, 1), pairs.reshape(len(pairs), -1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lanes", [1, 3])
def test_frames_stay_on_the_gpu_from_end_to_end(seed, lanes):
    bench = Bench(seed=seed, lanes=lanes)
    decoder = Decoder(bench.driver, count=lanes + 1)
    with bench.engine as engine:
        assert isinstance(engine, GpuEngine)
        waiting, encoded = [], 0

        def encode():
            n, ticket = waiting.pop(0)
            large = engine.collect_gpu(ticket)
            for plane, wanted in zip((large.y, large.uv), larger(*decoder.pixels(n)), strict=True):
                np.testing.assert_array_equal(bench.driver.read(plane), wanted)

        for n in range(10):
            waiting.append((n, engine.submit_gpu(decoder.frame(n), stay=True)))
            if len(waiting) == lanes:
                encode()
                encoded += 1
        while waiting:
            encode()
            encoded += 1
        assert encoded == 10
        gc.collect()
        assert decoder.held == 0, "what was copied is let go"
        assert not {"upload", "download"} & set(bench.driver.calls), "nothing crosses the bus"
    decoder.close()
    bench.driver.check_clean()


@pytest.mark.parametrize("seed", SEEDS)
def test_frames_come_down_for_an_encoder_on_the_processor(seed):
    bench = Bench(seed=seed)
    decoder = Decoder(bench.driver)
    with bench.engine as engine:
        tickets = [engine.submit_gpu(decoder.frame(n), stay=False) for n in range(3)]
        for n, ticket in enumerate(tickets):
            y, u, v = engine.collect(ticket)
            wanted_y, wanted_uv = larger(*decoder.pixels(n))
            np.testing.assert_array_equal(y, wanted_y)
            np.testing.assert_array_equal(u, wanted_uv[:, 0::2])
            np.testing.assert_array_equal(v, wanted_uv[:, 1::2])
        assert "upload" not in bench.driver.calls
    decoder.close()
    bench.driver.check_clean()


def test_a_decoders_surface_is_held_until_it_was_copied_and_no_longer():
    bench = Bench(lanes=2)
    decoder = Decoder(bench.driver)
    with bench.engine as engine:
        first, second = (engine.submit_gpu(decoder.frame(n), stay=True) for n in range(2))
        assert decoder.held == 2, "nothing has run yet"
        engine.collect_gpu(first)
        assert decoder.held == 1
        engine.collect_gpu(second)
        assert decoder.held == 0
        del first, second  # With the surfaces that they became.
    decoder.close()
    bench.driver.check_clean()


def test_the_wait_for_the_decoder_is_in_the_stream_and_not_on_the_host():
    bench = Bench()
    decoder = Decoder(bench.driver)
    with bench.engine as engine:
        engine.collect_gpu(engine.submit_gpu(decoder.frame(0), stay=True))
        before = len(bench.driver.calls)
        ticket = engine.submit_gpu(decoder.frame(1), stay=True)
        assert not {"synchronize", "synchronize_event"} & set(bench.driver.calls[before:])
        engine.collect_gpu(ticket)
    decoder.close()


def test_without_the_wait_for_the_decoder_pixels_would_be_wrong(monkeypatch):
    """What the tests above would say: the stand-in decodes as late as a decoder may."""
    bench = Bench()
    decoder = Decoder(bench.driver)
    record, wait = bench.driver.record, bench.driver.wait
    forgotten = set()

    def forget(event, stream):
        (forgotten.add if stream == FFMPEG_STREAM else forgotten.discard)(event)
        if stream != FFMPEG_STREAM:
            record(event, stream)

    monkeypatch.setattr(bench.driver, "record", forget)
    monkeypatch.setattr(bench.driver, "wait", lambda stream, event: event in forgotten or wait(stream, event))
    with bench.engine as engine:
        large = engine.collect_gpu(engine.submit_gpu(decoder.frame(0), stay=True))
        assert (bench.driver.read(large.y) != larger(*decoder.pixels(0))[0]).any()
        del large
    decoder.close()


def test_frames_from_memory_and_from_the_gpu_take_turns():
    bench = Bench()
    decoder = Decoder(bench.driver)
    with bench.engine as engine:
        for n in range(4):
            y, uv = decoder.pixels(n)
            planes = y, uv[:, 0::2], uv[:, 1::2]
            memory = engine.submit(planes, BT709)
            gpu = engine.submit_gpu(decoder.frame(n), stay=False)
            for one, other in zip(engine.collect(memory), engine.collect(gpu), strict=True):
                np.testing.assert_array_equal(one, other)
    decoder.close()
    bench.driver.check_clean()


def test_memory_that_is_short_costs_lanes_and_then_is_an_error_that_helps():
    bench = Bench(total=1 << 20)
    decoder = Decoder(bench.driver, count=2, height=256, width=256, pitch=256)
    with bench.engine as engine, pytest.raises(EngineError, match=r"no room for frames of 256x256 .*--decode gpu"):
        engine.submit_gpu(decoder.frame(0), stay=True)
    gc.collect()
    decoder.close()
    bench.driver.check_clean()


@pytest.mark.parametrize("n", range(1, 24))
def test_any_allocation_may_fail(n):
    bench = Bench()
    decoder = Decoder(bench.driver)
    bench.driver.fail_malloc = bench.driver.mallocs + n
    with bench.engine as engine:
        for k in range(6):
            try:
                large = engine.collect_gpu(engine.submit_gpu(decoder.frame(k), stay=True))
            except EngineError as error:
                assert "no room" in str(error)
            else:
                np.testing.assert_array_equal(bench.driver.read(large.uv), larger(*decoder.pixels(k))[1])
                del large
    decoder.close()
    gc.collect()
    bench.driver.check_clean()


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("n", range(1, 5))
def test_a_gpu_that_dies_is_an_error_and_everything_is_given_back(n, seed):
    bench = Bench(seed=seed)
    decoder = Decoder(bench.driver)
    bench.driver.fail_launch = n
    tickets = []
    with pytest.raises(EngineError, match="illegal memory access") as caught, bench.engine as engine:
        for k in range(5):
            tickets.append(engine.submit_gpu(decoder.frame(k), stay=True))
        for ticket in tickets:
            engine.collect_gpu(ticket)
    ticket = None
    del caught
    tickets.clear()
    gc.collect()
    assert decoder.held == 0
    with pytest.raises(EngineError, match="illegal memory access"):
        decoder.close()
    for memory in decoder._memory:
        with suppress(EngineError):
            memory.release()
    bench.driver.check_clean()


class TestSurfaces:
    def test_they_are_lent_again_when_nobody_holds_them(self):
        driver = FakeDriver()
        surfaces = Surfaces(driver)
        first, second = surfaces.lend(96, 64), surfaces.lend(96, 64)
        assert first.y.address != second.y.address
        freed = first.y.address
        del first
        third = surfaces.lend(96, 64)
        assert third.y.address == freed and driver.mallocs == 2
        assert surfaces.lend(98, 64).y.address != freed, "another size"
        del second, third
        surfaces.close()
        driver.check_clean()

    def test_chroma_lies_behind_luma_with_its_pitch(self):
        """NVENC is told luma's address and pitch, and takes chroma from behind it."""
        surfaces = Surfaces(FakeDriver())
        surface = surfaces.lend(300, 62)
        assert surface.y.pitch == surface.uv.pitch == 512
        assert surface.uv.address == surface.y.address + 512 * 62
        assert (surface.y.rows, surface.uv.rows, surface.y.columns, surface.uv.columns) == (62, 31, 300, 300)

    def test_what_comes_back_after_closing_is_freed_and_nothing_is_lent(self):
        driver = FakeDriver(devices=2)
        surfaces = Surfaces(driver, device=1)
        surface = surfaces.lend(64, 64)
        surfaces.close()
        with pytest.raises(Misuse, match="left behind"):
            driver.check_clean()
        driver.use(0)
        del surface
        driver.check_clean()
        with pytest.raises(EngineError, match="is closed"):
            surfaces.lend(64, 64)

    def test_what_comes_back_while_another_thread_closes_is_freed(self):
        driver = FakeDriver()
        surfaces = Surfaces(driver)
        surface = surfaces.lend(64, 48)

        class Raced(defaultdict):
            """The other thread comes in between."""

            def __getitem__(self, size):
                if not surfaces._closed:
                    surfaces.close()
                return super().__getitem__(size)

        surfaces._idle = Raced(deque)
        del surface
        gc.collect()
        assert surfaces._closed
        driver.check_clean()


def test_a_place_of_another_size_is_refused():
    """Rows that are too long would go into somebody else's memory."""
    bench = Bench()
    decoder = Decoder(bench.driver)
    with bench.engine as engine:
        surfaces = Surfaces(bench.driver)
        surface, frame = surfaces.lend(64, 48), decoder.frame(0)
        lanes = engine._for_planes(BT709, nv12=True).lanes
        with pytest.raises(EngineError, match="another size than where it is to go"):
            lanes.submit(frame.y, frame.uv, into=(surface.y, surface.uv), holds=frame)
        del surface
        surfaces.close()


@pytest.mark.parametrize(
    ("y", "uv", "said"),
    [
        (GpuPlane(1, 64, 47, 64), GpuPlane(1, 64, 23, 64), "NV12 has even sides, not 64x47"),
        (GpuPlane(1, 64, 48, 63), GpuPlane(1, 64, 24, 63), "NV12 has even sides, not 63x48"),
        (GpuPlane(1, 64, 48, 64), GpuPlane(1, 64, 24, 32), "does not go with chroma"),
    ],
)
def test_frames_check_themselves(y, uv, said):
    with pytest.raises(ValueError, match=said):
        GpuFrame(y, uv, BT709)


def test_rows_that_overlap_are_no_plane():
    with pytest.raises(ValueError, match="its pitch holds"):
        GpuPlane(1, 63, 48, 64)
