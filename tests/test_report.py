"""The page: one file, offline, escaped, complete for readers without scripts, honest about what was cut."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plan_fixture import AS_OF, made_up_plan

from backorder_forecast.frames import COLUMNS, FRAMES, TOO_LATE, column_note, empty_frame, format_values
from backorder_forecast.report import PAGE_ROWS, Picture, frame_headings, write_html

_VOID = {"meta", "link", "input", "img", "br", "hr"}


class _Page(HTMLParser):
    """Tags, attributes, texts and data blocks of a page; raises where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.data: list[dict[str, Any]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self.tags[-1][1].get("type") == "application/json":
                self.data.append(json.loads(data))
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.tags if a.get("id")]  # type: ignore[misc]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = made_up_plan().to_html(tmp_path_factory.mktemp("page") / "report.html", pictures=2)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> _Page:
    return _Page(text)


def _write(path: Path, frames: dict[str, pd.DataFrame], **options: Any) -> _Page:
    summary = made_up_plan().summary()
    return _Page(write_html(frames, path, title="Test", as_of=AS_OF, summary=summary, **options).read_text("utf-8"))


def test_the_file_asks_for_nothing_outside_itself(page: _Page, text: str) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data"):
            target = attributes.get(name) or "#"
            assert target.startswith(("#", "data:")), (tag, target)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", text)


def test_every_frame_has_its_place_and_every_link_its_target(page: _Page) -> None:
    ids = page.ids()
    assert max(Counter(ids).values()) == 1
    assert {f"frame-{name}" for name in FRAMES} <= set(ids)
    links = {a["href"][1:] for tag, a in page.tags if tag == "a" and (a.get("href") or "").startswith("#")}  # type: ignore[index]
    assert links <= set(ids)
    assert {link for block in page.data for link in block["links"].values()} == {"item-0", "item-1"}


def test_tables_hold_every_row_and_column_with_headings_for_people(page: _Page) -> None:
    plan = made_up_plan()
    by_names = {frozenset(c["name"] for c in block["columns"]): block for block in page.data}
    for name in FRAMES:
        frame = plan.frames[name]
        block = by_names[frozenset(map(str, frame.columns))]
        assert len(block["rows"]) == min(len(frame), 2000), name
        assert all("_" not in c["head"] for c in block["columns"])
    block = by_names[frozenset(map(str, plan.stockouts.columns))]
    names = [c["name"] for c in block["columns"]]
    assert [row[names.index("sku")] for row in block["rows"]] == plan.stockouts["sku"].tolist()
    dates = [row[names.index("order_by_date")] for row in block["rows"]]
    late = ~plan.stockouts["avoidable"] & (plan.stockouts["flag"] != "ok")
    days = plan.stockouts["order_by_date"].dt.strftime("%Y-%m-%d")
    assert dates == days.fillna(late.map({True: TOO_LATE, False: ""})).tolist()
    assert late.any()
    assert not block["columns"][names.index("location")]["brief"], "an empty column is not shown at first"


def test_the_first_rows_are_there_without_scripts(text: str) -> None:
    body = text.split('id="frame-stockouts"')[1].split("<tbody>")[1].split("</tbody>")[0]
    assert body.count("<tr>") == PAGE_ROWS
    assert '<span class="badge critical">critical</span>' in body
    assert re.search(r"\d{1,2}&nbsp;May&nbsp;2024", body)
    assert "<noscript>" in text


def test_headings_are_cells_with_a_scope_and_pictures_have_words(page: _Page) -> None:
    assert all(a.get("scope") == "col" for tag, a in page.tags if tag == "th")
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == 2
    assert all("chance to run out" in (a["alt"] or "") for a in pictures)
    assert ("html", {"lang": "en"}) in page.tags


def test_tiles_notes_settings_and_mapping_are_told(page: _Page) -> None:
    plan, words = made_up_plan(), " ".join(page.words)
    for topic in plan.summary()["topic"]:
        assert topic in words
    for note in plan.notes:
        assert note in words
    assert "Posting date (day first)" in words
    assert "service_level" in words
    assert "Probability of no unmet demand per order cycle" in words
    assert "Monday, 6 May 2024" in words


def test_long_frames_are_cut_and_the_page_says_where_the_rest_is(tmp_path: Path) -> None:
    plan = made_up_plan()
    page = _write(tmp_path / "cut.html", dict(plan.frames), max_rows=100)
    assert max(len(block["rows"]) for block in page.data) == 100
    words = " ".join(" ".join(page.words).split())
    assert "This page holds 100 of 3,600 rows, those of the most urgent items first" in words
    assert "forecasts.csv" in words
    forecasts = next(b for b in page.data if [c["name"] for c in b["columns"]][-1] == "0.9")
    assert forecasts["rows"][0][0] == plan.stockouts["sku"].iloc[0]
    assert forecasts["rows"][90][0] == plan.stockouts["sku"].iloc[1]


def test_a_huge_forecast_does_not_swell_the_page(tmp_path: Path) -> None:
    plan = made_up_plan()
    huge = pd.concat([plan.forecasts.assign(location=f"L{k}") for k in range(50)], ignore_index=True)
    path = tmp_path / "huge.html"
    _write(path, {**plan.frames, "forecasts": huge})
    assert path.stat().st_size < 1_000_000


def test_text_of_the_input_is_escaped_everywhere(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><b>&\"'"
    stockouts = made_up_plan().stockouts.head(3).assign(sku=evil, flag="critical", cause=evil, location=evil)
    quality = pd.DataFrame({"table": [evil], "rule": [evil]})
    page = _write(
        tmp_path / "evil.html", {"stockouts": stockouts, "data_quality": quality}, notes=[evil], mapping_text=evil,
        subtitle=evil, pictures=[Picture(evil, evil, evil, b"<svg/>")],
        settings=pd.DataFrame({"setting": [evil], "value": [evil], "default": [False], "meaning": [evil]}),
    )  # fmt: skip
    assert sum(tag == "script" for tag, _ in page.tags) == len(page.data) + 1
    assert not any(tag == "b" for tag, _ in page.tags)
    assert "".join(page.words).count(evil) >= 10
    assert page.data[0]["rows"][0][0] == evil


def test_a_page_of_empty_frames_reads_well(tmp_path: Path) -> None:
    page = _write(tmp_path / "empty.html", {name: empty_frame(name) for name in FRAMES})
    assert page.data == []
    assert " ".join(page.words).count("Nothing to show") == len(FRAMES)


def test_frames_of_other_names_are_shown_too(tmp_path: Path) -> None:
    page = _write(tmp_path / "more.html", {"my_table": pd.DataFrame({"a_b": [1.5]})})
    assert "frame-my_table" in page.ids()
    assert "My table" in " ".join(page.words)


def test_the_same_plan_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    assert made_up_plan().to_html(tmp_path / "again.html", pictures=2).read_text("utf-8") == text


def test_bars_by_week_count_every_item_with_a_date(page: _Page) -> None:
    weeks = [a["title"] for tag, a in page.tags if a.get("class") == "week"]
    counted = sum(int(n) for title in weeks for n in re.findall(r"(\d+) (?:critical|warning|watch|ok)", str(title)))
    assert counted == made_up_plan().stockouts["stockout_date_0.5"].notna().sum()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium to run the page's script")
def test_sorting_filtering_and_paging_work_in_a_browser(text: str, tmp_path: Path) -> None:
    steps = """<script>addEventListener("load", () => {
      const frame = document.querySelector("#frame-stockouts"), out = {};
      const skus = () => [...frame.querySelectorAll("tbody tr")].map((r) => r.cells[0].textContent);
      const head = (name) => [...frame.querySelectorAll("th button")].find((b) => b.textContent.trim() === name);
      const select = frame.querySelector("select");
      const choose = (value) => { select.value = value; select.dispatchEvent(new Event("change")); };
      out.start = skus();
      head("Item").click(); out.item = skus();
      head("Revenue at risk").click(); out.risk = skus();
      head("Revenue at risk").click(); head("Revenue at risk").click(); out.back = skus();
      choose("warning"); out.warning = skus(); out.count = frame.querySelector(".where").textContent; choose("");
      frame.querySelector(".next").click(); out.second = skus();
      const input = frame.querySelector("input[type=search]");
      input.value = "001-sku"; input.dispatchEvent(new Event("input"));
      setTimeout(() => {
        out.found = skus();
        document.body.textContent = "RESULT" + JSON.stringify(out) + "END";
      }, 400);
    });</script></body>"""
    file = tmp_path / "page.html"
    file.write_text(text.replace("</body>", steps), encoding="utf-8")
    arguments = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    done = subprocess.run(
        ["chromium", *arguments.split(), f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000",
         "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    out = json.loads(done.stdout.split("RESULT")[1].split("END")[0])
    risk = made_up_plan().stockouts
    first: Callable[[pd.DataFrame], list[str]] = lambda frame: frame["sku"].head(PAGE_ROWS).tolist()  # noqa: E731
    assert out["start"] == out["back"] == first(risk)
    assert out["item"] == first(risk.sort_values("sku"))
    assert out["risk"][:5] == first(risk.sort_values("revenue_at_risk", ascending=False))[:5]
    assert out["warning"] == risk.loc[risk["flag"] == "warning", "sku"].tolist()
    assert out["count"] == f"1–{len(out['warning'])} of {len(out['warning'])} (filtered from 40)"
    assert out["second"] == risk["sku"].tolist()[PAGE_ROWS:]
    assert out["found"] == ["001-SKU"]


def test_an_order_that_comes_too_late_says_now(tmp_path: Path) -> None:
    orders = made_up_plan().frames["reorders"].iloc[:2].copy()
    orders["urgency"], orders["order_by_date"] = ["overdue", "none"], pd.NaT
    orders["order_by_date"] = orders["order_by_date"].astype("datetime64[s]")
    summary = made_up_plan().summary()
    page = write_html({"reorders": orders}, tmp_path / "late.html", title="Late", as_of=AS_OF, summary=summary)
    assert page.read_text(encoding="utf-8").count(f">{TOO_LATE}<") == 1


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_notes_of_columns_speak_no_python(name: str) -> None:
    for text in (column_note(name), COLUMNS[name].heading):
        assert not re.search(r"`|\b(True|False|None|NaN|NaT)\b|\b[a-z]+_[a-z_]+\b|\w\(", text), text


def test_sentences_on_the_page_have_days_and_options_in_words(tmp_path: Path) -> None:
    quality = pd.DataFrame(
        {"table": ["sales"], "rule": ["exact duplicates"], "rows_read": 2, "rows_used": 2, "rows_merged": 0,
         "rows_set_aside": 0, "examples": [""], "effect": ["kept; drop_duplicates=True counts each once"]}
    )  # fmt: skip
    note = "stock of 2024-05-06 was rolled forward by 5%"
    page = _write(tmp_path / "p.html", {"data_quality": quality}, notes=[note])
    words = " ".join(page.words)
    assert "kept; the option drop_duplicates counts each once" in words
    assert "stock of 6 May 2024 was rolled forward by 5 %" in words


def test_a_share_that_rounds_to_nothing_has_no_sign() -> None:
    assert format_values("share", pd.Series([-0.001, -0.04, 0.0])) == ["0 %", "-4 %", "0 %"]


def test_tables_show_first_what_a_reader_needs(page: _Page) -> None:
    blocks = dict(zip(frame_headings(), page.data, strict=True))
    heads = {name: [c["name"] for c in block["columns"] if c["brief"]] for name, block in blocks.items()}
    assert "method_reason" not in heads["items"]
    assert heads["stockouts"].index("cause") < heads["stockouts"].index("on_hand")
    rows = blocks["backlog"]["rows"]
    at = [c["name"] for c in blocks["backlog"]["columns"]].index("sku")
    assert "all items" in {row[at] for row in rows}
    assert "" not in {row[at] for row in rows}
