import subprocess
import sys

import worker

command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "-c1", "-l", "info"]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
    for line in process.stderr:
        if " ready." in line:
            worker.ship.delay(7)
        if " succeeded " in line:
            break
    process.terminate()
    process.stderr.read()
