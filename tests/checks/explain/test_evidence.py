"""A token as it is read for evidence: any text, and as 'decode' reads it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cogauth.checks.explain.evidence import read_token
from cogauth.client import tokens
from cogauth.errors import UsageError
from support.evidence import a_token


@given(
    st.one_of(
        st.text("ab.-_é=+", min_size=1),
        st.builds(a_token, exp=st.floats()),
        st.sampled_from([f"{a_token()}=", f"{a_token()}é", "a.b.c.d.e"]),
    )
)
def test_explain_and_decode_read_a_token_alike(text: str) -> None:
    flaw, encrypted = False, False
    try:
        tokens.read(text)
    except UsageError as error:
        flaw, encrypted = True, "is encrypted" in str(error)
    found = read_token(text)
    assert (found.flaw is not None, found.kind == "refresh_token") == (flaw, encrypted)


@given(st.text())
def test_anything_can_be_read_as_a_token(text: str) -> None:
    token = read_token(text)
    assert token.flaw or token.header is not None
    assert text not in repr(token) or len(text) < 20 or text in repr(read_token(""))
