"""Fits the CO2 model to all but the last ten years of the record, and draws what it foretells.

    python examples/co2/run.py [FOLDER]

writes into FOLDER (out/co2): the data, the fit `co2.nc`, the forecast `forecast.csv`, and pictures.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pictures import draw_components, draw_forecast
from record import write_record

import mercer
from mercer.cli import run as mercer_command

HERE = Path(__file__).resolve().parent


def main(folder: Path) -> int:
    """The whole example; gives the exit code."""
    start = time.monotonic()
    data, test = write_record(folder)
    print(f"The record: {len(pd.read_csv(data))} months to fit, {len(pd.read_csv(test))} held out.")
    model = HERE / "co2.mercer"
    posterior, forecast = folder / "co2.nc", folder / "forecast.csv"
    for command in (
        ["explain", str(model), str(data)],
        ["fit", str(model), str(data), "-o", str(posterior)],
        ["summary", str(posterior)],
        ["predict", str(posterior), str(test), "-o", str(forecast)],
        ["plot", str(posterior), "-o", str(folder / "plots")],
    ):
        print("\n$ mercer " + " ".join(command), flush=True)
        code = mercer_command(command)
        if code:
            return code
    truth, foretold = pd.read_csv(test), pd.read_csv(forecast)
    errors = foretold["co2.mean"] - truth["co2"]
    inside = (truth["co2"] >= foretold["co2.q2.5"]) & (truth["co2"] <= foretold["co2.q97.5"])
    draw_forecast(pd.read_csv(data), truth, foretold, folder / "forecast.png")
    draw_components(mercer.open(posterior), pd.read_csv(data), truth, folder / "components.png")
    print(f"\nHeld-out years: RMSE {np.sqrt(np.mean(errors**2)):.2f} ppm; ", end="")
    print(f"the 95 % interval covers {100 * inside.mean():.0f} % of {len(truth)} months.")
    print(f"Took {time.monotonic() - start:.0f} s. The pictures are")
    for picture in sorted(folder.rglob("*.png")):
        print(f"  {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/co2")))
