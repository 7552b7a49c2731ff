"""convert_wandb.py LOGDIR DIR: event files that are there already, into an offline run by `sync_tensorboard`.

W&B takes only files whose name has this host and a time after the run's start, so they are copied under such names
first. The clock runs from telling the run of the directories to the end of `finish`.
"""

import os
import shutil
import socket
import sys
import time

os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off", WANDB_ERROR_REPORTING="false")

import wandb

from timed import Timed

logdir, directory = sys.argv[1:]
root = os.path.join(directory, "logs")
copies = []
for number, run in enumerate(sorted(os.listdir(logdir))):
    copies.append(os.path.join(root, run))
    os.makedirs(copies[-1])
    for file in os.listdir(os.path.join(logdir, run)):
        name = f"events.out.tfevents.{int(time.time()) + 1000}.{socket.gethostname()}.1.{number}"
        shutil.copy(os.path.join(logdir, run, file), os.path.join(copies[-1], name))

settings = wandb.Settings(x_disable_stats=True, x_disable_meta=True, save_code=False, disable_git=True)
run = wandb.init(project="peers", dir=directory, sync_tensorboard=True, settings=settings)
with Timed(after=wandb.teardown):
    for copy in copies:
        run._tensorboard_callback(copy, save=False, root_logdir=root)
    run.finish()
