"""Steps in minibatches, and chains, over 1, 2 and 4 devices of one machine and over two processes.

Devices are forced ones of the CPU, which share its cores and its memory: more of them than cores
gain nothing, and what is shown is what sharing costs. Each row is a process of its own (two, on
loopback), in the same run: seconds of a step, the least of several calls of ten, compilation apart;
CPU time with it, of all threads; and the largest difference of the unknowns from those of one
device, relative to their size. Counts of a function of three inputs through 256 inducing points;
four chains of NUTS over 200 points, whose seconds are of a whole run the second time.

    python benchmarks/devices.py [--batch 2048] [--inducing 256] [--calls 4]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COUNTS = """
data x[n] : Real^d
data y[n] : Count
f : Real^d -> Real ~ GP(RBF(lengthscale[d] ~ LogNormal(0, 1)))
y ~ Poisson(exp(f(x)))
infer f by Inducing(count = {inducing})
infer SVI(batch = {batch})
"""
PROCESS = """
data x[n], y[n] : Real
f ~ GP(RBF())
noise ~ HalfNormal(1)
y ~ Normal(f(x), noise)
"""
ROWS = 100_000


def rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3))
    rate = np.exp(np.sin(2 * x[:, 0]) + x[:, 1] * np.cos(x[:, 2]))
    return {"x": x, "y": rng.poisson(rate).astype(float)}


def measure_steps(batch: int, inducing: int, calls: int) -> dict[str, Any]:
    """Of a step, in this process; and where the unknowns are after them."""
    import mercer
    from mercer.runtime.methods.stochastic import Stochastic

    model = mercer.compile(COUNTS.format(batch=batch, inducing=inducing))
    bound = model.bind(rows())
    program = model.program(model.plan(bound.sizes))
    fit = Stochastic(program, bound, seed=0, batch=batch, rate=0.02)
    state = fit.advance(fit.begin())
    found = []
    for _ in range(calls):
        wall, cpu, step = time.perf_counter(), time.process_time(), state.step
        state = fit.advance(state)
        taken = state.step - step
        found.append(((time.perf_counter() - wall) / taken, (time.process_time() - cpu) / taken))
    seconds, cpu = (min(one) for one in zip(*found, strict=True))
    return {"seconds": seconds, "cpu": cpu, "law": np.asarray(state.free.centre).tolist()}


def measure_chains() -> dict[str, Any]:
    """Of a run in this process, compiled before; and the noise at its draws."""
    import mercer
    from mercer.runtime.run import run

    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 10, 200))
    model = mercer.compile(PROCESS)
    bound = model.bind({"x": x, "y": np.sin(x) + 0.2 * rng.normal(size=200)})
    program = model.program(model.plan(bound.sizes, "nuts"))
    options: dict[str, Any] = {"method": "nuts", "chains": 4, "warmup": 10, "draws": 10}
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        fit = run(program, bound, seed=1, init="uniform", progress=False, **options)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    noise = np.asarray(fit.sampled.values["noise"]).reshape(-1)
    return {"seconds": wall, "cpu": cpu, "law": noise.tolist()}


def alone(arguments: argparse.Namespace) -> None:
    """What one process measures, into the file of `--one`."""
    what, path, process, port = arguments.one

    def measured() -> dict[str, Any]:
        if what == "chains":
            return measure_chains()
        return measure_steps(arguments.batch, arguments.inducing, arguments.calls)

    if int(port):
        import mercer

        where = f"localhost:{port}"
        with mercer.distributed(processes=2, process=int(process), coordinator=where):
            found = measured()
    else:
        found = measured()
    Path(path).write_text(json.dumps(found))


def in_processes(
    what: str, devices: int, processes: int, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    with socket.socket() as asked:
        asked.bind(("", 0))
        port = asked.getsockname()[1] if processes > 1 else 0
    flags = f"--xla_force_host_platform_device_count={devices}"
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{k}.json" for k in range(processes)]
        started = []
        for k, path in enumerate(paths):
            words = [sys.executable, __file__, "--one", what, str(path), str(k), str(port)]
            words += ["--batch", str(arguments.batch), "--inducing", str(arguments.inducing)]
            words += ["--calls", str(arguments.calls)]
            environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
            started.append(subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL))
        for process in started:
            process.wait()
        return [json.loads(path.read_text()) for path in paths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--inducing", type=int, default=256)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--what", nargs="*", default=["steps", "chains"])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        alone(arguments)
        return
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores\n")
    print("| what | devices | processes | seconds | CPU s of all | faster | difference |")
    print("|" + "---|" * 7)
    for what in arguments.what:
        first: dict[str, Any] = {}
        for devices, processes in ((1, 1), (2, 1), (4, 1), (1, 2)):
            found = in_processes(what, devices, processes, arguments)
            seconds = max(one["seconds"] for one in found)
            cpu = sum(one["cpu"] for one in found)
            first = first or {"seconds": seconds, "law": np.array(found[0]["law"])}
            law = np.array(found[0]["law"])
            apart = np.abs(law - first["law"]).max() / np.abs(first["law"]).max()
            print(
                f"| {what} | {devices * processes} | {processes} | {seconds:.3f} | {cpu:.3f} "
                f"| {first['seconds'] / seconds:.2f} | {apart:.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
