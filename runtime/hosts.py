"""Several processes, on one machine or on many, turned into one that fits with all their devices.

Each runs the same fit on the same data, by JAX's own runtime for many processes; what the devices
share, they compute together. Process 0 writes and shows. The processes meet at a coordinator
(`coordinator.py`), where every second each leaves a sign that it lives and, at its end, a word on
how it ended: so that the others can say who was lost when a collective fails or never returns.

JAX's `distributed.initialize` is done here by its parts: the service must outlive process 0, and
it takes SIGTERM for a notice of preemption, so that it would no longer end a process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mercer.dsl.diagnostic import Diagnostic, MercerError

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds that a process waits at the start for the others."""

_BEAT = 1.0
_SILENT = 30
"""Own signs of life in whose time another gave none: it is lost. Counted in signs and not in
seconds, so that a machine which slept knows better than to blame the others."""

_SUSPECT = 5
"""The same, where something went wrong already."""

_FAREWELL = 10.0  # seconds that process 0 waits for the others to hear that it ended badly
_DONE = "done"


class Hosts:
    """The processes of a fit; `Hosts()` is this one alone."""

    def __init__(self, count: int = 1, rank: int = 0) -> None:
        self.count, self.rank = count, rank
        self.coordinator = ""
        self._client: Any = None
        self._service: subprocess.Popen[str] | None = None
        self._over = threading.Event()
        self._signs: dict[int, str] = {}
        self._silent: dict[int, int] = dict.fromkeys(self._others, 0)
        self._ended: dict[int, str] = {}
        self._gone: dict[int, str] = {}
        self._compared = 0

    @property
    def is_first(self) -> bool:
        """Whether this one writes and shows."""
        return self.rank == 0

    @property
    def _others(self) -> list[int]:
        return [k for k in range(self.count) if k != self.rank]

    # --- while a fit runs ---

    def check(self) -> None:
        """Raises MercerError M610 where another process was lost."""
        for other in self._others:
            self._check(other, _SILENT)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """What goes wrong in the body because another process was lost, as a message that says
        so."""
        try:
            yield
        except (MercerError, KeyboardInterrupt):
            raise
        except Exception as error:
            for _ in range(_SUSPECT + 3 if self.count > 1 else 0):
                time.sleep(_BEAT)
                for other in self._others:
                    self._check(other, _SUSPECT, error, is_done_early=True)
            raise

    def compare(self, what: Mapping[str, Any]) -> None:
        """Raises MercerError M611 where the processes do not have the same in mind: `what`, by
        its names in a message."""
        if self.count == 1:
            return
        self._compared += 1
        place = f"mercer/compared/{self._compared}"
        self._client.key_value_set(f"{place}/{self.rank}", json.dumps(dict(what)))
        first, *others = (json.loads(self._asked(place, k)) for k in range(self.count))
        wrong = []
        for rank, own in enumerate(others, 1):
            differing = sorted(n for n in {*first, *own} if first.get(n) != own.get(n))
            if differing:
                wrong.append(
                    Diagnostic(
                        "M611",
                        f"process {rank} of {self.count} does not fit the same as process 0",
                        why="; ".join(_different(first, own, differing)),
                        mend="give every process the same model, data, options and versions",
                    )
                )
        if wrong:
            raise MercerError(wrong)

    def shared(self, tree: T) -> T:
        """A pytree of arrays and numbers as process 0 has it; of the same shapes everywhere."""
        if self.count == 1:
            return tree
        import jax
        import jax.numpy as jnp
        import numpy as np
        from jax.experimental.multihost_utils import broadcast_one_to_all

        leaves, structure = jax.tree.flatten(tree)
        found = broadcast_one_to_all([np.asarray(leaf) for leaf in leaves])
        back: list[Any] = []
        for leaf, own in zip(leaves, found, strict=True):
            if isinstance(leaf, jax.Array):
                back.append(jnp.asarray(np.asarray(own)))
            else:
                own = np.asarray(own)
                back.append(own if isinstance(leaf, np.ndarray) else type(leaf)(own.item()))
        return jax.tree.unflatten(structure, back)

    def shared_bytes(self, content: bytes) -> bytes:
        """What process 0 gives."""
        import numpy as np

        if self.count == 1:
            return content
        size = self.shared(np.array(len(content)))
        padded = np.zeros(int(size), np.uint8)
        if self.is_first:
            padded[:] = np.frombuffer(content, np.uint8)
        return self.shared(padded).tobytes()

    # --- beginning and end ---

    def join(self, coordinator: str, patience: float = PATIENCE) -> None:
        """Meets the others. Raises MercerError M612 where that fails, after `patience` seconds."""
        self.coordinator = coordinator
        host, port = coordinator.rpartition(":")[::2]
        if self.is_first:
            self._service = _serve(int(port), self.count)
        else:
            _reach(host.strip("[]"), int(port), coordinator, patience)
        self._connect(patience)
        threading.Thread(target=self._live, name="mercer-hosts", daemon=True).start()

    def leave(self, how: str | None = None) -> None:
        """Says how this process ended, None: well, and waits for what is to be waited for: process
        0 until the others have heard it, these until it has written. Raises MercerError M610 where
        process 0 did not end well."""
        if self._over.is_set():
            return
        self._say("end", how or _DONE)
        try:
            if not self.is_first and how is None:
                while 0 not in self._ended:
                    self._check(0, _SILENT)
                    time.sleep(0.1)
                self._check(0, _SILENT)
        finally:
            self._say("gone", how or _DONE)
            if self.is_first:
                self._see_off(math.inf if how is None else _FAREWELL)
            self._over.set()
            _shut_down(self._service, is_well=how is None)

    def _see_off(self, most: float) -> None:
        """Waits until the others have heard how this one ended."""
        start, silent = time.monotonic(), _SILENT if math.isinf(most) else _SUSPECT
        while time.monotonic() - start < most and any(
            k not in self._gone and self._silent[k] < silent for k in self._others
        ):
            time.sleep(0.1)

    def _say(self, what: str, text: str) -> None:
        with contextlib.suppress(RuntimeError):  # nobody hears it
            self._client.key_value_set(f"mercer/{what}/{self.rank}", text, allow_overwrite=True)

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None:
            self.leave()
            return
        if isinstance(error, MercerError):
            said = error.diagnostics[0]
            text = f"{said.code}, {said.problem}"
        elif isinstance(error, KeyboardInterrupt):
            text = "it was interrupted"
        else:
            text = f"{type(error).__name__}: {error}"
        self.leave(text.splitlines()[0])

    # --- inside ---

    def _connect(self, patience: float) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # else the service warns of what we do
        import jax
        from jax._src.distributed import global_state
        from jax._src.lib import _jax

        if jax._src.xla_bridge.backends_are_initialized():
            raise ValueError("distributed: call it before anything is computed with JAX")
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        client = _jax.get_distributed_runtime_client(
            self.coordinator,
            self.rank,
            init_timeout=max(1, round(patience)),
            shutdown_timeout=1,
            heartbeat_timeout=600,
            # Instead of ending the process: JAX cannot call it from Python and raises that here.
            missed_heartbeat_callback=lambda status: None,
            use_compression=True,
        )
        try:
            client.connect()
        except RuntimeError as error:
            raise _meeting(
                f"the {self.count} processes did not meet at {self.coordinator} within "
                f"{patience:.0f} s",
                why="one of them was not started, or does not reach the coordinator, or two have "
                "the same number",
                mend="start them all, numbered from 0, with the same --processes and --coordinator",
            ) from error
        global_state.client = self._client = client
        global_state.process_id, global_state.num_processes = self.rank, self.count
        global_state.coordinator_address = self.coordinator

    def _live(self) -> None:
        beat = 0
        while not self._over.wait(_BEAT):
            beat += 1
            try:
                self._client.key_value_set(
                    f"mercer/sign/{self.rank}", str(beat), allow_overwrite=True
                )
                signs = self._by_rank("mercer/sign/")
                self._ended, self._gone = map(self._by_rank, ("mercer/end/", "mercer/gone/"))
            except RuntimeError:  # where the processes meet there is nobody any more
                signs = self._signs
            for other in self._others:
                is_new = signs.get(other) != self._signs.get(other)
                self._silent[other] = 0 if is_new else self._silent[other] + 1
            self._signs = signs

    def _by_rank(self, place: str) -> dict[int, str]:
        found = self._client.key_value_dir_get(place)
        return {int(key.rpartition("/")[2]): value for key, value in found}

    def _asked(self, place: str, rank: int) -> str:
        """What another process says, when it does."""
        while True:
            found = self._by_rank(f"{place}/")
            if rank in found:
                return found[rank]
            self.check()
            time.sleep(0.05)

    def _check(
        self,
        other: int,
        silent: int,
        cause: Exception | None = None,
        *,
        is_done_early: bool = False,
    ) -> None:
        how = self._ended.get(other)
        if how == _DONE:
            if not is_done_early:
                return
            how = "it had ended before"
        if how is None:
            if self._silent[other] < silent:
                return
            how = f"it has given no sign of life for {self._silent[other] * _BEAT:.0f} s"
        raise MercerError(
            [
                Diagnostic(
                    "M610",
                    f"process {other} of {self.count} was lost",
                    why=how,
                    mend="start all processes again with --resume (`resume=True`): they go on from "
                    "the checkpoint of process 0",
                )
            ]
        ) from cause


_ALONE = Hosts()
_JOINED: list[Hosts] = []
"""At most one, as JAX's own state: a process belongs to one group until it ends."""


def hosts() -> Hosts:
    """The processes that this one fits with."""
    return _JOINED[0] if _JOINED else _ALONE


def distributed(
    *, processes: int, process: int, coordinator: str, patience: float = PATIENCE
) -> Hosts:
    """Makes this process number `process`, from 0 on, of `processes` that fit as one.

    All are started with the same script, data and options, before anything is computed; they meet
    at `coordinator`, "HOST:PORT" of process 0. What `fit` gives is the same in all of them.

        with mercer.distributed(processes=2, process=0, coordinator="10.0.0.1:1234") as hosts:
            fit = model.fit("data.csv", checkpoint="fit.partial")
            if hosts.is_first:
                fit.save("fit.nc")

    At the end of the body the others wait for process 0. Raises ValueError for arguments that do
    not go together, MercerError M612 where the processes do not meet within `patience` seconds.
    """
    for name, value, least in (("processes", processes, 1), ("process", process, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}: a whole number >= {least} is wanted, got {value!r}")
    if process >= processes:
        raise ValueError(f"process: a number below {processes}, of the processes, is wanted, "
                         f"got {process}: they are numbered from 0")  # fmt: skip
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 2**16):
        raise ValueError(f"coordinator: HOST:PORT is wanted, got {coordinator!r}")
    if _JOINED:
        raise ValueError("distributed: this process has joined others before")
    if processes == 1:
        return _ALONE
    joined = Hosts(processes, process)
    joined.join(coordinator, patience)
    _JOINED.append(joined)
    return joined


def _different(first: Mapping[str, Any], own: Mapping[str, Any], names: list[str]) -> list[str]:
    found = []
    for name in names:
        then, now = first.get(name, "not given"), own.get(name, "not given")
        long = max(len(str(then)), len(str(now))) > 60  # a digest
        found.append(f"{name} is not the same" if long else f"{name} is {now} there, {then} here")
    return found


def _shut_down(service: subprocess.Popen[str] | None, *, is_well: bool) -> None:
    """Ends JAX's part of it, then the coordinator, where it is this process's child. After a
    failure that lingers: who loses it is ended by JAX."""
    import jax

    with contextlib.suppress(RuntimeError):
        jax.distributed.shutdown()
    if service is not None and service.stdin is not None:
        with contextlib.suppress(OSError):
            if is_well:
                service.stdin.write("over\n")
            service.stdin.close()


def _serve(port: int, processes: int) -> subprocess.Popen[str]:
    """The coordinator, as a child of this process."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
    except OSError as error:
        raise _meeting(
            f"port {port} of this machine cannot be used",
            why=(error.strerror or str(error)).lower(),
            mend="give all processes another --coordinator HOST:PORT",
        ) from error
    script = Path(__file__).with_name("coordinator.py")
    child = subprocess.Popen(
        [sys.executable, "-E", str(script), str(port), str(processes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # what ends a terminal's processes must not end it before us
    )
    assert child.stdout is not None
    if child.stdout.readline().strip() != "ready":
        raise _meeting(f"the coordinator at port {port} could not be started")
    return child


def _reach(host: str, port: int, coordinator: str, patience: float) -> None:
    """Waits until somebody listens there: JAX's own waiting tells nothing."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection((host, port), timeout=5.0):
                return
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            raise _meeting(
                f"the coordinator {coordinator} cannot be reached",
                why=f"within {patience:.0f} s: {(error.strerror or str(error)).lower()}",
                mend="start process 0 on that machine, and look whether a firewall closes the port",
            ) from error


def _meeting(problem: str, why: str | None = None, mend: str | None = None) -> MercerError:
    return MercerError([Diagnostic("M612", problem, why=why, mend=mend)])
