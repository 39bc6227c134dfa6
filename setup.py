"""Builds _kernels and _tape, each a .pyx over C of csrc/, and engine, of engine.py."""

import os
import subprocess
import sys
import tempfile
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

OPENMP_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


class BuildKernels(build_ext):
    """build_ext that optimises, and uses OpenMP where the compiler can."""

    def build_extensions(self):
        """Choose flags for the compiler at hand, then build."""
        if self.compiler.compiler_type == "msvc":
            flags, openmp = ["/O2", "/std:c11"], [(["/openmp"], [])]
        else:
            flags = ["-std=gnu11", "-O3", "-fno-math-errno"]
            openmp = [(["-fopenmp"], ["-fopenmp"])]
            if sys.platform == "darwin":
                openmp.append((["-Xpreprocessor", "-fopenmp"], ["-lomp"]))
        compile_args, link_args = next(filter(self.can_build, openmp), ([], []))
        if not compile_args:
            self.warn("this compiler has no OpenMP: building the kernels for a single thread")
        for extension in self.extensions:  # cythonize made copies: those above are not built
            extension.extra_compile_args += flags
            if extension.name == kernels.name:
                extension.extra_compile_args += compile_args
                extension.extra_link_args += link_args
            elif self.compiler.compiler_type != "msvc":
                # the engine and the tape shall give the same bits as engine.py interpreted
                extension.extra_compile_args += ["-ffp-contract=off"]
        super().build_extensions()

    def can_build(self, arguments):
        """Whether a program that uses OpenMP compiles and links with these arguments."""
        compile_args, link_args = arguments
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROBE)
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=compile_args
                )
                self.compiler.link_executable(
                    objects, str(Path(folder, "probe")), extra_postargs=link_args
                )
            except Exception as error:  # each compiler class has its own
                print(f"OpenMP probe with {' '.join(compile_args)}: {error}")
                return False
        return True


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
engine = extension("engine", "micrograd_ext/engine.py")

setup(
    ext_modules=cythonize(
        [kernels, tape, engine],
        compiler_directives={"language_level": "3", "embedsignature": True},
    ),
    cmdclass={"build_ext": BuildKernels},
)
