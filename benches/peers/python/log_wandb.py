"""log_wandb.py DIR CALLS [--finish]: calls of `run.log` with five scalars, offline.

Without --finish the clock stops when the loop ends, and W&B's other process goes on writing what it was sent.
"""

import os
import random
import sys

os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off", WANDB_ERROR_REPORTING="false")

import wandb

from timed import Timed

directory, calls, finish = sys.argv[1], int(sys.argv[2]), "--finish" in sys.argv
numbers = random.Random(0)
keys = ["train/loss", "train/accuracy", "train/grad_norm", "train/lr", "epoch"]
rows = [{key: numbers.random() for key in keys} for _ in range(1000)]
settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, save_code=False, disable_git=True)
run = wandb.init(project="peers", dir=directory, settings=settings)


def end():
    run.finish()
    wandb.teardown()


with Timed(after=end):
    for call in range(calls):
        run.log(rows[call % 1000])
    if finish:
        run.finish()
