import threading
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import trace

tracer = trace.get_tracer("shop")


def work(name: str) -> None:
    tracer.start_span(name).end()


with tracer.start_as_current_span("outside"):
    thread = threading.Thread(target=work, args=("in a thread",))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work, "in a pool").result()
    timer = threading.Timer(0, work, args=("by a timer",))
    timer.start()
    timer.join()
