"""Who does the jobs: this process, workers on this computer, or those of a Dask cluster."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from MedWatermarkLib.batch_task import Job, perform
from MedWatermarkLib.results import FAILED, Line

# Jobs at the scheduler for each thread: one that runs, one that waits.
_AHEAD = 2
# The share of the computer's memory that workers may have together.
_MEMORY = 0.8
_PATIENCE = 10
_STARTS = 3
# Workers that start here share few cores: they need patience, and what looks after them should not
# take the work's time a hundred times a second.
_CONFIG = {
    "distributed.comm.timeouts.connect": "60s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    # Without what it sets for the allocator, by which each large array is asked of the system anew.
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
    },
    # Its web server cannot be left out, and has no password: it has nothing to show.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


class WorkersError(ValueError):
    """There is nobody who could do the work."""


@dataclass(frozen=True)
class Engine:
    """Who does the jobs.

    Attributes
    ----------
    workers : int or None
        How many processes on this computer; by default one for each core. With 0 this process
        does them, one after another.
    memory : int or None
        Bytes that those processes may have together; by default 0.8 of the computer's. One that
        has more than its part is ended, and its scan is begun again, three times.
    scheduler : str or None
        URL of the scheduler of a Dask cluster, in place of processes on this computer.
    """

    workers: int | None = None
    memory: int | None = None
    scheduler: str | None = None


def perform_all(jobs: Iterable[Job], engine: Engine, *, has_secrets: bool) -> Iterator[Line]:
    """Do jobs, and yield their lines as they come.

    Parameters
    ----------
    jobs : iterable of Job
    engine : Engine
    has_secrets : bool
        Whether the jobs hold what must not be read on a network.

    Raises
    ------
    WorkersError
        If there is no Dask, or a scheduler does not answer, goes away, or would be sent secrets
        in clear.
    """
    if engine.scheduler is None and engine.workers == 0:
        yield from map(perform, jobs)
        return
    distributed = _dask()
    with _environment_kept(), _client(engine) as client:
        if engine.scheduler is not None and has_secrets:
            _check_private(client.scheduler_info(n_workers=-1))
        waiting = iter(jobs)
        by_key: dict[str, Job] = {}

        def submit(count: int) -> list[Any]:
            futures = []
            # There are more jobs out than the workers that are left should have, when one is lost.
            for job in islice(waiting, max(0, count)):
                future = client.submit(_perform, job, pure=False)
                by_key[future.key] = job
                futures.append(future)
            return futures

        done = distributed.as_completed(submit(_wanted(client)), loop=client.loop)
        for future in done:
            job = by_key.pop(future.key)
            try:
                line = future.result()
            except distributed.KilledWorker:
                line = job.line(
                    FAILED,
                    error=f"Each worker that worked on {job.item.title} ended without a word, "
                    "perhaps for lack of memory: give workers more of it.",
                    kind="KilledWorker",
                )
            except distributed.CancelledError:
                raise WorkersError(
                    "The scheduler went away; what is done is kept, and the same command goes on."
                ) from None
            yield line
            done.update(submit(_wanted(client) - len(by_key)))


def _dask() -> Any:  # It tells few types.
    try:
        import distributed
    except ImportError:
        raise WorkersError(
            "Several workers need Dask: install it with pip install 'medwatermark[batch]', or go "
            "on in one process with --workers 0."
        ) from None
    return distributed


@contextmanager
def _client(engine: Engine) -> Iterator[Any]:
    """Connect to the scheduler of a cluster, or start a small one for the time."""
    distributed = _dask()
    import dask

    # What they say of a lost worker, the results say too.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if engine.scheduler is not None:
        try:
            connected = distributed.Client(
                engine.scheduler, timeout=_PATIENCE, set_as_default=False
            )
        except (OSError, ValueError, TypeError) as error:
            raise WorkersError(
                f"There is no answer from a Dask scheduler at {engine.scheduler} (for tls:// its "
                "certificates are named in Dask's configuration, distributed.comm.tls)."
            ) from error
        with connected as client:
            yield client
        return
    workers = engine.workers or os.cpu_count() or 1
    memory = engine.memory or int(_MEMORY * distributed.system.MEMORY_LIMIT)
    with (
        dask.config.set(_CONFIG),
        _started(distributed, workers, memory // workers) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _started(distributed: Any, workers: int, memory: int) -> Any:
    """Start workers here; one that is lost meanwhile takes the others with it, so do it again."""
    for attempt in range(_STARTS):
        try:
            return distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=memory,
                # Keys of accounts pass through it, and every user of a machine can reach a port.
                security=distributed.Security.temporary(),
                protocol="tls://",
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        except RuntimeError as error:
            if attempt == _STARTS - 1:
                raise WorkersError(
                    "Workers end as soon as they are started, perhaps for lack of memory: give "
                    "them more of it, or go on in one process with --workers 0."
                ) from error
    raise AssertionError


def _perform(job: Job) -> Line:
    """Do a job with one thread: there are as many workers as cores."""
    import numba
    import SimpleITK

    process: Any = SimpleITK.ProcessObject  # It tells no types.
    process.SetGlobalDefaultNumberOfThreads(1)
    # Of this thread, which is not the one that a worker starts in.
    numba.set_num_threads(1)
    return perform(job)


def _wanted(client: Any) -> int:
    """Return how many jobs should be at the scheduler."""
    threads: int = sum(client.nthreads().values())
    return max(1, _AHEAD * threads)


def _check_private(info: dict[str, Any]) -> None:
    """Refuse a cluster that secrets would be sent to in clear, over a network."""
    addresses = [info["address"], *info["workers"]]
    for address in addresses:
        url = urlsplit(address)
        if url.scheme == "tcp" and not _is_this_computer(url.hostname or ""):
            raise WorkersError(
                f"The key of the account or of the mark would go to {address} in clear: use a "
                "scheduler at tls://, or one that listens to this computer alone (dask scheduler "
                "--host 127.0.0.1)."
            )


def _is_this_computer(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Take back what Dask sets for the processes that it starts: it would slow this one down."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
