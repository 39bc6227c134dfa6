# Sourced by .ci/run and tools/coverage: the tests of what also runs as written, instead of compiled.
scalar=(README.md micrograd_ext/{engine,calculus,tape,expression,stepper,views,nn}.py
    tests/test_{engine,lecture,stepper,tape,calculus,expression}.py)
