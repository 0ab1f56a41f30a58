"""One module per question; `python -m benchmarks.NAME` prints a table, with `--json PATH` it writes its figures."""
