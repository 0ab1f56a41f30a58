"""The command line: the same functions, for a terminal or a batch job.

Results go to standard output, progress and complaints to standard error; with `--json`, standard output holds exactly
one JSON object. Exit codes: 0 fine, 1 findings at or above the level asked for with `--fail-on`, 2 input or settings
that cannot be used (every problem is listed), or a question of `--fail-on` that the tables cannot answer.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backorder_forecast.cli_input import (
    AsOf,
    ColumnsFile,
    DateFormat,
    DecimalMark,
    DropDuplicates,
    SettingsFile,
    Sheets,
    Source,
    UnknownSku,
    UnknownSkus,
    load_file,
    read_source,
)
from backorder_forecast.errors import BackorderForecastError, InvalidTables
from backorder_forecast.shell_words import all_in_shell_words, in_shell_words

if TYPE_CHECKING:
    import pandas as pd

    from backorder_forecast.result import Plan
    from backorder_forecast.settings import Settings
    from backorder_forecast.tables import Tables

FINDINGS, UNUSABLE = 1, 2
_EXCEL_ROWS = 100_000
_SAMPLES = Path("data/samples")
_ALERT_COLUMNS = (
    "sku", "location", "flag", "p_stockout", "stockout_date_0.5", "expected_miss_cost", "order_by_date", "cause",
)  # fmt: skip
_NO_STOCKOUTS = "--fail-on cannot be answered: no stockouts were computed, which takes an inventory table with on_hand"

app = typer.Typer(
    name="backorder-forecast", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="What runs out, when backorders fill, how long a wait to accept, what to order: from a shop's own tables.",
)  # fmt: skip


class FailOn(StrEnum):
    """Flags that `--fail-on` can name."""

    critical = "critical"
    warning = "warning"
    watch = "watch"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but problems.")]
HorizonDays = Annotated[int | None, typer.Option(help="Days ahead.")]
ServiceLevel = Annotated[float | None, typer.Option(help="Probability of no unmet demand per order cycle, 0 to 1.")]
Freq = Annotated[str | None, typer.Option(help="Demand period: auto, D, W-MON ... W-SUN, MS.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sample paths.")]
DemandModel = Annotated[
    str | None, typer.Option(metavar="NAME", help="Baseline to forecast demand with: croston, sba, ses, ...")
]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Top = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Name the N flagged items whose stockout would cost most.")
]
Fail = Annotated[FailOn | None, typer.Option(help="Exit with 1 if an item has this flag or a more urgent one.")]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"backorder-forecast {version('backorder_forecast')}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    """Options of the command as a whole; the version is shown by its callback."""


@app.command()
def report(
    source: Source, out: Out = Path("report"), as_of: AsOf = None, horizon_days: HorizonDays = None,
    service_level: ServiceLevel = None, freq: Freq = None, seed: Seed = None, settings: SettingsFile = None,
    columns: ColumnsFile = None, date_format: DateFormat = None, decimal: DecimalMark = None,
    unknown_sku: UnknownSkus = UnknownSku.set_aside, drop_duplicates: DropDuplicates = False, sheet: Sheets = None,
    demand_model: DemandModel = None, fail_on: Fail = None, top: Top = None,
    html: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    excel: Annotated[bool, typer.Option(help="Write report.xlsx.")] = True,
    pictures: Annotated[int, typer.Option(help="Pictures of urgent items in the HTML page.")] = 12,
    as_json: AsJson = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Make a plan and write its report.

    Writes a page, a workbook, and every frame as CSV and Parquet.
    """
    options = {"horizon_days": horizon_days, "service_level": service_level, "freq": freq, "seed": seed}
    with _problems_told(as_json):
        chosen = _settings(settings, options)
        tables = read_source(source, as_of, columns, date_format, decimal, unknown_sku, drop_duplicates, sheet)
        _report(tables, chosen, out, fail_on, html, excel, pictures, as_json, quiet, demand_model, top)


@app.command()
def validate(
    source: Source, as_of: AsOf = None, settings: SettingsFile = None, columns: ColumnsFile = None,
    date_format: DateFormat = None, decimal: DecimalMark = None, unknown_sku: UnknownSkus = UnknownSku.set_aside,
    drop_duplicates: DropDuplicates = False, sheet: Sheets = None, as_json: AsJson = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Show how the input is understood.

    Accounts for every row read as a plan does (returns and backorders netted), and lists every problem.
    """
    from backorder_forecast.mapping import mapping_text

    with _problems_told(as_json):
        chosen = _settings(settings, {})
        tables = read_source(source, as_of, columns, date_format, decimal, unknown_sku, drop_duplicates, sheet)
        tables = _as_planned(tables, chosen)
        if as_json:
            _print_json(
                {
                    "ok": True,
                    "as_of": f"{tables.as_of:%Y-%m-%d}",
                    "mapping": _records(tables.mapping),
                    "data_quality": _records(tables.quality),
                    "set_aside": len(tables.set_aside),
                }
            )
        elif not quiet:
            _say(mapping_text(tables))
            _say("\n" + _quality_text(tables.quality))


@app.command()
def backtest(
    source: Source,
    origins: Annotated[int, typer.Option(min=1, help="How many past origins to replay.")] = 4,
    as_of: AsOf = None, horizon_days: HorizonDays = None, service_level: ServiceLevel = None, freq: Freq = None,
    seed: Seed = None, settings: SettingsFile = None, columns: ColumnsFile = None, date_format: DateFormat = None,
    decimal: DecimalMark = None, unknown_sku: UnknownSkus = UnknownSku.set_aside,
    drop_duplicates: DropDuplicates = False, sheet: Sheets = None, demand_model: DemandModel = None,
    rival: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Baseline to score beside it; may be given again.")
    ] = None,
    order_reviews: Annotated[
        int | None, typer.Option(min=0, help="Reviews over which orders are replayed; 0 for none.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder for finished parts; a run broken off goes on from there.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV file for the scores; that of orders lies beside it.")] = None,
    as_json: AsJson = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Replay past origins and orders, and score them."""
    from backorder_forecast.backtest import backtest as replay

    options = {"horizon_days": horizon_days, "service_level": service_level, "freq": freq, "seed": seed}
    with _problems_told(as_json):
        chosen = _settings(settings, options)
        tables = read_source(source, as_of, columns, date_format, decimal, unknown_sku, drop_duplicates, sheet)
        with _progress(hidden=quiet or as_json) as progress:
            done = replay(
                tables, origins=origins, settings=chosen, demand_model=demand_model, rivals=rival or [],
                order_reviews=order_reviews, folder=resume, progress=progress,
            )  # fmt: skip
        curve = None if done.orders is None else done.orders.curve()
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            done.scores.to_csv(out, index=False, lineterminator="\n")
            if curve is not None:
                beside = out.with_name(f"{out.stem}_orders{out.suffix}")
                curve.to_csv(beside, index=False, lineterminator="\n")
        if as_json:
            orders = {} if curve is None else {"orders": _records(curve)}
            _print_json({"ok": True, "scores": _records(done.scores), "notes": list(done.notes), **orders})
        elif not quiet:
            _print_frame(done.summary(), "Mean over the origins")
            for note in done.notes:
                _say(f"note: {note}")


@app.command()
def demo(out: Out = Path("report"), seed: Seed = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Run the main job on sample tables.

    Takes data/samples if it is here, else tables made for the occasion.
    """
    from backorder_forecast.synthetic import write_samples

    with _problems_told(as_json), tempfile.TemporaryDirectory() as temporary:
        source = _SAMPLES if any(_SAMPLES.glob("sales.*")) else write_samples(Path(temporary) / "samples", seed=0)
        chosen = _settings(None, {"seed": seed})
        _report(read_source(source), chosen, out, None, True, True, 12, as_json, quiet)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write to.")],
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same bytes.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds files already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write made-up sample tables.

    The folder must be new or empty, because tables of the same names would be replaced.
    """
    from backorder_forecast.synthetic import write_samples

    with _problems_told(as_json):
        if not force and folder.exists() and any(folder.iterdir()):
            raise BackorderForecastError(
                f"{folder} is not empty; sample tables would replace files of the same names (sales.csv, ...). "
                "Name a new folder, or say --force to replace them."
            )
        files = sorted(str(file) for file in write_samples(folder, seed=seed).iterdir() if file.is_file())
        if as_json:
            _print_json({"ok": True, "files": files})
        else:
            typer.echo("\n".join(files))


def main() -> None:
    """Entry point of the command `backorder-forecast`."""
    app()


def _report(
    tables: Tables, settings: Settings, out: Path, fail_on: FailOn | None, html: bool, excel: bool, pictures: int,
    as_json: bool, quiet: bool, demand_model: str | None = None, top: int | None = None,
) -> None:  # fmt: skip
    from backorder_forecast.mapping import mapping_text
    from backorder_forecast.pipeline import make_plan

    talks = not (quiet or as_json)
    if talks:
        _say(mapping_text(_as_planned(tables, settings)) + "\n")
    with _progress(hidden=not talks) as progress:
        plan = make_plan(
            tables, settings, demand_model=demand_model, progress=lambda stage, share: progress(stage, 0.8 * share)
        )
        progress("writing tables", 0.8)
        files = [plan.to_folder(out)]
        if html:
            progress("writing the page", 0.85)
            files.append(plan.to_html(out / "report.html", pictures=pictures))
        if excel and _has_excel():
            progress("writing the workbook", 0.95)
            files.append(plan.to_excel(out / "report.xlsx", max_rows=_EXCEL_ROWS))
        progress("done", 1.0)
    found = _findings(plan, fail_on)
    if as_json:
        _print_json(_plan_json(plan, files, found) | ({} if top is None else {"alerts": _records(plan.alerts(top))}))
    elif talks:
        _say(plan.summary_text())
        if top is not None:
            typer.echo("")
            _print_frame(plan.alerts(top), "Flagged items that would cost most", _ALERT_COLUMNS)
        typer.echo("\nWritten\n" + "\n".join(f"  {file}" for file in files))
        if excel and not _has_excel():
            typer.echo("  (no workbook: it needs pip install 'backorder_forecast[excel]')")
    if found is None:
        if not as_json:
            typer.echo(_NO_STOCKOUTS, err=True)
        raise typer.Exit(UNUSABLE)
    if found:
        if talks:
            typer.echo(f"{found:,} items are flagged {fail_on} or more urgent", err=True)
        raise typer.Exit(FINDINGS)


def _plan_json(plan: Plan, files: list[Path], found: int | None) -> dict[str, Any]:
    from backorder_forecast.frames import FLAGS

    flags = plan.stockouts["flag"].value_counts()
    return {
        "ok": found is not None,
        **({"error": _NO_STOCKOUTS} if found is None else {}),
        "as_of": f"{plan.as_of:%Y-%m-%d}",
        "freq": plan.freq,
        # Unknown is not none.
        "flags": {flag: int(flags.get(flag, 0)) if len(plan.stockouts) else None for flag in FLAGS},
        "findings": found,
        "summary": _records(plan.summary()),
        "rows": {name: len(frame) for name, frame in plan.frames.items()},
        "notes": list(plan.notes),
        "seconds": dict(plan.timings),
        "files": [str(file) for file in files],
    }


def _findings(plan: Plan, fail_on: FailOn | None) -> int | None:
    """Items at or above the level asked for; None where the plan does not know."""
    from backorder_forecast.frames import FLAGS

    if fail_on is None:
        return 0
    if not len(plan.stockouts):
        return None
    return int(plan.stockouts["flag"].isin(FLAGS[: FLAGS.index(fail_on) + 1]).sum())


def _settings(file: Path | None, options: Mapping[str, Any]) -> Settings:
    from backorder_forecast.settings_table import settings_from_dict

    values = load_file(file) if file is not None else {}
    values = values.get("settings", values)
    return settings_from_dict({**values, **{name: value for name, value in options.items() if value is not None}})


@contextmanager
def _problems_told(as_json: bool) -> Iterator[None]:
    """Turn what the user can mend into words and exit code 2; anything else is a defect and keeps its traceback."""
    try:
        yield
    except (BackorderForecastError, OSError) as error:
        if as_json:
            failures = _records(error.failures) if isinstance(error, InvalidTables) else []
            _print_json({"ok": False, "error": str(error), "failures": failures})
        else:
            typer.echo(in_shell_words(str(error)), err=True)
        raise typer.Exit(UNUSABLE) from error


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Callable[[str, float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    layout = (TextColumn("{task.description:<24}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *layout, TimeElapsedColumn(), console=console, transient=True, disable=hidden or not console.is_terminal
    ) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda stage, share: bar.update(task, description=stage, completed=share)


def _quality_text(quality: pd.DataFrame) -> str:
    lines = ["Every row accounted for"]
    for row in quality.to_dict("records"):
        counts = f"{row['rows_used']:,} used + {row['rows_merged']:,} merged + {row['rows_set_aside']:,} set aside"
        if row["rule"] == "all rows":
            lines += ["", f"{row['table']}: {row['rows_read']:,} read = {counts}"]
            detail = str(row["effect"])
        else:
            parts = (f"{row['rows_read']:,} x {row['rule']} ({counts})", row["effect"], row["examples"])
            detail = "; ".join(str(part) for part in parts if part)
        if detail:
            lines += textwrap.wrap(detail, 100, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def _print_frame(frame: pd.DataFrame, title: str, columns: Sequence[str] = ()) -> None:
    from rich.console import Console
    from rich.table import Table

    from backorder_forecast.frames import column_kind, column_texts, heading

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    cells = []
    frame = frame.reindex(columns=list(dict.fromkeys([*columns, *frame.columns])))
    for column in columns or frame.columns:
        kind = column_kind(column, frame[column])
        table.add_column(heading(column), justify="left" if kind in ("text", "category", "date") else "right")
        measured = kind == "number" and frame[column].dtype.kind == "f"
        cells.append([_measured(v) for v in frame[column]] if measured else column_texts(frame, column))
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    # A file has no edge at which to cut a table.
    width = None if sys.stdout.isatty() else 240
    Console(file=sys.stdout, markup=False, highlight=False, width=width).print(table)


def _measured(value: float) -> str:
    """A score as people read it, the same digits in thousands as below them; nothing where there is none."""
    if value != value:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", date_format="iso"))
    return plain


def _as_planned(tables: Tables, settings: Settings) -> Tables:
    """The tables with the account that a plan gives of them: returns and backorders netted. Not to be planned with."""
    from backorder_forecast.accounting import join_rows
    from backorder_forecast.netting import net_demand

    netted = net_demand(tables, settings)
    aside = join_rows([tables.set_aside, netted.set_aside])
    return dataclasses.replace(tables, quality=netted.quality, set_aside=aside)


def _say(text: str) -> None:
    """Print words of the library, with its options named as those of the command."""
    typer.echo(in_shell_words(text))


def _print_json(value: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(all_in_shell_words(value), ensure_ascii=False, indent=1, default=str))


def _has_excel() -> bool:
    from importlib.util import find_spec

    return find_spec("xlsxwriter") is not None
