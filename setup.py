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


class BuildKernels(build_ext):
    """build_ext that optimises."""

    def build_extensions(self):
        """Choose flags for the compiler at hand, then build."""
        if self.compiler.compiler_type == "msvc":
            flags = ["/O2", "/std:c11"]
        else:
            flags = ["-std=gnu11", "-O3", "-fno-math-errno", "-pthread"]
        for extension in self.extensions:  # cythonize made copies: those above are not built
            extension.extra_compile_args += flags
            if self.compiler.compiler_type != "msvc":
                extension.extra_link_args += ["-pthread"]
                if extension.name in (tape.name, engine.name):
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
    ),
    cmdclass={"build_ext": BuildKernels},
)
