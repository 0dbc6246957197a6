"""The contents of the Lambda packages and of the wheel."""

import io
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogauth.steps.lambda_ import package

ROOT = Path(__file__).parents[1]
MODULES = ("sign_in", "auto_confirm")
PACK = (
    "import sys; from cogauth.steps.lambda_ import package; "
    "sys.stdout.buffer.write(package(sys.argv[1]))"
)


@pytest.mark.parametrize("module", MODULES)
def test_a_zip_holds_one_file_which_is_the_source(module: str) -> None:
    with zipfile.ZipFile(io.BytesIO(package(module))) as archive:
        assert archive.namelist() == [f"{module}.py"]
        assert archive.read(f"{module}.py") == (ROOT / "lambda_code" / f"{module}.py").read_bytes()
        # Lambda's own user must be able to read it.
        assert archive.infolist()[0].external_attr >> 16 == 0o644
        assert archive.testzip() is None


@pytest.mark.parametrize("module", MODULES)
def test_a_zip_is_the_same_bytes_from_any_place_at_any_time(module: str, tmp_path: Path) -> None:
    for name in ("cogauth", "lambda_code"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for nth, file in enumerate(tmp_path.rglob("*.py")):
        os.utime(file, (10**9 + nth, 10**9 + nth))
        file.chmod(0o600)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TZ": "Asia/Tokyo"}
    packed = subprocess.run(
        [sys.executable, "-c", PACK, module],
        cwd=tmp_path,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    assert packed == package(module) == package(module)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--wheel-dir", str(folder), str(ROOT)),
        ],
        check=True,
    )
    (built,) = folder.glob("cogauth-*.whl")
    yield built
    shutil.rmtree(folder)


def test_the_wheel_carries_the_lambda_code_and_nothing_that_is_not_the_programs(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {f"cogauth/lambda_code/{module}.py" for module in MODULES} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cogauth"}
    assert not [name for name in names if "test" in name.lower() and "test_login" not in name]
    assert not [name for name in names if name.endswith(".pyc")]
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "cogauth").rglob("*.py")}
    assert sources <= set(names)
    assert "cogauth/page/picture.svg" in names


@pytest.mark.long
def test_an_installed_cogauth_makes_the_same_zips(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "fresh", with_pip=False)
    python = tmp_path / "fresh" / "bin" / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"),
            *("--no-deps", "--disable-pip-version-check", str(wheel)),
        ],
        check=True,
    )
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True)
    site = Path(answer.stdout.strip())
    installed = site / "cogauth" / "lambda_code"
    assert sorted(path.name for path in installed.glob("*.py")) == ["auto_confirm.py", "sign_in.py"]
    # The dependencies come from this environment, but cogauth itself from the wheel.
    code = f"import cogauth; assert cogauth.__file__.startswith({str(site)!r}); {PACK}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    for module in MODULES:
        packed = subprocess.run(
            [python, "-c", code, module],
            cwd=tmp_path,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        assert packed == package(module)
