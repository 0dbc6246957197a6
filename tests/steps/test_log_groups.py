"""The log groups: their retention, and that they are there before their functions."""

from support.built import Built
from support.stacks import AUTO_CONFIRM, SIGN_IN


def test_log_groups_with_retention_and_tags(built: Built) -> None:
    groups = built.groups
    assert sorted(groups) == sorted([f"/aws/lambda/{SIGN_IN}", f"/aws/lambda/{AUTO_CONFIRM}"])
    for name, group in groups.items():
        assert group["retentionInDays"] == 30
        arn = group["arn"].removesuffix(":*")
        assert group["tags"] == built.tags
        key = "sign_in_log_group" if name.endswith(SIGN_IN) else "auto_confirm_log_group"
        assert built.fact(key, "arn") == arn


def test_each_log_group_is_made_and_kept_before_its_function_is(built: Built) -> None:
    """Otherwise the function's first call would create it, without a retention limit."""
    order = [call.operation for call in built.calls]
    for nth in range(2):
        made = [
            [index for index, name in enumerate(order) if name == operation][nth]
            for operation in ("CreateLogGroup", "PutRetentionPolicy", "CreateFunction")
        ]
        assert made == sorted(made)
