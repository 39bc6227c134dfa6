"""Builds _kernels, _executor and _tape, each a .pyx over C of csrc/, and engine, of engine.py."""

import atexit
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent

REQUIRES = ["setuptools>=77", "cython>=3.1"]  # as pyproject.toml has it


def lacking():
    """Which of REQUIRES this Python does not have, in words; '' if it has all."""
    words = []
    for name, oldest in (requirement.split(">=") for requirement in REQUIRES):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            words.append(f"{name} is missing")
            continue
        numbers = [int(number) for number in version.split(".")[:2]]
        if numbers < [int(number) for number in oldest.split(".")]:
            words.append(f"{name} {version} is older than {oldest}")
    return " and ".join(words)


# `python setup.py ...` by hand fetches into build/ what its environment lacks. Where pip or another
# tool runs this file, that is theirs to do: --no-build-isolation says what is there is to be used.
if lacking() and Path(sys.argv[0]).name == "setup.py":
    requires = HERE / "build" / "requires"
    sys.path.insert(0, str(requires))
    if lacking():  # not fetched earlier
        print(f"setup.py: {lacking()}; installing into {requires}", flush=True)
        pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
        subprocess.call([*pip_install, "--target", str(requires), *REQUIRES])
        importlib.invalidate_caches()
if lacking():
    raise ModuleNotFoundError(
        f"{lacking()}, which building micrograd_ext takes. Install both with\n"
        f"    {sys.executable} -m pip install {' '.join(map(repr, REQUIRES))}"
    )

from Cython.Build import cythonize  # noqa: E402
from setuptools import Extension, setup  # noqa: E402
from setuptools.command.build_ext import build_ext  # noqa: E402
from setuptools.errors import CompileError, PlatformError  # noqa: E402
from setuptools.modified import newer_group  # noqa: E402

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


def side_by_side(compiler, force):
    """The compiler's method `compile`, for as many files at a time as there are cores.

    A file whose object is newer than all it is made of is not compiled again, unless by force: a
    change to one kernel then takes seconds.
    """
    compile_several = compiler.compile
    pool = ThreadPoolExecutor(os.cpu_count())

    def compile_one(source, output_dir, options):
        (compiled,) = compiler.object_filenames([source], output_dir=output_dir)
        made_of = [source, __file__, *headers()]
        if Path(source).name.startswith("isa_"):
            made_of += glob("csrc/*/*.inl")
        if force or newer_group(made_of, compiled):
            compile_several([source], output_dir=output_dir, **options)
        return compiled

    def compile_all(sources, output_dir=None, **options):
        tasks = [pool.submit(compile_one, source, output_dir, options) for source in sources]
        return [task.result() for task in tasks]

    return compile_all


class BuildKernels(build_ext):
    """build_ext that optimises, or that puts checks or counts in."""

    def finalize_options(self):
        """Build the modules side by side, unless the command line says otherwise."""
        super().finalize_options()
        self.parallel = self.parallel or True

    def build_extensions(self):
        """Choose flags for the compiler at hand, then build."""
        # Of -O3, the kernels need that loops become vectors; the rest only takes time to compile.
        # -g0: Python's own flags ask for debugging symbols, which take a quarter of the time.
        flags = ["-std=gnu11", "-O2", "-ftree-vectorize", "-fno-math-errno", "-pthread", "-g0"]
        if not self.is_clang():  # which does it anyway, and does not know the flag
            flags += ["-fvect-cost-model=dynamic"]
        links = ["-pthread"]
        if self.compiler.compiler_type == "msvc":
            flags, links = ["/O2", "/std:c11"], []
        self.compiler.compile = side_by_side(self.compiler, self.force)
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
        try:
            super().build_extensions()
        except (CompileError, OSError) as error:
            without = self.without()
            if not without:
                raise
            raise PlatformError(
                f"no {without}: micrograd_ext takes gcc or clang, and Python's headers (Debian and"
                " Ubuntu: apt-get install gcc python3-dev; Fedora: dnf install gcc python3-devel;"
                " macOS: xcode-select --install). CC=clang chooses a compiler"
            ) from error

    def is_clang(self):
        """Whether the compiler is clang, whatever it is called: on macOS, it is gcc."""
        command = getattr(self.compiler, "compiler_so", [""])
        try:
            asked = subprocess.run(
                [*command, "-dM", "-E", "-xc", os.devnull], capture_output=True, check=False
            )
        except OSError:  # there is no compiler, of which `without` speaks
            return False
        return b"__clang__" in asked.stdout

    def without(self):
        """What is not there, of what compiling takes; '' if nothing is amiss, or by MSVC."""
        command = getattr(self.compiler, "compiler_so", None)
        if command and shutil.which(command[0]) is None:
            return f"C compiler {command[0]!r}"
        if not any(Path(place, "Python.h").exists() for place in self.include_dirs):
            return "Python.h"
        return ""


def headers():
    """What every file of csrc/ may include: .h and .def."""
    return glob("csrc/**/*.[hd]*", root_dir=HERE, recursive=True)


def extension(name, *sources, bodies=()):
    """micrograd_ext.<name>, of files of micrograd_ext/ and csrc/; bodies: what these include."""
    return Extension(
        f"micrograd_ext.{name}",
        sources=list(sources),
        include_dirs=["csrc"],
        depends=["setup.py", *sorted([*headers(), *bodies])],
    )


ops_c = str(Path("csrc", "program", "ops.c"))
kernels = extension(
    "kernels._kernels",
    "micrograd_ext/kernels/_kernels.pyx",
    *sorted(glob("csrc/simd/*.c", root_dir=HERE)),
    str(Path("csrc", "threads.c")),
    ops_c,
    bodies=glob("csrc/*/*.inl", root_dir=HERE),
)
tape = extension("scalar._tape", "micrograd_ext/scalar/_tape.pyx", str(Path("csrc", "tape.c")))
executor = extension("compiler._executor", "micrograd_ext/compiler/_executor.pyx", ops_c)
engine = extension("engine", "micrograd_ext/engine.py")

# A tree that may not be written, as one mounted into a container, is built beside it.
elsewhere = None if os.access(HERE, os.W_OK) else tempfile.mkdtemp()
options = {}
if elsewhere:
    atexit.register(shutil.rmtree, elsewhere)
    options = {"build": {"build_base": elsewhere}, "egg_info": {"egg_base": elsewhere}}

setup(
    ext_modules=cythonize(
        [kernels, executor, tape, engine],
        build_dir=elsewhere,
        nthreads=0 if sys.platform == "win32" else os.cpu_count(),
        compiler_directives={"language_level": "3", "embedsignature": True},
        emit_linenums=INSTRUMENT == "coverage",  # lines of the .pyx
    ),
    cmdclass={"build_ext": BuildKernels},
    options=options,
)
