"""The place where the processes of one fit meet: `python coordinator.py PORT PROCESSES`.

It is JAX's coordination service in a process of its own, a child of process 0, which outlives it
for a while: who has lost process 0 can still ask what became of it. Inside process 0 the service
would end with it, and JAX ends a process that has lost the service at once, without a message of
ours. It says "ready" and ends when it is told so, or `LINGERING` seconds after its parent.
"""

import os
import signal
import sys
import time

LINGERING = 60.0
"""Seconds: longer than it takes the others to notice that process 0 is silent."""

SILENCE = 600
"""Seconds without a word from a process after which JAX gives it up: we do so ourselves before."""


def main(port: int, processes: int) -> None:
    from jax._src.lib import _jax

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then tells us
    service = _jax.get_distributed_runtime_service(
        f"[::]:{port}", processes, heartbeat_timeout=SILENCE, shutdown_timeout=1, recoverable=True
    )
    print("ready", flush=True)
    if not sys.stdin.readline():
        time.sleep(LINGERING)
    del service
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
