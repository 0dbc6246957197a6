"""The REST API and its paths: what is set, and whose path is taken."""

from support.account import Account
from support.built import Built
from support.foreign import Inside, plain
from support.stacks import SIGN_IN, UNCHANGED, existing, fact


def test_rest_api(built: Built) -> None:
    api = built.api
    assert api["name"] == "shop"
    assert "cogauth" in api["description"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["tags"] == built.tags


def test_recover_finds_the_sign_in_among_the_paths_of_others(account: Account) -> None:
    account.up(path="/sign-in")
    inside = Inside(account)
    # It comes after the others' paths in AWS's list.
    inside.api.delete_resource(**inside.place, resourceId=fact(account, "sign_in_resource"))
    account.up()
    account.path().unlink()
    assert account.recover().settings.path == "/sign-in"
    account.up()
    assert account.up() == UNCHANGED


def test_the_protected_path_stays_the_stacks_whoever_has_its_post(account: Account) -> None:
    """Only the sign-in's own path is told from somebody's by its POST."""
    account.stands()
    api = account.client("apigateway")
    theirs = {
        "restApiId": fact(account, "rest_api"),
        "resourceId": fact(account, "hello_resource"),
        "httpMethod": "POST",
    }
    api.put_method(**theirs, authorizationType="AWS_IAM")
    api.put_integration(**theirs, type="MOCK")
    before, world = plain(api.get_method(**theirs)), existing(account)
    permission = {"FunctionName": SIGN_IN, "StatementId": "cogauth-apigateway"}
    account.client("lambda").remove_permission(**permission)
    account.up()
    assert account.up() == UNCHANGED
    assert (plain(api.get_method(**theirs)), existing(account)) == (before, world)
