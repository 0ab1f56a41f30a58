"""The command line: results on standard output, words instead of tracebacks, exit codes that a batch job can trust."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plan_fixture import made_up_plan
from typer.testing import CliRunner, Result

import backorder_forecast as bf
from backorder_forecast import __version__
from backorder_forecast.cli import app
from backorder_forecast.result import Plan
from backorder_forecast.settings import Settings

SALES = "sku,date,quantity\n001,2024-05-03,2\n001,2024-05-04,1\n002,2024-05-05,4\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "sales.csv").write_text(SALES)
    return folder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the pipeline by one that remembers what it was asked and answers with a made-up plan."""
    asked: dict[str, Any] = {}

    def make_plan(
        tables: Any, settings: Settings | None = None, demand_model: Any = None, scenario: Any = None,
        progress: Callable[[str, float], None] | None = None,
    ) -> Plan:  # fmt: skip
        asked.update(tables=tables, settings=settings, demand_model=demand_model)
        if progress is not None:
            progress("demand", 0.5)
        return made_up_plan()

    fake = ModuleType("backorder_forecast.pipeline")
    fake.make_plan = make_plan  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    return asked


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_report_writes_everything_and_prints_mapping_summary_and_files(
    shop: Path, tmp_path: Path, seen: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    result = _run("report", shop, "--out", out, "--pictures", 1)
    assert result.exit_code == 0, result.output
    assert {"report.html", "report.xlsx", "plan.json", "stockouts.csv", "stockouts.parquet"} <= {
        p.name for p in out.iterdir()
    }
    mapping, summary = result.stdout.index("How the input was understood"), result.stdout.index("What runs out?")
    assert mapping < summary < result.stdout.index("report.html")
    assert seen["settings"] == Settings()
    assert len(seen["tables"].sales) == 3


def test_options_and_files_reach_settings_and_tables(shop: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    (shop / "sales.csv").write_text(SALES.replace("sku", "Article"))
    chosen, columns = tmp_path / "settings.toml", tmp_path / "columns.json"
    chosen.write_text('[settings]\nhorizon_days = 30\nalphas = [0.1, 0.2]\nunmet = "lost"\n')
    columns.write_text('{"sales": {"Article": "sku"}}')
    result = _run(
        "report", shop, "--out", tmp_path / "o", "--settings", chosen, "--columns", columns, "--horizon-days", 60,
        "--service-level", 0.9, "--freq", "D", "--seed", 4, "--as-of", "2024-05-06", "--no-html", "--no-excel", "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    expected = Settings(horizon_days=60, alphas=(0.1, 0.2), unmet="lost", service_level=0.9, freq="D", seed=4)
    assert seen["settings"] == expected
    assert seen["tables"].as_of == pd.Timestamp("2024-05-06")
    assert seen["demand_model"] is None
    assert not (tmp_path / "o" / "report.html").exists()


def test_json_is_one_object_and_nothing_else(shop: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    result = _run("report", shop, "--out", tmp_path / "o", "--json", "--no-html", "--no-excel")
    answer = json.loads(result.stdout)
    plan = made_up_plan()
    assert answer["ok"] is True
    assert answer["as_of"] == "2024-05-06"
    assert sum(answer["flags"].values()) == len(plan.stockouts)
    assert [row["topic"] for row in answer["summary"]] == plan.summary()["topic"].tolist()
    assert answer["files"] == [str(tmp_path / "o")]
    assert result.stderr == ""


def test_an_alert_budget_names_that_many_items(shop: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    plain = ("report", shop, "--out", tmp_path / "o", "--no-html", "--no-excel", "--top", 2)
    result = _run(*plain)
    assert "Flagged items that would cost most" in result.stdout
    named = made_up_plan().alerts(2)["sku"].tolist()
    assert all(sku in result.stdout.split("Flagged items")[1] for sku in named)
    answer = json.loads(_run(*plain, "--json").stdout)
    assert [row["sku"] for row in answer["alerts"]] == named
    assert seen["settings"] == Settings()


@pytest.mark.parametrize(("level", "flags"), [("critical", 1), ("warning", 2), ("watch", 3)])
def test_fail_on_counts_the_level_and_what_is_more_urgent(
    level: str, flags: int, shop: Path, tmp_path: Path, seen: dict[str, Any]
) -> None:
    result = _run("report", shop, "--out", tmp_path / "o", "--fail-on", level, "--json", "--no-html", "--no-excel")
    answer = json.loads(result.stdout)
    assert answer["findings"] == sum(list(answer["flags"].values())[:flags]) > 0
    assert result.exit_code == 1


def test_nothing_found_is_fine(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stockouts = made_up_plan().stockouts.assign(flag="ok")
    calm = Plan(frames={"stockouts": stockouts}, settings=Settings(), as_of=pd.Timestamp("2024-05-06"), freq="D")
    fake = SimpleNamespace(make_plan=lambda tables, settings, **_: calm)
    monkeypatch.setitem(sys.modules, "backorder_forecast.pipeline", fake)
    result = _run("report", shop, "--out", tmp_path / "o", "--fail-on", "watch", "--no-excel")
    assert result.exit_code == 0, result.output


def test_bad_input_lists_every_problem_without_a_traceback(shop: Path) -> None:
    (shop / "sales.csv").write_text("sku,day,amount\nA,2024-05-03,2\n")
    (shop / "inventory.csv").write_text("sku,date\nA,2024-05-03\n")
    for command in ("validate", "report", "backtest"):
        result = _run(command, shop)
        assert result.exit_code == 2
        assert "sales" in result.stderr
        assert "inventory" in result.stderr
        assert "on_hand" in result.stderr
        assert "Traceback" not in result.output
        assert result.stdout == ""
    answer = json.loads(_run("validate", shop, "--json").stdout)
    assert answer["ok"] is False
    assert {f["table"] for f in answer["failures"]} == {"sales", "inventory"}


def test_bad_settings_are_told_in_words(shop: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "s.toml"
    wrong.write_text('horizon = 3\nseed = "x"\n')
    result = _run("report", shop, "--settings", wrong)
    assert result.exit_code == 2
    assert "did you mean 'horizon_days'" in result.stderr
    assert "seed is a number" in result.stderr
    wrong.write_text("horizon_days = [")
    assert "cannot be read as .toml" in _run("report", shop, "--settings", wrong).stderr
    assert _run("report", shop, "--settings", tmp_path / "none.toml").exit_code == 2
    wrong_json = tmp_path / "c.json"
    wrong_json.write_text("[1, 2]")
    assert "should hold names and values" in _run("report", shop, "--columns", wrong_json).stderr
    assert _run("report", shop, "--service-level", "1.5").exit_code == 2
    assert _run("report", shop, "--fail-on", "never").exit_code == 2
    assert _run("no-such-command").exit_code == 2


def test_a_folder_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    result = _run("validate", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.output


def test_validate_shows_the_mapping_and_accounts_for_every_row(shop: Path) -> None:
    result = _run("validate", shop)
    assert result.exit_code == 0
    assert "How the input was understood" in result.stdout
    assert "sales: 3 read = 3 used + 0 merged + 0 set aside" in result.stdout
    answer = json.loads(_run("validate", shop, "--json").stdout)
    assert answer["ok"] is True
    assert {row["field"] for row in answer["mapping"]} >= {"sku", "date", "quantity"}
    assert all(
        r["rows_used"] + r["rows_merged"] + r["rows_set_aside"] == r["rows_read"] for r in answer["data_quality"]
    )


def test_backtest_prints_scores_and_writes_them(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = pd.DataFrame(
        {
            "stage": ["forecast", "orders"],
            "score": ["pinball", "cost"],
            "better": ["lower", "lower"],
            "value": [0.81239, 15520.4],
            "rival": ["SES", ""],
            "rival_value": [1.0, np.nan],
            "n": [40, 2],
        }
    )
    asked: dict[str, Any] = {}

    def replay(
        tables: Any, *, origins: int, settings: Settings, demand_model: str | None, rivals: list[str],
        order_reviews: int | None, folder: Path | None, progress: Callable[[str, float], None],
    ) -> Any:  # fmt: skip
        asked.update(origins=origins, settings=settings, demand_model=demand_model, rivals=rivals)
        asked.update(order_reviews=order_reviews, folder=folder)
        progress("2024-04-01", 1.0)
        orders = SimpleNamespace(curve=lambda: pd.DataFrame({"way": ["plan"], "fill_rate": [0.97]}))
        return SimpleNamespace(scores=scores, summary=lambda: scores, orders=orders, notes=("2 items left out",))

    monkeypatch.setitem(sys.modules, "backorder_forecast.backtest", SimpleNamespace(backtest=replay))
    out = tmp_path / "scores.csv"
    models = ["--demand-model", "sba", "--rival", "ses", "--rival", "naive"]
    more = ["--order-reviews", 12, "--resume", tmp_path]
    result = _run("backtest", shop, "--origins", 3, "--seed", 2, "--out", out, *models, *more)
    assert result.exit_code == 0, result.output
    assert asked == {
        "origins": 3, "settings": Settings(seed=2), "demand_model": "sba", "rivals": ["ses", "naive"],
        "order_reviews": 12, "folder": tmp_path,
    }  # fmt: skip
    assert "note: 2 items left out" in result.stdout
    assert (tmp_path / "scores_orders.csv").read_text() == "way,fill_rate\nplan,0.97\n"
    assert "pinball" in result.stdout
    assert "lower" in result.stdout
    assert "0.8124" in result.stdout
    assert "15,520" in result.stdout
    assert "nan" not in result.stdout
    assert out.read_text().startswith("stage,score,better,value")
    assert json.loads(_run("backtest", shop, "--json").stdout)["scores"][0]["value"] == 0.81239
    assert (asked["demand_model"], asked["rivals"], asked["order_reviews"], asked["folder"]) == (None, [], None, None)


def test_a_baseline_may_forecast_the_demand_of_a_report(shop: Path, tmp_path: Path, seen: dict[str, Any]) -> None:
    _run("report", shop, "--out", tmp_path / "o", "--demand-model", "croston", "--no-html", "--no-excel", "-q")
    assert seen["demand_model"] == "croston"


def test_an_unknown_demand_model_is_refused_in_words(shop: Path, tmp_path: Path) -> None:
    result = _run("report", shop, "--out", tmp_path / "o", "--demand-model", "crosston", "-q")
    assert result.exit_code == 2
    assert "unknown baseline 'crosston' (did you mean 'croston'?); valid are: naive" in result.stderr


def test_sample_writes_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    result = _run("sample", tmp_path / "a", "--seed", 1)
    assert result.exit_code == 0, result.output
    again = json.loads(_run("sample", tmp_path / "b", "--seed", 1, "--json").stdout)
    names = [Path(f).name for f in again["files"]]
    assert "sales.csv" in names
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_sample_never_replaces_tables_unasked(shop: Path) -> None:
    refused = _run("sample", shop)
    assert refused.exit_code == 2
    assert "is not empty" in refused.stderr
    assert "--force" in refused.stderr
    assert (shop / "sales.csv").read_text() == SALES
    assert json.loads(_run("sample", shop, "--json").stdout)["ok"] is False
    assert _run("sample", shop, "--force").exit_code == 0
    assert (shop / "sales.csv").read_text() != SALES
    (shop.parent / "new").mkdir()
    assert _run("sample", shop.parent / "new").exit_code == 0
    assert _run("sample", shop.parent / "new" / "sales.csv").exit_code == 2


def test_fail_on_without_stockouts_is_no_clean_bill(
    shop: Path, tmp_path: Path, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = {name: frame for name, frame in made_up_plan().frames.items() if name != "stockouts"}
    blind = dataclasses.replace(made_up_plan(), frames=frames)
    monkeypatch.setattr(sys.modules["backorder_forecast.pipeline"], "make_plan", lambda *_, **__: blind)
    out = tmp_path / "out"
    result = _run("report", shop, "--out", out, "--fail-on", "critical", "-q")
    assert result.exit_code == 2
    assert "inventory" in result.stderr
    assert (out / "report.html").exists()
    answered = _run("report", shop, "--out", out, "--fail-on", "critical", "--json")
    answer = json.loads(answered.stdout)
    assert answered.exit_code == 2
    assert (answer["ok"], answer["findings"], set(answer["flags"].values())) == (False, None, {None})
    unasked = _run("report", shop, "--out", out, "--json")
    assert unasked.exit_code == 0
    assert set(json.loads(unasked.stdout)["flags"].values()) == {None}


def test_the_version_is_that_of_the_package() -> None:
    result = _run("--version")
    assert result.exit_code == 0
    assert result.stdout.split() == ["backorder-forecast", __version__]


def test_the_package_shows_its_public_names_only() -> None:
    assert {name for name in dir(bf) if not name.startswith("__")} == set(bf.__all__)
    assert "__version__" in dir(bf)


def test_demo_runs_without_a_sample_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = _run("demo", "--out", "out", "--json")
    assert result.exit_code == 0, result.output
    assert len(seen["tables"].items()) >= 190
    assert (tmp_path / "out" / "report.html").exists()


def test_demo_takes_the_samples_of_the_folder_it_runs_in(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any]
) -> None:
    (tmp_path / "data").mkdir()
    shop.rename(tmp_path / "data" / "samples")
    monkeypatch.chdir(tmp_path)
    assert _run("demo", "--out", "out", "-q").exit_code == 0
    assert len(seen["tables"].sales) == 3


def test_a_defect_keeps_its_traceback(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tables: Any, settings: Any, **_: Any) -> Plan:
        raise ZeroDivisionError

    monkeypatch.setitem(sys.modules, "backorder_forecast.pipeline", SimpleNamespace(make_plan=broken))
    assert isinstance(_run("report", shop).exception, ZeroDivisionError)


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom backorder_forecast.cli import app\n"
        "print(CliRunner().invoke(app, ['--help']).exit_code, *sys.modules)"
    )
    words = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert words[0] == "0"
    assert not set(words) & {"numba", "scipy", "sklearn", "matplotlib", "pyarrow"}


@pytest.mark.slow
def test_the_whole_way_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backorder_forecast"]
    subprocess.run([*command, "sample", str(tmp_path / "in")], check=True, capture_output=True)
    done = subprocess.run(
        [*command, "report", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--json", "--fail-on", "critical"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    assert done.returncode == (1 if answer["findings"] else 0)
    assert len(Plan.from_folder(tmp_path / "out").stockouts) == sum(answer["flags"].values()) == 200


@pytest.mark.parametrize("option", ["--settings", "--columns"])
def test_a_file_that_is_not_there_is_named_with_what_to_give(shop: Path, tmp_path: Path, option: str) -> None:
    result = _run("report", shop, "--out", tmp_path, option, tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "none.toml cannot be opened (No such file or directory): give a TOML or JSON file" in result.stderr
