"""Tests of which arguments of a command line are redacted as secrets."""

from podium._interface.redacting import redacted

from tests.each import each

KNOWN = "hf_" + "a1B2" * 6


@each(
    ("given", "shown"),
    [
        (["--token=abc", "--lr=0.1"], ["--token=[redacted]", "--lr=0.1"]),
        (["--password", "hunter2", "x"], ["--password", "[redacted]", "x"]),
        (["--use-auth", "--lr", "1"], ["--use-auth", "--lr", "1"]),
        (
            [f"{begin}{'a1' * 6}" for begin in ("gho_", "ghs_", "glpat-", "AKIA", "eyJ", "sk-")],
            ["[redacted]"] * 6,
        ),
        (["--API-KEY", "-x"], ["--API-KEY", "[redacted]"]),
        (
            ["--hf_token", "x", "--Api-Key=a b\nc"],
            ["--hf_token", "[redacted]", "--Api-Key=[redacted]"],
        ),
        (
            ["wandb.api_key=xyz", "+db.passwd=a=b"],
            ["wandb.api_key=[redacted]", "+db.passwd=[redacted]"],
        ),
        (["postgres://ana:s3cret@host/db"], ["postgres://ana:[redacted]@host/db"]),
        (['{"api_key": "x y", "lr": 1}'], ['{"api_key": [redacted], "lr": 1}']),
        (["-c", "login(token='abc'); run()"], ["-c", "login(token=[redacted]); run()"]),
        (["--header", f"Bearer {KNOWN}"], ["--header", "Bearer [redacted]"]),
        (["-HAuthorization: Basic YTpi"], ["-HAuthorization: Basic [redacted]"]),
        (["ftp://ana:s3@cret@host/x"], ["ftp://ana:[redacted]@host/x"]),
        (["--db-pass", "x", "--bypass", "y"], ["--db-pass", "[redacted]", "--bypass", "y"]),
        (["https://host/x?sig=ab%2F&v=1"], ["https://host/x?sig=[redacted]&v=1"]),
        ([r'{"token": "a\" b", "lr": 1}'], ['{"token": [redacted], "lr": 1}']),
        (["AWS_SECRET_ACCESS_KEY=abc"], ["AWS_SECRET_ACCESS_KEY=[redacted]"]),
        (
            ["--tokenizer=gpt2", "--max-tokens=512", "--sort-key", "name", "author=ana"],
            ["--tokenizer=gpt2", "--max-tokens=512", "--sort-key", "name", "author=ana"],
        ),
    ],
)
def test_secrets_are_redacted(given: list[str], shown: list[str]) -> None:
    """Values of secret options, secret keys and passwords in URLs are redacted.

    Other arguments are kept.
    """
    assert redacted(given) == shown


@each("text", ["a", "-", "+", "+-", "token ", "a://:", "token:'"])
def test_long_arguments_take_no_time(text: str) -> None:
    """`redacted` does not hang on an argument of 100,000 characters.

    This also applies if the argument nearly matches a pattern.
    """
    given = text * (100_000 // len(text))
    assert redacted([given])[0][:1] == given[0]
