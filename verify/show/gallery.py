"""Figures for the documentation, drawn again from saved reports.

    python -m verify.show.gallery REPORTS [PAGE]

The page says which: every picture `gallery/CONSTRUCTION-FIGURE.png` in it is the figure of that name in
REPORTS/CONSTRUCTION/report.json. Colours are reduced to 64, which no eye can tell and makes the files a third of the size.
"""

import re
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from constructions import files
from verify.show import plots
from verify.show.report import load

PICTURE = re.compile(r"!\[[^\]]*\]\(gallery/(\w+)-(\w+)\.png\)")
COLOURS = 64


def draw(reports: Path, page: Path) -> tuple[list[Path], list[str]]:
    """Draw every picture of a page; returns the files, and the names of those that the reports have no records of.

    Raises:
        ValueError: if the page shows no picture, or a report is missing or damaged.
    """
    wanted = PICTURE.findall(files.read(page, "a page with pictures").decode())
    if not wanted:
        raise ValueError(f"{page}: wanted pictures in gallery/, got none")
    drawn, missing = [], []
    for construction, figure in wanted:
        records = load(reports / construction / "report.json").records
        if figure not in records:
            missing.append(f"{construction}-{figure}")
            continue
        path = page.parent / "gallery" / f"{construction}-{figure}.png"
        with tempfile.TemporaryDirectory() as scratch:
            _, png = plots.save(plots.draw(*records[figure]), scratch, figure)
            with Image.open(png) as image:
                reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
                reduced.save(picture := BytesIO(), format="png", optimize=True, dpi=(200, 200))
        files.write(path, picture.getvalue())
        drawn.append(path)
    return drawn, missing


def main() -> None:
    """Entry point: names what was drawn, and what was left as it is."""
    reports, page = Path(sys.argv[1]), Path((sys.argv[2:] or ["docs/gallery.md"])[0])
    try:
        drawn, missing = draw(reports, page)
    except (ValueError, OSError) as error:
        sys.exit(f"gallery: {error}")
    for path in drawn:
        print(f"{path}: {path.stat().st_size // 1000} kB")
    for name in missing:
        print(f"{name}: not in {reports}; its picture is left as it is", file=sys.stderr)


if __name__ == "__main__":
    main()
