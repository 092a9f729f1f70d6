"""The documents that are made by scripts, and the links of those that are not."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    path
    for folder in (".", "benchmarks", "docs", "models/*", "runtime/simrun/samples", "tests/vm")
    for path in ROOT.glob(f"{folder}/*.md")
)


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_architecture_is_that_of_the_code() -> None:
    made = script("make_architecture")
    picture = made.draw(made.reduced(made.edges_of_parts()))
    assert made.TARGET.read_text(encoding="utf-8") == picture, (
        "run python docs/make_architecture.py, and look at the picture"
    )


def test_the_runtime_imports_nothing_of_the_tools() -> None:
    made = script("make_architecture")
    assert not [
        (a, b)
        for a, b in made.edges_of_parts()
        if a.startswith("simrun") and b.startswith("simtool")
    ]


def test_imports_for_types_alone_draw_no_arrow(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import simrun.run.loop\n"
        "def late():\n    from simrun.bundle.load import load_bundle\n"
        "    from simrun import errors\n"
    )
    known = dict.fromkeys(
        ("simrun", "simrun.run.loop", "simrun.bundle.load", "simrun.errors"), file
    )
    assert list(script("make_architecture").imports(file, known)) == [
        "simrun.bundle.load",
        "simrun.errors",
    ]


def test_the_reference_refuses_a_public_name_without_docstring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, module = script("make_reference"), tmp_path / "referred.py"
    monkeypatch.syspath_prepend(tmp_path)
    module.write_text('"""A module."""\nclass Told:\n    """A class."""\n    def mute(self): ...\n')
    assert made.main([str(tmp_path / "pages"), "referred"]) == 1
    assert capsys.readouterr().err == "no docstring: referred.Told.mute\n"
    assert not (tmp_path / "pages").exists()


def test_the_reference_of_the_runtime_is_complete(tmp_path: Path) -> None:
    made = script("make_reference")
    assert made.main([str(tmp_path), "simrun"]) == 0
    assert "Localizer" in (tmp_path / "simrun.html").read_text(encoding="utf-8")
    assert (tmp_path / "simrun" / "sinks" / "base.html").is_file()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("make_failures", ["nowhere"], "run 'simtool fetch scene-text"),
        ("make_own_classes", ["mnist-lenet", "nowhere"], "nowhere holds fewer than 6 canvases"),
        ("make_page", ["no-such-browser"], "no program no-such-browser; name the browser"),
    ],
)
def test_scripts_of_pictures_end_in_a_line_where_something_lacks(
    name: str, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    with pytest.raises(SystemExit, match=message) as ended:
        script(name).main()
    assert str(ended.value).startswith(f"{name}: ")
    assert "\n" not in str(ended.value)


def test_a_page_without_the_marks_of_its_table_is_refused() -> None:
    made = script("make_accelerators")
    with pytest.raises(ValueError, match=r"accelerators\.md lacks '<!-- made by"):
        made.with_table("no mark")
    with pytest.raises(ValueError, match="lacks '<!-- end -->'"):
        made.with_table(made.BEGIN)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_name_programs_that_are_there(document: Path) -> None:
    text = " ".join(document.read_text(encoding="utf-8").split())
    scripts = re.findall(r"python3? ([\w/]+\.py)\b", text)
    modules = re.findall(r"python3? -m ((?:benchmarks|simrun|simtool)(?:\.\w+)*)", text)
    missing = [script for script in scripts if not (ROOT / script).is_file()]
    missing += [module for module in modules if importlib.util.find_spec(module) is None]
    assert missing == []
