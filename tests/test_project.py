"""What holds for the project as a whole: small files, nothing of one machine, versions without hosts."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

import backorder_forecast

ROOT = Path(__file__).parent.parent
MOST_LINES = 450
_TEXT = {".py", ".md", ".toml", ".txt", ".cfg", ".ipynb", ".j2", ".css", ".js", ".json", ".yml", ".yaml", ""}
_FOLDERS = ("backorder_forecast", "tests", "benchmarks", "notebooks", ".ci")
# Written in pieces, so that this file does not find itself.
_MACHINE = re.compile(
    "|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w", "/Us" + r"ers/\w", r"[A-Z]:\\\\?Us" + "ers"))
)
_HOSTS = re.compile(
    "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.", "index" + "-url", "find" + "-links"))
)


def _project_files() -> Iterator[Path]:
    yield from (p for p in ROOT.iterdir() if p.is_file() and p.suffix in _TEXT)
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            hidden = any(
                part.startswith(".") or part == "__pycache__" for part in path.relative_to(ROOT / folder).parts
            )
            if path.is_file() and path.suffix in _TEXT and not hidden:
                yield path


def test_no_source_file_is_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _project_files()
        if path.suffix == ".py" and (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


@pytest.mark.parametrize("pattern", [_MACHINE, _HOSTS], ids=["machine paths", "registry hosts"])
def test_nothing_of_the_machine_is_in_the_project(pattern: re.Pattern[str]) -> None:
    found = []
    for path in _project_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.\-]+", pin) for pin in pins)
    names = [re.split("==", pin)[0].lower().replace("_", "-") for pin in pins]
    assert len(names) == len(set(names))


def test_constraints_name_every_requirement_of_the_tests() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in ("excel", "holidays", "notebooks", "polars", "test", "dev"):
        wanted += project["optional-dependencies"][extra]
    names = {re.split(r"[\[<>=!~ ;]", want)[0].lower().replace("_", "-") for want in wanted} - {"backorder-forecast"}
    assert sorted(names - pinned) == []
    assert all(">=" in want for want in project["dependencies"]), "every dependency has a lower bound"


def test_the_installed_package_asks_for_what_pyproject_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = {str(r).split(";")[0].strip() for r in requires("backorder_forecast") or [] if "extra ==" not in str(r)}
    assert installed == set(project["dependencies"])


def test_version_is_in_the_changelog() -> None:
    assert f"## {backorder_forecast.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_notebooks_are_valid_json_without_machine_output() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert json.loads(path.read_text(encoding="utf-8"))["nbformat"] == 4
