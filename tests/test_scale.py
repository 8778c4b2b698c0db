"""Scales that people write, and those that are refused."""

from fractions import Fraction

import pytest

from rtsr.errors import UsageError
from rtsr.scale import parse_scale


@pytest.mark.parametrize(
    ("text", "scale"),
    [("2", "2"), ("1.5", "3/2"), ("3/2", "3/2"), ("1.5x", "3/2"), ("x4", "4"), (" 2.0 ", "2"), ("1.25", "5/4")],
)
def test_reads_scales(text, scale):
    assert parse_scale(text) == Fraction(scale)


@pytest.mark.parametrize("text", ["", "two", "1.5.2", "3/0", "nan", "inf", "-2", "1e1", "2 / 1", "1/2/3", "²"])
def test_refuses_what_is_no_scale(text):
    with pytest.raises(UsageError, match="is not a scale"):
        parse_scale(text)


@pytest.mark.parametrize("text", ["1", "0", "0.5", "4.01", "5/1", "2/3"])
def test_refuses_what_is_out_of_range(text):
    with pytest.raises(UsageError, match="at most 4"):
        parse_scale(text)
