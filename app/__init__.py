"""What people and programs use: the REST interface and the writing assistant."""
