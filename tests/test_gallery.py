"""The gallery's page shows every picture that its command makes, says where each is from, and stays small."""

import csv
import re
from pathlib import Path

from benchmarks.gallery import EXHIBITS, ROOT
from rtsr.quality.comparison import BAR, GAP
from rtsr.quality.datasets import read_picture

PAGE = (ROOT / "docs" / "gallery.md").read_text("utf-8")
FOLDER = ROOT / "docs" / "gallery"


def test_page_pictures_and_exhibits_agree() -> None:
    made = {f"{exhibit.name}-x{times}.webp" for exhibit in EXHIBITS for times in exhibit.crops}
    assert {path.name for path in FOLDER.iterdir()} == made
    assert set(re.findall(r"\(gallery/([^)]+)\)", PAGE)) == made
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1.5e6
    for name in made:
        height, width, _ = read_picture(FOLDER / name).shape
        assert (width + GAP) % 3 == 0 and (height + GAP) % 2 == 0 and height > 2 * BAR


def test_every_picture_may_be_shown_and_is_attributed(shared: Path) -> None:
    manifests = [shared / "data" / name / "manifest.csv" for name in ("train_photo", "train_game")]
    known = {row["file"]: row for path in manifests for row in csv.DictReader(path.open(encoding="utf-8"))}
    for exhibit in EXHIBITS:
        if "freedoom" in exhibit.source:
            continue
        row = known[Path(exhibit.source).name]
        assert re.match(r"CC0|CC BY", row["license"]), row
        assert row["source_repo"] in PAGE and row["source_path"] in PAGE
