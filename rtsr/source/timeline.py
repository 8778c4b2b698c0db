"""One clock for recordings whose own begins anew half way, as where one transport stream was appended to another."""

from fractions import Fraction

import av

BACK = Fraction(1, 2)
"""Seconds by which a stream's clock goes back at least where another part begins; less is a slip of whoever muxed."""


class Timeline:
    """Places packets so that each part of a recording follows the one before, in all streams by the same amount.

    Streams do not change over at the same packet: those that are behind stay in their part as long as that is nearer
    to where the others are.
    """

    def __init__(self) -> None:
        self.jumps: list[Fraction] = []
        """By how many seconds the clock went back, each time."""
        self._shifts = [Fraction(0)]
        """Seconds that are added in each part."""
        self._parts: dict[int, int] = {}
        """The part that each stream is in."""
        self._last: dict[int, Fraction] = {}
        """When each stream's last packet is decoded, in seconds."""
        self._here = self._end = Fraction(0)
        """When the newest part's last packet is decoded; and when all that came so far was shown."""

    def place(self, packet: av.Packet) -> None:
        """Move `packet` in time to where its part belongs."""
        base, index = packet.time_base, packet.stream.index
        if packet.dts is None or base is None:
            self._move(packet, self._shifts[self._parts.get(index, 0)])
            return
        shift = self._shifts[self._choose(index, packet.dts * base, (packet.pts or packet.dts) * base)]
        self._move(packet, shift)
        at, last = packet.dts * base, self._last.get(index)
        if last is not None and (at < last or (at == last and shift)) and packet.stream.type != "video":
            self._move(packet, last - at + base)  # Muxers refuse packets that are not in order.
            at = last + base
        if self._parts[index] == len(self._shifts) - 1:
            self._here = at
        lasts = packet.duration * base if packet.duration else at - (at if last is None else last)
        self._end = max(self._end, (packet.pts or packet.dts) * base + lasts)
        self._last[index] = at

    def _choose(self, index: int, at: Fraction, shown: Fraction) -> int:
        """The part that a packet is in which says that it is decoded `at` and `shown` that many seconds."""
        part, newest, last = self._parts.get(index, 0), len(self._shifts) - 1, self._last.get(index)
        back = Fraction(0) if last is None else last - at - self._shifts[part]
        if part < newest:
            off, off_newest = (abs(at + self._shifts[one] - self._here) for one in (part, newest))
            part = newest if off_newest < off or back > BACK else part
        elif back > BACK:
            self.jumps.append(back)
            self._shifts.append(self._end - shown)
            part += 1
        self._parts[index] = part
        return part

    @staticmethod
    def _move(packet: av.Packet, seconds: Fraction) -> None:
        if seconds and packet.time_base:
            ticks = round(seconds / packet.time_base)
            packet.dts = None if packet.dts is None else packet.dts + ticks
            packet.pts = None if packet.pts is None else packet.pts + ticks
