"""``lenet train`` as one of several processes that torchrun starts.

Process 0 prints, and writes the run's folder, as if it were alone; the others follow silently.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lenet.cli.printing import complain, exit_code
from lenet.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from lenet.engines.group import Group
    from lenet.processes import Place
    from lenet.runs.experiments import Experiment

BY_FILE = 1000  # above every exit code: torchrun would restart what ends with another than 0


def follow(here: Place, data_dir: Path | None, threads: int | None, compile: bool) -> int:
    """The exit code of a process other than the first, after it took part in the training."""
    from lenet.engines.group import join
    from lenet.runs import together
    from lenet.training import TrainingError

    group = join(here)
    with stop_on_signals() as signalled:
        stop = Stop(group, signalled)
        try:
            outcome = together.follow(
                group,
                data_dir=data_dir,
                threads=here.threads if threads is None else threads,
                compile=compile,
                stop=stop,
            )
        except TrainingError:
            return 1  # as in process 0, which says so
        except OSError as error:
            return complain(f"process {here.rank}: {error}", 1)
        except ValueError as error:
            return complain(f"process {here.rank}: {error}", exit_code(error))
        if outcome is None:
            return signalled() or 1
    with suppress(OSError):  # the result is process 0's, which may be gone by now
        group.leave()
    return 0 if outcome.finished else stop.exit_code()


@contextmanager
def leading(here: Place | None) -> Iterator[Group | None]:
    """The group that process 0 leads; the others are told where what is done inside fails."""
    if here is None:
        yield None
        return
    from lenet.engines.group import join
    from lenet.runs import together

    group = join(here)
    try:
        yield group
    except BaseException:
        with suppress(OSError):
            together.give_up(group)
        raise


def led(experiment: Experiment, group: Group | None) -> Experiment:
    """The experiment, to be trained by the group where there is one; a restart will find it."""
    if group is None and not _by_torchrun():
        return experiment
    from lenet.runs import together

    together.remember(experiment.run.folder)
    return experiment if group is None else together.lead(experiment, group)


class Stop:
    """Whether something has asked to stop: this process, or any of the group.

    All processes of a group must ask equally often.
    """

    def __init__(
        self, group: Group | None, signalled: Callable[[], int], stop_file: Path | None = None
    ) -> None:
        self._group, self._signalled, self._stop_file = group, signalled, stop_file
        self._code = 0

    def __call__(self) -> bool:
        code = self._signalled()
        if self._group is not None:
            from lenet.engines.group import largest

            if code and self._stop_file is not None and os.path.lexists(self._stop_file):
                code = BY_FILE
            code = int(largest(self._group, code))
        self._code = code
        return code != 0

    def exit_code(self) -> int:
        """That of the command, where training has stopped."""
        if self._group is None:
            return self._signalled()
        return 0 if self._code == BY_FILE else self._code


def begun_before(out: Path | None) -> Path | None:
    """The run to go on with where torchrun has restarted this process; None where it has not."""
    if not _by_torchrun():
        return None
    from lenet.runs import together

    return together.begun_before(out)


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
