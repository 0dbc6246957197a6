"""What is called the same in all tests."""

REGION = "eu-central-1"
PASSWORD = "Correct-Horse-7"
# What the operations of AWS that change nothing begin with.
READS = ("Get", "List", "Describe", "Filter")
