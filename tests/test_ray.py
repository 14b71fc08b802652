"""The engine of a Ray cluster, on two nodes on this machine: the same content, whatever is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import yaml
from ray_jobs import open_and_crash, open_nothing, open_square
from test_guides import arguments, commands, workplace  # noqa: F401  # a fixture
from typer.testing import CliRunner
from watched_squares import FRAMES, seen, watched_sources, watched_videos

from skdpipe.cache import PoseCache
from skdpipe.cli.commands import app
from skdpipe.config import to_plain
from skdpipe.engines import Ended, LocalEngine, RayEngine, Worker
from skdpipe.engines.jobs import JobQueue
from skdpipe.engines.ray import _Order, _require_same
from skdpipe.errors import ConfigError, DataError, SkdpipeError
from skdpipe.extraction import ExtractionReport, Source, extract_videos
from skdpipe.extraction.look_up import open_reader
from skdpipe.extraction.video_list import VideoItem

os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # as the engine, which is not the first here
ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

MEMORY = 80 * 2**20  # bytes of each object store
NODE = {"num_cpus": 1, "object_store_memory": MEMORY}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without processors, and two nodes with one each; the second has two GPUs in name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for the jobs of the tests
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.shutdown()
        settings = {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 500,
            "health_check_failure_threshold": 3,
            "automatic_object_spilling_enabled": False,
        }
        head = {**NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": settings}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(**NODE)
        cluster.add_node(**NODE, num_gpus=2)
        session = cluster.head_node.get_session_dir_path()
        yield cluster
        ray.shutdown()
        cluster.shutdown()
    wait_until(lambda: not processes_with(session))


def processes_with(text: str) -> list[Path]:
    """The processes whose command contains a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(path.parent)
        except OSError:  # it has ended
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def engine_of(cluster: Cluster, **options: Any) -> RayEngine:
    return RayEngine(cluster.address, **options)


def content_of(root: Path) -> dict[str, bytes]:
    """The sequences and settings of a cache."""
    paths = [path for path in root.rglob("*") if path.suffix in (".safetensors", ".jsonl")]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def extract(
    items: Sequence[VideoItem], sources: Sequence[Source], root: Path, engine: Any
) -> tuple[ExtractionReport, dict[str, bytes]]:
    report = extract_videos(items, sources, PoseCache(root), engine=engine)
    return report, content_of(root)


class Videos:
    """Videos, and the content of the cache that another engine writes, by default this process."""

    def __init__(self, folder: Path, count: int, engine: LocalEngine | None = None) -> None:
        self.items = watched_videos(folder / "videos", count)
        self.sources = partial(watched_sources, folder / "log")
        self.log = folder / "log"
        _, self.content = extract(self.items, self.sources(), folder / "local", engine)
        assert len(self.content) == 2 * count + 1
        self.log.unlink()

    @property
    def times_seen(self) -> Counter[int]:
        """How many times each video was processed."""
        return Counter(row for row, _ in seen(self.log))


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """A thread for an extraction, because a node can only be started in the main thread."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


# Without a cluster ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("ray://127.0.0.1:1", r"^nothing answers at ray://127\.0\.0\.1:1 \(Connection refused\); expected"),
        ("ray://nowhere.invalid:10001", r"^nothing answers at ray://nowhere\.invalid:10001 \("),
        ("ray://localhost", r"^ray://localhost is no address of a Ray cluster; expected ray://HOST:PORT$"),
        ("ray://localhost:99999", r"is no address of a Ray cluster"),
    ],
)
def test_without_a_cluster_at_the_address_there_is_one_line(address: str, expected: str) -> None:
    ray.shutdown()
    start = time.monotonic()
    with pytest.raises(ConfigError, match=expected) as caught:
        RayEngine(address).connect()
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 30


def test_a_cluster_that_has_ended_on_this_machine_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("127.0.0.1:1")
    with pytest.raises(
        ConfigError, match=r"^nothing answers at 127\.0\.0\.1:1 .* forget it with `ray stop`$"
    ):
        RayEngine().connect()


@pytest.mark.parametrize("shares", [{"workers": -1}, {"cpus": 0}, {"gpus": -1}, {"gpus": 1.5}, {"cpus": 2.5}])
def test_shares_that_cannot_be_given_are_refused(shares: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="; expected"):
        RayEngine(**shares)


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"), [(1, 0, 11), (2, 0, 5), (0.5, 0.25, 8), (1, 0.3, 6), (1, 1, 2), (1, 2, 1)]
)
def test_the_room_for_workers(cpus: float, gpus: float, expected: int) -> None:
    nodes = [{"Resources": {"CPU": 8.0, "GPU": 2.0}}, {"Resources": {"CPU": 3.0}}, {"Resources": {}}]
    assert RayEngine(cpus=cpus, gpus=gpus)._room_on(nodes) == expected


def test_a_job_of_a_lost_node_is_the_next_and_is_tried_often() -> None:
    queue = JobQueue(["a", "b"])
    for _ in range(4):
        assert queue.take() == 0
        assert queue.try_again(0, node_lost=True)
    assert queue.take() == 0
    assert not queue.try_again(0, node_lost=True)
    assert queue.take() == 1
    assert queue.try_again(1)
    assert queue.take() == 1
    assert not queue.try_again(1)


def test_a_worker_with_other_code_or_folders_is_refused(tmp_path: Path) -> None:
    from importlib.metadata import version

    mark = tmp_path / "mark"
    with pytest.raises(SkdpipeError, match=r"^skdpipe .* instead of 0\.0\.1; install the same version"):
        _require_same(_Order(None, "0.0.1", tmp_path, (mark,)), "there")
    order = _Order(None, version("skdpipe"), tmp_path, (Path("cache/mark"),))
    with pytest.raises(SkdpipeError, match=rf"^{tmp_path}/cache is another folder on this machine, or none"):
        _require_same(order, "there")
    mark.touch()
    _require_same(_Order(None, version("skdpipe"), tmp_path, (mark,)), "there")


def test_a_video_that_is_not_on_the_machine_of_a_worker_is_named_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    expected = f"{path}: not found on there; expected a file system that all machines of the cluster share"
    assert open_reader(Worker("cpu", 1, "there"))(path) == expected
    path.write_bytes(b"no video")
    assert "not a readable video" in str(open_reader(Worker("cpu", 1, "there"))(path))


# On a cluster --------------------------------------------------------------------------------


def test_jobs_end_as_in_the_local_engine(cluster: Cluster) -> None:
    reported: Counter[int] = Counter()

    def advance(job: int, amount: float) -> None:
        reported[job] += int(100 * amount)

    with pytest.warns(UserWarning, match="^four$"):
        ended: list[Ended[int, Any]] = list(engine_of(cluster).run([13, 1, 2, 3, 4], open_square, advance))
    assert sorted((each.job, each.result[0]) for each in ended if each.result) == [
        (1, 1), (2, 4), (3, 9), (4, 16),
    ]  # fmt: skip
    assert [each.reason for each in ended if each.reason] == ["thirteen; expected another number"]
    assert reported == {13: 25, 1: 75, 2: 75, 3: 75, 4: 75}
    (worker,) = {each.result[1] for each in ended if each.result}
    assert (worker.device, worker.threads) == ("cpu", 1)
    with pytest.raises(DataError, match=r"^nothing to open; expected something \(on "):
        list(engine_of(cluster).run([1, 2], open_nothing))
    assert list(engine_of(cluster).run([], open_nothing)) == []


@pytest.mark.slow
def test_workers_share_gpus(cluster: Cluster) -> None:
    engine = engine_of(cluster, cpus=0.25, gpus=0.5)
    assert engine.describe() == "4 at present, on a Ray cluster of 3 nodes, with 0.25 CPUs and 0.5 GPUs each"
    ended = [each.result for each in engine.run(list(range(40)), open_square)]
    gpus = {(result[3], result[2]) for result in ended if result}
    assert Counter(gpu for _, gpu in gpus) == {"0": 2, "1": 2}  # four processes
    assert {result[1].device for result in ended if result} == {"cuda"}
    with pytest.raises(
        ConfigError, match=r"^no node of the Ray cluster has 1 CPU and 4 GPUs for a worker; f"
    ):
        engine_of(cluster, gpus=4).connect()


def test_the_content_is_that_of_the_local_engine(cluster: Cluster, tmp_path: Path) -> None:
    videos = Videos(tmp_path, 5, LocalEngine(("cpu", "cpu")))
    damaged = VideoItem(tmp_path / "damaged.mp4", "wave", "train")
    damaged.path.write_bytes(b"no video")
    missing = VideoItem(tmp_path / "missing.mp4", "wave", "train")
    items = [*videos.items, damaged, missing]
    local, _ = extract(items, videos.sources(), tmp_path / "local", None)
    report, content = extract(items, videos.sources(), tmp_path / "ray", engine_of(cluster))
    assert content == videos.content
    assert (report.done, report.frames, report.failed) == (5, 5 * FRAMES, local.failed)
    assert len(report.pairs) == 5
    assert not list(tmp_path.rglob(".skdpipe-*"))
    assert set(videos.times_seen.values()) == {1}
    report, _ = extract(items, videos.sources(), tmp_path / "ray", engine_of(cluster))
    assert (report.done, report.skipped) == (0, 5)


@pytest.mark.slow
def test_workers_read_the_videos_that_the_index_does_not_know(cluster: Cluster, tmp_path: Path) -> None:
    videos = Videos(tmp_path, 30)
    items = [*videos.items, *(VideoItem(tmp_path / f"{n}.mp4", "wave", "train") for n in range(30))]
    for item in items[30:]:
        item.path.write_bytes(b"no video")
    plans = []
    for name, engine in (("ray", engine_of(cluster)), ("one", None)):
        report, content = extract(items, videos.sources(), tmp_path / name, engine)
        assert content == videos.content
        plans.append((report.done, report.failed))
    assert plans[0] == plans[1]
    assert plans[0][0] == len(plans[0][1]) == 30


def test_a_video_that_crashes_its_worker_fails_and_the_others_are_extracted(
    cluster: Cluster, tmp_path: Path
) -> None:
    videos = Videos(tmp_path, 5)
    sources = videos.sources(crash_at=2)
    report, _ = extract(videos.items, sources, tmp_path / "ray", engine_of(cluster))
    assert report.done == 4
    ((path, reason),) = report.failed
    assert path == videos.items[2].path
    assert reason.startswith(f"{path}: its process ended twice, the last time process ")
    assert videos.times_seen == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1}


@pytest.mark.slow
def test_a_killed_worker_is_replaced(
    cluster: Cluster, tmp_path: Path, background: ThreadPoolExecutor
) -> None:
    videos = Videos(tmp_path, 8)
    sources = videos.sources(seconds=0.4)
    extraction = background.submit(extract, videos.items, sources, tmp_path / "ray", engine_of(cluster))
    wait_until(lambda: len(seen(videos.log)) >= 3)
    os.kill(seen(videos.log)[-1][1], signal.SIGKILL)
    report, content = extraction.result()
    assert (report.done, report.failed) == (8, ())
    assert content == videos.content
    assert sum(videos.times_seen.values()) == 9


def test_a_node_is_lost_and_another_added(
    cluster: Cluster, tmp_path: Path, background: ThreadPoolExecutor
) -> None:
    videos = Videos(tmp_path, 10)
    sources = videos.sources(seconds=0.6)
    extraction = background.submit(extract, videos.items, sources, tmp_path / "ray", engine_of(cluster))
    wait_until(lambda: len({process for _, process in seen(videos.log)}) == 2)
    lost = next(node for node in cluster.worker_nodes if not node._ray_params.num_gpus)
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(**NODE)
    report, content = extraction.result()
    assert (report.done, report.failed) == (10, ())
    assert content == videos.content
    assert sum(videos.times_seen.values()) <= 11  # nothing twice but what was under way on the node


@pytest.mark.slow
def test_nodes_that_are_added_get_workers(
    cluster: Cluster, tmp_path: Path, background: ThreadPoolExecutor
) -> None:
    videos = Videos(tmp_path, 40)
    sources = videos.sources(seconds=1.0)
    extraction = background.submit(extract, videos.items, sources, tmp_path / "ray", engine_of(cluster))
    wait_until(lambda: len(seen(videos.log)) >= 2)
    added = cluster.add_node(**NODE)
    report, content = extraction.result()
    cluster.remove_node(added)
    assert report.done == 40
    assert content == videos.content
    assert len({process for _, process in seen(videos.log)}) == 3


@pytest.mark.slow
def test_with_full_object_stores_the_work_ends(cluster: Cluster, tmp_path: Path) -> None:
    videos = Videos(tmp_path, 4)
    engine_of(cluster).connect()

    @ray.remote(num_cpus=0)
    def fill() -> np.ndarray[Any, Any]:
        return np.zeros(MEMORY * 9 // 10, np.uint8)

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    there = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    pinned = [fill.options(scheduling_strategy=each).remote() for each in there]
    assert len(ray.wait(pinned, num_returns=len(pinned), fetch_local=False)[0]) == 3
    report, content = extract(videos.items, videos.sources(), tmp_path / "ray", engine_of(cluster))
    assert (report.done, report.failed) == (4, ())
    assert content == videos.content


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_its_workers(
    cluster: Cluster, tmp_path: Path, number: signal.Signals
) -> None:
    videos = Videos(tmp_path, 8)
    settings = {each.quality: to_plain(each.config) for each in videos.sources(seconds=1.0)}
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump({"extraction": settings}))
    options = ["-c", tmp_path / "slow.yaml", "--cache", tmp_path / "ray", "--engine", "ray"]
    command = subprocess.Popen(
        [sys.executable, "-m", "skdpipe", "extract", tmp_path / "videos", *options],
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: len(seen(videos.log)) >= 3)
    command.send_signal(number)
    start = time.monotonic()
    _, errors = command.communicate()
    assert time.monotonic() - start < 5
    assert command.returncode == 128 + number
    *notes, last = errors.splitlines()
    assert last == "interrupted; the same command continues where it stopped"
    assert [note.partition(":")[0] for note in notes] == [
        "high quality", "low quality", "workers", "looking up",
    ]  # fmt: skip
    wait_until(lambda: not any(is_running(process) for _, process in seen(videos.log)))
    report, _ = extract(videos.items, videos.sources(), tmp_path / "ray", None)
    assert report.done + report.skipped == 8
    assert report.skipped
    assert not list(tmp_path.rglob(".skdpipe-*"))


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from watched_squares import watched_sources
from skdpipe.cache import PoseCache
from skdpipe.engines import RayEngine
from skdpipe.extraction import extract_videos
from skdpipe.extraction.video_list import VideoItem
folder, address = Path(sys.argv[2]), sys.argv[3]
items = [VideoItem(folder / f"videos/{row}.mp4", "wave", "train") for row in range(8)]
sources = watched_sources(folder / "log", seconds=float(sys.argv[4]))
report = extract_videos(items, sources, PoseCache(folder / "ray"), engine=RayEngine(address))
print(report.done, report.skipped, len(report.failed))
"""


@pytest.mark.slow
def test_without_a_cluster_one_is_started_on_this_machine(tmp_path: Path) -> None:
    videos = Videos(tmp_path, 8)
    with TemporaryDirectory(prefix="ray-", dir="/tmp") as temporary:  # short, because sockets are in it
        command = [sys.executable, "-c", DRIVER, str(Path(__file__).parent), str(tmp_path), "local", "0"]
        paths = os.pathsep.join(sys.path)  # also for the workers
        environment = {**os.environ, "PYTHONPATH": paths, "RAY_TMPDIR": temporary, "HOME": temporary}
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert output.stdout == "8 0 0\n"
        assert content_of(tmp_path / "ray") == videos.content
        wait_until(lambda: not processes_with(temporary))


@pytest.mark.slow
def test_workers_that_crash_at_their_start_are_an_error(cluster: Cluster) -> None:
    with pytest.raises(SkdpipeError, match=r"^3 workers ended while they loaded what they need, and none"):
        list(engine_of(cluster).run([1, 2], open_and_crash))


@pytest.mark.slow
def test_after_the_driver_was_killed_the_rest_is_extracted(cluster: Cluster, tmp_path: Path) -> None:
    videos = Videos(tmp_path, 8)
    command = [sys.executable, "-c", DRIVER, str(Path(__file__).parent), str(tmp_path), cluster.address]
    driver = subprocess.Popen([*command, "1"])
    wait_until(lambda: len(seen(videos.log)) >= 4)
    driver.kill()
    driver.wait()
    wait_until(lambda: not any(is_running(process) for _, process in seen(videos.log)))
    before = len(seen(videos.log))
    output = subprocess.run([*command, "0"], stdout=subprocess.PIPE, text=True, check=True).stdout
    done, skipped, failed = map(int, output.split())
    assert (done + skipped, failed) == (8, 0)
    assert skipped >= 2
    assert len(seen(videos.log)) == before + done
    assert before + done <= 10  # nothing but what was under way
    assert content_of(tmp_path / "ray") == videos.content


def test_the_commands_of_the_guide_run(cluster: Cluster, workplace: Path) -> None:  # noqa: F811
    lines = commands(Path(__file__).parents[1] / "examples/my-cluster.md", "sh")
    assert lines
    for line in lines:
        result = CliRunner().invoke(app, arguments(line))
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        assert "workers: 2, on a Ray cluster of 3 nodes, with 1 CPU each" in result.output
    assert len(list((workplace / "pose_cache").rglob("*.safetensors"))) == 2 * 12
