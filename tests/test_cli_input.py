"""What the command line reads: options of reading, words of the shell in its advice, the account of a plan."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backorder_forecast.cli import app
from backorder_forecast.shell_words import all_in_shell_words, in_shell_words


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "sales.csv").write_text("sku,date,quantity\n001,2024-05-03,2\n001,2024-05-04,1\n002,2024-05-05,4\n")
    return folder


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_validate_accounts_for_rows_as_a_plan_does(shop: Path, tmp_path: Path) -> None:
    (shop / "sales.csv").write_text(
        "sku,date,quantity\nA,2024-05-03,2\nA,2024-05-04,-2\nA,2024-05-05,4\nB,2024-05-05,-1\n"
    )
    (shop / "backorders.csv").write_text("order_id,sku,order_date,quantity\n1,A,2024-05-05,2\n")
    result = _run("validate", shop)
    assert "sales.csv (comma separated, UTF-8), 4 rows read, 1 used" in result.stdout
    assert "sales: 4 read = 1 used + 2 merged + 1 set aside" in result.stdout
    assert "returns that reverse a sale exactly" in result.stdout
    assert "1 x open or cancelled quantities" in result.stdout
    answer = json.loads(_run("validate", shop, "--json").stdout)
    assert answer["set_aside"] == 1
    totals = {row["table"]: row for row in answer["data_quality"] if row["rule"] == "all rows"}
    assert (totals["sales"]["rows_used"], totals["sales"]["rows_merged"], totals["sales"]["rows_set_aside"]) == (
        1,
        2,
        1,
    )
    chosen = tmp_path / "s.toml"
    chosen.write_text('sales_are = "orders"\n')
    assert "open or cancelled quantities" not in _run("validate", shop, "--settings", chosen).stdout


def test_reading_options_reach_read_tables(shop: Path, tmp_path: Path) -> None:
    rows = ["sku;note;date;quantity", "A;x;2024-05-03;1,234", "A;x;2024-05-03;1,234", "B;y;2024-05-04;2,000"]
    (shop / "sales.csv").write_text("\n".join(rows) + "\n")
    (shop / "products.csv").write_text("sku,price\nA,1\n")
    columns = tmp_path / "c.toml"
    columns.write_text('[sales]\nnote = ""\n')
    plain = ("validate", shop, "--columns", columns, "--json")
    assert _run(*plain).exit_code == 2
    for mark, largest in ((",", "2"), (".", "2,000")):
        answer = json.loads(_run(*plain, "--decimal", mark, "--unknown-sku", "keep").stdout)
        (quantity,) = (row for row in answer["mapping"] if row["table"] == "sales" and row["field"] == "quantity")
        assert quantity["understood"].endswith(f" to {largest}")
    counts = {}
    for more in ((), ("--unknown-sku", "keep"), ("--drop-duplicates",)):
        answer = json.loads(_run(*plain, "--decimal", ",", *more).stdout)
        row = next(r for r in answer["data_quality"] if (r["table"], r["rule"]) == ("sales", "all rows"))
        counts[more] = (row["rows_used"], row["rows_merged"], row["rows_set_aside"])
    assert list(counts.values()) == [(2, 0, 1), (3, 0, 0), (1, 1, 1)]
    assert _run("validate", shop, "--decimal", "x").exit_code == 2
    assert _run("validate", shop, "--unknown-sku", "drop").exit_code == 2
    for command in ("report", "backtest"):
        assert {"--decimal", "--unknown-sku", "--drop-duplicates", "--sheet"} <= set(
            _run(command, "--help").stdout.split()
        )


def test_sheets_are_named_as_table_and_name(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Blad 1"
    for row in (["sku", "date", "quantity"], ["A", "2024-05-03", 2]):
        book.active.append(row)
    book.save(tmp_path / "book.xlsx")
    file = tmp_path / "book.xlsx"
    assert "sheet Blad 1" in _run("validate", file, "--sheet", "sales=Blad 1").stdout
    assert "the workbook has no sheet 'Blad'; found Blad 1" in _run("validate", file, "--sheet", "sales=Blad").stderr
    assert "salse: --sheet names an unknown table" in _run("validate", file, "--sheet", "salse=Blad 1").stderr
    assert "--sheet takes TABLE=NAME, such as sales=Sheet1; got 'x'" in _run("validate", file, "--sheet", "x").stderr
    twice = _run("validate", file, "--sheet", "sales=A", "--sheet", "sales=B")
    assert "--sheet names sales twice, as 'A' and 'B'; give it once" in twice.stderr


def test_a_mistyped_table_in_the_columns_file_is_refused_with_the_near_name(shop: Path, tmp_path: Path) -> None:
    columns = tmp_path / "c.toml"
    columns.write_text('[salse]\nsku = "sku"\n')
    result = _run("validate", shop, "--columns", columns)
    assert result.exit_code == 2
    assert "salse: --columns names an unknown table. What to do: did you mean 'sales'?" in result.stderr


def test_advice_names_options_of_the_shell(shop: Path, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("hello")
    messages = [_run("report", tmp_path / "nofile").stderr, _run("validate", readme).stderr]
    assert "What to do: give the folder that holds the tables or a workbook\n" in messages[0]
    assert "What to do: name it after its table, such as sales.csv\n" in messages[1]
    (shop / "sales.csv").write_text("item;material;date;qty\nA;X;01/02/2024;1,234\n")
    messages.append(_run("validate", shop).stderr)
    assert '--columns FILE, a TOML file with: sales = {item = "sku", material = ""}' in messages[2]
    assert 'say --date-format "%d/%m/%Y" (day first) or --date-format "%m/%d/%Y" (month first)' in messages[2]
    assert 'say --decimal "," or --decimal "."' in messages[2]
    # What is advised works.
    columns = tmp_path / "c.toml"
    columns.write_text('sales = {item = "sku", material = ""}')
    said = ("validate", shop, "--columns", columns, "--date-format", "%d/%m/%Y", "--decimal", ",")
    assert _run(*said).exit_code == 0
    answer = json.loads(_run("validate", shop, "--json").stdout)
    messages += [answer["error"], *(f["what_to_do"] for f in answer["failures"])]
    (shop / "sales.csv").write_text(
        "sku,order date,quantity\n1207,2024-05-03,2\n1207,2024-05-03,2\n1208,2024-05-03,1\n"
    )
    (shop / "products.csv").write_text("sku,price\n1207,1\n")
    messages.append(_run("validate", shop).stdout)
    assert "plan with --settings FILE, a TOML file with: sales_are = 'orders'" in messages[-1].replace("\n  ", " ")
    assert "--drop-duplicates counts each once" in messages[-1].replace("\n    ", " ")
    assert "(--unknown-sku keep uses the row)" in messages[-1].replace("\n    ", " ")
    (shop / "products.csv").write_text("sku,price\n01207,1\n1208,1\n")
    messages.append(_run("validate", shop).stderr)
    assert '--columns FILE, a TOML file with: sales = {"that column" = "sku"}; ' in messages[-1]
    assert "if they are different items, --unknown-sku keep" in messages[-1]
    for text in messages:
        assert not re.search(r"read_tables|Settings\(|\b(columns|sheets|date_format|decimal|as_of|unknown_sku)=", text)


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("write it like as_of='2024-01-31'", "write it like --as-of 2024-01-31"),
        ("read_tables(as_of=...) moves the day", "--as-of moves the day"),
        ("say which: sheets={'sales': 'Blad 1'}, and rename", "say which: --sheet 'sales=Blad 1', and rename"),
        ("sheets= names an unknown table", "--sheet names an unknown table"),
        ("columns={'sales': {'a': 'sku', 'b': None}}", '--columns FILE, a TOML file with: sales = {a = "sku", b = ""}'),
        ("columns={not a dict}", "--columns FILE"),
        ("leave one, or read_tables({'sales': path, ...})", "leave one"),
        ("date_format names a column that is no date", "--date-format names a column that is no date"),
        (
            "plan with Settings(sales_are='orders'), or",
            "plan with --settings FILE, a TOML file with: sales_are = 'orders', or",
        ),
        ("nothing to say of columns, as_of and sheets", "nothing to say of columns, as_of and sheets"),
    ],
)
def test_words_of_python_become_words_of_the_shell(python: str, shell: str) -> None:
    assert in_shell_words(python) == shell
    assert in_shell_words(shell) == shell
    assert all_in_shell_words({"a": [python, 3, None]}) == {"a": [shell, 3, None]}


def test_date_patterns_are_given_for_all_tables_or_for_one(shop: Path) -> None:
    (shop / "sales.csv").write_text("sku,date,quantity\nA,03.05.2024,2\nA,04.05.2024,1\n")
    (shop / "inventory.csv").write_text("sku,date,on_hand\nA,05/04/2024,7\n")
    (shop / "purchase_orders.csv").write_text("supplier,order_date,received_date\nS,2024-04-02,\n")

    def days(*patterns: str) -> dict[str, str]:
        options = [word for pattern in patterns for word in ("--date-format", pattern)]
        answer = json.loads(_run("validate", shop, "--json", *options).stdout)
        return {r["table"]: r["understood"] for r in answer["mapping"] if r["field"].endswith("date")}

    two = days("sales=%d.%m.%Y", "stock=%m/%d/%Y")
    assert "2024-05-03 to 2024-05-04" in two["sales"]
    assert "2024-05-04" in two["inventory"]
    rest = days("%m/%d/%Y", "sales=DD.MM.YYYY")
    assert rest["inventory"] == two["inventory"]
    assert "2024-05-03 to 2024-05-04" in rest["sales"]
    assert "--date-format" in (said := " ".join(_run("report", "--help").stdout.split()))
    assert "sales=%d.%m.%Y" in said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["sales="], "--date-format takes PATTERN or TABLE=PATTERN, such as sales=%d.%m.%Y; got 'sales='"),
        (["=%d.%m.%Y"], "got '=%d.%m.%Y'"),
        (["%d.%m.%Y", "%d/%m/%Y"], "gives two patterns without a table, '%d.%m.%Y' and '%d/%m/%Y'; give it once"),
        (["sales=%d.%m.%Y", "sales=%d/%m/%Y"], "names sales twice"),
        (["salse=%d.%m.%Y"], "--date-format names an unknown table"),
        (["backorders=%d.%m.%Y"], "--date-format names a table that is not given"),
    ],
)
def test_date_patterns_that_cannot_be_meant_are_refused(shop: Path, given: list[str], told: str) -> None:
    result = _run("validate", shop, *(word for pattern in given for word in ("--date-format", pattern)))
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
