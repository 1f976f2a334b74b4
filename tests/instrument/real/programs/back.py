"""The shop's orders: written down, counted, and handed to a worker."""

import logging
import os

import redis
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from worker import ship

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("back")
engine = create_engine(os.environ["DATABASE"])
store = redis.Redis.from_url(os.environ["STORE"])
app = FastAPI()


@app.get("/orders/{number}")
def order(number: int) -> dict[str, int]:
    with engine.begin() as connection:
        connection.execute(text("insert into orders values (:number)"), {"number": number})
        count = connection.execute(text("select count(*) from orders")).scalar_one()
    store.incr("orders")
    log.info("ordered %s", number)
    ship.delay(number)
    return {"count": count}
