"""Frames in a folder: the same after reading, the same bytes when written again, never a mixture of two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plan_fixture import made_up_plan

from backorder_forecast.errors import BackorderForecastError
from backorder_forecast.folder import read_folder, replaced_when_done, write_folder
from backorder_forecast.frames import FRAMES


def _small() -> dict[str, pd.DataFrame]:
    return {
        "excess": pd.DataFrame(
            {
                "sku": pd.Series(["007", 'with "quotes", and comma', None], dtype="str"),
                "category": pd.Categorical(["a", "b", None]),
                "units": [1.5, np.nan, 3.0],
                "count": [1, 2, 3],
                "flag": [True, False, True],
                "date": pd.Series(["2024-05-06", None, "2023-12-31"]).astype("datetime64[s]"),
                0.9: [0.1, 0.2, 0.3],
                "mixed": ["x", 3, None],
            }
        ),
        "backlog": pd.DataFrame({"sku": pd.Series(dtype="str"), "date": pd.Series(dtype="datetime64[s]")}),
    }


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    frames = _small()
    read, manifest = read_folder(write_folder(frames, tmp_path / "plan", manifest={"as_of": "2024-05-06"}))
    assert manifest == {"as_of": "2024-05-06"}
    assert list(read) == list(frames)
    expected = frames["excess"].assign(
        category=frames["excess"]["category"].astype("str"), mixed=pd.Series(["x", "3", None], dtype="str")
    )
    pd.testing.assert_frame_equal(read["excess"], expected)
    pd.testing.assert_frame_equal(read["backlog"], frames["backlog"])
    assert 0.9 in read["excess"].columns


def test_csv_is_what_other_programs_read(tmp_path: Path) -> None:
    write_folder(_small(), tmp_path)
    lines = (tmp_path / "excess.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '"sku","category","units","count","flag","date","0.9","mixed"'
    assert lines[1] == '"007","a",1.5,1,true,2024-05-06,0.1,"x"'
    assert lines[2].endswith('false,,0.2,"3"')
    again = pd.read_csv(tmp_path / "excess.csv", dtype={"sku": str})
    assert again["sku"].tolist()[:2] == ["007", 'with "quotes", and comma']


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = made_up_plan().frames
    one, two = (write_folder(frames, tmp_path / name) for name in ("one", "two"))
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    assert len(names) == 2 * len(FRAMES) + 1
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_other_files_of_the_folder_stay_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_folder(_small(), tmp_path)
    write_folder(_small(), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "backlog.csv", "backlog.parquet", "excess.csv", "excess.parquet", "notes.txt", "plan.json",
    ]  # fmt: skip


def test_a_run_that_breaks_leaves_the_old_files_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.csv

    write_folder(_small(), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def no_space(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(pyarrow.csv, "write_csv", no_space)
    with pytest.raises(OSError, match="no space"):
        write_folder({"excess": _small()["excess"].head(1)}, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_mixture_of_two_runs_is_refused(tmp_path: Path) -> None:
    one = write_folder(_small(), tmp_path / "one")
    two = write_folder({"excess": _small()["excess"].head(1)}, tmp_path / "two")
    (two / "excess.parquet").replace(one / "excess.parquet")
    with pytest.raises(BackorderForecastError, match=r"excess\.parquet is not the file that plan\.json lists"):
        read_folder(one)


def test_a_folder_without_a_manifest_or_with_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackorderForecastError, match=r"holds no plan\.json"):
        read_folder(tmp_path)
    (tmp_path / "plan.json").write_text('{"format": 99, "frames": {}}')
    with pytest.raises(BackorderForecastError, match="another format"):
        read_folder(tmp_path)


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "page.html"
    with replaced_when_done(target) as staged:
        staged.write_text("old")
    with pytest.raises(RuntimeError, match="half way"):
        _write_half(target)
    assert target.read_text() == "old"
    assert [p.name for p in target.parent.iterdir()] == ["page.html"]


def _write_half(target: Path) -> None:
    with replaced_when_done(target) as staged:
        staged.write_text("half")
        raise RuntimeError("half way")
