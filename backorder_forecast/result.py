"""The plan: frames that answer the questions, what they rest on, and the ways out (figure, page, workbook, folder).

`Plan` is a table of contents over free functions: frames come from the pipeline, `summary` shows them on one screen,
`plots`, `report`, `excel` and `folder` render them. It is frozen, and its frames are handed out so that what is done to
them does not reach the plan.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backorder_forecast.errors import BackorderForecastError, InvalidSettings, unknown_name, unknown_option
from backorder_forecast.excel import SHEET_ROWS, write_excel
from backorder_forecast.folder import read_folder, write_folder
from backorder_forecast.frames import FRAMES, empty_frame, missing_columns
from backorder_forecast.plots import ItemPicture, picture_svg, plot_item
from backorder_forecast.report import Picture, picture_caption, write_html
from backorder_forecast.settings import ALLOCATIONS, Settings
from backorder_forecast.settings_table import settings_frame, settings_from_dict, settings_to_dict
from backorder_forecast.summary import summarise, summary_text
from backorder_forecast.wait_curves import wait_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from backorder_forecast.scenario import Scenario

_PERIODS = {"D": "days", "MS": "months"}


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Answers as frames; see each property for its columns, and `frames.FRAMES` for the core columns of all.

    Attributes
    ----------
    frames
        Output frames by name; one that is not given is empty but has its columns.
    settings
        Choices and assumptions behind every number.
    as_of
        Last known day.
    freq
        Period of the demand clock: D, W-MON ... W-SUN, MS.
    mapping_text
        How the input was understood.
    notes
        Sentences: what could not be computed, and which table would give it.
    pictures
        Function (sku, location) -> ItemPicture that draws one item's paths again; None for a plan from a folder.
    what_ifs
        Function Scenario -> Plan of the same fitted world; None for a plan from a folder.
    by_rule
        Function sku, location, rules -> fill dates by rule, for `compare_allocations`; None for a plan from a folder.
    timings
        Seconds by stage.
    """

    frames: Mapping[str, pd.DataFrame]
    settings: Settings
    as_of: pd.Timestamp
    freq: str
    mapping_text: str = ""
    notes: tuple[str, ...] = ()
    pictures: Callable[[str, str], ItemPicture] | None = None
    what_ifs: Callable[[Scenario], Plan] | None = None
    by_rule: Callable[[str | None, str | None, Sequence[str]], pd.DataFrame] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.frames:
            lacking = missing_columns(name, self.frames[name])
            if lacking:
                raise BackorderForecastError(f"frame {name} lacks the column(s) {', '.join(map(str, lacking))}")
        complete = {name: self.frames.get(name, empty_frame(name)) for name in FRAMES}
        object.__setattr__(self, "frames", MappingProxyType(complete))
        object.__setattr__(self, "timings", MappingProxyType(dict(self.timings)))
        object.__setattr__(self, "notes", tuple(self.notes))

    @classmethod
    def from_folder(cls, path: str | os.PathLike[str]) -> Plan:
        """The plan that `to_folder` wrote, without the sample paths behind its pictures."""
        frames, manifest = read_folder(path)
        return cls(
            frames=frames,
            settings=settings_from_dict(manifest["settings"]),
            as_of=pd.Timestamp(manifest["as_of"]),
            freq=manifest["freq"],
            mapping_text=manifest["mapping_text"],
            notes=tuple(manifest["notes"]),
        )

    # --- what runs out, what to order

    @property
    def stockouts(self) -> pd.DataFrame:
        """One row per item, most urgent first: probabilities, dates, flag and cause of running out."""
        return self._frame("stockouts")

    def causes(self, sku: str | None = None, location: str | None = None) -> pd.DataFrame:
        """One row per item at risk and input that differs from its reference: what it adds to the risk.

        Parameters
        ----------
        sku, location
            One item, or with `location` alone all items there; every flagged item without either. Items whose flag is
            ok have no rows.

        Returns
        -------
        DataFrame
            sku, location, player, contribution, standard_error (of the simulation), reference (the state it is
            compared with), order (the one named), risk (`p_unmet_before_arrival` of `stockouts`), baseline (risk with
            all at their references), cause_text. Most urgent item first, then the largest contribution; of each item
            the contributions and the baseline add up to the risk.

        Raises
        ------
        InvalidSettings
            For a sku or location that the plan does not know.

        Examples
        --------
        >>> import backorder_forecast as bf
        >>> days = pd.date_range("2024-01-01", "2024-06-30")
        >>> sales = pd.DataFrame({"sku": "A", "date": days, "quantity": 2.0})
        >>> stock = pd.DataFrame({"sku": ["A"], "date": days[-1:], "on_hand": [200.0], "on_hold": [200.0]})
        >>> plan = bf.make_plan(bf.read_tables({"sales": sales, "inventory": stock}), bf.Settings(n_paths=50))
        >>> why = plan.causes("A")
        >>> str(why["player"].iloc[0])
        'recall or hold'
        >>> bool(abs(why["contribution"].sum() + why["baseline"].iloc[0] - why["risk"].iloc[0]) < 1e-9)
        True
        """
        frame = self._frame("causes")
        keep = np.ones(len(frame), dtype=bool)
        for column, wanted in (("sku", sku), ("location", location)):
            if wanted is None:
                continue
            known = pd.concat([self.frames[name][column].astype(str) for name in ("items", "stockouts")]).unique()
            if str(wanted) not in known:
                raise unknown_name(column, str(wanted), sorted(known))
            keep &= (frame[column].astype(str) == str(wanted)).to_numpy()
        return frame if keep.all() else frame[keep].reset_index(drop=True)

    @property
    def reorders(self) -> pd.DataFrame:
        """One row per item and supplier: how much to order by when, and the levels behind it."""
        return self._frame("reorders")

    @property
    def excess(self) -> pd.DataFrame:
        """One row per item that holds more than it needs."""
        return self._frame("excess")

    # --- those who wait

    @property
    def fill_dates(self) -> pd.DataFrame:
        """One row per open backorder line: when it is filled, and what can be promised."""
        return self._frame("fill_dates")

    @property
    def notices(self) -> pd.DataFrame:
        """One row per customer and line that should be told something."""
        return self._frame("notices")

    @property
    def backlog(self) -> pd.DataFrame:
        """One row per date and item (empty sku: all items): open lines and units, their age and growth."""
        return self._frame("backlog")

    @property
    def wait_cutoffs(self) -> pd.DataFrame:
        """One row per item: the longest wait worth accepting, the decision, payment terms."""
        return self._frame("wait_cutoffs")

    @property
    def cash_flow(self) -> pd.DataFrame:
        """One row per date: deposits, balances, refunds, and the money that may be asked back."""
        return self._frame("cash_flow")

    # --- what it rests on

    @property
    def forecasts(self) -> pd.DataFrame:
        """One row per item and date: mean and quantiles 0.1, 0.5, 0.9 of demand in the period that starts then."""
        return self._frame("forecasts")

    @property
    def lead_times(self) -> pd.DataFrame:
        """One row per supplier, and per supplier and item: the law of the lead time."""
        return self._frame("lead_times")

    @property
    def suppliers(self) -> pd.DataFrame:
        """One row per supplier: the scorecard."""
        return self._frame("suppliers")

    @property
    def items(self) -> pd.DataFrame:
        """One row per item: product columns, method, demand class and confidence."""
        return self._frame("items")

    @property
    def data_quality(self) -> pd.DataFrame:
        """One row per table and rule; in each, rows used + merged + set aside = rows read."""
        return self._frame("data_quality")

    # --- what if, and ways out

    def what_if(self, scenario: Scenario) -> Plan:
        """The plan had a change been made, on the same random numbers and without learning anything anew.

        Equal to `make_plan(tables, settings, scenario=scenario)`, and faster by what fitting takes. A what-if of a
        what-if holds the changes of both; of what both name the later one counts.

        Parameters
        ----------
        scenario
            What is different, such as Scenario(order_arrives={"PO 4711": 3}).

        Returns
        -------
        Plan
            To be held against this one by `compare_plans`; its flags go by the projection alone.

        Raises
        ------
        InvalidSettings
            For names that the tables do not know, or if the plan was read from a folder: it holds no fitted models.

        Examples
        --------
        >>> import backorder_forecast as bf
        >>> days = pd.date_range("2024-01-01", "2024-06-30")
        >>> sales = pd.DataFrame({"sku": "A", "date": days, "quantity": 2.0})
        >>> stock = pd.DataFrame({"sku": ["A"], "date": days[-1:], "on_hand": [50.0]})
        >>> plan = bf.make_plan(bf.read_tables({"sales": sales, "inventory": stock}), bf.Settings(n_paths=50))
        >>> more = plan.what_if(bf.Scenario(demand_factor={"all": 3.0}))
        >>> [float(p.stockouts["p_stockout_14"].iloc[0]) for p in (plan, more)]
        [0.0, 1.0]
        """
        if self.what_ifs is None:
            raise InvalidSettings(
                "this plan holds frames alone, no fitted models; make it with make_plan, or give make_plan a scenario"
            )
        return self.what_ifs(scenario)

    def compare_allocations(
        self, sku: str | None = None, location: str | None = None, *, rules: Sequence[str] = ALLOCATIONS
    ) -> pd.DataFrame:
        """Fill dates of the open lines under each allocation rule, side by side, on the paths of this plan.

        Parameters
        ----------
        sku, location
            One item, or with `location` alone all items there; all items without either.
        rules
            Of "fifo", "priority" (where lines have none it is fifo), "fair_share".

        Returns
        -------
        DataFrame
            One row per line and rule: order_id, sku, location, customer_id, quantity, order_date, rule, fill_date_0.1,
            _0.5, _0.8, _0.9, _0.95, promise_date, p_at_promise, p_by_promised, p_unfilled; as in `fill_dates`, which
            the rows of the plan's own rule equal. Under fair share nobody is taken to leave, as in a plan.

        Raises
        ------
        InvalidSettings
            For a sku, location or rule that is not known, or if the plan was read from a folder.

        Examples
        --------
        >>> import backorder_forecast as bf
        >>> days = pd.date_range("2024-01-01", "2024-06-30")
        >>> sales = pd.DataFrame({"sku": "A", "date": days, "quantity": 2.0})
        >>> stock = pd.DataFrame({"sku": ["A"], "date": days[-1:], "on_hand": [5.0]})
        >>> lines = pd.DataFrame({"sku": "A", "order_id": ["1", "2"], "order_date": days[-4:-2], "quantity": [5.0, 5.0],
        ...                       "priority": [2, 1]})
        >>> tables = bf.read_tables({"sales": sales, "inventory": stock, "backorders": lines})
        >>> table = bf.make_plan(tables, bf.Settings(n_paths=50)).compare_allocations("A", rules=["fifo", "priority"])
        >>> table.pivot(index="order_id", columns="rule", values="fill_date_0.5").idxmin().to_dict()
        {'fifo': '1', 'priority': '2'}
        """
        if self.by_rule is None:
            raise InvalidSettings("this plan holds frames alone, no sample paths; make it with make_plan")
        return self.by_rule(sku, location, rules)

    def alerts(self, top: int | None = None) -> pd.DataFrame:
        """The flagged items whose stockout would cost most: as many as there is time to act on.

        Parameters
        ----------
        top
            Alert budget, items; all flagged items without it.

        Returns
        -------
        DataFrame
            Columns of `stockouts`, the largest `expected_miss_cost` first (in a frame without it `revenue_at_risk`);
            among equals, as where no price is known, the order of `stockouts`. Without `top` all rows but those `ok`.

        Raises
        ------
        InvalidSettings
            For a budget that is negative or no whole number.
        """
        if top is not None and (isinstance(top, bool) or not isinstance(top, Integral) or top < 0):
            raise InvalidSettings(f"top is the number of items to show, 0 or more, got {top!r}")
        flagged = self.stockouts[self.stockouts["flag"] != "ok"]
        by = "expected_miss_cost" if "expected_miss_cost" in flagged else "revenue_at_risk"
        cost = flagged[by].fillna(0.0).to_numpy(dtype=np.float64)
        # The frame is in order of urgency, which decides among equals.
        return flagged.iloc[np.argsort(-cost, kind="stable")[:top]].reset_index(drop=True)

    def summary(self) -> pd.DataFrame:
        """The plan on one screen: question, topic, figure, kind, text, tone."""
        return summarise(self.frames, as_of=self.as_of)

    def summary_text(self) -> str:
        """The same as text."""
        return summary_text(self.summary(), headline=f"{self._title()}. {self._subtitle()}", notes=self.notes)

    def plot(self, sku: str, location: str | None = None) -> Figure:
        """Figure of one item: demand, forecast, projected stock, chance of running out, orders and waiting lines.

        `location` may be left out where the item is at one location only. A plan from a folder shows what its frames
        hold: the forecast and who waits.
        """
        return plot_item(self._picture(*self._item(sku, location)))

    def plot_wait(self, sku: str, location: str | None = None) -> Figure:
        """Figure of one item: what a new backorder line is worth by its wait, and the longest wait that pays.

        A plan from a folder has no curves to draw.
        """
        sku, location = self._item(sku, location)
        curve, cutoffs = self._picture(sku, location).waits, self.frames["wait_cutoffs"]
        row = cutoffs[(cutoffs["sku"].astype(str) == sku) & (cutoffs["location"].astype(str) == location)]
        if not len(curve) or not len(row):
            raise InvalidSettings(f"no curve of waits for {sku}: it takes a plan made now, and the table inventory")
        return wait_figure(curve, row.iloc[0].to_dict())

    def to_html(self, path: str | os.PathLike[str], *, pictures: int = 12, max_rows: int = 2000) -> Path:
        """Write one self-contained HTML file, with a picture of each of the `pictures` most urgent items."""
        return write_html(
            self.frames, path, title=self._title(), subtitle=self._subtitle(), as_of=self.as_of,
            summary=self.summary(), notes=self.notes, settings=settings_frame(self.settings),
            mapping_text=self.mapping_text, pictures=self._urgent_pictures(pictures), max_rows=max_rows,
        )  # fmt: skip

    def to_excel(self, path: str | os.PathLike[str], *, max_rows: int = SHEET_ROWS) -> Path:
        """Write one workbook, a sheet per frame; needs the extra `excel`."""
        return write_excel(
            self.frames, path, title=self._title(), as_of=self.as_of, summary=self.summary(), notes=self.notes,
            max_rows=max_rows,
        )  # fmt: skip

    def to_folder(self, path: str | os.PathLike[str]) -> Path:
        """Write every frame as Parquet and CSV, and plan.json; `Plan.from_folder` reads them back."""
        manifest = {
            "as_of": f"{self.as_of:%Y-%m-%d}",
            "freq": self.freq,
            "settings": settings_to_dict(self.settings),
            "notes": list(self.notes),
            "mapping_text": self.mapping_text,
        }
        return write_folder(self.frames, path, manifest=manifest)

    def __repr__(self) -> str:
        lines = [f"{name} {len(frame):,}" for name, frame in self.frames.items() if len(frame)]
        return f"<Plan as of {self.as_of:%Y-%m-%d}, rows: {', '.join(lines) or 'none'}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary_text())}</pre>"

    def _frame(self, name: str) -> pd.DataFrame:
        # Copy on write: the caller may change what he gets, the plan keeps what it has.
        return self.frames[name].copy(deep=False)

    def _title(self) -> str:
        return f"Backorder plan, {self.as_of.day} {self.as_of:%B %Y}"

    def _subtitle(self) -> str:
        s = self.settings
        return (
            f"{s.horizon_days} days ahead, demand by {_PERIODS.get(self.freq, 'weeks')}, service level "
            f"{100 * s.service_level:g} %, promises kept with {100 * s.promise_level:g} %"
        )

    def _item(self, sku: str, location: str | None) -> tuple[str, str]:
        known = pd.concat([self.frames[name][["sku", "location"]] for name in ("items", "stockouts", "forecasts")])
        places = known.loc[known["sku"].astype(str) == str(sku), "location"].astype(str).unique().tolist()
        if not places:
            raise unknown_name("sku", str(sku), sorted(known["sku"].astype(str).unique()))
        if location is None and len(places) > 1:
            raise InvalidSettings(f"item {sku} is at several locations; name one of: {', '.join(sorted(places))}")
        if location is not None and location not in places:
            raise unknown_option(f"location of {sku}", location, sorted(places))
        return str(sku), places[0] if location is None else location

    def _picture(self, sku: str, location: str) -> ItemPicture:
        if self.pictures is not None:
            return self.pictures(sku, location)
        parts = {}
        for name in ("forecasts", "fill_dates", "stockouts"):
            frame = self.frames[name]
            parts[name] = frame[(frame["sku"] == sku) & (frame["location"] == location)]
        risk = parts["stockouts"].iloc[0].to_dict() if len(parts["stockouts"]) else {}
        return ItemPicture(
            sku=sku, location=location, title=f"{sku} {location}".strip() + " (saved plan: forecast and waiting lines)",
            as_of=self.as_of, forecast=parts["forecasts"].reset_index(drop=True), backorders=parts["fill_dates"],
            order_by_date=risk.get("order_by_date"), stockout_date=risk.get("stockout_date_0.5"),
        )  # fmt: skip

    def _urgent_pictures(self, most: int) -> list[Picture]:
        if self.pictures is None:
            return []
        urgent = self.frames["stockouts"]
        urgent = urgent[urgent["flag"].isin(["critical", "warning"])].head(most)
        shown = []
        for risk in urgent.to_dict("records"):
            sku, location = str(risk["sku"]), str(risk["location"])
            image = picture_svg(plot_item(self.pictures(sku, location), width=7.6))
            shown.append(Picture(sku, location, picture_caption(risk), image))
        return shown
