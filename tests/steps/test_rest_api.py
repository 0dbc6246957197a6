"""The REST API and its paths: what is set, and whose path is taken."""

from support.built import Built


def test_rest_api(built: Built) -> None:
    api = built.api
    assert api["name"] == "shop"
    assert "cogauth" in api["description"]
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert api["tags"] == built.tags
