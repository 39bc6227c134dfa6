# Sourced by .ci/run and tools/coverage: the tests of what also runs as written, instead of compiled.
scalar=(README.md docs/{stepping,values}.md micrograd_ext/{engine,nn}.py
    micrograd_ext/scalar/{calculus,tape,expression}.py micrograd_ext/graph/{stepper,views}.py
    tests/scalar tests/graph/test_stepper.py)
