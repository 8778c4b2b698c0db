"""Pictures of a live stream that are missing, by the timestamps of those that came."""

from collections import Counter

GAP = 2.5
"""Frame times without a picture that are said to be a gap where the frame rate varies: lost, or not sent."""
ALIKE = 0.25
"""Share of the usual step by which others of a constant rate differ from it: cameras' clocks are not exact."""
CONSTANT = 0.9
"""Share of steps that are alike where the frame rate is constant.

Where fewer are, a step of two frame times may well be meant: screens that are captured when they change, cameras that
slow down in the dark. A stream that loses more than a tenth of its pictures one by one is taken for such.
"""
FINENESS = 1e4
"""Steps are told apart to a tenth of a millisecond, so that those of hours take no memory."""


def in_words(seconds: float) -> str:
    """`seconds`, to tenths, or to hundredths where they are few."""
    return f"{seconds:.1f} s" if abs(seconds) >= 0.1 else f"{seconds:.2f} s"


class Gaps:
    """Steps from one picture to the next, and what they say of pictures in between."""

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()

    def add(self, step: float) -> None:
        """Take note of two pictures that are `step` seconds apart."""
        if step > 0:
            self._steps[round(step * FINENESS)] += 1

    def __bool__(self) -> bool:
        return bool(self._steps)

    def describe(self, name: str, rate: float) -> str | None:
        """The gaps in the stream `name`, nominally of `rate` pictures a second, in words; None where it had none."""
        usual = self._usual()
        least = GAP * FINENESS / rate if usual is None else 1.5 * usual
        found = [(step, count) for step, count in self._steps.items() if step > least]
        if not found:
            return None
        gaps, seconds = sum(count for _, count in found), sum(step * count for step, count in found) / FINENESS
        long = in_words(seconds)
        said = f"a gap of {long} was" if gaps == 1 else f"{gaps} gaps of {long} in all were"
        said += f" in {name} when it came"
        if usual is None:
            return said
        missing = sum((round(step / usual) - 1) * count for step, count in found)
        return f"{said}: {'1 picture is' if missing == 1 else f'{missing} pictures are'} missing"

    def _usual(self) -> int | None:
        """The step of a stream with a constant rate, as it came; what containers say of rates is often a guess."""
        total, below = self._steps.total(), 0
        for usual in sorted(self._steps):
            below += self._steps[usual]
            if below >= total / 2:  # The median.
                alike = sum(n for step, n in self._steps.items() if abs(step - usual) <= ALIKE * usual)
                return usual if alike >= CONSTANT * total else None
        return None
