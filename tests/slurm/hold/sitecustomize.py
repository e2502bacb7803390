"""Read by every Python of a job in the tests of faults: makes an evaluation wait, or need more memory or time.

Files in the folder that LANGNEURONS_HOLD names say what; ``started`` tells the test that the job is there.
"""

import os
import sys
import time

folder = os.environ.get("LANGNEURONS_HOLD")
if folder and sys.orig_argv[-1].endswith(".evaluate.py"):
    with open(os.path.join(folder, "started"), "a", encoding="utf-8") as stream:
        stream.write(f"{os.environ['SLURM_JOB_ID']} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    while os.path.exists(os.path.join(folder, "wait")):
        time.sleep(0.05)
    if os.path.exists(os.path.join(folder, "memory")):
        hog = b"x" * 1_700_000_000
        time.sleep(10)
        del hog
    if os.path.exists(os.path.join(folder, "time")):
        time.sleep(80)
