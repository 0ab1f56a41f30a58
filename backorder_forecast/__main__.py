"""`python -m backorder_forecast` is the command line."""

from backorder_forecast.cli import main

main()
