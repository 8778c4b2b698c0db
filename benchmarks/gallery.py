"""The pictures of docs/gallery.md: text, HUD, foliage, a face, thin lines and a game, at x1.5 and x2.

    python -m benchmarks.gallery DATA
    python -m benchmarks.gallery DATA --only text --folder look

DATA has `clips`, `train_photo` and `train_game`, whose manifests say where pictures come from. Each sheet has the input
with its pixels repeated, bicubic, FSR 1.0, the small network for photographs, the small one for captures, and the truth
where there is one. Pictures without a second render are reduced first: photographs and charts by MATLAB's bicubic,
as papers do; game pictures by reading a cubic interpolation at each pixel's centre, which leaves them aliased, as a
renderer without antialiasing does.
"""

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rtsr.cli.compare import NETWORKS, RESAMPLED
from rtsr.quality.comparison import Crop, Input, compare, read_input, sheet, write_sheet
from rtsr.quality.datasets import Picture
from rtsr.train.degrade import shrink
from rtsr.upscaler import Upscaler

ROOT = Path(__file__).parents[1]
PHOTOS = "train_photo"
QUALITY = 82
"""Of the WebP files."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One place to look at."""

    name: str
    """Of the file, without the scale."""
    source: str
    """A picture or video below DATA, or in the repository."""
    reduce: str
    """How the picture becomes the input (see `rtsr.train.degrade.shrink`); empty: it is the input."""
    crops: dict[str, str]
    """The crop of the input by scale."""
    frame: int | None = None
    truth: str = ""
    """A video below DATA with the truth."""

    def read(self, data: Path, scale: Fraction) -> tuple[Input, Picture | None]:
        """The input and its truth."""
        given = read_input(data / self.source if (data / self.source).exists() else ROOT / self.source, self.frame)
        if not self.reduce:
            return given, read_input(data / self.truth, self.frame).picture if self.truth else None
        grid = scale.numerator
        height, width = (side // grid * grid for side in given.picture.shape[:2])
        high = given.picture[:height, :width]
        return Input(shrink(high, scale, self.reduce)), high


EXHIBITS = (
    Exhibit("hud", "clips/freedoom_a_360.mp4", "", {"2": "96x72+296+288"}, 40, "clips/freedoom_a_720_ref.mp4"),
    Exhibit("hud", "sample/freedoom_360p.mp4", "", {"1.5": "128x96+84+264"}, 50),
    Exhibit("text", f"{PHOTOS}/cid22_imazen_e3cea613.avif", "bicubic", {"1.5": "128x96+42+124", "2": "96x72+32+93"}),
    Exhibit(
        "foliage", f"{PHOTOS}/wallpaper_pop-os_eeb41183.avif", "bicubic", {"1.5": "128x96+600+80", "2": "96x72+450+60"}
    ),
    Exhibit(
        "face", f"{PHOTOS}/gb82_gianni-rosato_b6255b20.avif", "bicubic", {"1.5": "128x96+220+92", "2": "96x72+165+70"}
    ),
    Exhibit("lines", f"{PHOTOS}/cid22_imazen_855aa20e.avif", "bicubic", {"1.5": "128x96+106+186", "2": "96x72+80+140"}),
    Exhibit("game", "train_game/redeclipse4k_a5e0f2d6.avif", "point", {"1.5": "128x96+574+60", "2": "96x72+430+45"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with clips, train_photo and train_game")
    parser.add_argument("--only", nargs="+", default=(), help="names of exhibits")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "gallery")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for exhibit in EXHIBITS:
        if options.only and exhibit.name not in options.only:
            continue
        for times, crop in exhibit.crops.items():
            path = options.folder / f"{exhibit.name}-x{times}.webp"
            hang(exhibit, options.data, Fraction(times), Crop.parse(crop), path)
            print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


def hang(exhibit: Exhibit, data: Path, scale: Fraction, crop: Crop, path: Path) -> None:
    """Write one sheet."""
    engines = [(title, Upscaler(scale, engine=engine)) for title, engine in RESAMPLED.items()]
    engines += [(name, Upscaler(scale, model=name)) for name in NETWORKS]
    low, truth = exhibit.read(data, scale)
    write_sheet(path, sheet(compare(low, engines, crop, scale, truth), zoom=2, columns=3), QUALITY)


if __name__ == "__main__":
    main()
