"""The documentation: its links lead somewhere, the code that it shows is there, and the site builds."""

import ast
import importlib.util
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import paper_map
import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def load(path: Path):
    """A module that is not on the path: MkDocs loads it by its file."""
    found = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


tooling = load(DOCS / "tooling" / "pages.py")
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """A page without its blocks of code and its formulas, in which brackets are no links."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", text, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What a link may name after '#': headings, as both GitHub and the site number them, and modules of the API."""
    text = path.read_text(encoding="utf-8")
    found = set(re.findall(r"^::: (\S+)", text, re.MULTILINE))
    for title in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        kept = re.sub(r"[^\w\s-]", "", title.lower()).strip()
        found.add(re.sub(r"\s+", "-", kept))
    return found


def target(page: Path, link: str) -> tuple[Path, str]:
    """The file that a link leads to, and its anchor; pages that live elsewhere are where they live."""
    name, _, anchor = link.partition("#")
    path = (page.parent / name).resolve() if name else page
    if path.is_relative_to(DOCS) and not path.exists():
        path = tooling.elsewhere().get(path.relative_to(DOCS).as_posix(), path)
    return path, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page):
    for link in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, anchor = target(page, link)
        assert path.exists(), f"{page.name}: {link}"
        assert path.is_relative_to(ROOT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: no heading for {link}"


def test_files_that_are_named_exist():
    """Paths in code font, as `verify/audit/search.py`; with a star or a brace they are patterns."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for name in re.findall(
            r"`((?:constructions|verify|tests|docs)/[\w./]+)`", page.read_text(encoding="utf-8")
        ):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_code_that_is_shown_is_there():
    shown = 0
    for page in PAGES:
        for path, names in tooling.CODE.findall(page.read_text(encoding="utf-8")):
            for name in names.split():
                assert name in tooling.source(path, [name])
                shown += 1
    assert shown >= 4
    with pytest.raises(ValueError, match=r"wanted one of .*, got nothing"):
        tooling.source("docs/examples/soft_ucb1.py", ["nothing"])


def test_the_map_from_the_paper_to_the_code_is_that_of_the_catalog():
    """To draw it anew: PYTHONPATH=tests/tools:docs/examples python tests/tools/paper_map.py."""
    assert paper_map.PAGE.read_text(encoding="utf-8") == paper_map.drawn()


def test_a_new_construction_fits_on_a_few_pages():
    """CONTRIBUTING and adding.md call it one file; it is to stay a short one."""
    assert len((DOCS / "examples" / "soft_ucb1.py").read_text(encoding="utf-8").splitlines()) <= 100


def test_the_api_has_every_module_once():
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("constructions", "verify")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
        or len(ast.parse(path.read_text(encoding="utf-8")).body) > 1  # a line alone
    } - {"constructions"}
    shown = [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.M)
    ]
    assert sorted(shown) == sorted(modules)


def test_the_site_builds(tmp_path):
    """A warning is an error. Nothing on a page is fetched from elsewhere, and no formula is left as it was."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*.html")
    }
    assert {"index.html", "changelog.html", "models/ad-linucb.html", "api/constructions.html"} <= pages.keys()
    for name, page in pages.items():
        assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="https?://', page), name
        assert "arithmatex" not in page, name
        assert "<!-- code:" not in page, name
    assert pages["depth.html"].count("<math") > 100
    assert "true_log_probabilities" in pages["adding.html"]
    for formula in ("Σ P̂_h V_{h+1}", "V(s'_j) − c"):  # two underscores once were emphasis
        assert formula in unescape(pages["smaller.html"])
