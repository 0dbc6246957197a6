"""cogauth puts an Amazon Cognito login in front of an API Gateway REST API."""

__version__ = "0.1.0"
