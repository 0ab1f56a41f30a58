"""What every benchmark shares: where the peers live, how figures are printed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent / ".venv-peers" / "bin" / "python"


def peers_python() -> str | None:
    """Interpreter of the environment that holds the peers, or None where there is none."""
    named = os.environ.get("BACKORDER_PEERS_PYTHON")
    if named:
        return named
    return str(PEERS) if PEERS.exists() else None


def print_table(title: str, figures: Mapping[str, float]) -> None:
    """Figures as a two-column table."""
    width = max(len(name) for name in figures)
    print(title)
    for name, value in figures.items():
        print(f"  {name:<{width}}  {value:12,.3f}")
