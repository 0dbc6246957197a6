"""Names that all tests share."""

REGION = "eu-central-1"
PASSWORD = "Correct-Horse-7"
# The prefixes of AWS operations that change nothing.
READS = ("Get", "List", "Describe", "Filter")
