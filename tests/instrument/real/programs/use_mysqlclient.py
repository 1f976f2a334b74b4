import os
from contextlib import suppress

import MySQLdb

connection = MySQLdb.connect(
    host="127.0.0.1", port=int(os.environ["MARIADB"]), user="root", database="test"
)
cursor = connection.cursor()
cursor.execute("select %s", ("secret",))
assert cursor.fetchone() == ("secret",)
with suppress(MySQLdb.ProgrammingError):
    cursor.execute("select * from nothing")
connection.close()
