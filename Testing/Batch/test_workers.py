"""Several workers at a time, here and on a cluster."""

from __future__ import annotations

import os
import signal
import time

import distributed
import numba
import numpy as np
import psutil
import pytest
from distributed.utils import get_ip
from runs import EMBED, PASSWORD, batch, begun_as, content, events, lines

from MedWatermarkLib.account import load_account
from MedWatermarkLib.batch import run, todo
from MedWatermarkLib.batch_task import Embed
from MedWatermarkLib.report import Findings
from MedWatermarkLib.run_folder import read_plan, run_folder
from MedWatermarkLib.watermark import embed
from MedWatermarkLib.workers import Engine
from MedWatermarkLib.worklist import find_items


@pytest.fixture(scope="module")
def scheduler():
    """The URL of a cluster whose one worker is in this process."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        yield cluster.scheduler_address


def test_workers_that_are_killed_are_replaced_and_all_comes_out_as_in_one_process(
    archive, marked, key_file, tmp_path
) -> None:
    folder = begun_as(marked, tmp_path / "run")
    task = Embed(load_account(key_file, PASSWORD))
    environment = dict(os.environ)
    killed = set()
    with run_folder(folder, "embed", read_plan(marked).settings) as held:
        left = todo(find_items(archive, diagnosis=EMBED[1]), held.plan, held.results)
        for _ in run(left, held, task, Engine(workers=2), Findings()):
            if not killed:
                workers = [
                    process
                    for process in psutil.Process().children(recursive=True)
                    if "spawn_main" in " ".join(process.cmdline())
                ]
                assert len(workers) == 2
                for worker in workers:
                    killed.add(worker.pid)
                    os.kill(worker.pid, signal.SIGKILL)
                # The scheduler knows then that fewer are left than have jobs.
                time.sleep(1)
    assert killed
    assert content(folder) == content(marked)
    names = [line["name"] for line in lines(folder)]
    assert sorted(names) == sorted(line["name"] for line in lines(marked))
    assert dict(os.environ) == environment
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    embed(np.random.default_rng(0).integers(0, 100, (1, 256, 256), np.int16), b"?")
    numba.set_num_threads(1)


def test_a_cluster_does_the_same_work(archive, marked, key_file, tmp_path, scheduler) -> None:
    folder = begun_as(marked, tmp_path / "run")
    command = ("embed", archive, folder, "--key-file", key_file, *EMBED)
    result = batch(*command, "--scheduler", scheduler, "--json")
    assert result.exit_code == 0, result.output
    assert content(folder) == content(marked)
    with distributed.Client(scheduler, set_as_default=False) as client:
        assert client.submit(numba.get_num_threads, pure=False).result() == 1


def test_a_scheduler_that_is_not_there_is_told(archive, key_file, tmp_path) -> None:
    command = ("embed", archive, tmp_path / "run", "--key-file", key_file, *EMBED)
    result = batch(*command, "--scheduler", "tcp://127.0.0.1:9", "--json")
    assert events(result)[-1]["kind"] == "WorkersError"
    assert "no answer" in events(result)[-1]["message"]


def test_keys_are_not_sent_in_clear_to_other_computers(archive, marked, key_file, tmp_path) -> None:
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", host=get_ip(), dashboard_address=None
    ) as cluster:
        url = cluster.scheduler_address
        folder = begun_as(marked, tmp_path / "run")
        command = ("embed", archive, folder, "--key-file", key_file, *EMBED)
        result = batch(*command, "--scheduler", url, "--json")
    assert result.exit_code == 1
    assert f"would go to {url} in clear" in events(result)[-1]["message"]
    assert not (folder / "results.jsonl").exists()
