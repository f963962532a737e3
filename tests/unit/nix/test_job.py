"""Jobs: real programs, started detached, attached again, killed in every way."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plasmatui.model.command import CommandError
from plasmatui.nix import job as jobs
from plasmatui.nix.job import Ending, Job, Process, identify, is_alive, start
from plasmatui.nix.jobkeeper import KEPT_END, Log

ENV = {"PATH": os.environ["PATH"], "SECRET": "hunter2"}
LIMIT = 20.0


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


async def ended(job: Job) -> Ending:
    async with asyncio.timeout(LIMIT):
        return await job.wait()


async def gone(process: Process) -> None:
    async with asyncio.timeout(LIMIT):
        while is_alive(process):
            await jobs.until_ended(process)


async def printed(job: Job, offset: int = 0) -> bytes:
    async with asyncio.timeout(LIMIT):
        return b"".join([chunk.data async for chunk in job.output(offset)])


async def until(job: Job, text: bytes) -> None:
    """Wait until the job has printed `text`."""
    async with asyncio.timeout(LIMIT):
        seen = b""
        async for chunk in job.output():
            seen += chunk.data
            if text in seen:
                return
    raise AssertionError(f"ended without {text!r}: {seen!r}")


@pytest.mark.parametrize("code", [0, 1, 4, 255])
async def test_output_and_exit_code(tmp_path: Path, code: int) -> None:
    before = time.time()
    program = python(f"import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit({code})")
    job = await start(tmp_path / "j", program, ENV)
    assert await ended(job) == job.ending()
    ending = job.ending()
    assert ending is not None
    assert (ending.code, ending.uncertain, ending.terminated) == (code, False, False)
    assert await printed(job) == b"one\ntwo\n" == job.tail()
    assert await printed(job, 4) == b"two\n"
    assert await printed(job, 6) == b"o\n"
    chunks = [chunk async for chunk in job.output()]
    assert all(before - 1 <= chunk.wall <= ending.ended + 1 for chunk in chunks)
    assert not job.alive()


async def test_files_are_private_and_hold_no_environment(tmp_path: Path) -> None:
    job = await start(tmp_path / "j", python("import os; os.environ['SECRET']"), ENV)
    assert (await ended(job)).code == 0
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o700
    for path in (tmp_path / "j").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert b"hunter2" not in path.read_bytes()
    assert Job.attach(tmp_path / "j").argv == job.argv


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    job = await start(tmp_path / "j", ("/nowhere/nixos-anywhere",), ENV)
    assert (await ended(job)).code == 127
    assert b"/nowhere/nixos-anywhere cannot be started: No such file" in job.tail()


async def test_a_directory_holds_one_job(tmp_path: Path) -> None:
    await ended(await start(tmp_path / "j", ("true",), ENV))
    with pytest.raises(CommandError) as raised:
        await start(tmp_path / "j", ("true",), ENV)
    assert raised.value.id == "job-exists"
    with pytest.raises(CommandError) as raised:
        Job.attach(tmp_path / "other")
    assert raised.value.id == "job-missing"


async def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((CommandError, OSError)):
        await start(tmp_path / "file" / "j", ("true",), ENV)


async def test_output_of_a_job_that_runs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    program = python(f"print('first', flush=True); open({str(tmp_path / 'go')!r}).read(); print('second')")
    job = await start(tmp_path / "j", program, ENV)
    await until(job, b"first")
    assert job.alive()
    assert job.ending() is None
    await asyncio.to_thread((tmp_path / "go").write_text, "")
    assert await printed(job) == b"first\nsecond\n"


async def test_terminate_ends_the_whole_group(tmp_path: Path) -> None:
    program = ("sh", "-c", "sleep 1000 & echo $!; wait")
    job = await start(tmp_path / "j", program, ENV)
    await until(job, b"\n")
    sleeper = identify(int(job.tail()))
    job.terminate()
    ending = await ended(job)
    assert (ending.code, ending.terminated) == (128 + signal.SIGTERM, True)
    await gone(sleeper)
    job.terminate()  # of no use, and harmless


async def test_what_it_leaves_in_the_background_does_not_hold_its_end(tmp_path: Path) -> None:
    job = await start(tmp_path / "j", ("sh", "-c", "sleep 1000 & echo $!"), ENV)
    assert (await ended(job)).code == 0
    os.kill(int(job.tail()), signal.SIGKILL)


async def test_the_starter_is_killed_in_the_middle(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    program = python(f"print('first', flush=True); open({str(tmp_path / 'go')!r}).read(); print('second')")
    starter = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed like any other process
        python(
            "import asyncio, os, pathlib, time\n"
            "from plasmatui.nix.job import start\n"
            "async def main():\n"
            f"    job = await start(pathlib.Path({str(tmp_path / 'j')!r}), {program!r}, dict(os.environ))\n"
            "    print('started', flush=True)\n"
            "    await job.wait()\n"
            "asyncio.run(main())\n"
        ),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert starter.stdout is not None
    assert await asyncio.to_thread(starter.stdout.readline) == b"started\n"
    os.killpg(starter.pid, signal.SIGKILL)
    await asyncio.to_thread(starter.wait)
    starter.stdout.close()
    job = Job.attach(tmp_path / "j")
    await until(job, b"first")
    assert job.alive()
    await asyncio.to_thread((tmp_path / "go").write_text, "")
    assert await printed(job) == b"first\nsecond\n"
    assert (await ended(job)).code == 0


async def test_an_event_loop_that_ends_kills_no_job(tmp_path: Path) -> None:
    program = python("import time; print('first', flush=True); time.sleep(1000)")
    job = await asyncio.to_thread(lambda: asyncio.run(start(tmp_path / "j", program, ENV)))
    await until(job, b"first")
    assert job.alive()
    job.terminate()
    assert (await ended(job)).terminated


async def test_the_job_is_killed(tmp_path: Path) -> None:
    secret = tmp_path / "extra"
    secret.mkdir()
    (secret / "key").write_text("hunter2")
    program = python("import time\nprint('first', flush=True)\nwhile True: time.sleep(0.01); print('more', flush=True)")
    job = await start(tmp_path / "j", program, ENV, remove=[secret])
    await until(job, b"first")
    os.kill(job.card.keeper.pid, signal.SIGKILL)  # the program dies of its broken pipe
    ending = await ended(job)
    assert ending.uncertain
    assert ending.code is None
    assert not secret.exists()
    assert b"first" in await printed(job)
    assert not Job.attach(tmp_path / "j").alive()


async def test_a_program_that_lost_its_keeper_is_waited_for_and_can_be_ended(tmp_path: Path) -> None:
    job = await start(tmp_path / "j", python("import time; print('first', flush=True); time.sleep(1000)"), ENV)
    await until(job, b"first")
    keeper = job.card.keeper
    os.kill(keeper.pid, signal.SIGKILL)
    await gone(keeper)
    again = Job.attach(tmp_path / "j")
    assert again.alive()
    again.terminate()
    assert (await ended(again)).uncertain


async def test_secrets_go_when_nobody_is_attached(tmp_path: Path) -> None:
    (tmp_path / "extra" / "etc").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    job = await start(tmp_path / "j", ("true",), ENV, remove=[tmp_path / "extra", tmp_path / "file", tmp_path / "no"])
    assert (await ended(job)).code == 0
    assert not (tmp_path / "extra").exists()
    assert not (tmp_path / "file").exists()


def test_another_process_with_the_same_id_is_not_taken_for_it() -> None:
    me = identify(os.getpid())
    assert is_alive(me)
    assert not is_alive(Process(me.pid, me.start + 1, me.boot))
    assert not is_alive(Process(me.pid, me.start, "another boot"))
    assert not is_alive(Process(2**22 + 1, me.start, me.boot))


async def test_a_job_of_an_earlier_boot_is_uncertain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await start(tmp_path / "j", python("import time; time.sleep(1000)"), ENV)
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "boot_id", lambda: "the next one")
        assert (await ended(Job.attach(tmp_path / "j"))).uncertain
    job.terminate()
    assert (await ended(job)).terminated


def test_a_log_is_bounded_and_keeps_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path, largest=1000)
    for number in range(200_000):
        log.add(b"%06d\n" % number)
    log.close()
    kept = (tmp_path / "log").read_bytes()
    assert len(kept) < 1000 + KEPT_END + 100
    assert kept.startswith(b"000000\n000001\n")
    assert kept.endswith(b"199999\n")
    left_out = 200_000 * 7 - 1000 - KEPT_END
    assert f"[{left_out} bytes of output are left out]".encode() in kept
    offset = 0
    for line in (tmp_path / "times").read_text().splitlines():
        begin, length, _ = line.split()
        assert int(begin) == offset
        offset += int(length)
    assert offset == len(kept)
