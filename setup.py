"""Builds _kernels, _program and _tape, each a .pyx over C of csrc/, and engine, of engine.py."""

import os
import subprocess
import sys
from glob import glob
from pathlib import Path

HERE = Path(__file__).resolve().parent

try:
    from Cython.Build import cythonize
    from setuptools import Extension, setup
    from setuptools.command.build_ext import build_ext
except ImportError:
    # `python setup.py ...` in an environment that holds only pip: fetch what pyproject.toml
    # requires into build/, and start again. pip itself never comes here.
    requires = HERE / "build" / "requires"
    if str(requires) in os.environ.get("PYTHONPATH", ""):
        raise
    print(f"setup.py: setuptools or cython is missing; installing both into {requires}", flush=True)
    pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
    subprocess.check_call(
        [*pip_install, "--target", str(requires), "setuptools>=77", "cython>=3.1"]
    )
    path = os.pathsep.join(filter(None, [str(requires), os.environ.get("PYTHONPATH")]))
    raise SystemExit(
        subprocess.call([sys.executable, *sys.argv], env={**os.environ, "PYTHONPATH": path})
    ) from None


#: 'address,undefined' or 'thread': checks compiled in, for tools/sanitize; 'coverage': what counts
#: how often each line runs, for tools/coverage.
INSTRUMENT = os.environ.get("MICROGRAD_EXT_INSTRUMENT", "")


def quick_where_cython_wrote_it(compile_one):
    """The compiler's method, for such builds: that code takes a minute to optimise."""

    def compile_quickly(obj, src, ext, cc_args, extra_postargs, pp_opts):
        if not src.startswith("csrc"):
            extra_postargs = [*extra_postargs, "-O0"]
        compile_one(obj, src, ext, cc_args, extra_postargs, pp_opts)

    return compile_quickly


class BuildKernels(build_ext):
    """build_ext that optimises, or that puts checks or counts in."""

    def build_extensions(self):
        """Choose flags for the compiler at hand, then build."""
        flags, links = ["-std=gnu11", "-O3", "-fno-math-errno", "-pthread"], ["-pthread"]
        if self.compiler.compiler_type == "msvc":
            flags, links = ["/O2", "/std:c11"], []
        if INSTRUMENT:
            self.compiler._compile = quick_where_cython_wrote_it(self.compiler._compile)
        if INSTRUMENT == "coverage":
            flags += ["--coverage", "-O1"]
            links += ["--coverage"]
        elif INSTRUMENT:
            checks = [f"-fsanitize={INSTRUMENT}", "-fno-sanitize-recover=all"]
            flags += [*checks, "-O1", "-g", "-DMG_SANITIZE"]
            # Python's flags let sums wrap: overflow would go unseen, and building takes longer
            flags += ["-fno-wrapv", "-fno-var-tracking", "-fno-omit-frame-pointer"]
            links += checks
        for extension in self.extensions:  # cythonize made copies: those above are not built
            extension.extra_compile_args += flags
            extension.extra_link_args += links
            if extension.name in (tape.name, engine.name) and self.compiler.compiler_type != "msvc":
                # the engine and the tape shall give the same bits as engine.py interpreted
                extension.extra_compile_args += ["-ffp-contract=off"]
        super().build_extensions()


def extension(name, *sources):
    """micrograd_ext.<name>, of files of micrograd_ext/ and csrc/."""
    return Extension(
        f"micrograd_ext.{name}",
        sources=list(sources),
        include_dirs=["csrc"],
        depends=sorted(glob("csrc/*.h", root_dir=HERE) + glob("csrc/*.inl", root_dir=HERE)),
    )


tape_c = str(Path("csrc", "tape.c"))
kernels_c = [path for path in sorted(glob("csrc/*.c", root_dir=HERE)) if path != tape_c]
kernels = extension("_kernels", "micrograd_ext/_kernels.pyx", *kernels_c)
tape = extension("_tape", "micrograd_ext/_tape.pyx", tape_c)
program = extension("_program", "micrograd_ext/_program.pyx")
engine = extension("engine", "micrograd_ext/engine.py")

setup(
    ext_modules=cythonize(
        [kernels, program, tape, engine],
        compiler_directives={"language_level": "3", "embedsignature": True},
        emit_linenums=INSTRUMENT == "coverage",  # lines of the .pyx
    ),
    cmdclass={"build_ext": BuildKernels},
)
