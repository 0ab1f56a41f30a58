"""Results of a long run, part by part in one file: a run can be stopped, taken up again, or shared by processes.

The file has one JSON object a line: `part` names what it is of, `code` the state of the library it was made with. A
line is written whole and under a lock; a last line cut off by a crash is passed over.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import backorder_forecast


def code_version() -> str:
    """Short hash of the library's source files."""
    found = blake2b(digest_size=4)
    for path in sorted(Path(backorder_forecast.__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def read_parts(path: Path | None) -> dict[str, dict[str, Any]]:
    """What the file holds, by part; of parts written twice the first."""
    found: dict[str, dict[str, Any]] = {}
    if path is None or not path.exists():
        return found
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.setdefault(record["part"], record)
    return found


def write_part(path: Path, part: str, values: Any) -> None:
    """Append one result."""
    # A new line first, so that nothing is joined to a line that was cut off.
    line = "\n" + json.dumps({"part": part, "code": code_version(), "values": values}) + "\n"
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line)


def missing(path: Path | None, wanted: Iterable[str]) -> list[str]:
    """The parts that the file does not hold yet, in order."""
    have = read_parts(path)
    return [part for part in wanted if part not in have]
