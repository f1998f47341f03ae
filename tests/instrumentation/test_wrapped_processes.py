"""Programs with several processes do the same work, whichever way they start them."""

from __future__ import annotations

import pytest

from tests.instrumentation.programs import Programs

POOL = """
import concurrent.futures
import functools
import multiprocessing
import sys


class Base:
    def __init__(self, worker_id):
        self.worker_id = worker_id

    def report(self):
        return f"report of {self.worker_id}"


class Worker(Base):
    def process_stream(self, stream_id):
        if stream_id == "bad":
            raise KeyError(stream_id)
        return f"{self.worker_id} processed {stream_id}"

    @classmethod
    def create(cls, worker_id):
        return cls(worker_id)

    @staticmethod
    def normalise(name):
        return name.lower()


def main():
    context = multiprocessing.get_context(sys.argv[1])
    worker = Worker("w1")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        print(list(pool.map(worker.process_stream, ["s1", "s2"])))
        print(pool.submit(Worker.process_stream, worker, "s3").result())
        print(vars(pool.submit(Worker.create, "w2").result()))
        print(pool.submit(functools.partial(Worker.normalise, "A")).result())
        print(pool.submit(worker.report).result())
        try:
            pool.submit(worker.process_stream, "bad").result()
        except KeyError as error:
            print(repr(error), type(error.__cause__).__name__)


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_pool_gives_the_same_results_and_records_in_its_children(method: str, programs: Programs) -> None:
    script = str(programs.write("pool.py", POOL))
    plain = programs.run_plain(script, method)
    instrumented = programs.run(script, method, WORKERS="pool:Worker")
    assert instrumented.stdout == plain.stdout
    assert "Traceback" not in instrumented.stderr
    assert programs.spans() == {"process stream": 4, "Worker.create": 1, "Worker.normalise": 1, "Worker.report": 1}
