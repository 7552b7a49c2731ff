"""log_tensorboard.py DIR CALLS tensorboard|tensorboardX: five scalars a call, an event each."""

import random
import sys
import time

from timed import Timed

directory, calls, package = sys.argv[1], int(sys.argv[2]), sys.argv[3]
numbers = random.Random(0)
values = [numbers.random() for _ in range(1000)]
tags = ["train/loss", "train/accuracy", "train/grad_norm", "train/lr", "epoch"]

if package == "tensorboardX":
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(directory)
    add = writer.add_scalar
else:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(directory)

    def add(tag, value, step):
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


with Timed():
    for call in range(calls):
        for tag in tags:
            add(tag, values[call % 1000], call)
    writer.close()
