"""What is said of shortages that are still open: the conditional median beside simpler rules, asked in three ways.

`own_day`: each shortage that began May to September is asked about on the days on which it is 14 and 30 days old; the
laws know what had been reported by then. `origin`: at the end of April to August, every shortage that has been open for
at least 14 and 30 days. `month`: the shortages that began in a month, by the laws of the day before it, which are up to
two months old when the question is put. The rules: the median said when the shortage began, counted anew from the day
of the question ("day0"); the median of a shortage that begins on that day ("today"); the mean of what ended shortages
of that age still took ("mean_residual").

Days left are counted within the follow-up: what lasts longer counts as lasting until its end, and so does what is said
to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backorder_forecast as bf
from benchmarks._lead_sets import REGISTER_END, REGISTER_START

Floats = NDArray[np.float64]
AGES = (14, 30)
RULES = ("conditional", "day0", "today", "mean_residual")
ORIGINS = pd.date_range("2017-05-01", "2017-09-01", freq="MS")
COLUMNS = ["supplier", "order_date"]
PERCENTILES = list(np.arange(0.005, 1.0, 0.01).round(3))
RESAMPLES = 2000


class Laws:
    """Lead times, and how long ended shortages took, as known at the end of a day; each day is fitted once."""

    def __init__(self, reports: pd.DataFrame) -> None:
        self.reports = reports
        self._found: dict[pd.Timestamp, tuple[bf.LeadTimes, Floats]] = {}

    def at(self, day: pd.Timestamp) -> bf.LeadTimes:
        """The laws at the end of a day."""
        return self._fit(day)[0]

    def mean_residual(self, day: pd.Timestamp, ages: Floats) -> Floats:
        """Mean of what ended shortages of each age still took."""
        past = self._fit(day)[1]
        found = [(past[past > age] - age).mean() if (past > age).any() else past.mean() for age in ages]
        return np.asarray(found, dtype=np.float64)

    def _fit(self, day: pd.Timestamp) -> tuple[bf.LeadTimes, Floats]:
        if day not in self._found:
            known = self.reports[(self.reports["order_date"] <= day) & (self.reports["reported"] <= day)]
            told = known[[*COLUMNS, "received_date"]].assign(recorded_date=known["reported"])
            ended = known[(known["received_date"] <= day) & (known["order_date"] >= REGISTER_START)]
            self._found[day] = bf.fit_lead_times(told, as_of=day), lasted(ended)
        return self._found[day]


def age_figures(laws: Laws) -> dict[str, float]:
    """Mean absolute errors by way of asking, age and rule, and how sure the difference is on the own day."""
    figures: dict[str, float] = {}
    for name, ask in (("own_day", _own_days), ("origin", _at_origins), ("month", _months)):
        rows = ask(laws)
        left = rows["left"].clip(upper=rows["followed"])
        for rule in RULES:
            rows[rule] = (rows[rule].clip(upper=rows["followed"]) - left).abs()
        for age, group in rows.groupby("age"):
            figures[f"drug_{name}_{age}_rows"] = float(len(group))
            figures |= {f"drug_{name}_{age}_{rule}": float(group[rule].mean()) for rule in RULES}
            if name == "own_day":
                low, high = company_bootstrap(group["conditional"] - group["day0"], group["supplier"])
                figures |= {f"drug_{name}_{age}_less_day0_low": low, f"drug_{name}_{age}_less_day0_high": high}
    return figures


def company_bootstrap(gain: pd.Series, company: pd.Series) -> tuple[float, float]:
    """95 % interval of a mean, companies drawn with replacement: shortages of one company end together."""
    sums = gain.groupby(company.to_numpy()).agg(["sum", "size"]).to_numpy(dtype=np.float64)
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(len(sums), size=(RESAMPLES, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def rest_at_age(
    lead: bf.LeadTimes, rows: pd.DataFrame, age: float, day: pd.Timestamp, of: Callable[[Floats], Floats]
) -> Floats:
    """A figure of the days left, were the rows `age` days old at the end of `day`: mean over percentiles."""
    aged = rows[["supplier"]].assign(order_date=day - pd.Timedelta(days=age))
    return np.asarray(of(lead.remaining(aged, PERCENTILES, as_of=day).to_numpy()).mean(axis=1))


def lasted(rows: pd.DataFrame) -> Floats:
    """Days from begin to end, inf for what has not ended within the register."""
    days = (rows["received_date"] - rows["order_date"]).dt.days
    return np.asarray(days.fillna(np.inf), dtype=np.float64)


def begun(reports: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """Shortages that began in the month from `origin` on."""
    inside = (reports["order_date"] >= origin) & (reports["order_date"] < origin + pd.offsets.MonthBegin(1))
    return reports[inside].reset_index(drop=True)


def _own_days(laws: Laws) -> pd.DataFrame:
    parts = []
    scored = pd.concat([begun(laws.reports, origin) for origin in ORIGINS], ignore_index=True)
    for began, group in scored.groupby("order_date"):
        begin = pd.Timestamp(str(began))
        first = laws.at(begin - pd.Timedelta(days=1)).quantiles(group[COLUMNS], [0.5])[0.5]
        for age in AGES:
            rows = group[lasted(group) > age]
            if len(rows):
                day = begin + pd.Timedelta(days=age)
                parts.append(_said(laws, rows, day).assign(age=age, day0=first.loc[rows.index].to_numpy()))
    return pd.concat(parts, ignore_index=True)


def _at_origins(laws: Laws) -> pd.DataFrame:
    parts = []
    for origin in ORIGINS:
        day, reports = origin - pd.Timedelta(days=1), laws.reports
        known = (reports["order_date"] >= REGISTER_START) & (reports["reported"] <= day)
        rows = reports[known & (reports["order_date"] <= day) & ~(reports["received_date"] <= day)]
        ages = (day - rows["order_date"]).dt.days
        parts += [_said(laws, rows[ages >= age], day).assign(age=age) for age in AGES]
    found = pd.concat(parts, ignore_index=True)
    # The day on which each of them began has no law of its own here: the rule is that of the day of the question.
    return found.assign(day0=found["today"])


def _months(laws: Laws) -> pd.DataFrame:
    parts = []
    for origin in ORIGINS:
        day, new = origin - pd.Timedelta(days=1), begun(laws.reports, origin)
        lead, end = laws.at(day), float((REGISTER_END - new["order_date"]).dt.days.min())
        for age in AGES:
            rows = new[lasted(new) > age]
            first = lead.quantiles(rows[COLUMNS], [0.5])[0.5].to_numpy()
            rest = rest_at_age(lead, rows, age, day, lambda wait: np.median(wait, axis=1)[:, None])
            usual = laws.mean_residual(day, np.full(len(rows), float(age)))
            values = {"conditional": rest, "day0": first, "today": first, "mean_residual": usual}
            frame = rows[["supplier"]].assign(age=age, left=lasted(rows) - age, followed=end - age, **values)
            parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def _said(laws: Laws, rows: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """What is said of open rows at the end of a day, and what was left of them."""
    lead = laws.at(day)
    ages = (day - rows["order_date"]).dt.days.to_numpy(dtype=np.float64)
    rest = np.median(lead.remaining(rows[COLUMNS], PERCENTILES, as_of=day).to_numpy(), axis=1)
    return pd.DataFrame(
        {
            "supplier": rows["supplier"].to_numpy(),
            "left": lasted(rows) - ages,
            "followed": float((REGISTER_END - day).days),
            "conditional": rest,
            "today": lead.quantiles(rows[COLUMNS], [0.5])[0.5].to_numpy(),
            "mean_residual": laws.mean_residual(day, ages),
        }
    )
