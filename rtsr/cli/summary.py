"""What a run did, in words."""

from typing import cast

from rtsr.report import Report


def summarise(report: Report) -> str:
    """What `report` says: a line, and one more where a pace was set or something was reused."""
    times = ", ".join(f"{stage} {_percentiles(figures)}" for stage, figures in report.stages.items() if figures)
    (w, h), (big_w, big_h) = report.input_size, report.output_size
    frames = f"{report.frames} frame{'' if report.frames == 1 else 's'}"
    first = (
        f"{report.output}: {frames}, {w}x{h} to {big_w}x{big_h} with {report.engine}, "
        f"{report.seconds:.1f} s, {report.frames / report.seconds:.1f} fps; p50/p95/p99 in ms: {times}"
    )
    more = [*_spending(report), *_reference(report.reference or {})]
    return "\n".join([first, f"  {'; '.join(more)}"] if more else [first])


def summarise_still(report: Report) -> str:
    """What `report` says of a picture."""
    (w, h), (big_w, big_h) = report.input_size, report.output_size
    return f"{report.output}: {w}x{h} to {big_w}x{big_h} with {report.engine}, {report.seconds:.1f} s"


def _percentiles(figures: dict[str, float]) -> str:
    return "/".join(f"{figures[name]:.{0 if figures[name] >= 9.95 else 1}f}" for name in ("p50", "p95", "p99"))


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.4g} s"


def _spending(report: Report) -> list[str]:
    reused, spent = f"{report.reused:.0%} reused", cast(dict, report.spending)
    if not spent:
        return [reused] if report.reused >= 0.005 else []
    said = []
    if "deadline_ms" in spent:
        said.append(f"deadline {_duration(spent['deadline_ms'])}, missed {spent['misses']} times")
    if latency := spent.get("latency_ms"):
        said.append(f"latency p50 {latency['p50']:.0f}, p99 {latency['p99']:.0f}, at most {latency['max']:.0f} ms")
    treated = [f"{count} {how}" for how, count in spent["frames"].items() if count and how != "made"]
    said += [f"{', '.join(treated)} frames"] if treated else []
    if tiles := sum(spent["tiles_per_exit"]):
        exits = zip(spent["exits"], spent["tiles_per_exit"], strict=True)
        shares = (f"{name} {count / tiles:.0%}" for name, count in exits if count)
        said += [f"got {', '.join(shares)}", reused]
    said.append(f"{spent['share_of_full_compute']:.0%} of full compute")
    if (expected := spent["expected_psnr_db"]) is not None:
        said.append(f"expected {expected:.1f} dB")
    return said


def _reference(compared: dict) -> list[str]:
    if not compared:
        return []
    if "psnr_y_db" not in compared:
        return ["no frame has its time in the reference"]
    return [f"PSNR-Y {compared['psnr_y_db']:.2f} dB over {compared['frames']} frames of the reference"]
