"""What every benchmark shares: where the peers live, how figures are printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec


def peers_python() -> str | None:
    """Interpreter that has the peers: the one named in BACKORDER_PEERS_PYTHON, else this one, else None."""
    named = os.environ.get("BACKORDER_PEERS_PYTHON")
    if named:
        return named
    return sys.executable if find_spec("statsforecast") else None


def print_table(title: str, figures: Mapping[str, float]) -> None:
    """Figures as a two-column table."""
    width = max(len(name) for name in figures)
    print(title)
    for name, value in figures.items():
        print(f"  {name:<{width}}  {value:12,.3f}")
