"""Do lead times keep what they say? Public deliveries foretold day by day, each from what was known before it.

    python -m benchmarks.lead_times [--json PATH]

SCMS: every order date of 2010 and 2011 is an origin; the laws know the deliveries up to the day before, orders still
open then are open. Leaving one vendor out asks the same of a vendor never seen. The peers are the quantiles of all, and
of the vendor's own, orders delivered by then. Drug shortages: origins are the first days of May to September 2017, the
laws know what was reported before them, from the day of the report on, and foretell the shortages that began in the
month after; once learned from those that began while the register existed, once from earlier ones too; ends that lie
beyond the register are censored. What is said of shortages that are still open is asked on the days on which they are
14 and 30 days old, and in two other ways (`_drug_ages.py`). Defaults of the library throughout. The data come from
BACKORDER_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import backorder_forecast as bf
from benchmarks._compare import print_table
from benchmarks._drug_ages import COLUMNS, ORIGINS, Laws, age_figures, begun, lasted, rest_at_age
from benchmarks._lead_sets import OLDEST, REGISTER_END, drug_shortages, scms_orders, share_followed

Floats = NDArray[np.float64]
LEVELS = [0.1, 0.5, 0.9]
KNOWN = ["supplier", "location", "order_date", "received_date"]
SCORED_FROM = pd.Timestamp("2010-01-01")
OWN_DELIVERIES = 5
"""Deliveries from which the peer trusts a vendor's own quantiles."""
RESAMPLES = 2000


def main() -> None:
    """Print the tables, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, float] = {}
    folder = os.environ.get("BACKORDER_DATA")
    if folder is None:
        print("skipped: set BACKORDER_DATA to the folder of public data")
    else:
        figures |= scms_figures(scms_orders(Path(folder)))
        print_table("SCMS, orders of 2010 and 2011", figures)
        drugs = drug_figures(drug_shortages(Path(folder)))
        print_table("drug shortages, May to September 2017", drugs)
        earlier = drug_figures(drug_shortages(Path(folder), since=OLDEST))
        print_table("the same, learned also from those that began before the register", earlier)
        figures |= drugs | {f"{name}_earlier": value for name, value in earlier.items()}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def scms_figures(orders: pd.DataFrame) -> dict[str, float]:
    """Coverage and loss of orders foretold on the day before they were placed."""
    found, left_out = _walk(orders)
    actual = found["days"].to_numpy(dtype=np.float64)
    ours, everyone, vendor = (found[[f"{name}_{q}" for q in LEVELS]].to_numpy() for name in ("ours", "all", "vendor"))
    unseen = found["unseen"].to_numpy()
    covered = _inside(actual, ours)
    other = _inside(left_out["days"].to_numpy(), left_out[[f"ours_{q}" for q in LEVELS]].to_numpy())
    low, high = _binomial_interval(int(covered[unseen].sum()), int(unseen.sum()))
    figures = {
        "scms_lines": float(len(found)),
        "scms_coverage_80": float(covered.mean()),
        "scms_below": float((actual < ours[:, 0]).mean()),
        "scms_above": float((actual > ours[:, 2]).mean()),
        "scms_lovo_lines": float(len(left_out)),
        "scms_lovo_coverage_80": float(other.mean()),
        "scms_unseen_lines": float(unseen.sum()),
        "scms_unseen_coverage_80": float(covered[unseen].mean()),
        "scms_unseen_low": low,
        "scms_unseen_high": high,
        "scms_pinball": float(_loss(actual, ours).mean()),
        "scms_pinball_global": float(_loss(actual, everyone).mean()),
        "scms_pinball_vendor": float(_loss(actual, vendor).mean()),
    }
    for name, peer in (("global", everyone), ("vendor", vendor)):
        gain = _loss(actual, peer) - _loss(actual, ours)
        figures[f"scms_gain_over_{name}_low"], figures[f"scms_gain_over_{name}_high"] = _bootstrap(gain, found["date"])
    return figures


def drug_figures(reports: pd.DataFrame) -> dict[str, float]:
    """Coverage of new shortages, and errors of what is said of open ones."""
    laws = Laws(reports)
    return drug_coverage(laws) | age_figures(laws)


def drug_coverage(laws: Laws) -> dict[str, float]:
    """How often an 80 % interval of new shortages held.

    The register follows a shortage for 92 to 244 days, and a third of them last longer than that: the upper end of an
    80 % interval cannot be seen. `drug_coverage_80` is 1 - P(before the interval) - P(after it), the first weighted by
    1 / chance of having been followed, the second as the share that outlasts the register times the chance that the
    laws give these to outlast the interval. `drug_coverage_80_seen` counts only what ended, weighted in the same way.
    """
    rows = pd.concat([_drug_origin(laws, origin) for origin in ORIGINS], ignore_index=True)
    ended, weight = np.isfinite(rows["days"]).to_numpy(), rows["weight"].to_numpy()
    inside = _inside(rows["days"].to_numpy(), rows[LEVELS].to_numpy())
    below = weight * (rows["days"] < rows[0.1]).to_numpy()
    return {
        "drug_shortages": float(len(rows)),
        "drug_ended_share": float(ended.mean()),
        "drug_coverage_80": float(1.0 - below.mean() - rows["after"].mean()),
        "drug_coverage_80_seen": float(np.average(inside, weights=weight)),
        "drug_below": float(below.mean()),
        "drug_below_median": float((weight * (rows["days"] <= rows[0.5]).to_numpy()).mean()),
        "drug_median_beyond_register": float((rows[0.5] > rows["followed"]).mean()),
    }


def _walk(orders: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was said of each order, and what would have been said without its vendor."""
    found, left_out = [], []
    scored = orders[(orders["order_date"] >= SCORED_FROM) & (orders["days"] >= 0)]
    for day, new in scored.groupby("order_date"):
        before = pd.Timestamp(str(day)) - pd.Timedelta(days=1)
        known = orders.loc[orders["order_date"] < day, KNOWN]
        said = bf.fit_lead_times(known, as_of=before).quantiles(new[KNOWN[:3]], LEVELS)
        delivered = known[known["received_date"] <= before].assign(
            days=lambda f: (f["received_date"] - f["order_date"]).dt.days
        )
        delivered = delivered[delivered["days"] >= 0]
        everyone = delivered["days"].quantile(LEVELS).to_numpy()
        own = delivered.groupby("supplier")["days"].quantile(np.array(LEVELS)).unstack()
        own = own[delivered["supplier"].value_counts().reindex(own.index) >= OWN_DELIVERIES]
        vendor = own.reindex(new["supplier"]).to_numpy()
        vendor = np.where(np.isnan(vendor), everyone, vendor)
        row = pd.DataFrame({"date": day, "days": new["days"], "unseen": ~new["supplier"].isin(known["supplier"])})
        for j, q in enumerate(LEVELS):
            row[f"ours_{q}"], row[f"all_{q}"], row[f"vendor_{q}"] = said[q], everyone[j], vendor[:, j]
        found.append(row)
        for name, group in new.groupby("supplier"):
            others = known[known["supplier"] != name]
            if len(others) == len(known):
                continue
            said = bf.fit_lead_times(others, as_of=before).quantiles(group[KNOWN[:3]], LEVELS)
            left_out.append(said.rename(columns=lambda q: f"ours_{q}").assign(days=group["days"]))
    return pd.concat(found, ignore_index=True), pd.concat(left_out, ignore_index=True)


def _drug_origin(laws: Laws, origin: pd.Timestamp) -> pd.DataFrame:
    """Shortages that began in the month from `origin` on, and what was said of them on the day before it."""
    before = origin - pd.Timedelta(days=1)
    lead, new = laws.at(before), begun(laws.reports, origin)
    followed, days = (REGISTER_END - new["order_date"]).dt.days.to_numpy(dtype=np.float64), lasted(new)
    chance = share_followed(followed, np.minimum(days, followed))
    said = lead.quantiles(new[COLUMNS], LEVELS)
    rows = said.assign(days=days, followed=followed, weight=np.where(np.isfinite(days), 1.0 / chance, 0.0))
    end = float(followed.min())
    outlast = rest_at_age(lead, new, end, before, lambda wait: np.asarray(wait > (said[0.9].to_numpy() - end)[:, None]))
    # Followed to the shortest follow-up of the month everywhere, so that nothing is weighted.
    rows["after"] = np.where(days > end, outlast, 0.0)
    return rows


def _inside(actual: Floats, said: Floats) -> NDArray[np.bool_]:
    return np.asarray((actual >= said[:, 0]) & (actual <= said[:, -1]))


def _loss(actual: Floats, said: Floats) -> Floats:
    """Mean pinball loss of the three quantiles per row, days."""
    gap, level = actual[:, None] - said, np.array(LEVELS)
    return np.asarray(np.maximum(level * gap, (level - 1.0) * gap).mean(axis=1))


def _bootstrap(gain: Floats, dates: pd.Series) -> tuple[float, float]:
    """95 % interval of the mean gain, order dates drawn with replacement: lines of one day are not independent."""
    sums = pd.DataFrame({"gain": gain, "n": 1.0}).groupby(dates.to_numpy()).sum().to_numpy()
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(len(sums), size=(RESAMPLES, len(sums)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def _binomial_interval(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share by Clopper and Pearson (1934)."""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return low, high


if __name__ == "__main__":
    main()
