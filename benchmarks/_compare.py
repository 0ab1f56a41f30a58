"""What every benchmark shares: where the peers live, how memory is read, how figures are printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def peers_python() -> str | None:
    """Interpreter that has the peers: the one named in BACKORDER_PEERS_PYTHON, else this one, else None."""
    named = os.environ.get("BACKORDER_PEERS_PYTHON")
    if named:
        return named
    return sys.executable if find_spec("statsforecast") else None


def peak_mb() -> float:
    """Peak memory of this process, MB; 0 where the system does not tell.

    The maximum of `getrusage` is no use here: Linux lets a child begin with the size of its parent.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def print_table(title: str, figures: Mapping[str, float]) -> None:
    """Figures as a two-column table."""
    width = max(len(name) for name in figures)
    print(title)
    for name, value in figures.items():
        print(f"  {name:<{width}}  {value:12,.3f}")
