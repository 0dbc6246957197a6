"""REST APIs of API Gateway; all here reads."""
