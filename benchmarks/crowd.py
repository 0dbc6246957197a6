"""Part 4: the calls of ``up`` and ``down`` in an account full of other people's resources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.conditions import QUIET
from benchmarks.programs import COGAUTH, client, count, environment, folder, local_aws, run
from benchmarks.proxy import PlayedAws
from cogauth.steps.lambda_ import AUTO_CONFIRM, package

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZES = (0, 10, 100, 500)
# The number of concurrent calls that the local AWS handles well.
AT_ONCE = 8
OTHERS = "others"
TRUST = '{"Version": "2012-10-17", "Statement": []}'


def measure(say: Callable[[str], None], sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Count the calls in an account with so many REST APIs, pools and functions of others."""
    found: dict[str, dict[str, Any]] = {}
    with local_aws() as url, folder() as home:
        existing = 0
        client("iam", url).create_role(RoleName=OTHERS, AssumeRolePolicyDocument=TRUST)
        for size in sizes:
            say(f"up and down in an account with {size} APIs, pools and functions of others")
            fill(url, existing, size)
            existing = size
            with PlayedAws(url, QUIET) as aws:
                for command in (["up", "--json"], ["down", "--yes", "--json"]):
                    aws.new_run()
                    run([*COGAUTH, *command], home, environment(home, aws.url))
                    found.setdefault(command[0], {})[str(size)] = count(aws.calls)
    return found


def fill(url: str, existing: int, wanted: int) -> None:
    """Create other people's resources until there are enough of each."""
    cognito, functions, apis = (client(n, url) for n in ("cognito-idp", "lambda", "apigateway"))
    code = package(AUTO_CONFIRM)

    def make(nth: int) -> None:
        name = f"{OTHERS}-{nth:04}"
        cognito.create_user_pool(PoolName=name)
        apis.create_rest_api(name=name)
        functions.create_function(
            FunctionName=name,
            Runtime="python3.14",
            Role=f"arn:aws:iam::000000000000:role/{OTHERS}",
            Handler="auto_confirm.handler",
            Code={"ZipFile": code},
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(make, range(existing, wanted)))
