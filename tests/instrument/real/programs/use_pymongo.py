import os

from pymongo import MongoClient

with MongoClient("127.0.0.1", int(os.environ["MONGODB"])) as client:
    things = client["shop"]["things"]
    things.insert_one({"name": "lamp"})
    assert things.find_one({"name": "lamp"})["name"] == "lamp"
