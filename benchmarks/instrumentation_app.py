"""The application that instrumentation.py serves; it knows nothing of telemetry."""

import logging
import os

import redis
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("shop")
store = redis.Redis(port=int(os.environ["REDIS_PORT"]))
engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
with engine.begin() as connection:
    connection.execute(text("create table items (id integer primary key, name text)"))
    connection.execute(text("insert into items values (1, 'lamp'), (2, 'mirror')"))

app = Flask(__name__)


@app.get("/hello")
def hello() -> str:
    return "hello"


@app.get("/db")
def db() -> dict[str, object]:
    with engine.connect() as connection:
        count = connection.execute(text("select count(*) from items")).scalar()
        name = connection.execute(text("select name from items where id = :id"), {"id": 2}).scalar()
        connection.execute(text("select id, name from items order by id limit 10")).all()
    stock = store.get("stock")
    log.info("%s items, %s in stock", count, stock)
    return {"count": count, "name": name}
