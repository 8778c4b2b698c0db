"""Streams beside each other: what waits for what."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Event
from typing import Any

import numpy as np
import pytest

from rtsr.upscaler import Upscaler
from tests.vs.clips import as_format, moving, planes, same, vs

streams = pytest.importorskip("rtsr.vs.streams")
WAIT = 30


@pytest.mark.parametrize("fails", [False, True])
def test_a_frame_is_computed_while_the_one_before_still_is(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frame 0 is not done before frame 1 has computed; where frame 0 fails, frame 1 is computed whole."""
    from rtsr.vs.history import History
    from rtsr.vs.painter import Painter

    clip = as_format(moving(2, 140, 76, still_from=0), vs.YUV420P8)
    with Upscaler(2) as upscaler:
        engine, began, computed = upscaler.engine, Event(), Event()
        history: Any = History(3)
        stream = streams.Stream(Painter(engine, Fraction(2), 140, 76, (2, 2)), history)
        first, second = (clip.get_frame(n) for n in range(2))
        expected = streams.Stream(stream.painter)(1, second)
        zero = streams.Stream(stream.painter)(0, first)
        infer = engine.infer
        monkeypatch.setattr(engine, "infer", lambda rgb: (infer(rgb), computed.set())[0])

        def make_zero(before: Any) -> Any:
            began.set()
            assert computed.wait(WAIT), "frame 1 waits for frame 0 before it computes"
            if fails:
                raise ValueError("no such frame")
            return zero

        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(history.make, 0, streams.Picture.of(first), make_zero)
            assert began.wait(WAIT)
            made = stream(1, second)
            if fails:
                with pytest.raises(ValueError, match="no such frame"):
                    waiting.result()
            else:
                assert waiting.result() is zero
    assert same(planes(made), planes(expected))
    assert (made.props["rtsr_reused"] > 0.3) != fails


@pytest.mark.parametrize("side", [48, 64, 100])
def test_tiles_are_no_larger_than_asked_for(side: int) -> None:
    from rtsr.vs.painter import Painter

    with Upscaler(2) as upscaler:
        painter = Painter(upscaler.engine, Fraction(2), 190, 158, (2, 2))
    tiles = painter.tiles(side)
    seen = np.zeros((158, 190), int)
    for rect in tiles:
        assert max(rect.w, rect.h) <= side
        seen[rect.pixels] += 1
    assert (seen == 1).all()
