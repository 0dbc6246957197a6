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

from cogauth.steps.lambda_ import AUTO_CONFIRM, SIGN_IN, FunctionSpec, package
from support.handlers import VARIABLES

ROOT = Path(__file__).parents[1]
NAMES = {SIGN_IN: "SIGN_IN", AUTO_CONFIRM: "AUTO_CONFIRM"}
FILES = {SIGN_IN: ["sign_in.py", "cognito.py"], AUTO_CONFIRM: ["auto_confirm.py"]}
PACK = (
    "import sys; from cogauth.steps import lambda_; "
    "sys.stdout.buffer.write(lambda_.package(getattr(lambda_, sys.argv[1])))"
)


@pytest.mark.parametrize("function", FILES, ids=NAMES.get)
def test_a_zip_holds_the_sources_and_nothing_else(function: FunctionSpec) -> None:
    with zipfile.ZipFile(io.BytesIO(package(function))) as archive:
        assert archive.namelist() == FILES[function]
        for entry in archive.infolist():
            assert archive.read(entry) == (ROOT / "lambda_code" / entry.filename).read_bytes()
            # Lambda's own user must be able to read it.
            assert entry.external_attr >> 16 == 0o644
        assert archive.testzip() is None


def test_a_zip_runs_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "function.zip").write_bytes(package(SIGN_IN))
    code = "import sign_in; print(sign_in.handler({}, None)['code'], sign_in.cognito.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **VARIABLES, "PYTHONPATH": "function.zip"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.splitlines()[-1] == f"invalid_username {tmp_path}/function.zip/cognito.py"


@pytest.mark.parametrize("function", FILES, ids=NAMES.get)
def test_a_zip_is_the_same_bytes_from_any_place_at_any_time(
    function: FunctionSpec, tmp_path: Path
) -> None:
    for name in ("cogauth", "lambda_code"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for nth, file in enumerate(tmp_path.rglob("*.py")):
        os.utime(file, (10**9 + nth, 10**9 + nth))
        file.chmod(0o600)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TZ": "Asia/Tokyo"}
    packed = subprocess.run(
        [sys.executable, "-c", PACK, NAMES[function]],
        cwd=tmp_path,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    assert packed == package(function) == package(function)


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
    files = {*FILES[SIGN_IN], *FILES[AUTO_CONFIRM]}
    assert {f"cogauth/lambda_code/{file}" for file in files} <= set(names)
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
    assert {path.name for path in installed.glob("*.py")} == {*FILES[SIGN_IN], *FILES[AUTO_CONFIRM]}
    # The dependencies come from this environment, but cogauth itself from the wheel.
    code = f"import cogauth; assert cogauth.__file__.startswith({str(site)!r}); {PACK}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    for function, name in NAMES.items():
        packed = subprocess.run(
            [python, "-c", code, name],
            cwd=tmp_path,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        assert packed == package(function)
