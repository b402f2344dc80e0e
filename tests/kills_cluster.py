"""Kill workers, actors and drivers of a plan at random moments, on a local Ray cluster and submitit's local executor.

    python -m tests.kills_cluster [KILLS] [SECONDS] [SEED]

A round is a plan of 60 tiny runs with nothing cached. One of its processes is killed (SIGKILL) at a random moment,
again and again; a driver that died is started again, until the plan is complete. Then every file of results is held
against those of one process that nobody disturbed. Rounds go on until there were KILLS for each launcher, or for
SECONDS. Ends with 1 if anything was lost, doubled or different.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conftest import FOOD

ROOT = Path(__file__).parents[1]
MARK = "CROFTBENCH_CAMPAIGN"
SEEDS = ",".join(str(seed) for seed in range(1, 31))
LAUNCHERS = {
    "ray": ["--launcher", "ray", "--workers", "2"],
    "local-slurm": ["--launcher", "local-slurm", "--workers", "2"],
}


def driver(home: Path, launcher: str, mark: str) -> subprocess.Popen[bytes]:
    """Start the plan in a folder."""
    command = [
        sys.executable, "-m", "croftbench", "run", "-m", "zero-shot,tip-adapter", "-s", str(home / "food.toml"),
        "--seeds", SEEDS, "--limit", "20", "--device", "cpu", "--results", str(home / "results"),
        "--cache", str(home / "cache"), "--quiet", *LAUNCHERS.get(launcher, []),
    ]  # fmt: skip
    environ = os.environ | {MARK: mark, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    log = (home / "log").open("ab")
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)


def processes(mark: str) -> dict[int, str]:
    """Our own processes that are alive, by what they are: known by a variable that only we set."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}\0".encode() in (place / "environ").read_bytes():
                said = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found[int(place.name)] = said
    return found


def victims(mark: str, of: int) -> list[tuple[int, str]]:
    """Who may be killed: the driver, and whoever works for it."""
    kinds = {"ray::Encoder": "actor", "ray::fit": "worker", "submitit.core._submit": "worker"}
    found = [(pid, kind) for pid, said in processes(mark).items() for sign, kind in kinds.items() if sign in said]
    return [*found, (of, "driver")]


def clean(mark: str) -> None:
    """End what a killed driver left, and nothing else."""
    for pid in processes(mark):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def content(folder: Path) -> dict[str, bytes]:
    """Files of results, without what differs whenever a run is made: seconds, time of day, digest."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".json":
                record = json.loads(data)
                for name in ("created", "timings", "digest"):
                    record.pop(name, None)
                for name in ("commit", "dirty"):  # somebody may be at work on the code
                    record.get("env", {}).pop(name, None)
                data = json.dumps(record).encode()
            found[str(path.relative_to(folder))] = data
    return found


def campaign(launcher: str, kills: int, ends: float, right: dict[str, bytes], chance: random.Random) -> Counter[str]:
    """Rounds of one launcher."""
    told: Counter[str] = Counter()
    while told["kills"] < kills and time.monotonic() < ends:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            home = Path(folder)
            (home / "food.toml").write_text(FOOD)
            mark = secrets.token_hex(8)
            told["rounds"] += 1
            first = chance.choice((0, 5, 20))  # runs that are finished before the killing begins: fits are killed too
            most = told["kills"] + max(1, kills // 4)  # of this round
            code: int | None = 1
            while code != 0:
                process = driver(home, launcher, mark)
                told["starts"] += 1
                while (code := process.poll()) is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=chance.uniform(1, 8))
                        continue
                    finished = sum(1 for _ in (home / "results" / "smoke" / "runs").glob("*/*/*.json"))
                    if finished >= first and told["kills"] < min(most, kills) and time.monotonic() < ends:
                        *working, of_all = victims(mark, process.pid)
                        if not working and chance.random() < 0.7:  # it is still starting: mostly wait
                            continue
                        pid, kind = chance.choice(working) if working and chance.random() < 0.7 else of_all
                        with contextlib.suppress(OSError):
                            os.kill(pid, signal.SIGKILL)
                            told["kills"] += 1
                            told[kind] += 1
                if code != 0:
                    told["driver ended early"] += 1
                if chance.random() < 0.5 or code == 0:
                    clean(mark)  # else its workers go on beside the next driver's
                if code not in (0, -9):
                    print((home / "log").read_text()[-500:], file=sys.stderr)
                    told["driver failed"] += 1
                    if told["driver failed"] > 3 * kills:
                        break
            clean(mark)
            found = content(home / "results" / "smoke" / "runs")
            told["lost"] += len(right.keys() - found.keys())
            told["doubled"] += len(found.keys() - right.keys())
            told["different"] += sum(found[name] != right[name] for name in right.keys() & found.keys())
    return told


def main() -> None:
    """Both launchers, and a table."""
    kills, seconds, seed = (
        int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 20), (2, 1800), (3, 1))
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "food.toml").write_text(FOOD)
        assert driver(home, "here", "").wait() == 0, (home / "log").read_text()
        right = content(home / "results" / "smoke" / "runs")
    names = ("kills", "driver", "worker", "actor", "rounds", "starts", "lost", "doubled", "different")
    print(
        f"{len(right) // 2} runs a plan, seed {seed}\n\n| launcher | {' | '.join(names)} |",
        f"\n|---|{'---:|' * len(names)}",
        sep="",
        flush=True,
    )
    bad = 0
    for launcher in LAUNCHERS:
        ends = time.monotonic() + seconds / len(LAUNCHERS)
        told = campaign(launcher, kills, ends, right, random.Random(seed))
        print(f"| {launcher} | {' | '.join(str(told[name]) for name in names)} |", flush=True)
        bad += told["lost"] + told["doubled"] + told["different"]
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
