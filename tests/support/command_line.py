"""The command line in processes that are forked off one that has loaded it.

A start costs half a second of a core, nearly all of it imports. What is about the start itself,
about signals or a terminal, takes `python -m stream_audio` instead.

Run as a program, it is the process that forks. Each line of its input is a list in JSON: the
arguments, the working directory, and the files that take the two outputs.
"""

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

GIVE_UP = 60.0


@functools.cache
def _nursery(environment):
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=dict(environment),
        start_new_session=True,
    )

    def end():
        process.stdin.close()
        process.wait(GIVE_UP)
        process.stdout.close()

    atexit.register(end)
    return process


def run_command(arguments, environment, *, cwd=None):
    """Run `stream-audio` with these arguments; returns what `subprocess.run` would, as text."""
    lasting = {key: environment[key] for key in environment if key != "PYTEST_CURRENT_TEST"}
    nursery = _nursery(frozenset(lasting.items()))
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        nursery.stdin.write(json.dumps([words, str(cwd or Path.cwd()), *outputs]) + "\n")
        if not select.select([nursery.stdout], [], [], GIVE_UP)[0]:
            os.killpg(nursery.pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, GIVE_UP)
        code = int(nursery.stdout.readline())
        said = [Path(output).read_text(encoding="utf-8") for output in outputs]
    return subprocess.CompletedProcess(words, code, *said)


def become(arguments, cwd, stdout, stderr):
    """Make this process what a start of the command line would be, and run it."""
    os.chdir(cwd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor, path in ((1, stdout), (2, stderr)):
        taken = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(taken, descriptor)
        os.close(taken)
    os.close(nothing)
    sys.argv = ["stream-audio", *arguments]
    main()


def serve():
    """Fork a process for each line that comes, and say with which code it ended."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


if __name__ == "__main__":
    import stream_audio.cli.app  # noqa: F401 - what takes the time
    from stream_audio.cli import main

    if (asked := serve()) is not None:
        become(*asked)
