"""Tables of the benchmark of forecasts: figures in, tables out, each bar beside its figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from benchmarks._demand_peers import PEERS

Figures = Mapping[str, float]

PINBALL_BARS = {"vn2": 0.78, "carparts": 0.96, "raf": 0.88, "auto": 0.99}
"""Relative pinball loss to reach."""
PEER_BARS = ("online_retail", "uci_weekly", "stallion")
"""Sets in which every peer is to be beaten on the same rows."""
PIT_BARS = ("vn2", "carparts", "raf")
PIT_RANGE = (0.08, 0.12)
FRESHRETAIL_WAPE_BAR = 0.34


def set_table(sets: Sequence[str], figures: Figures) -> Table:
    """Ours, one row per set."""
    columns = ("relative_pinball", "rmsse", "wape", "bias", "pit_min", "pit_max", "cpu_ms_per_item")
    table = _table("defaults at rolling origins, all items", ["set", *columns])
    for name in sets:
        keys = [f"{name}_{column}" for column in columns]
        table.add_row(name, *(_number(figures.get(f"{key}_rolling", figures[key])) for key in keys))
    return table


def peer_table(sets: Sequence[str], figures: Figures) -> Table:
    """Relative pinball loss on the sampled items, one row per set; AutoETS and ours beside it on a part of them."""
    columns = ("ours_on_sample", *PEERS[:-1], "ours_on_auto_ets_sample", PEERS[-1])
    table = _table("relative pinball loss on the sampled items; in brackets the share of forecasts that failed",
                   ["set", *(column.replace("_", " ") for column in columns)])  # fmt: skip
    for name in sets:
        cells = []
        for column in columns:
            failed = figures.get(f"{name}_failed_share_{column}", 0.0)
            mark = f" ({failed:.0%})" if failed else ""
            cells.append(_number(figures.get(f"{name}_relative_pinball_{column}")) + mark)
        table.add_row(name, *cells)
    return table


def law_table(sets: Sequence[str], chosen: Mapping[tuple[str, str], str]) -> Table:
    """Which law of errors suited each peer best, one row per set and peer."""
    table = _table("what suited each peer best, known only afterwards", ["set", "peer", "law"])
    for name in sets:
        for peer in PEERS:
            table.add_row(name, peer, chosen[name, peer])
    table.columns[2].justify = "left"
    return table


def speed_table(n_items: int, figures: Figures) -> Table:
    """Seconds, memory and ratios of the large panel."""
    table = _table(f"{n_items} items x 730 days", ["figure", "value"])
    for name in figures:
        if name.startswith(("cpu_seconds", "cpu_ratio", "peak_mb")):
            table.add_row(name, _number(figures[name]))
    return table


def bar_table(sets: Sequence[str], figures: Figures) -> Table:
    """Every bar with its figure, and whether it was met; those of sets that were not asked for are left out."""
    table = _table("bars", ["figure", "value", "bar", ""])
    for name, value, bar, met in _bars(sets, figures):
        table.add_row(name, value, bar, "met" if met else "MISSED")
    for name in PEER_BARS:
        if name in sets and f"{name}_relative_pinball_{PEERS[0]}" not in figures:
            table.add_row(f"{name} against peers", "", "better than each", "not run")
    for name in ("bias", "bias_all_days"):
        if f"freshretail_{name}" in figures:
            days = "all days, sales at stockouts as lower bounds" if name == "bias_all_days" else "in stock"
            table.add_row(f"freshretail bias, last week, {days}", _number(figures[f"freshretail_{name}"]), "", "")
    return table


def _bars(sets: Sequence[str], figures: Figures) -> Iterable[tuple[str, str, str, bool]]:
    for name in sets:
        value = figures[f"{name}_relative_pinball"]
        if name in PINBALL_BARS:
            bar = PINBALL_BARS[name]
            yield f"{name} relative pinball", _number(value), f"<= {bar}", value <= bar
        if name in PIT_BARS:
            low, high = figures[f"{name}_pit_min"], figures[f"{name}_pit_max"]
            within = PIT_RANGE[0] <= low and high <= PIT_RANGE[1]
            yield f"{name} PIT deciles", f"{low:.3f} to {high:.3f}", f"{PIT_RANGE[0]} to {PIT_RANGE[1]}", within
        if name in PEER_BARS:
            yield from _peer_bars(name, figures)
        if name == "freshretail":
            value = figures["freshretail_wape"]
            bar = FRESHRETAIL_WAPE_BAR
            yield "freshretail WAPE, last week, in stock", _number(value), f"<= {bar}", value <= bar


def _peer_bars(name: str, figures: Figures) -> Iterable[tuple[str, str, str, bool]]:
    for peer in PEERS:
        key = f"{name}_relative_pinball_{peer}"
        if key in figures:
            side = "auto_ets_sample" if peer == "auto_ets" else "sample"
            ours = figures[f"{name}_relative_pinball_ours_on_{side}"]
            yield f"{name} against {peer}", _number(ours), f"< {_number(figures[key])}", ours < figures[key]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}"
