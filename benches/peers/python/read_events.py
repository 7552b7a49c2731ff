"""read_events.py tensorboard|tbparse LOGDIR: every scalar of a log directory, nothing sampled."""

import sys

from timed import Timed

package, logdir = sys.argv[1:]

if package == "tbparse":
    from tbparse import SummaryReader

    with Timed():
        count = len(SummaryReader(logdir).scalars)
else:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    with Timed():
        runs = EventMultiplexer(size_guidance={"scalars": 0, "tensors": 0})
        runs.AddRunsFromDirectory(logdir)
        runs.Reload()
        count = 0
        for run, tags in runs.Runs().items():
            count += sum(len(runs.Scalars(run, tag)) for tag in tags["scalars"])
            count += sum(len(runs.Tensors(run, tag)) for tag in tags["tensors"])

if count == 0:
    sys.exit("no scalar was read")
