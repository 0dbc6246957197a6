"""Fixtures for all tests; other shared code is in support/."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from support import moto_gaps
from support.account import (
    Account,
    Accounts,
    add_managed_policy,
    aws_with_clients,
    empty_accounts,
)
from support.attached import Orders, pool_and_orders
from support.built import built  # noqa: F401 a fixture
from support.called_api import gateway_server, played  # noqa: F401 fixtures
from support.commands import KEYS, Cli, command_line
from support.forker import PYTHON
from support.local_aws import someones_local_aws
from support.names import REGION
from support.planted import victim  # noqa: F401 fixture
from support.sampling import chosen, load_profile

# For benchmarks/, which is never installed. Last, so that the installed cogauth is imported.
sys.path.append(str(Path(__file__).parents[1]))
# Commands are printed as the shell finds them: the tests run as in an activated environment.
os.environ["PATH"] = os.pathsep.join([str(Path(PYTHON).parent), os.environ.get("PATH", os.defpath)])
# moto and hypothesis create very many longer-lived objects, and by default the collector scans
# them after every few hundred.
gc.set_threshold(20_000, 20, 20)


def pytest_xdist_auto_num_workers() -> int:
    """Use two workers per processor: many tests wait for a program that they started."""
    return 2 * (os.cpu_count() or 1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--aws",
        action="store_true",
        help="also run the acceptance tests on the AWS account that the environment names",
    )
    parser.addoption(
        "--all-faults",
        action="store_true",
        help="run the sweeps whole, such as every fault at every call, and long tests (minutes)",
    )


def pytest_configure(config: pytest.Config) -> None:
    load_profile(everything=config.getoption("--all-faults"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items[:] = chosen(config, items)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep cogauth's notes out of the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state-home")))
        yield


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Hide the user's own AWS configuration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture(scope="session", autouse=True)
def models_are_read_once() -> Iterator[None]:
    """Read botocore's models once, as a process with a single session does."""
    with pytest.MonkeyPatch.context() as patch:
        moto_gaps.read_models_once(patch)
        yield


@pytest.fixture(scope="session")
def whole_moto() -> Iterator[None]:
    """Moto, with the gaps to AWS filled, and constant data read only once."""
    with pytest.MonkeyPatch.context() as patch:
        moto_gaps.quicken(patch)
        moto_gaps.fill(patch)
        yield


@pytest.fixture
def moto_aws(whole_moto: None, no_credentials: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty AWS mocked by moto, with worthless credentials."""
    del whole_moto
    no_credentials.setenv("AWS_ACCESS_KEY_ID", "testing")
    no_credentials.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.fixture
def account(moto_aws: None, tmp_path: Path) -> Account:
    """An empty account in a region of the partition aws."""
    del moto_aws
    return Account(aws_with_clients(REGION), tmp_path / "stacks")


@pytest.fixture
def accounts(whole_moto: None, no_credentials: pytest.MonkeyPatch, tmp_path: Path) -> Accounts:
    """Return a function that gives a new empty account on each call."""
    del whole_moto, no_credentials
    return empty_accounts(tmp_path)


@pytest.fixture
def managed_policies(account: Account) -> None:
    """IAM has the managed policy that `--power-user` attaches."""
    add_managed_policy(account.region)


@pytest.fixture
def orders(account: Account) -> Orders:
    """Someone else's API, and the parts of a stack that attaching needs."""
    return pool_and_orders(account)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """The command line in an empty folder, with credentials that an emulator accepts."""
    with command_line(tmp_path, **KEYS, AWS_REGION=REGION) as made:
        yield made


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local AWS that the tests share, each with a differently named stack."""
    with someones_local_aws(tmp_path_factory.mktemp("aws") / "local") as url:
        yield url
