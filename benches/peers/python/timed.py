"""How the scripts here say what their work took."""

import resource
import time


class Timed:
    """Prints the seconds and CPU seconds of its block, without the start of Python and of the packages.

    `after` is called once the clock has stopped, but before the CPU seconds are counted: those of another process
    count only once it has ended.
    """

    def __init__(self, after=lambda: None):
        self.after = after

    def __enter__(self):
        self.cpu = _cpu()
        self.start = time.perf_counter()

    def __exit__(self, kind, *_):
        seconds = time.perf_counter() - self.start
        if kind is None:
            self.after()
            print(f"seconds {seconds}\ncpu {_cpu() - self.cpu}")


def _cpu():
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
