"""The program's first and last lines: what a signal does from the first moment on.

Loads next to nothing before it is ready for Ctrl-C; the commands are in cli/.
"""

# the part in C: the module in Python loads enum, which takes longer than all of this
import _signal as signal  # type: ignore[import-not-found]
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# Python looks for garbage each time 700 objects have come, hundreds of times while modules load
# that all stay: a tenth of a second.
GARBAGE_AFTER = 100_000


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 wrong usage, 130 or 143 interrupted.

    SIGINT, SIGTERM and Windows' SIGBREAK raise KeyboardInterrupt, and end silently. In the middle
    of an import they end the process at once: nothing is held yet, and libraries swallow what is
    raised there.
    """
    received: list[int] = []

    def interrupt(number: int, frame: "FrameType | None") -> None:
        received.append(number)
        while frame is not None:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                os._exit(_exit_code(number))
            frame = frame.f_back
        raise KeyboardInterrupt

    def end_if_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
        if received:  # raised where Python has to ignore it, such as in a weakref's callback
            os._exit(_exit_code(received[0]))
        sys.__unraisablehook__(unraisable)

    if hasattr(os, "register_at_fork"):  # workers are ended by SIGTERM, which is no error there
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    sys.unraisablehook = end_if_interrupted
    gc.set_threshold(GARBAGE_AFTER)
    code = 1
    try:
        _on_signals(interrupt)
        from lenet import cli

        cli.prepare_streams()
        code = cli.run(sys.argv[1:])
    except BaseException:
        if not received:
            raise
    finally:
        _on_signals(
            lambda number, frame: os._exit(_exit_code(number))
        )  # nothing is left to be tidied
        _flush_or_drop()
        gc.freeze()  # else Python ends by looking through all that was loaded: a quarter second
    sys.exit(_exit_code(received[0]) if received else code)


def _on_signals(handler: "Callable[[int, FrameType | None], object]") -> None:
    for kind in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGBREAK", None)):
        if kind is not None:  # on Windows alone: Ctrl-Break
            signal.signal(kind, handler)


def _exit_code(number: int) -> int:
    """As ``system.exit_code``, without its imports."""
    return 128 + (signal.SIGINT if number == getattr(signal, "SIGBREAK", None) else number)


def _flush_or_drop() -> None:
    """Write what is still buffered; where the reader has gone, let it be lost without a word."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


if __name__ == "__main__":
    main()
