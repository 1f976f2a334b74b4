"""A shop's front: a page that asks the service behind."""

import logging
import os

import requests
from flask import Flask

logging.basicConfig(level=logging.INFO)
log = logging.getLogger("front")
app = Flask(__name__)


@app.get("/buy/<int:number>")
def buy(number: int) -> str:
    log.info("buying %s", number)
    answer = requests.get(f"{os.environ['BEHIND']}/orders/{number}", timeout=60)
    answer.raise_for_status()
    return answer.text
