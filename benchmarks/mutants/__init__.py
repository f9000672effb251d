"""Source mutation: whether what the code does is noticed by the tests that run it.

A *mutant* is a file of `constructions/` with one small change that cosmic-ray makes. It is *caught* where a test that runs
the changed line, and passes without the change, fails with it. `sample.py` draws mutants, `touching.py` knows which tests
run which line, `judge.py` runs tests on a mutant, and `python -m benchmarks.mutants` does it all.
"""
