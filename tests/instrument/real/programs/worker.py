"""The shop's worker."""

import logging
import os

import redis
from celery import Celery

app = Celery("worker", broker=os.environ["BROKER"])
app.conf.task_ignore_result = True
log = logging.getLogger("worker")
store = redis.Redis.from_url(os.environ["STORE"])


@app.task
def ship(number: int) -> None:
    store.set(f"shipped-{number}", "yes")
    log.info("shipped %s", number)
