"""Frames through lanes, on a GPU that does everything as late, or in as odd an order, as CUDA allows."""

from fractions import Fraction

import numpy as np
import pytest

from rtsr.errors import EngineError
from rtsr.nvidia.cuda import OutOfGpuMemory
from rtsr.nvidia.lanes import LANES, Lanes
from rtsr.nvidia.plan import Plan
from tests.nvidia.driver import FakeDriver
from tests.nvidia.tensorrt import FakeTensorRT, plan

SEEDS = [None, *range(6)]
"""None: work runs as late as it can."""


class Bench:
    """Lanes on a fake GPU."""

    def __init__(self, data=None, count=LANES, rtx=False, **driver):
        self.driver = FakeDriver(**driver)
        self.module = FakeTensorRT(self.driver, rtx)
        self.notes = []
        self.data = data or plan("network")
        self.count = count

    def open(self, device=0):
        return Lanes(self.driver, self.plan(), device, self.count, self.notes.append)

    def plan(self):
        return Plan(self.module, self.data, "small", self.driver)


def picture(n, height=32, width=48):
    return np.random.default_rng(n).random((1, 3, height, width), np.float32)


def repeated(image):
    return image.repeat(2, 2).repeat(2, 3)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_frames_come_out_as_they_went_in_order_kept(seed, count):
    bench = Bench(seed=seed, count=count)
    with bench.open() as lanes:
        waiting = []
        for n in range(12):
            waiting.append((n, lanes.submit(picture(n))))
            if len(waiting) == count:
                n, ticket = waiting.pop(0)
                np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(n)))
        for n, ticket in waiting:
            np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(n)))
    bench.driver.check_clean()
    assert not bench.notes


@pytest.mark.parametrize("seed", SEEDS)
def test_more_frames_than_lanes_and_any_order_of_collecting(seed):
    bench = Bench(seed=seed)
    with bench.open() as lanes:
        tickets = [lanes.submit(picture(n)) for n in range(9)]
        for n in (8, 0, 5, 5, 1, 7):
            np.testing.assert_array_equal(lanes.collect(tickets[n])[0], repeated(picture(n)))
    bench.driver.check_clean()


def test_the_next_frame_is_uploaded_before_the_last_is_waited_for():
    """What runs together: between submitting and collecting, the caller never waits."""
    bench = Bench()
    with bench.open() as lanes:
        first = lanes.submit(picture(0))
        before = len(bench.driver.calls)
        second = lanes.submit(picture(1))
        third = lanes.submit(picture(2))
        during = bench.driver.calls[before:]
        for ticket in (first, second, third):
            lanes.collect(ticket)
    assert "upload" in during and not {"synchronize", "synchronize_event"} & set(during)


def test_each_direction_has_a_stream_of_its_own():
    bench = Bench()
    streams = {}
    for call in ("upload", "download", "compute"):
        original = getattr(bench.driver, call)

        def spy(*args, call=call, original=original):
            streams.setdefault(call, set()).add(args[0] if call == "compute" else args[3])
            return original(*args)

        setattr(bench.driver, call, spy)
    with bench.open() as lanes:
        tickets = [lanes.submit(picture(n)) for n in range(6)]
        lanes.collect(tickets[-1])
    assert all(len(found) == 1 for found in streams.values())
    assert len(set.union(*streams.values())) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_callers_array_may_change_at_once(seed):
    bench = Bench(seed=seed)
    with bench.open() as lanes:
        image = picture(0)
        ticket = lanes.submit(image)
        image[:] = 0
        np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(0)))


@pytest.mark.parametrize("seed", SEEDS)
def test_results_stay_when_later_frames_come(seed):
    bench = Bench(seed=seed, count=1)
    with bench.open() as lanes:
        (kept,) = lanes.collect(lanes.submit(picture(0)))
        for n in range(1, 4):
            lanes.collect(lanes.submit(picture(n)))
    np.testing.assert_array_equal(kept, repeated(picture(0)))


@pytest.mark.parametrize("seed", SEEDS)
def test_shapes_may_change_at_any_time(seed):
    bench = Bench(seed=seed, data=plan("network", Fraction(3, 2)))
    sizes = [(32, 48), (32, 48), (64, 16), (32, 48), (96, 96), (96, 96), (96, 96), (96, 96), (16, 16), (32, 48)]
    with bench.open() as lanes:
        tickets = [lanes.submit(picture(n, *size)) for n, size in enumerate(sizes)]
        for n, (ticket, (height, width)) in enumerate(zip(tickets, sizes, strict=True)):
            (large,) = lanes.collect(ticket)
            assert large.shape == (1, 3, height * 3 // 2, width * 3 // 2)
            np.testing.assert_array_equal(large[:, :, ::3, ::3], picture(n, height, width)[:, :, ::2, ::2])
    bench.driver.check_clean()


@pytest.mark.parametrize("seed", SEEDS)
def test_planes_in_planes_out(seed):
    bench = Bench(seed=seed, data=plan("planes"))
    random = np.random.default_rng(0)
    frames = [[random.integers(0, 256, (1, 1, side, 2 * side), np.uint8) for side in (32, 16, 16)] for _ in range(7)]
    with Lanes(
        bench.driver,
        Plan(bench.module, bench.data, "small", bench.driver, ("y", "u", "v"), ("y_up", "u_up", "v_up")),
    ) as lanes:
        tickets = [lanes.submit(*planes) for planes in frames]
        for planes, ticket in zip(frames, tickets, strict=True):
            for small, large in zip(planes, lanes.collect(ticket), strict=True):
                assert large.dtype == np.uint8
                np.testing.assert_array_equal(large, repeated(small))
    bench.driver.check_clean()


class TestGraphs:
    def test_a_shape_is_captured_when_it_comes_again_and_then_launched(self):
        bench = Bench(count=1)
        with bench.open() as lanes:
            for n in range(5):
                lanes.collect(lanes.submit(picture(n)))
            assert bench.driver.launches == 4
            assert bench.driver.calls.count("begin_capture") == 1

    def test_each_lane_has_a_graph_of_its_own(self):
        bench = Bench(count=2)
        with bench.open() as lanes:
            tickets = [lanes.submit(picture(n)) for n in range(6)]
            for n, ticket in enumerate(tickets):
                np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(n)))
        assert bench.driver.calls.count("begin_capture") == 2
        bench.driver.check_clean()

    def test_another_shape_is_captured_anew(self):
        bench = Bench(count=1)
        with bench.open() as lanes:
            for n, size in enumerate([16, 16, 16, 32, 32, 32, 16, 16, 16]):
                (large,) = lanes.collect(lanes.submit(picture(n, size, size)))
                np.testing.assert_array_equal(large, repeated(picture(n, size, size)))
            assert bench.driver.calls.count("begin_capture") == 3
            assert bench.driver.calls.count("destroy_graph") == 2
        bench.driver.check_clean()

    def test_a_network_that_cannot_be_captured_runs_without(self):
        bench = Bench(data=plan("network", capturable=False), count=1)
        with bench.open() as lanes:
            for n in range(4):
                (large,) = lanes.collect(lanes.submit(picture(n)))
                np.testing.assert_array_equal(large, repeated(picture(n)))
        assert bench.driver.launches == 0
        assert bench.driver.calls.count("begin_capture") == 1, "it is not tried again and again"
        bench.driver.check_clean()

    def test_a_runtime_that_captures_by_itself_is_left_to_it(self):
        bench = Bench(rtx=True)
        with bench.open() as lanes:
            tickets = [lanes.submit(picture(n)) for n in range(6)]
            for n, ticket in enumerate(tickets):
                np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(n)))
        assert "begin_capture" not in bench.driver.calls
        bench.driver.check_clean()


class TestMemory:
    def test_fewer_lanes_where_memory_is_short(self):
        one = 32 * 48 * (40 + 12 + 48)
        bench = Bench(total=2 * one + 1000)
        with bench.open() as lanes:
            assert lanes.count == 3
            tickets = [lanes.submit(picture(n)) for n in range(8)]
            for n, ticket in enumerate(tickets):
                np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(n)))
            assert lanes.count == 2
        (note,) = bench.notes
        assert "GPU memory is short" in note and "2 instead of 3" in note
        bench.driver.check_clean()

    def test_what_is_too_large_for_one_lane_is_an_error_with_the_figures(self):
        bench = Bench(total=900_000)
        with bench.open() as lanes:
            with pytest.raises(OutOfGpuMemory) as caught:
                lanes.submit(picture(0, 128, 128))
            assert caught.value.total == 900_000 and caught.value.wanted > caught.value.free
            assert "MiB" in str(caught.value)
            assert bench.driver.memory()[0] == 900_000, "what did get memory gave it back"
            (large,) = lanes.collect(lanes.submit(picture(0, 16, 16)))  # What is smaller still goes.
            np.testing.assert_array_equal(large, repeated(picture(0, 16, 16)))
        bench.driver.check_clean()

    @pytest.mark.parametrize("n", range(1, 26))
    def test_any_allocation_may_fail(self, n):
        """Pinned memory too; whatever fails, frames are right or there is an error, and nothing is left behind."""
        bench = Bench()
        bench.driver.fail_malloc = n
        with bench.open() as lanes:
            tickets = [lanes.submit(picture(k, *((32, 48) if k < 4 else (64, 64)))) for k in range(8)]
            for k, ticket in enumerate(tickets):
                size = (32, 48) if k < 4 else (64, 64)
                np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(k, *size)))
            assert (lanes.count, len(bench.notes)) == ((2, 1) if n <= bench.driver.mallocs else (3, 0))
        bench.driver.check_clean()

    @pytest.mark.parametrize("n", [2, 3])
    def test_a_context_that_gets_no_memory_is_a_lane_less(self, n):
        bench = Bench()
        bench.module.fail_context = n
        with bench.open() as lanes:
            assert lanes.count == n - 1
        assert f"{n - 1} instead of {n}" in bench.notes[0]
        bench.driver.check_clean()

    def test_without_a_first_context_there_is_an_error(self):
        bench = Bench()
        bench.module.fail_context = 1
        with pytest.raises(OutOfGpuMemory, match="out of GPU memory: with"):
            bench.open()
        bench.driver.check_clean()

    def test_memory_fits_the_shape_not_the_profile(self):
        bench = Bench(count=1)
        with bench.open() as lanes:
            lanes.collect(lanes.submit(picture(0, 32, 48)))
        assert bench.driver.most == 32 * 48 * (40 + 12 + 48)


class TestFailures:
    @pytest.mark.parametrize("n", range(1, 8))
    @pytest.mark.parametrize("seed", [None, 1])
    def test_a_gpu_that_dies_is_an_error_and_everything_is_given_back(self, n, seed):
        bench = Bench(seed=seed)
        bench.driver.fail_launch = n
        with pytest.raises(EngineError, match="illegal memory access"), bench.open() as lanes:
            tickets = [lanes.submit(picture(k)) for k in range(8)]
            for k, ticket in enumerate(tickets):
                np.testing.assert_array_equal(lanes.collect(ticket)[0], repeated(picture(k)))
        bench.driver.check_clean()

    def test_a_frame_that_failed_says_so_as_often_as_it_is_asked_for(self):
        bench = Bench()
        bench.driver.fail_launch = 2
        with bench.open() as lanes:
            first, second, third = (lanes.submit(picture(k)) for k in range(3))
            with pytest.raises(EngineError, match="illegal memory access"):
                lanes.collect(third)
            np.testing.assert_array_equal(lanes.collect(first)[0], repeated(picture(0)))
            with pytest.raises(EngineError, match="illegal memory access"):
                lanes.collect(second)
        with pytest.raises(EngineError, match="illegal memory access"):
            lanes.collect(second)
        bench.driver.check_clean()

    def test_a_ticket_of_other_lanes_is_an_error(self):
        bench, other = Bench(), Bench()
        with bench.open() as lanes, other.open() as others:
            ticket = others.submit(picture(0))
            with pytest.raises(EngineError, match="belongs to other lanes"):
                lanes.collect(ticket)

    @pytest.mark.parametrize("n", range(1, 8))
    def test_a_run_that_is_refused_costs_its_frame_only(self, n):
        """An own run that is refused is an error; one inside a capture is tried again without."""
        bench = Bench(count=2)
        bench.module.fail_enqueue = n
        failed = 0
        with bench.open() as lanes:
            for k in range(8):
                try:
                    (large,) = lanes.collect(lanes.submit(picture(k)))
                except EngineError as error:
                    assert "no valid kernel" in str(error)
                    failed += 1
                else:
                    np.testing.assert_array_equal(large, repeated(picture(k)))
        assert failed <= 1
        bench.driver.check_clean()

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_error_of_the_callers_frees_everything_though_frames_are_under_way(self, seed):
        bench = Bench(seed=seed)
        with pytest.raises(KeyError), bench.open() as lanes:
            for n in range(3):
                lanes.submit(picture(n))
            raise KeyError
        bench.driver.check_clean()

    def test_frames_not_collected_before_closing_are_an_error(self):
        bench = Bench()
        with bench.open() as lanes:
            ticket = lanes.submit(picture(0))
        with pytest.raises(EngineError, match="closed before"):
            lanes.collect(ticket)
        with pytest.raises(EngineError, match="is closed"):
            lanes.submit(picture(0))
        lanes.close()

    @pytest.mark.parametrize(
        ("shape", "words", "cure"),
        [
            ((1, 3, 32, 1000), "1000x32 is outside of what its engine was built for", "build NAME --size 1000x"),
            ((1, 3, 8, 32), "32x8 is outside", "use --engine onnx"),
            ((5, 3, 32, 32), "5 pictures at once is outside", "at most 4 at once"),
            ((1, 1, 32, 32), "is outside", "use --engine onnx"),
        ],
    )
    def test_sizes_outside_the_profile_say_what_helps(self, shape, words, cure):
        bench = Bench()
        with bench.open() as lanes:
            with pytest.raises(EngineError, match=words) as caught:
                lanes.submit(np.zeros(shape, np.float32))
            assert cure.replace("NAME", lanes.plan.name) in str(caught.value)
            lanes.collect(lanes.submit(picture(0)))
        bench.driver.check_clean()


def test_another_gpu_from_another_thread():
    """Every thread has a device of its own, 0 by default: what opens and what runs may be two threads."""
    from rtsr.buffer import buffered

    bench = Bench(devices=2)
    with bench.open(device=1) as lanes:

        def frames():
            tickets = [lanes.submit(picture(n)) for n in range(5)]
            for ticket in tickets:
                yield lanes.collect(ticket)[0]

        for n, large in enumerate(buffered(frames(), 2)):
            np.testing.assert_array_equal(large, repeated(picture(n)))
        bench.driver.use(0)  # Closing has to go back to GPU 1.
    bench.driver.check_clean()
