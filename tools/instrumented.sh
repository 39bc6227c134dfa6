# Sourced by the tools beside it. `instrumented KIND` copies the tree to build/KIND, goes there and
# builds the C code with MICROGRAD_EXT_INSTRUMENT=KIND, if it has changed; sets $python.
instrumented() {
    local place=build/${1//,/-}
    python=$(command -v "${PYTHON:-python3}")
    case $python in /*) ;; *) python=$PWD/$python ;; esac  # not resolved: a link tells an environment
    mkdir -p "$place"
    rm -rf "$place"/{csrc,tests}
    tar -cf - --exclude='*.so' --exclude='*.c.dep' --exclude='__pycache__' \
        --exclude='micrograd_ext/*.c' --exclude='micrograd_ext/*/*.c' csrc tests micrograd_ext tools demos docs benchmarks \
        setup.py pyproject.toml MANIFEST.in LICENSE ./*.md | tar -xf - -C "$place"
    cd "$place"
    if [ ! -f built ] || [ -n "$(find csrc micrograd_ext setup.py -newer built -type f \
        \( -name '*.[ch]' -o -name '*.inl' -o -name '*.p*x*' -o -name engine.py -o -name setup.py \))" ]; then
        MICROGRAD_EXT_INSTRUMENT=$1 "$python" setup.py -q build_ext --inplace --force --parallel 2 \
            > build.log 2>&1 || { tail -n 50 build.log; exit 1; }
        touch built
    fi
}
