"""How deployed REST APIs answer on the local AWS, where ministack's own answer isn't AWS's."""


def install() -> None:
    """Put these answers in the place of ministack's. Raises HookError."""
