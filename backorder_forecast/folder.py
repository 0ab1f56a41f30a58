"""Frames in a folder: Parquet and CSV of each, and one manifest that says which files belong together.

Files are written to a hidden folder first and moved in one by one, the manifest last: a reader that trusts only files
whose digest is in the manifest never mixes two runs. The same frames give the same bytes. Quantile columns named by
numbers are text in files and numbers again after reading; CSV dates are ISO days, empty cells are missing values.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from backorder_forecast.errors import BackorderForecastError
from backorder_forecast.frames import quantile_columns

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "plan.json"
FORMAT = 1


def write_folder(
    frames: Mapping[str, pd.DataFrame], path: str | os.PathLike[str], *, manifest: Mapping[str, Any] | None = None
) -> Path:
    """Write every frame as NAME.parquet and NAME.csv, and plan.json last; other files of the folder stay.

    Parameters
    ----------
    frames
        Frames by name.
    path
        Folder; made if missing.
    manifest
        What plan.json holds besides the list of frames; anything that JSON can write.

    Returns
    -------
    Path
        The folder.

    Examples
    --------
    >>> import tempfile
    >>> frames = {"excess": pd.DataFrame({"sku": ["01"], "excess_units": [2.0]})}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = sorted(p.name for p in write_folder(frames, folder).iterdir())
    ...     read, _ = read_folder(folder)
    >>> files, read["excess"].to_dict("list")
    (['excess.csv', 'excess.parquet', 'plan.json'], {'sku': ['01'], 'excess_units': [2.0]})
    """
    import pyarrow.csv
    import pyarrow.parquet

    target = Path(path)
    target.mkdir(parents=True, exist_ok=True)
    listed: dict[str, Any] = {}
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=target))
    try:
        for name, frame in frames.items():
            table = _arrow_table(frame)
            pyarrow.parquet.write_table(table, staging / f"{name}.parquet", compression="zstd")
            pyarrow.csv.write_csv(_with_days(table), staging / f"{name}.csv")
            listed[name] = {
                "rows": len(frame),
                "dtypes": {str(c): _plain_dtype(dtype) for c, dtype in frame.dtypes.items()},
                "sha256": {kind: _digest(staging / f"{name}.{kind}") for kind in ("parquet", "csv")},
            }
        text = json.dumps({"format": FORMAT, **(manifest or {}), "frames": listed}, indent=1, ensure_ascii=False)
        (staging / MANIFEST).write_text(text + "\n", encoding="utf-8")
        for name in frames:
            for kind in ("parquet", "csv"):
                os.replace(staging / f"{name}.{kind}", target / f"{name}.{kind}")
        os.replace(staging / MANIFEST, target / MANIFEST)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def read_folder(path: str | os.PathLike[str]) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The frames of a folder written by `write_folder`, with their dtypes, and the rest of its manifest.

    Raises `BackorderForecastError` where plan.json is missing or a file is not the one it lists.
    """
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        raise BackorderForecastError(f"{folder} holds no {MANIFEST}: give a folder written by to_folder")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if manifest.pop("format", None) != FORMAT:
        raise BackorderForecastError(f"{folder / MANIFEST} has another format than {FORMAT}: write the folder again")
    frames = {}
    for name, entry in manifest.pop("frames").items():
        file = folder / f"{name}.parquet"
        if not file.is_file() or _digest(file) != entry["sha256"]["parquet"]:
            raise BackorderForecastError(f"{file} is not the file that {MANIFEST} lists: write the folder again")
        frame = pd.read_parquet(file).astype(entry["dtypes"])
        frame.columns = pd.Index(quantile_columns(list(frame.columns)))
        frames[name] = frame
    return frames, manifest


@contextmanager
def replaced_when_done(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to write beside `path`; it takes the place of `path` only if the block ends without an error."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield staged
        os.replace(staged, target)
    finally:
        staged.unlink(missing_ok=True)


def _arrow_table(frame: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    columns = [pa.Array.from_pandas(frame.iloc[:, k].astype(_plain_dtype(d))) for k, d in enumerate(frame.dtypes)]
    return pa.table(columns, names=[str(c) for c in frame.columns])


def _with_days(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    for k, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(k, field.name, table.column(k).cast(pa.date32()))
    return table


def _plain_dtype(dtype: Any) -> Any:
    text = pd.api.types.is_object_dtype(dtype) or isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype))
    return "str" if text else str(dtype)


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
